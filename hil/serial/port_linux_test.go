package serial

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"porthole/hil"
	"porthole/internal/cli"
)

// TestPortCarries: every byte value, both directions at once, more than any
// buffer between the two holds.
func TestPortCarries(t *testing.T) {
	far := newPTY(t)
	port := mustOpen(t, far.path, Config{})
	rng := rand.New(rand.NewPCG(4, 1))
	data := make([]byte, 1<<20)
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	deadline := time.Now().Add(20 * time.Second)
	far.SetDeadline(deadline)
	port.SetReadDeadline(deadline)
	var wg sync.WaitGroup
	send := func(name string, w io.Writer) {
		wg.Go(func() {
			for rest := data; len(rest) > 0; {
				n := min(len(rest), 3001)
				if _, err := w.Write(rest[:n]); err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				rest = rest[n:]
			}
		})
	}
	receive := func(name string, r io.Reader) {
		wg.Go(func() {
			got := make([]byte, len(data))
			if n, err := io.ReadFull(r, got); err != nil {
				t.Errorf("%s: %v after %d bytes", name, err, n)
			} else if !bytes.Equal(got, data) {
				i := 0
				for got[i] == data[i] {
					i++
				}
				t.Errorf("%s: bytes differ from %d on", name, i)
			}
		})
	}
	send("host sends", port)
	send("board sends", far)
	receive("host receives", port)
	receive("board receives", far)
	wg.Wait()
}

func TestPortDeadline(t *testing.T) {
	far := newPTY(t)
	port := mustOpen(t, far.path, Config{})
	buf := make([]byte, 16)

	port.SetReadDeadline(time.Now().Add(-time.Second))
	if _, err := port.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("deadline in the past: %v", err)
	}
	start := time.Now()
	port.SetReadDeadline(start.Add(30 * time.Millisecond))
	if n, err := port.Read(buf); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) < 30*time.Millisecond {
		t.Errorf("read %d, %v after %v", n, err, time.Since(start))
	}
	// A deadline that is set later reaches a read that waits already.
	port.SetReadDeadline(time.Time{})
	failed := make(chan error)
	go func() {
		_, err := port.Read(buf)
		failed <- err
	}()
	port.SetReadDeadline(time.Now())
	if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("blocked read: %v", err)
	}
	port.SetReadDeadline(time.Time{})
	far.Write([]byte("late"))
	if n, err := port.Read(buf); string(buf[:n]) != "late" || err != nil {
		t.Errorf("after the deadline: %q, %v", buf[:n], err)
	}
	if n, err := port.Read(nil); n != 0 || err != nil {
		t.Errorf("empty read: %d, %v", n, err)
	}
}

func TestPortDiscard(t *testing.T) {
	far := newPTY(t)
	port := mustOpen(t, far.path, Config{})
	buf := make([]byte, 16)
	// The echo of one byte proves that those before it have arrived.
	far.Write([]byte("stale!"))
	if n, err := port.Read(buf[:1]); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if err := port.Discard(); err != nil {
		t.Fatal(err)
	}
	far.Write([]byte("fresh"))
	if n, err := port.Read(buf); string(buf[:n]) != "fresh" {
		t.Errorf("read %q, %v", buf[:n], err)
	}
}

func TestPortClose(t *testing.T) {
	far := newPTY(t)
	port := mustOpen(t, far.path, Config{WriteTimeout: 100 * time.Millisecond})
	failed := make(chan error, 1)
	go func() {
		_, err := port.Read(make([]byte, 1))
		failed <- err
	}()
	if _, err := port.Write(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	if err := port.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := <-failed; !errors.Is(err, os.ErrClosed) {
		t.Errorf("blocked read: %v", err)
	}
	if err := port.Close(); err != nil {
		t.Errorf("close again: %v", err)
	}
	_, werr := port.Write([]byte("x"))
	_, rerr := port.Read(make([]byte, 1))
	for name, err := range map[string]error{
		"write": werr, "read": rerr, "lines": port.SetLines(true, true), "baud": port.SetBaud(9600),
		"discard": port.Discard(), "deadline": port.SetReadDeadline(time.Now()), "hang-up": port.SetHangUp(true),
	} {
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s of a closed port: %v", name, err)
		}
	}
	mustOpen(t, far.path, Config{}) // and it is free again
}

// TestPortCloseEndsWrite: also a write into a line that takes nothing more.
func TestPortCloseEndsWrite(t *testing.T) {
	far := newPTY(t)
	port := mustOpen(t, far.path, Config{WriteTimeout: time.Hour})
	failed := make(chan error, 1)
	go func() {
		_, err := port.Write(make([]byte, 1<<20))
		failed <- err
	}()
	// Something has come through, so the write is on its way.
	if _, err := far.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	port.ctl.kernel = quick{port.ctl.kernel} // the drain is another test's
	port.Close()
	if err := <-failed; !errors.Is(err, os.ErrClosed) {
		t.Errorf("blocked write: %v", err)
	}
}

// quick is a kernel with nothing left to send.
type quick struct{ kernel }

func (quick) queued(int) (int, error) { return 0, nil }

