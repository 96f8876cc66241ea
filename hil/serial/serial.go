// Package serial holds the ports of this machine and of others: it finds them
// without opening any, opens them without disturbing the board, keeps two users
// off one board, and serves a port to another machine.
//
//	Port, Open      a device path as a hil.Port
//	Find, List      which ports there are, by what they are and not by ttyUSBn
//	Acquire, Lease  who may use a port, until when
//	Shared          one port for several users, in one process or in several
//	Server, Dial    a port over the network (RFC 2217)
//	Openers         all of these behind one name
//
// # Opening without a pulse
//
// Linux asserts DTR and RTS at every open, also at the second one of a port that
// is open already, and releases both when the last descriptor is closed while
// HUPCL is set (hil 5b). On a board with the usual two transistors both lines
// together are as good as none, so neither hurts as long as the two move
// together and nobody opens a port that somebody else is resetting through.
// Therefore:
//
//   - The lease is taken before the device is opened. The lock on the device
//     itself, which other programs honour too, comes too late for that.
//   - A control descriptor is opened first and closed last. It carries the lock,
//     switches HUPCL off, and sets both lines in one call. The data path is
//     go.bug.st/serial, which can do none of the three.
//   - Both lines are released, in one call, when all opening is done, and left
//     alone by Close.
//
// A board whose EN and IO0 hang on the lines without transistors is reset by
// every open. That is Linux's doing, before any program has a say.
package serial

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"porthole/hil"
	"porthole/internal/cli"
)

// Config says how to open a device. The zero value is the usual: the console's
// speed and lines that stay as they are at the end.
type Config struct {
	// Baud is the speed to start with; [hil.DefaultBaud] if zero.
	Baud int

	// WriteTimeout bounds how long a Write may stall, beyond the time that the
	// bytes take on the line; 3 s if zero.
	WriteTimeout time.Duration

	// HangUp lets both lines fall when the port is closed or its process dies.
	// Where a line switches power, that is what makes it safe; where it resets
	// a board, it is a nuisance, hence off.
	HangUp bool
}

func (c Config) withDefaults() Config {
	c.Baud = cmp.Or(c.Baud, hil.DefaultBaud)
	c.WriteTimeout = cmp.Or(c.WriteTimeout, 3*time.Second)
	return c
}

// writeBound is how long n bytes may take: what they need at a speed, twice for
// sloppy clocks and full buffers before them, and the timeout on top.
func (c Config) writeBound(n, baud int) time.Duration {
	const bitsPerByte = 10 // 8N1
	return c.WriteTimeout + 2*time.Duration(n)*bitsPerByte*time.Second/time.Duration(baud)
}

// ErrBusy means that another program has the port open.
var ErrBusy = errors.New("in use by another program")

// ErrManyFiles means that a port got a descriptor that its driver cannot wait
// on. [ReserveLow] at the start of the process prevents it.
var ErrManyFiles = errors.New("no file descriptor below 1024 is free")

func openError(path string, err error) error {
	if users := Users(path); errors.Is(err, ErrBusy) && len(users) > 0 {
		err = fmt.Errorf("%w: %s (pid %d)", err, users[0].Name, users[0].PID)
	}
	err = fmt.Errorf("open port %q: %w", path, err)
	switch {
	case errors.Is(err, ErrBusy):
		return cli.Hint(err, "close the other program; rig ports shows which one it is")
	case errors.Is(err, ErrManyFiles):
		return cli.Hint(err, "use fewer connections in the same process, or run the port in a process of its own")
	}
	return err
}
