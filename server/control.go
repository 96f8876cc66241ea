package server

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"porthole/internal/event"
)

// Order is what the operator wants the public to see.
type Order string

const (
	// Auto leaves it to the director.
	Auto Order = "auto"
	// OnlyLive shows the camera whenever it sends.
	OnlyLive Order = "live"
	// OnlyReplay shows recorded pictures; the camera goes on being recorded.
	OnlyReplay Order = "replay"
	// Record shows the loop, which everybody may know for one, while the camera
	// is recorded: the way to fill an empty reservoir. Without privacy it is
	// OnlyReplay.
	Record Order = "record"
	// Dark shows recorded pictures and takes nothing of the camera: what it
	// sends is neither shown nor kept.
	Dark Order = "dark"
)

var orders = []Order{Auto, OnlyLive, OnlyReplay, Record, Dark}

// control is what is wanted from outside of the director: by the operator, and
// by a camera that says that it is being switched off.
type control struct {
	wake chan struct{} // holds a token while something may have changed

	mu    sync.Mutex
	order Order
	off   bool
	// era counts the times at which everything not public yet was dropped. A frame
	// belongs to the era in which its upload began. It is written under mu.
	era atomic.Uint64
}

// get returns the operator's order and whether the camera said that it is off.
func (c *control) get() (order Order, off bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.order, c.off
}

// now returns the era, for a frame that begins to arrive. It does not wait for a
// picture that is being published.
func (c *control) now() uint64 { return c.era.Load() }

// keep calls f, unless nothing of the camera may be taken or what was taken in
// that era is dropped. No cut happens while f runs, so f must be short.
func (c *control) keep(era uint64, f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.off || c.order == Dark || c.era.Load() != era {
		return false
	}
	f()
	return true
}

// set makes a change and wakes the director. A change to darkness begins an era.
func (c *control) set(change func(order *Order, off *bool)) {
	c.mu.Lock()
	was := c.off || c.order == Dark
	change(&c.order, &c.off)
	if !was && (c.off || c.order == Dark) {
		c.era.Add(1)
	}
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// cut says that the camera is being switched off (on is false) or was switched
// on again. From the return of cut(false) on, no frame that was not public yet
// becomes public: what is held back and not yet recorded is dropped, whatever
// still arrives is not kept, and the public goes on with recorded pictures.
// After cut(true) frames that arrive from then on are shown again when the
// director says so.
func (s *Server) cut(on bool) {
	s.control.set(func(_ *Order, off *bool) { *off = !on })
	if !on {
		s.drop()
	}
	s.cfg.Log.Info("camera said that it is switched", "on", on)
}

// SetOrder is the operator's switch. [Dark] is immediate: from the return on,
// no frame that was not public yet becomes public.
func (s *Server) SetOrder(o Order) error {
	if !slices.Contains(orders, o) {
		return fmt.Errorf("set public mode: %q is none of %s", string(o), orderNames())
	}
	s.control.set(func(order *Order, _ *bool) { *order = o })
	if o == Dark {
		s.drop()
	}
	s.cfg.Log.Info("operator set the public mode", "mode", string(o))
	return nil
}

// drop forgets what was taken from the camera and is not public.
func (s *Server) drop() {
	s.accepted.take()
	s.camera(s.publicCamera()).forget()
}

func orderNames() string {
	names := make([]string, len(orders))
	for i, o := range orders {
		names[i] = string(o)
	}
	return strings.Join(names, ", ")
}

// handleMode is the command server.mode: mode=auto|live|replay|record|dark. Without an
// argument it says what is set.
func (s *Server) handleMode(_ context.Context, c event.Command) (event.Reply, error) {
	for name := range c.Args {
		if name != "mode" {
			return event.Reply{}, fmt.Errorf("argument %.40q: want mode=%s", name, orderNames())
		}
	}
	if mode, ok := c.Args["mode"]; ok {
		if err := s.SetOrder(Order(mode)); err != nil {
			return event.Reply{}, err
		}
	}
	order, _ := s.control.get()
	return event.Reply{Text: "public mode: " + string(order)}, nil
}