// TestPortStall: a board that takes nothing stops a write within its bound.
func TestPortStall(t *testing.T) {
	far := newPTY(t)
	const timeout = 50 * time.Millisecond
	port := mustOpen(t, far.path, Config{WriteTimeout: timeout, Baud: 3_000_000})
	data := make([]byte, 256<<10) // the kernel holds a few kB
	start := time.Now()
	n, err := port.Write(data)
	took := time.Since(start)
	if !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 || n == len(data) || cli.HintOf(err) == "" {
		t.Errorf("wrote %d, %v", n, err)
	}
	bound := port.cfg.writeBound(len(data), 3_000_000)
	if took < bound || took > bound+2*time.Second {
		t.Errorf("gave up after %v, want %v", took, bound)
	}
	// What was taken is really there, and the line goes on from there.
	got := make([]byte, n)
	far.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.ReadFull(far, got); err != nil || !bytes.Equal(got, data[:n]) {
		t.Errorf("board has less than what was counted: %v", err)
	}
	if _, err := port.Write([]byte("on")); err != nil {
		t.Errorf("write after a stall: %v", err)
	}
}

// TestPortGone: the board is unplugged.
func TestPortGone(t *testing.T) {
	far := newPTY(t)
	port := mustOpen(t, far.path, Config{})
	failed := make(chan error, 1)
	go func() {
		_, err := port.Read(make([]byte, 1))
		failed <- err
	}()
	far.Close()
	if err := <-failed; !errors.Is(err, io.EOF) {
		t.Errorf("blocked read: %v", err)
	}
	if _, err := port.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("read: %v", err)
	}
	if _, err := port.Write([]byte("x")); !errors.Is(err, io.EOF) {
		t.Errorf("write: %v", err)
	}
	if err := port.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func TestPortBaud(t *testing.T) {
	far := newPTY(t)
	port := mustOpen(t, far.path, Config{Baud: 460800})
	speed := func() int {
		return with(t, far.File, linux{}.speed)
	}
	if got := speed(); got != 460800 {
		t.Errorf("opened at %d", got)
	}
	for _, rate := range []int{115200, 921600, 74880, 3_000_000} {
		if err := port.SetBaud(rate); err != nil || speed() != rate {
			t.Errorf("set %d: the board sees %d, %v", rate, speed(), err)
		}
	}
	for _, rate := range []int{0, -1} {
		if err := port.SetBaud(rate); err == nil {
			t.Errorf("set %d: taken", rate)
		}
	}
}

func TestPortLocked(t *testing.T) {
	far := newPTY(t)
	port := mustOpen(t, far.path, Config{})
	_, err := Open(far.path, Config{})
	if !errors.Is(err, ErrBusy) || cli.HintOf(err) == "" {
		t.Errorf("second open: %v", err)
	}
	// Another program's lock counts as much as ours.
	other := far.keep(t)
	err = with(t, other, func(fd int) (error, error) { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB), nil })
	if !errors.Is(err, unix.EWOULDBLOCK) {
		t.Errorf("lock of another program beside ours: %v", err)
	}
	port.Close()
	err = with(t, other, func(fd int) (error, error) { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB), nil })
	if err != nil {
		t.Errorf("lock of another program after ours: %v", err)
	}
	if _, err := Open(far.path, Config{}); !errors.Is(err, ErrBusy) {
		t.Errorf("open beside another program: %v", err)
	}
	other.Close()

	cmd := child(t, "hold-stdin")
	cmd.ExtraFiles = []*os.File{far.keep(t)}
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	kept := cmd.ExtraFiles[0]
	with(t, kept, func(fd int) (int, error) { return 0, unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
	kept.Close()
	if _, err := Open(far.path, Config{}); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), fmt.Sprintf("serial.test (pid %d)", cmd.Process.Pid)) {
		t.Errorf("open beside another process: %v", err)
	}
}

func TestPortRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, path, want string }{
		{"nothing there", filepath.Join(dir, "ttyUSB0"), "file does not exist"},
		{"a file", file, "not a serial device"},
		{"a folder", dir, "not a serial device"},
		{"another device", "/dev/null", "not a serial device"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Open(tt.path, Config{})
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.path) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if errors.Is(err, fs.ErrNotExist) != strings.HasPrefix(tt.want, "file does") {
				t.Errorf("kind of %v", err)
			}
		})
	}
}

func TestPortWithoutLines(t *testing.T) {
	far := newPTY(t)
	port := mustOpen(t, far.path, Config{})
	if err := port.SetLines(false, true); !errors.Is(err, hil.ErrNoLines) {
		t.Errorf("lines of a pseudo terminal: %v", err)
	}
}

// BenchmarkPortRead is what a byte of a talkative board costs.
func BenchmarkPortRead(b *testing.B) {
	far := newPTY(b)
	port := mustOpen(b, far.path, Config{})
	line := bytes.Repeat([]byte("x"), 1000)
	go func() {
		for {
			if _, err := far.Write(line); err != nil {
				return
			}
		}
	}()
	buf := make([]byte, 16<<10)
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		if _, err := io.ReadFull(port, buf[:len(line)]); err != nil {
			b.Fatal(err)
		}
	}
}
