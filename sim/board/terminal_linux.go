package board

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// terminal is the master end of a pseudo-terminal. No descriptor of the slave is
// kept, so its being closed by the host shows: reads give EIO.
type terminal struct {
	file *os.File // non-blocking, with deadlines
	name string   // of the slave
}

func openTerminal() (*terminal, error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/ptmx: %w", err)
	}
	t := &terminal{file: os.NewFile(uintptr(fd), "/dev/ptmx")}
	if err := t.prepare(fd); err != nil {
		t.close()
		return nil, fmt.Errorf("prepare pseudo-terminal: %w", err)
	}
	return t, nil
}

func (t *terminal) prepare(fd int) error {
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return fmt.Errorf("unlock: %w", err)
	}
	n, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err != nil {
		return fmt.Errorf("get number: %w", err)
	}
	t.name = fmt.Sprintf("/dev/pts/%d", n)
	if err := makeRaw(fd, sessionBaud); err != nil {
		return err
	}
	// Before its first open a slave counts as neither open nor closed.
	return t.clean()
}

func (t *terminal) close() error { return t.file.Close() }

// control runs f on the descriptor.
func (t *terminal) control(f func(fd int) error) error {
	raw, err := t.file.SyscallConn()
	if err != nil {
		return err
	}
	return errors.Join(raw.Control(func(fd uintptr) { err = f(int(fd)) }), err)
}

// isOpen reports whether a host has the slave open.
func (t *terminal) isOpen() (open bool, err error) {
	err = t.control(func(fd int) error {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		_, err := unix.Poll(fds, 0)
		open = fds[0].Revents&unix.POLLHUP == 0
		if errors.Is(err, unix.EINTR) {
			open, err = false, nil // look again later
		}
		return err
	})
	if err != nil {
		return false, fmt.Errorf("poll pseudo-terminal: %w", err)
	}
	return open, nil
}

// baud is the speed the host has set, BOTHER or not, or 0 if it cannot be read.
// The master's termios are the slave's.
func (t *terminal) baud() int {
	var speed int
	t.control(func(fd int) error {
		tio, err := unix.IoctlGetTermios(fd, unix.TCGETS2)
		if err == nil {
			speed = int(tio.Ospeed)
		}
		return err
	})
	return speed
}

// clean readies the closed slave for the next host: what the last one left unread
// is thrown away, raw mode restored if that host changed it, and an exclusive lock
// that it died with lifted. When that cannot be done, because only root may open
// such a slave, the terminal is of no more use.
func (t *terminal) clean() error {
	fd, err := unix.Open(t.name, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("reopen %s: %w", t.name, err)
	}
	defer unix.Close(fd)
	unix.IoctlSetInt(fd, unix.TIOCNXCL, 0)
	if err := makeRaw(fd, 0); err != nil {
		return err
	}
	// A flush would miss what the kernel has not moved to the slave's queue yet; a
	// read moves it first. Nothing writes meanwhile, so this ends.
	var buf [4096]byte
	for {
		if n, err := unix.Read(fd, buf[:]); n <= 0 || err != nil {
			return nil
		}
	}
}

// makeRaw makes a terminal a clean 8-bit line if it is not one, at a speed if that
// is not 0. Without it the slave would echo the board's own log back to the board.
func makeRaw(fd int, baud uint32) error {
	tio, err := unix.IoctlGetTermios(fd, unix.TCGETS2)
	if err != nil {
		return fmt.Errorf("get terminal mode: %w", err)
	}
	was := *tio
	tio.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL |
		unix.IXON | unix.IXOFF | unix.IXANY
	tio.Oflag &^= unix.OPOST
	tio.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	tio.Cflag &^= unix.CSIZE | unix.PARENB | unix.CRTSCTS
	tio.Cflag |= unix.CS8 | unix.CREAD | unix.CLOCAL
	tio.Cc[unix.VMIN], tio.Cc[unix.VTIME] = 1, 0
	if baud != 0 {
		tio.Cflag = tio.Cflag&^unix.CBAUD | unix.BOTHER
		tio.Ispeed, tio.Ospeed = baud, baud
	}
	if *tio == was {
		return nil
	}
	if err := unix.IoctlSetTermios(fd, unix.TCSETS2, tio); err != nil {
		return fmt.Errorf("set terminal mode: %w", err)
	}
	return nil
}

// copyFrom hands what the board sends to the host. A host that does not read fills
// the terminal's queue of 4 kB; then the wire fills up and drops. It returns nil
// when the host closes, and why the wire ended otherwise.
func (t *terminal) copyFrom(wire *Wire) error {
	buf := make([]byte, 4<<10)
	for {
		n, err := wire.Read(buf)
		if err != nil {
			return err
		}
		if _, err := t.file.Write(buf[:n]); err != nil {
			return nil
		}
	}
}
