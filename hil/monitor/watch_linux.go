package monitor

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// watch tells when something appears in a folder, by inotify.
type watch struct {
	file *os.File
	c    chan struct{}
	wg   sync.WaitGroup
}

// newWatch watches folders; those that do not exist are left out. Where nothing can
// be watched the watch is nil, which can be used and never tells anything.
func newWatch(dirs []string) (*watch, error) {
	if len(dirs) == 0 {
		return nil, nil
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch folders: %w", err)
	}
	w := &watch{file: os.NewFile(uintptr(fd), "inotify"), c: make(chan struct{}, 1)}
	var errs error
	watched := 0
	for _, d := range dirs {
		// A device is there before its owner may open it: the change of its mode
		// is the event that counts.
		if _, err := unix.InotifyAddWatch(fd, d, unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_ATTRIB); err != nil {
			if !errors.Is(err, unix.ENOENT) {
				errs = errors.Join(errs, fmt.Errorf("watch folder %q: %w", d, err))
			}
			continue
		}
		watched++
	}
	if watched == 0 {
		w.file.Close()
		return nil, errs
	}
	w.wg.Go(w.run)
	return w, errs
}

func (w *watch) run() {
	buf := make([]byte, 4<<10)
	for {
		if _, err := w.file.Read(buf); err != nil {
			return
		}
		select {
		case w.c <- struct{}{}:
		default:
		}
	}
}

// changes has an element after every change, several in one.
func (w *watch) changes() <-chan struct{} {
	if w == nil {
		return nil
	}
	return w.c
}

func (w *watch) close() {
	if w != nil {
		w.file.Close()
		w.wg.Wait()
	}
}
