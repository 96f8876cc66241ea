package hiltest

import (
	"io"
	"slices"
	"time"
)

// Far is the board's side of a [Pipe].
type Far struct{ w *wire }

var _ io.ReadWriter = (*Far)(nil)

// Read takes what the host has written, waiting for the first byte until the
// deadline; io.EOF once the host has closed the port and all is read.
func (f *Far) Read(p []byte) (int, error) { return f.w.toBoard.Read(p) }

// SetReadDeadline bounds present and future reads; the zero time means none.
func (f *Far) SetReadDeadline(t time.Time) error { return f.w.toBoard.SetReadDeadline(t) }

// Write sends bytes to the host. It never waits for a reader.
func (f *Far) Write(p []byte) (int, error) {
	n := f.w.toHost.Offer(p)
	if n < len(p) {
		return n, io.ErrClosedPipe
	}
	return n, nil
}

// State is what the host has set.
func (f *Far) State() (dtr, rts bool, baud int) {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	return f.w.dtr, f.w.rts, f.w.baud
}

// Changes is the log of all changes of the lines and the speed.
func (f *Far) Changes() []Change {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	return slices.Clone(f.w.changes)
}

// OnChange has tell called with every change, in the goroutine of the host's
// call and before that returns: what the board then writes is there for the
// host's next read.
func (f *Far) OnChange(tell func(Change)) {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	f.w.onChange = tell
}

// RefuseLines makes the port one without reset lines: [hil.ErrNoLines].
func (f *Far) RefuseLines() {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	f.w.noLines = true
}

// FailLines makes every change of the lines fail with err, as a driver does
// whose device does not answer; nil ends it.
func (f *Far) FailLines(err error) {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	f.w.lineErr = err
}

// Stall stops the flow from the host: its writes fail after a second, unless
// the flow goes on before.
func (f *Far) Stall(on bool) {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	stalled := true
	select {
	case <-f.w.flowing:
		stalled = false
	default:
	}
	switch {
	case on && !stalled:
		f.w.flowing = make(chan struct{})
	case !on && stalled:
		close(f.w.flowing)
	}
}

// Unplug ends the port as pulling the cable does: the host reads what has
// arrived and then gets err (io.EOF if nil), as do its other calls.
func (f *Far) Unplug(err error) {
	if err == nil {
		err = io.EOF
	}
	f.w.end(err)
}
