// Package sim is the network side of a simulated ESP32 camera: it takes frames
// from a [Source] at the sketch's cadence and uploads them byte for byte and TLS
// record for TLS record as the board does. The serial side is package
// sim/board, which drives this one like the application on a real board.
package sim

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"porthole/internal/event"
	"porthole/internal/wire"
)

// DefaultInterval is the sketch's time between two uploads, start to start
// (esp32-wire 1.1).
const DefaultInterval = wire.FrameInterval

// timerSlack is how late a wake-up may be and still count as on time. It keeps
// the cadence of a long run free of drift from scheduling.
const timerSlack = 100 * time.Millisecond

// Config is what a Camera needs. Target, Dial and Source are required.
type Config struct {
	Name   string // tells several cameras apart in events; may be empty
	Target Target
	// Dial connects to the target. A camera dials once per frame, like the sketch.
	Dial func(ctx context.Context) (net.Conn, error)
	// TLS verifies the server; used when the target says so. The camera sets
	// version, suites and name itself.
	TLS    *tls.Config
	Source Source
	// Interval is the time from start to start; 0 means DefaultInterval.
	Interval time.Duration
	// Frames ends the run after so many frames; 0 means no end.
	Frames int
	// Sketch switches the sketch's defects.
	Sketch wire.SketchOptions
	// Powered reports whether the camera's supply is on; nil means always. It
	// is asked before a frame is taken and again before it is sent, so that no
	// frame leaves the board after the cut.
	Powered func() bool
	// Events receives what happens; nil for nobody.
	Events *event.Bus
}

// Camera uploads frames. Use it for one Run.
type Camera struct {
	cfg Config
	tls *tls.Config
}

// New returns a camera for cfg, or an error that says which field is wrong.
func New(cfg Config) (*Camera, error) {
	switch {
	case cfg.Source == nil:
		return nil, errors.New("create camera: no source of frames")
	case cfg.Dial == nil:
		return nil, errors.New("create camera: no way to dial")
	case cfg.Interval < 0 || cfg.Frames < 0:
		return nil, fmt.Errorf("create camera: negative interval %v or frame count %d", cfg.Interval, cfg.Frames)
	}
	if err := cfg.Target.check(); err != nil {
		return nil, fmt.Errorf("create camera: %w", err)
	}
	if cfg.Interval == 0 {
		cfg.Interval = DefaultInterval
	}
	c := &Camera{cfg: cfg}
	if cfg.Target.TLS {
		c.tls = boardTLS(cfg.TLS, cfg.Target.Host)
	}
	return c, nil
}

// Run uploads until the source or the wanted number of frames ends (nil), the
// source fails (its error), or ctx ends (the context's error). An upload that
// fails is reported as an event and does not end the run: a board tries again
// with its next frame.
func (c *Camera) Run(ctx context.Context) error {
	start := time.Now()
	due := start
	for n := 0; c.cfg.Frames == 0 || n < c.cfg.Frames; n++ {
		if err := sleepUntil(ctx, due); err != nil {
			return err
		}
		if c.powered() {
			if err := c.cycle(ctx, uint64(n)+1, due.Sub(start)); err != nil {
				if errors.Is(err, io.EOF) {
					return nil
				}
				return err
			}
		}
		due = nextDue(due, time.Now(), c.cfg.Interval)
	}
	return nil
}

// nextDue returns when the next upload starts: an interval after the last one
// started, or at once when that has passed (esp32-wire 1.1). While uploads are
// quick the starts stay on one grid.
func nextDue(due, now time.Time, interval time.Duration) time.Time {
	next := due.Add(interval)
	if now.Sub(next) > timerSlack {
		return now
	}
	return next
}

// cycle takes one frame and uploads it. Its error ends the run.
func (c *Camera) cycle(ctx context.Context, seq uint64, at time.Duration) error {
	jpeg, err := c.cfg.Source.Next(ctx, seq, at)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	began := time.Now()
	reply, err := c.upload(ctx, jpeg)
	e := event.Event{Source: event.Camera, Name: c.cfg.Name, Kind: event.Uploaded,
		Status: reply.Status, Text: reply.Line, Frame: event.FrameInfo{Seq: seq, Bytes: len(jpeg), Took: time.Since(began)}}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errCut):
		return nil // the rail was cut between capture and send
	case err != nil:
		e.Kind, e.Text = event.UploadFailed, err.Error()
	case reply.Status/100 != 2:
		// The sketch never looks at the status (esp32-wire 1.5); people should.
		e.Kind, e.Text = event.UploadFailed, "server answered "+reply.Line
	}
	c.cfg.Events.Publish(e)
	return nil
}

func (c *Camera) powered() bool { return c.cfg.Powered == nil || c.cfg.Powered() }

func sleepUntil(ctx context.Context, t time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d := time.Until(t)
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
