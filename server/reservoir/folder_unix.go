//go:build unix

package reservoir

import (
	"errors"
	"os"
	"syscall"
)

// lock takes the folder for this process; the system frees it with the process.
func lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrInUse
	}
	return err
}

// syncFolder makes renames and removals in a folder durable.
func syncFolder(d *os.File) error { return d.Sync() }
