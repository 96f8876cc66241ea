package shutoff

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"periph.io/x/conn/v3/gpio"

	"porthole/internal/cli"
)

// Config is what a Switch needs.
type Config struct {
	// Pin belongs to the Switch from New on, which lets go of it in the end.
	// Required; see [None].
	Pin Pin
	// Safe is the level at which the camera is off. Required.
	Safe Safe
	// Log gets every edge, under the lock of the Switch: it must be quick and
	// must not call the Switch. Nil for nobody.
	Log func(Edge)
}

// Switch is the supply of one camera. Its methods may be called from any
// goroutine. Close it: an open Switch that is off still holds its pin.
type Switch struct {
	cfg     Config
	off, on gpio.Level
	born    time.Time

	mu      sync.Mutex
	state   State
	edges   uint64
	until   time.Time   // the lease of On
	timer   *time.Timer // that ends it
	tripped error       // why, while latched
	closed  bool
}

// New takes the pin and switches the camera off.
func New(cfg Config) (*Switch, error) {
	if cfg.Pin == nil {
		return nil, fmt.Errorf("open shutoff: %w", ErrNoPin)
	}
	s := &Switch{cfg: cfg, born: time.Now(), state: Unknown}
	var err error
	if s.off, s.on, err = cfg.Safe.level(); err == nil {
		err = cfg.Pin.Fits(s.off)
	}
	switch {
	case errors.Is(err, ErrNoPin):
		return nil, fmt.Errorf("open shutoff: %w", cli.Hint(err, nameHint))
	case err != nil:
		return nil, fmt.Errorf("open shutoff %s: %w", cfg.Pin, cli.Hint(err, "give the level at which the camera is off, --safe low or --safe high; docs/wiring.md says which"))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.cut("opened"); err != nil {
		return nil, fmt.Errorf("open shutoff %s: %w", cfg.Pin, err)
	}
	return s, nil
}

// On gives the camera its supply for at most lease. Given while it is on, it
// starts the lease anew. It fails, with the camera off, if the pin does not obey.
func (s *Switch) On(lease time.Duration) error {
	// The lease counts from the call, so that a slow driver shortens the time the
	// camera is on and never prolongs it.
	until := time.Now().Add(lease)
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.mayHold(lease, until)
	if err == nil && s.state != On {
		if err = s.move(s.on, On, fmt.Sprintf("on for %v", lease)); err != nil {
			return s.fail("switch camera on", err)
		}
		s.state = On
		if !time.Now().Before(until) {
			err = errors.Join(ErrExpired, s.cut("the driver took longer than the lease"))
		}
	}
	if err != nil {
		return fmt.Errorf("switch camera on: %w", err)
	}
	s.hold(until)
	return nil
}

// Renew starts the lease of a camera that is on anew. It never switches it on:
// after the end of the lease it fails with ErrExpired.
func (s *Switch) Renew(lease time.Duration) error {
	until := time.Now().Add(lease)
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.mayHold(lease, until)
	if err == nil && s.state == On && !time.Now().Before(s.until) {
		err = s.cut("lease ended") // before its timer could
		err = errors.Join(ErrExpired, err)
	}
	if err == nil && s.state != On {
		err = ErrExpired
	}
	if err != nil {
		return fmt.Errorf("renew lease: %w", err)
	}
	s.hold(until)
	return nil
}

// mayHold says why the camera may not be on for a time.
func (s *Switch) mayHold(lease time.Duration, until time.Time) error {
	switch {
	case s.closed:
		return ErrClosed
	case s.tripped != nil:
		return fmt.Errorf("%w: %w", ErrTripped, s.tripped)
	case lease <= 0 || lease > MaxLease:
		return fmt.Errorf("lease %v is outside 0..%v", lease, MaxLease)
	case !time.Now().Before(until):
		return ErrExpired
	}
	return nil
}

func (s *Switch) hold(until time.Time) {
	s.until = until
	if s.timer == nil {
		s.timer = time.AfterFunc(time.Until(until), s.expire)
		return
	}
	s.timer.Reset(time.Until(until))
}

// expire is the timer's. It may come late, after a renewal or an Off.
func (s *Switch) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != On {
		return
	}
	if left := time.Until(s.until); left > 0 {
		s.timer.Reset(left)
		return
	}
	_ = s.cut("lease ended") // a failure is logged and latched
}

