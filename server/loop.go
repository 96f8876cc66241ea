package server

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"porthole/internal/frame"
)

// maxLoop bounds the pictures of a loop: two hours at the default period.
const maxLoop = 3600

// Loop is the recorded sequence that is played while the camera is silent. It
// has one position for all viewers. Pictures are read when they are shown, so a
// long loop costs no memory.
type Loop struct {
	fsys   fs.FS
	names  []string
	limits frame.Limits

	mu  sync.Mutex
	pos int
}

// OpenLoop returns the loop of all JPEG files in the top folder of fsys, in
// natural order (2.jpg before 10.jpg). Every file is checked: a loop that would
// break later is refused now, with the file's name. Wrap a folder with
// [os.Root.FS] so that a link in it cannot reach outside.
func OpenLoop(fsys fs.FS, limits frame.Limits) (*Loop, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, fmt.Errorf("open loop: %w", err)
	}
	l := &Loop{fsys: fsys, limits: limits.WithDefaults()}
	for _, e := range entries {
		ext := strings.ToLower(path.Ext(e.Name()))
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") || ext != ".jpg" && ext != ".jpeg" {
			continue
		}
		if len(l.names) == maxLoop {
			return nil, fmt.Errorf("open loop: more than %d pictures", maxLoop)
		}
		if _, _, err := l.read(e.Name()); err != nil {
			return nil, fmt.Errorf("open loop: %w", err)
		}
		l.names = append(l.names, e.Name())
	}
	if len(l.names) == 0 {
		return nil, errors.New("open loop: no .jpg file in the folder")
	}
	slices.SortFunc(l.names, frame.CompareNames)
	return l, nil
}

//go:embed loop/*.jpg
var embeddedLoop embed.FS

// EmbeddedLoop returns the loop that is built into the program: half a minute
// of the simulated room, without clock and stamp.
func EmbeddedLoop() (*Loop, error) {
	fsys, err := fs.Sub(embeddedLoop, "loop")
	if err != nil {
		return nil, fmt.Errorf("open embedded loop: %w", err)
	}
	return OpenLoop(fsys, frame.Limits{})
}

// Len returns the number of pictures.
func (l *Loop) Len() int { return len(l.names) }

// next returns the picture at the position, with its number, and moves on.
func (l *Loop) next() (jpeg []byte, info frame.Info, seq uint64, err error) {
	l.mu.Lock()
	pos := l.pos
	l.pos = (pos + 1) % len(l.names)
	l.mu.Unlock()
	jpeg, info, err = l.read(l.names[pos])
	return jpeg, info, uint64(pos) + 1, err
}

// read returns one picture, cleaned like an upload.
func (l *Loop) read(name string) ([]byte, frame.Info, error) {
	f, err := l.fsys.Open(name)
	if err != nil {
		return nil, frame.Info{}, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, int64(l.limits.MaxBytes)+1))
	if err != nil {
		return nil, frame.Info{}, fmt.Errorf("read %q: %w", name, err)
	}
	jpeg, info, err := clean(data, l.limits)
	if err != nil {
		return nil, frame.Info{}, fmt.Errorf("picture %q: %w", name, err)
	}
	return jpeg, info, nil
}
