package serial

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// uart puts the modem lines of a real adapter before a pseudo terminal, and
// logs what is asked of it in order.
type uart struct {
	linux
	bits  int
	calls []string
	fail  error
}

func (u *uart) flock(fd, how int) error {
	u.calls = append(u.calls, "lock")
	return u.linux.flock(fd, how)
}

func (u *uart) setTermios(fd int, t *unix.Termios) error {
	u.calls = append(u.calls, fmt.Sprintf("hupcl %t", t.Cflag&unix.HUPCL != 0))
	return u.linux.setTermios(fd, t)
}

func (u *uart) modem(int) (int, error) { return u.bits, u.fail }

func (u *uart) setModem(_, bits int) error {
	u.calls = append(u.calls, fmt.Sprintf("dtr %t rts %t", bits&unix.TIOCM_DTR != 0, bits&unix.TIOCM_RTS != 0))
	u.bits = bits
	return u.fail
}

func (u *uart) closingWait(_ int, v uint16) error {
	u.calls = append(u.calls, fmt.Sprintf("closing wait %d", v))
	return unix.EPERM
}

// TestLines: what happens to the lines, and when: one call for both, after the
// last open, and none at the end.
func TestLines(t *testing.T) {
	far := newPTY(t)
	kept := far.keep(t)
	const others = 0x2000 | 0x4000                             // OUT1, OUT2
	u := &uart{bits: others | unix.TIOCM_DTR | unix.TIOCM_RTS} // as after an open
	with(t, kept, func(fd int) (int, error) {
		termios, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			return 0, err
		}
		termios.Cflag |= unix.HUPCL
		return 0, unix.IoctlSetTermios(fd, unix.TCSETS, termios)
	})
	hangUp := func() bool {
		return with(t, kept, func(fd int) (bool, error) {
			termios, err := unix.IoctlGetTermios(fd, unix.TCGETS)
			return err == nil && termios.Cflag&unix.HUPCL != 0, err
		})
	}

	port, err := open(far.path, Config{}, u)
	if err != nil {
		t.Fatal(err)
	}
	defer port.Close()
	want := []string{"lock", "hupcl false", "closing wait 65535", "dtr false rts false"}
	if !slices.Equal(u.calls, want) {
		t.Errorf("opening: %q, want %q", u.calls, want)
	}
	if hangUp() {
		t.Error("the library's own settings have switched HUPCL on again")
	}
	u.calls = nil
	for _, l := range [][2]bool{{false, true}, {true, false}, {true, true}, {false, false}} {
		if err := port.SetLines(l[0], l[1]); err != nil {
			t.Error(err)
		}
		if u.bits&others != others {
			t.Errorf("lines %v: other bits of the word are lost: %#x", l, u.bits)
		}
	}
	want = []string{"dtr false rts true", "dtr true rts false", "dtr true rts true", "dtr false rts false"}
	if !slices.Equal(u.calls, want) {
		t.Errorf("lines: %q, want %q", u.calls, want)
	}
	if err := port.SetBaud(9600); err != nil || hangUp() {
		t.Errorf("a new speed: hang-up is %t, %v", hangUp(), err)
	}
	u.fail = unix.EIO
	if err := port.SetLines(true, true); !errors.Is(err, unix.EIO) {
		t.Errorf("a failing adapter: %v", err)
	}
	u.fail = nil
	u.calls = nil
	if err := port.Close(); err != nil {
		t.Error(err)
	}
	if len(u.calls) > 0 {
		t.Errorf("closing: %q, want nothing", u.calls)
	}

	u.calls = nil
	port, err = open(far.path, Config{HangUp: true}, u)
	if err != nil {
		t.Fatal(err)
	}
	defer port.Close()
	if !slices.Contains(u.calls, "hupcl true") || !hangUp() {
		t.Errorf("with hang-up: %q", u.calls)
	}
	if err := port.SetHangUp(false); err != nil || hangUp() {
		t.Errorf("hang-up after it was switched off: %t, %v", hangUp(), err)
	}

	// A port whose lines fail at the start is not handed out.
	port.Close()
	u.fail = unix.EIO
	if p, err := open(far.path, Config{}, u); !errors.Is(err, unix.EIO) {
		p.Close()
		t.Errorf("open over failing lines: %v", err)
	}
	mustOpen(t, far.path, Config{}) // nothing of it is left open
}

// full is a kernel whose line never sends its last bytes.
type full struct {
	linux
	left, step int
	flushed    bool
}

func (f *full) queued(int) (int, error) {
	f.left = max(f.left-f.step, 0)
	return f.left, nil
}

func (f *full) flush(int) error {
	f.flushed = true
	return nil
}

// TestDrain: close waits for what moves and gives up on what does not.
func TestDrain(t *testing.T) {
	for _, tt := range []struct {
		name       string
		left, step int
		flushed    bool
	}{
		{"nothing left", 0, 0, false},
		{"on its way", 400, 100, false},
		{"stuck", 400, 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			far := newPTY(t)
			k := &full{left: tt.left, step: tt.step}
			port, err := open(far.path, Config{WriteTimeout: 40e6}, k)
			if err != nil {
				t.Fatal(err)
			}
			if err := port.Close(); err != nil {
				t.Error(err)
			}
			if k.flushed != tt.flushed {
				t.Errorf("gave up: %t, want %t", k.flushed, tt.flushed)
			}
		})
	}
}
