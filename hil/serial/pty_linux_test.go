package serial

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// pty is the board's end of a pseudo terminal.
type pty struct {
	*os.File
	path string // of the host's end
}

func newPTY(t testing.TB) *pty {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	master := os.NewFile(uintptr(fd), "ptmx")
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	return &pty{master, fmt.Sprintf("/dev/pts/%d", n)}
}

// keep holds the host's end open, so that its settings outlive a port.
func (p *pty) keep(t testing.TB) *os.File {
	t.Helper()
	f, err := os.OpenFile(p.path, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// with runs f on the descriptor of a file.
func with[T any](t testing.TB, file *os.File, f func(fd int) (T, error)) T {
	t.Helper()
	raw, err := file.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var v T
	var ferr error
	if err := raw.Control(func(fd uintptr) { v, ferr = f(int(fd)) }); err != nil || ferr != nil {
		t.Fatal(err, ferr)
	}
	return v
}

func mustOpen(t testing.TB, path string, cfg Config) *Port {
	t.Helper()
	p, err := Open(path, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// speed is the one that the other end has set, in bits per second.
func (linux) speed(fd int) (int, error) {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS2)
	if err != nil {
		return 0, err
	}
	return int(t.Ospeed), nil
}
