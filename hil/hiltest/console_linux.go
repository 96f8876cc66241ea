package hiltest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ConsolePTY is a pseudo-terminal that plays a board's USB adapter: a device that
// programs open by its path, and that can vanish.
type ConsolePTY struct {
	*os.File        // the board's end; with deadlines
	Name     string // of the device, /dev/pts/7
	link     string
}

// OpenConsolePTY makes a pseudo-terminal in raw mode. If link is not empty, a
// symbolic link of that name leads to it, as udev's do; it must not exist.
func OpenConsolePTY(link string) (*ConsolePTY, error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open pseudo-terminal: %w", err)
	}
	p := &ConsolePTY{File: os.NewFile(uintptr(fd), "ptmx")}
	if err := p.prepare(fd, link); err != nil {
		p.File.Close()
		return nil, fmt.Errorf("open pseudo-terminal: %w", err)
	}
	return p, nil
}

func (p *ConsolePTY) prepare(fd int, link string) error {
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return err
	}
	n, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err != nil {
		return err
	}
	p.Name = fmt.Sprintf("/dev/pts/%d", n)
	// Raw before anybody opens it, or the device echoes what it is sent.
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return err
	}
	t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
	t.Cflag = unix.CS8 | unix.CREAD | unix.CLOCAL | unix.B115200
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, t); err != nil {
		return err
	}
	if link == "" {
		return nil
	}
	// In one step, as a device appears: never half there.
	temp := filepath.Join(filepath.Dir(link), ".new-"+filepath.Base(link))
	if err := os.Symlink(p.Name, temp); err != nil {
		return err
	}
	if err := os.Rename(temp, link); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	p.link = link
	return nil
}

// Unplug takes the device and its link away: who has it open reads an error.
func (p *ConsolePTY) Unplug() error {
	var err error
	if p.link != "" {
		err = os.Remove(p.link)
	}
	return errors.Join(err, p.File.Close())
}
