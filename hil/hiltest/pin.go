package hiltest

import (
	"errors"
	"slices"
	"sync"
	"time"

	"periph.io/x/conn/v3/gpio"
)

// Pin plays a GPIO line: the kernel, which knows a line only while somebody has
// requested it, and the wiring, whose resistor decides when nobody has. It logs
// every change of the level with whether the camera was allowed to be on.
//
// A test says what it asks for on the same way that the commands take, so that
// the order of the two is certain even between processes: Allow before it
// switches on, Hold with the lease when that has returned, Deny after it has
// switched off. An edge that switches on is legal between Allow and Hold only.
type Pin struct {
	mu       sync.Mutex
	bias     gpio.Level // of the wiring: the camera is off
	level    gpio.Level
	owner    *Handle
	gone     bool // unplugged
	stuck    bool // takes commands and does nothing
	edges    []PinEdge
	asked    bool      // switching on is legal
	hold     time.Time // until when the camera may stay on; zero: nobody has said
	violated int
	late     time.Duration
	windows  int
	dropped  int // edges beyond the limit of the log
}

// PinEdge is one change of the level.
type PinEdge struct {
	At    time.Time
	Level gpio.Level
	Why   string // "request", "set", "released", "unplugged"
	Asked bool   // switching on was legal
}

// maxPinEdges bounds the log: a test that makes more looks at the counters.
const maxPinEdges = 10_000

// PinReport is what a pin has seen.
type PinReport struct {
	Edges   int           // changes of the level
	Windows int           // times that the camera was allowed to come on
	Illegal int           // edges that switched it on outside of them
	Late    time.Duration // longest time that it stayed on beyond its lease
	Safe    bool          // the camera is off now
}

// NewPin returns a line that nobody has requested, with the level that the
// wiring gives it: the one at which the camera is off.
func NewPin(bias gpio.Level) *Pin { return &Pin{bias: bias, level: bias} }

// Errors of a line.
var (
	errPinBusy = errors.New("line is held by another process")
	errPinGone = errors.New("no such device")
	errPinFree = errors.New("line is not requested")
)

// Handle returns a new user of the line.
func (p *Pin) Handle() *Handle { return &Handle{p: p} }

// Level is the level of the wire.
func (p *Pin) Level() gpio.Level {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.level
}

// Unplug takes the adapter of the line away, or puts it back. A line that comes
// back is held by nobody.
func (p *Pin) Unplug(gone bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = gone
	if gone {
		p.release("unplugged")
	}
}

// Stick makes the line take commands and stay as it is, as one does that is
// shorted or driven by something stronger.
func (p *Pin) Stick(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stuck = on
}

// Edges is the log of all changes.
func (p *Pin) Edges() []PinEdge {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.edges)
}

// Report sums up what has happened.
func (p *Pin) Report() PinReport {
	p.mu.Lock()
	defer p.mu.Unlock()
	return PinReport{Edges: len(p.edges) + p.dropped, Windows: p.windows, Illegal: p.violated, Late: p.late, Safe: p.level == p.bias}
}

// drive changes the level of the wire.
func (p *Pin) drive(level gpio.Level, why string) {
	if level == p.level {
		return
	}
	now := time.Now()
	switch {
	case level != p.bias && !p.asked:
		p.violated++
	case level == p.bias:
		p.overtime(now)
	}
	p.level = level
	if len(p.edges) == maxPinEdges {
		p.dropped++
		return
	}
	p.edges = append(p.edges, PinEdge{now, level, why, p.asked})
}

// release is what the kernel does when the last descriptor of a line is closed,
// by whomever: the resistor takes over.
func (p *Pin) release(why string) {
	if p.owner != nil {
		p.owner = nil
		p.drive(p.bias, why)
	}
	p.asked, p.hold = false, time.Time{}
}

// overtime measures how long the camera has been on beyond its lease.
func (p *Pin) overtime(now time.Time) {
	if !p.asked && !p.hold.IsZero() {
		p.late = max(p.late, now.Sub(p.hold))
	}
}

// Handle is a process's use of a Pin. It has the four calls of a GPIO line and
// three by which a test tells what it wants.
type Handle struct{ p *Pin }

// Request takes the line as an output with a level, in one step.
func (h *Handle) Request(level gpio.Level) error {
	return h.take(func() { h.p.drive(level, "request") })
}

// Output takes the line as an output with the level that the controller happens
// to have, low. It is what drivers do that set direction and level one after the
// other, and there to show that a test notices.
func (h *Handle) Output() error {
	return h.take(func() { h.p.drive(gpio.Low, "request") })
}

func (h *Handle) take(drive func()) error {
	p := h.p
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.gone:
		return errPinGone
	case p.owner != nil:
		return errPinBusy
	}
	p.owner = h
	if !p.stuck {
		drive()
	}
	return nil
}

// Set changes the level of a requested line.
func (h *Handle) Set(level gpio.Level) error {
	p := h.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := h.check(); err != nil {
		return err
	}
	if !p.stuck {
		p.drive(level, "set")
	}
	return nil
}

// Value reads a requested line.
func (h *Handle) Value() (gpio.Level, error) {
	h.p.mu.Lock()
	defer h.p.mu.Unlock()
	return h.p.level, h.check()
}

func (h *Handle) check() error {
	switch {
	case h.p.gone:
		return errPinGone
	case h.p.owner != h:
		return errPinFree
	}
	return nil
}

// Close gives the line back. The end of the process does the same.
func (h *Handle) Close() error {
	h.p.mu.Lock()
	defer h.p.mu.Unlock()
	if h.p.owner == h {
		h.p.release("released")
	}
	return nil
}

// Allow says that the camera is being switched on.
func (h *Handle) Allow() error {
	h.p.mu.Lock()
	defer h.p.mu.Unlock()
	h.p.windows++
	h.p.asked = true
	return nil
}

// Hold says that the camera has been switched on, or its lease renewed, for a
// time from now.
func (h *Handle) Hold(d time.Duration) error {
	h.p.mu.Lock()
	defer h.p.mu.Unlock()
	h.p.asked, h.p.hold = false, time.Now().Add(d)
	return nil
}

// Deny says that the camera has been switched off, or was not switched on.
func (h *Handle) Deny() error {
	h.p.mu.Lock()
	defer h.p.mu.Unlock()
	h.p.asked = false
	if now := time.Now(); h.p.level != h.p.bias {
		h.p.overtime(now)
		h.p.hold = now
	}
	return nil
}
