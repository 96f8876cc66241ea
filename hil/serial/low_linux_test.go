package serial

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// child runs a part of this package's tests in a process of its own.
func child(t *testing.T, name string, env ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(append(os.Environ(), "SERIAL_TEST_CHILD="+name), env...)
	return cmd
}

// TestManyFiles: a process with 5,000 descriptors opens ports.
func TestManyFiles(t *testing.T) {
	for _, tt := range []struct{ name, reserve, want string }{
		{"reserved", "all", "ok"},
		{"one for three", "one", "no file descriptor below 1024 is free"},
		{"not reserved", "", "no file descriptor below 1024 is free"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			far := newPTY(t)
			second := newPTY(t)
			for _, p := range []*pty{far, second} {
				p.keep(t) // or the echo ends with the first port
				go io.Copy(p, p)
			}
			out, err := child(t, "many-files", "RESERVE="+tt.reserve, "PORTS="+far.path+" "+second.path).CombinedOutput()
			if err != nil || strings.TrimSpace(string(out)) != tt.want {
				t.Errorf("child: %v\n%s\nwant %q", err, out, tt.want)
			}
		})
	}
}

// manyFiles is the child of TestManyFiles. While it opens ports, over and over,
// two goroutines open and close files to get at the low numbers.
func manyFiles() error {
	switch os.Getenv("RESERVE") {
	case "all":
		ReserveLow()
	case "one": // the device gets it, the library's pipe does not
		low.want = 1
		low.refill()
	}
	const files = 5000
	for range files {
		if _, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
			return err
		}
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if f, err := os.Open("/dev/null"); err == nil {
					f.Close()
				}
			}
		})
	}
	defer wg.Wait()
	defer close(stop)
	for range 20 {
		var ports []*Port
		for path := range strings.FieldsSeq(os.Getenv("PORTS")) {
			p, err := Open(path, Config{})
			if errors.Is(err, ErrManyFiles) {
				return ErrManyFiles
			}
			if err != nil {
				return err
			}
			ports = append(ports, p)
		}
		for _, p := range ports {
			if err := echo(p); err != nil {
				return err
			}
			if err := p.Close(); err != nil {
				return err
			}
		}
	}
	fmt.Println("ok")
	return nil
}

func echo(p *Port) error {
	p.SetReadDeadline(time.Now().Add(10 * time.Second))
	buf := make([]byte, 4)
	if _, err := p.Write([]byte("ping")); err != nil {
		return err
	}
	if _, err := io.ReadFull(p, buf); err != nil {
		return err
	}
	if string(buf) != "ping" {
		return fmt.Errorf("got %q", buf)
	}
	return nil
}

// TestNothingInherited: no descriptor of an open port reaches a child process,
// which would keep the board locked.
func TestNothingInherited(t *testing.T) {
	open := func() (fds map[int]bool) {
		fds = make(map[int]bool)
		for fd := range selectLimit {
			if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
				fds[fd] = flags&unix.FD_CLOEXEC != 0
			}
		}
		return fds
	}
	far := newPTY(t)
	before := open()
	port := mustOpen(t, far.path, Config{})
	after := open()
	if len(after) < len(before)+perPort {
		t.Errorf("a port has %d descriptors", len(after)-len(before))
	}
	for fd, closes := range after {
		if _, old := before[fd]; !old && !closes {
			t.Errorf("descriptor %d is inherited", fd)
		}
	}
	port.Close()
	if left := open(); len(left) != len(before) {
		t.Errorf("%d descriptors before, %d after", len(before), len(left))
	}
}
