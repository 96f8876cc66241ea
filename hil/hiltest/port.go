package hiltest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"porthole/hil"
	"porthole/internal/bytequeue"
)

// pipeQueue is how many bytes wait in one direction of a [Pipe]: more than a
// test has any business of leaving unread.
const pipeQueue = 4 << 20

// stallTimeout is how long a Write on a stalled [Port] takes to fail.
const stallTimeout = time.Second

// Pipe returns a port in memory and the board's side of it. What is written on
// one side is read on the other; the lines and the speed are seen by the board.
// The port starts with both lines released and at [hil.DefaultBaud].
func Pipe() (*Port, *Far) {
	w := &wire{
		toHost:  bytequeue.New(pipeQueue),
		toBoard: bytequeue.New(pipeQueue),
		baud:    hil.DefaultBaud,
		closed:  make(chan struct{}),
		flowing: make(chan struct{}),
	}
	close(w.flowing)
	return &Port{w}, &Far{w}
}

// wire is what the two sides share.
type wire struct {
	toHost, toBoard *bytequeue.Queue

	mu       sync.Mutex
	dtr, rts bool
	baud     int
	noLines  bool
	lineErr  error
	gone     error         // set by Unplug
	closed   chan struct{} // closed by Port.Close and Unplug
	flowing  chan struct{} // open while the line is stalled
	changes  []Change
	onChange func(Change)
}

// Change is a change of the lines or of the speed, as the board sees it. The
// first one of a port comes with its first call: the state at the start is not
// a change.
type Change struct {
	At       time.Time
	DTR, RTS bool
	Baud     int
}

// String is the change without its time, for comparing and printing logs.
func (c Change) String() string {
	return fmt.Sprintf("dtr=%d rts=%d %d", bit(c.DTR), bit(c.RTS), c.Baud)
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Port is the host's side of a [Pipe].
type Port struct{ w *wire }

var _ hil.Port = (*Port)(nil)

// Read implements [hil.Port].
func (p *Port) Read(b []byte) (int, error) { return p.w.toHost.Read(b) }

// SetReadDeadline implements [hil.Port].
func (p *Port) SetReadDeadline(t time.Time) error { return p.w.toHost.SetReadDeadline(t) }

// Write implements [hil.Port]. On a stalled line it fails after a second.
func (p *Port) Write(b []byte) (int, error) {
	p.w.mu.Lock()
	flowing := p.w.flowing
	p.w.mu.Unlock()
	timer := time.NewTimer(stallTimeout)
	defer timer.Stop()
	select {
	case <-p.w.closed:
		return 0, p.w.closedErr()
	default:
	}
	select {
	case <-flowing:
	case <-timer.C:
		return 0, fmt.Errorf("write port: the line is stalled: %w", os.ErrDeadlineExceeded)
	case <-p.w.closed:
		return 0, p.w.closedErr()
	}
	if n := p.w.toBoard.Offer(b); n < len(b) {
		if err := p.w.closedErr(); err != nil {
			return n, err
		}
		return n, Fault{fmt.Errorf("the board left %d bytes unread", pipeQueue)}
	}
	return len(b), nil
}

// SetLines implements [hil.Port].
func (p *Port) SetLines(dtr, rts bool) error {
	return p.w.change(func(w *wire) error {
		switch {
		case w.noLines:
			return hil.ErrNoLines
		case w.lineErr != nil:
			return w.lineErr
		}
		w.dtr, w.rts = dtr, rts
		return nil
	})
}

// SetBaud implements [hil.Port].
func (p *Port) SetBaud(rate int) error {
	return p.w.change(func(w *wire) error {
		if rate <= 0 {
			return fmt.Errorf("set baud: %d is no speed", rate)
		}
		w.baud = rate
		return nil
	})
}

// Discard implements [hil.Port].
func (p *Port) Discard() error {
	p.w.toHost.Discard()
	return nil
}

// Close implements [hil.Port]. The board sees the end of what was sent.
func (p *Port) Close() error {
	p.w.end(os.ErrClosed)
	return nil
}

// change applies f and tells the board.
func (w *wire) change(f func(*wire) error) error {
	w.mu.Lock()
	if w.gone != nil {
		defer w.mu.Unlock()
		return w.gone
	}
	if err := f(w); err != nil {
		w.mu.Unlock()
		return err
	}
	c := Change{At: time.Now(), DTR: w.dtr, RTS: w.rts, Baud: w.baud}
	w.changes = append(w.changes, c)
	tell := w.onChange
	w.mu.Unlock()
	if tell != nil {
		tell(c)
	}
	return nil
}

func (w *wire) end(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gone != nil {
		return
	}
	w.gone = err
	close(w.closed)
	if errors.Is(err, os.ErrClosed) {
		w.toHost.Discard() // its own reader is gone
	}
	w.toHost.Close(err)
	w.toBoard.Close(io.EOF)
}

func (w *wire) closedErr() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.gone
}
