//go:build unix

package server

import (
	"fmt"
	"os"
	"syscall"
)

// lockFile waits for the lock that the file at path stands for, and returns what
// lets go of it. It is held by the process: the system frees it with the process.
func lockFile(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %q: %w", path, err)
	}
	return func() { f.Close() }, nil
}
