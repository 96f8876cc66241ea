package serial

import (
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"porthole/hil"
)

// control is the descriptor that carries what go.bug.st/serial lacks. Linux
// knows one device behind all its descriptors: what is set here holds for the
// data descriptor too.
type control struct {
	file *os.File
	fd   int // of file, which is never out of its poller
	kernel
}

// kernel is the part of Linux that a control descriptor talks to. A pseudo
// terminal has no lines and no closing time, so tests put their own before the
// real one.
type kernel interface {
	flock(fd, how int) error
	termios(fd int) (*unix.Termios, error)
	setTermios(fd int, t *unix.Termios) error
	modem(fd int) (int, error)          // TIOCM_ bits
	setModem(fd, bits int) error        // all at once
	closingWait(fd int, v uint16) error // in hundredths of a second
	queued(fd int) (int, error)         // bytes not sent yet
	flush(fd int) error                 // forgets them
}

// openControl opens the device and locks it.
func openControl(path string, k kernel) (*control, error) {
	file, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		if errors.Is(err, unix.EBUSY) { // TIOCEXCL of another program
			return nil, ErrBusy
		}
		return nil, errors.Unwrap(err) // without the path, which the caller adds
	}
	c := &control{file: file, kernel: k}
	raw, err := file.SyscallConn()
	if err == nil {
		// Fd would do, but it is documented to be for blocking descriptors.
		err = raw.Control(func(fd uintptr) { c.fd = int(fd) })
	}
	if err == nil {
		err = k.flock(c.fd, unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrBusy
		}
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return c, nil
}

// prepare makes closing harmless.
func (c *control) prepare(hangUp bool) error {
	if err := c.setHangUp(hangUp); err != nil {
		if errors.Is(err, unix.ENOTTY) {
			return errors.New("not a serial device")
		}
		return err
	}
	// Only root may set it on most drivers, and pseudo terminals have none.
	// Close drains and flushes by itself, so nothing is left to wait for.
	const none = 65535
	_ = c.closingWait(c.fd, none)
	return nil
}

func (c *control) setHangUp(on bool) error {
	t, err := c.termios(c.fd)
	if err != nil {
		return err
	}
	want := t.Cflag &^ unix.HUPCL
	if on {
		want |= unix.HUPCL
	}
	if t.Cflag == want {
		return nil
	}
	t.Cflag = want
	return c.setTermios(c.fd, t)
}

// setLines sets both lines in one call, and nothing else that the same word
// carries (OUT2 lets a PC's UART interrupt).
func (c *control) setLines(dtr, rts bool) error {
	bits, err := c.modem(c.fd)
	if err == nil {
		bits &^= unix.TIOCM_DTR | unix.TIOCM_RTS
		if dtr {
			bits |= unix.TIOCM_DTR
		}
		if rts {
			bits |= unix.TIOCM_RTS
		}
		err = c.setModem(c.fd, bits)
	}
	if errors.Is(err, unix.ENOTTY) {
		return hil.ErrNoLines
	}
	return err
}

// drain lets the last bytes out, as long as they move at about the speed of
// the line, and gives up on the rest: a close would wait for it, for up to 30 s.
func (c *control) drain(cfg Config, baud int) {
	n, err := c.queued(c.fd)
	if err == nil && n > 0 {
		deadline := time.Now().Add(min(cfg.writeBound(n, baud), cfg.WriteTimeout))
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for err == nil && n > 0 && time.Now().Before(deadline) {
			<-tick.C
			n, err = c.queued(c.fd)
		}
	}
	if err == nil && n > 0 {
		_ = c.flush(c.fd)
	}
}

func (c *control) close() error { return c.file.Close() }

// linux is the real kernel.
type linux struct{}

func (linux) flock(fd, how int) error { return unix.Flock(fd, how) }

func (linux) termios(fd int) (*unix.Termios, error) { return unix.IoctlGetTermios(fd, unix.TCGETS) }

func (linux) setTermios(fd int, t *unix.Termios) error {
	return unix.IoctlSetTermios(fd, unix.TCSETS, t)
}

func (linux) modem(fd int) (int, error) { return unix.IoctlGetInt(fd, unix.TIOCMGET) }

func (linux) setModem(fd, bits int) error {
	return unix.IoctlSetPointerInt(fd, unix.TIOCMSET, bits)
}

func (linux) queued(fd int) (int, error) { return unix.IoctlGetInt(fd, unix.TIOCOUTQ) }

func (linux) flush(fd int) error { return unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCOFLUSH) }

// serialStruct is struct serial_struct of linux/serial.h. All of it is written
// back as it was read, but for one field.
type serialStruct struct {
	head        [10]int32 // type, line, port, irq, flags and more
	closingWait uint16
	_           uint16
	tail        [3]uintptr // memory base, shift and high port, map base
	_           [2]uint32  // more than enough for 32-bit layouts
}

func (linux) closingWait(fd int, v uint16) error {
	var s serialStruct
	ioctl := func(request uintptr) error {
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(&s))); errno != 0 {
			return fmt.Errorf("closing wait: %w", errno)
		}
		return nil
	}
	if err := ioctl(unix.TIOCGSERIAL); err != nil {
		return err
	}
	if s.closingWait == v {
		return nil
	}
	s.closingWait = v
	return ioctl(unix.TIOCSSERIAL)
}
