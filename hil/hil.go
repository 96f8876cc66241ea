// Package hil is the vocabulary of the harness that drives a board over its
// serial port and switches its camera off: what a port is, how one is named,
// and what can be wrong with it. The work is done in the packages below it:
//
//	hil/serial     ports of this machine: discovery, opening, leases
//	hil/flash      resets into the ROM loader, flashing, reading, provisioning
//	hil/monitor    the console: watching, recording, replaying
//	hil/backtrace  panics of the board, decoded from the ELF
//	hil/shutoff    the pin that cuts the camera
//	hil/scenario   stories that run on a simulated and on a real board alike
//
// Nothing here knows whether the board is real: the simulated one is reached
// over the same cable protocols.
package hil

import (
	"context"
	"errors"
	"io"
	"time"
)

// Port is a board's serial line. Read and Write are for one goroutine each; the
// other methods may be called from any goroutine. A Port belongs to whoever
// opened it, and Close ends blocked calls.
type Port interface {
	// Read returns what has arrived, at least one byte; os.ErrDeadlineExceeded
	// when the deadline passes first, io.EOF or another error when the board is
	// gone.
	io.Reader
	// Write returns when the driver has all bytes, or fails within a bounded
	// time if the line is stalled.
	io.Writer
	// SetReadDeadline bounds blocked and future reads; zero lifts the bound.
	SetReadDeadline(t time.Time) error
	// SetLines sets DTR and RTS in one call; true means asserted, which is
	// electrically low. On a board with the usual two-transistor circuit, RTS
	// alone holds the chip in reset and DTR alone pulls IO0 low
	// (esp32-serial 3.1). ErrNoLines when the line cannot.
	SetLines(dtr, rts bool) error
	// SetBaud changes the speed, in bits per second, of both directions.
	SetBaud(rate int) error
	// Discard throws away what has arrived and was not read.
	Discard() error
	// Close releases the port without touching the lines more than the system
	// forces it to.
	Close() error
}

// DefaultBaud is the speed of the console and of the ROM loader after a reset.
const DefaultBaud = 115200

// ErrNoLines means that a port cannot drive DTR and RTS (a pseudo terminal, for
// one): the board cannot be reset through it.
var ErrNoLines = errors.New("the port has no reset lines")

// Opener opens a port by what follows the scheme in its name: for "sim:fast"
// the opener of "sim" gets "fast".
type Opener func(ctx context.Context, name string) (Port, error)
