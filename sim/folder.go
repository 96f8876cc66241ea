package sim

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"porthole/internal/frame"
)

// maxFolder bounds the frames of a folder.
const maxFolder = 100_000

// Folder is a source that plays the JPEG files of a folder in natural order.
// Each file is read when it is due and uploaded byte for byte.
type Folder struct {
	fsys   fs.FS
	names  []string
	order  Order
	limits frame.Limits
	step   uint64
}

// OpenFolder returns the source for the top folder of fsys. All files are
// checked first, so that a broken one is named before anything is sent.
func OpenFolder(fsys fs.FS, order Order, limits frame.Limits) (*Folder, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, fmt.Errorf("open source: %w", err)
	}
	f := &Folder{fsys: fsys, order: order, limits: limits.WithDefaults()}
	for _, e := range entries {
		ext := strings.ToLower(path.Ext(e.Name()))
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") || ext != ".jpg" && ext != ".jpeg" {
			continue
		}
		if len(f.names) == maxFolder {
			return nil, fmt.Errorf("open source: more than %d frames", maxFolder)
		}
		if _, err := f.read(e.Name()); err != nil {
			return nil, fmt.Errorf("open source: %w", err)
		}
		f.names = append(f.names, e.Name())
	}
	if len(f.names) == 0 {
		return nil, fmt.Errorf("open source: no .jpg file in the folder")
	}
	slices.SortFunc(f.names, frame.CompareNames)
	return f, nil
}

// Len returns the number of frames in the folder.
func (f *Folder) Len() int { return len(f.names) }

// Next implements Source.
func (f *Folder) Next(context.Context, uint64, time.Duration) ([]byte, error) {
	i, ok := f.order.index(f.step, len(f.names))
	if !ok {
		return nil, io.EOF
	}
	f.step++
	return f.read(f.names[i])
}

func (f *Folder) read(name string) ([]byte, error) {
	file, err := f.fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := readBounded(file, name, f.limits.MaxBytes)
	if err != nil {
		return nil, err
	}
	return data, checkFrame(name, data, f.limits)
}