// Off switches the camera off. After an error its state is unknown, and Off may
// be tried again.
func (s *Switch) Off() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil // Close has done it
	}
	if s.state == Off {
		return nil
	}
	if err := s.cut("off"); err != nil {
		return fmt.Errorf("switch camera off: %w", err)
	}
	return nil
}

// Trip switches the camera off and keeps it off until Reset, whatever is asked
// for meanwhile: what an emergency does. The first reason is kept.
func (s *Switch) Trip(why string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tripped == nil {
		s.tripped = errors.New(why)
	}
	if s.closed {
		return nil
	}
	if err := s.cut("tripped: " + why); err != nil {
		return fmt.Errorf("trip shutoff: %w", err)
	}
	return nil
}

// Reset allows On again after a Trip or a failure. It moves nothing but a pin in
// an unknown state, which it switches off.
func (s *Switch) Reset() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("reset shutoff: %w", ErrClosed)
	}
	if s.state == Unknown {
		if err := s.cut("reset"); err != nil {
			return fmt.Errorf("reset shutoff: %w", err)
		}
	}
	s.tripped = nil
	return nil
}

// Status tells the state, until when a camera that is on stays on, and why the
// switch is tripped, if it is.
func (s *Switch) Status() (state State, until time.Time, tripped error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == On {
		until = s.until
	}
	return s.state, until, s.tripped
}

// Close switches the camera off and lets go of the pin. Closing twice is fine.
func (s *Switch) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
	}
	var err error
	if s.state != Off {
		err = s.cut("closed")
	}
	if err := errors.Join(err, s.cfg.Pin.Halt()); err != nil {
		return fmt.Errorf("close shutoff: %w", err)
	}
	return nil
}

// cut makes the pin safe. If that fails, it lets go of the pin, so that the
// wiring cuts, and latches.
func (s *Switch) cut(why string) error {
	if s.timer != nil {
		s.timer.Stop()
	}
	err := s.move(s.off, Off, why)
	if err == nil {
		s.state = Off
		return nil
	}
	s.state = Unknown
	err = errors.Join(err, s.cfg.Pin.Halt())
	if s.tripped == nil {
		s.tripped = err
	}
	return cli.Hint(err, "the pin was let go of, so the wiring has cut the camera if it is as in docs/wiring.md; look at the indicator on the camera's supply")
}

// fail is cut after an On that did not work.
func (s *Switch) fail(what string, err error) error {
	return fmt.Errorf("%s: %w", what, errors.Join(err, s.cut("on failed")))
}

// move drives the pin, reads it back where that is possible, and logs the edge.
func (s *Switch) move(to gpio.Level, camera State, why string) error {
	asked := time.Now()
	err := s.cfg.Pin.Out(to)
	if err == nil {
		got, readErr := s.cfg.Pin.Level()
		switch {
		case errors.Is(readErr, ErrNoLevel):
		case readErr != nil:
			err = fmt.Errorf("read pin back: %w", readErr)
		case got != to:
			err = fmt.Errorf("pin reads %s after it was set %s: shorted, or driven by something else", levelName(got), levelName(to))
		}
	}
	s.edges++
	if s.cfg.Log != nil {
		s.cfg.Log(Edge{Seq: s.edges, Wall: asked, Mono: asked.Sub(s.born), Took: time.Since(asked), Level: to, Camera: camera, Why: why, Err: err})
	}
	return err
}

// Hold renews the lease of a camera that is on until ctx ends, and then leaves
// it to end by itself. It returns an error when the camera went off before: the
// lease was missed, or somebody tripped the switch.
func (s *Switch) Hold(ctx context.Context, lease time.Duration) error {
	tick := time.NewTicker(max(lease/3, time.Millisecond))
	defer tick.Stop()
	for {
		if err := s.Renew(lease); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}
