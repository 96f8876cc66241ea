// Package sim is the network side of a simulated ESP32 camera: it takes frames
// from a [Source] at a board's cadence and uploads them byte for byte and TLS
// record for TLS record as one does that runs the old sketch or our firmware. The serial side is package
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
	// Dial connects to the target: once per frame in the sketch profile, once per
	// connection in the firmware's.
	Dial func(ctx context.Context) (net.Conn, error)
	// TLS gives the roots, and a server name where it is not the target's. Nothing
	// else of it is used: a board says what its core says.
	TLS    *tls.Config
	Source Source
	// Profile is the program on the board; empty means Sketch.
	Profile Profile
	// Core is its TLS library; empty means Core2.
	Core Core
	// Timing says how long things take; the zero value is as fast as it goes.
	Timing Timing
	// Resume offers the last TLS session to the server, in the firmware profile.
	Resume bool
	// Faults happen to its connections; those of captures are the Sensor's.
	Faults Faults
	// Seed is what times and waits are drawn from.
	Seed uint64
	// Interval is the time from start to start; 0 means DefaultInterval. In the
	// firmware profile the server may change it.
	Interval time.Duration
	// Phase is the time before the first upload.
	Phase time.Duration
	// Frames ends the run after so many frames; 0 means no end.
	Frames int
	// Sketch switches the sketch's defects.
	Sketch wire.SketchOptions
	// Powered reports whether the camera's supply is on; nil means always. It
	// is asked before a frame is taken and again before it is sent, so that no
	// frame leaves the board after the cut.
	Powered func() bool
	// Link is the way to the server, to be left open at the end; nil for one of
	// the camera's own.
	Link *Link
	// Report takes the outcome of every upload; nil for nobody.
	Report func(Outcome)
	// Events receives what happens; nil for nobody.
	Events *event.Bus
}

// Outcome is what became of one frame.
type Outcome struct {
	Seq   uint64
	Bytes int
	Took  time.Duration
	Reply Reply
	Err   error // why there was no answer
	// Wait is how long the firmware waits because of it, at the Attempt-th failure
	// in a row; Interval its new pace, where the server changed it.
	Wait     time.Duration
	Attempt  int
	Interval time.Duration
}

// OK reports that the server took the frame. The sketch never looks (esp32-wire
// 1.5); people should.
func (o Outcome) OK() bool { return o.Err == nil && o.Reply.Status/100 == 2 }

// Camera uploads frames. Use it for one Run.
type Camera struct {
	cfg      Config
	link     *Link
	interval time.Duration
	backoff  backoff
}

// New returns a camera for cfg, or an error that says which field is wrong.
func New(cfg Config) (*Camera, error) {
	switch {
	case cfg.Source == nil:
		return nil, errors.New("create camera: no source of frames")
	case cfg.Interval < 0 || cfg.Frames < 0 || cfg.Phase < 0:
		return nil, fmt.Errorf("create camera: negative interval %v, phase %v or frame count %d", cfg.Interval, cfg.Phase, cfg.Frames)
	}
	if cfg.Interval == 0 {
		cfg.Interval = DefaultInterval
	}
	c := &Camera{cfg: cfg, link: cfg.Link, interval: cfg.Interval}
	if c.link == nil {
		link, err := NewLink(cfg)
		if err != nil {
			return nil, fmt.Errorf("create camera: %w", err)
		}
		c.link = link
	}
	c.backoff.rng = c.link.rng
	return c, nil
}

// Run uploads until the source or the wanted number of frames ends (nil), the
// source fails (its error), or ctx ends (the context's error). An upload that
// fails is reported as an event and does not end the run: a board tries again
// with its next frame.
func (c *Camera) Run(ctx context.Context) error {
	if c.cfg.Link == nil {
		defer c.link.Close()
	}
	start := time.Now()
	due := start.Add(c.cfg.Phase)
	for n := 0; c.cfg.Frames == 0 || n < c.cfg.Frames; n++ {
		if err := sleepUntil(ctx, due); err != nil {
			return err
		}
		var wait time.Duration
		if c.powered() {
			var err error
			if wait, err = c.cycle(ctx, uint64(n)+1, due.Sub(start)); err != nil {
				if errors.Is(err, io.EOF) {
					return nil
				}
				return err
			}
		}
		due = nextDue(due, time.Now(), c.interval)
		if again := time.Now().Add(wait); again.After(due) {
			due = again
		}
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

// cycle takes one frame and uploads it, and returns how long the next one has to
// wait. Its error ends the run.
func (c *Camera) cycle(ctx context.Context, seq uint64, at time.Duration) (wait time.Duration, _ error) {
	jpeg, err := c.capture(ctx, seq, at)
	if err != nil || jpeg == nil {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		return 0, err
	}
	began := time.Now()
	reply, err := c.link.Upload(ctx, jpeg, c.powered)
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	if errors.Is(err, errCut) {
		return 0, nil // the rail was cut between capture and send
	}
	o := Outcome{Seq: seq, Bytes: len(jpeg), Took: time.Since(began), Reply: reply, Err: err}
	if c.link.cfg.Profile == Firmware {
		c.heed(&o)
	}
	c.publish(o)
	return o.Wait, nil
}

// heed does what our firmware does with an answer: another pace, or a pause.
func (c *Camera) heed(o *Outcome) {
	if !o.OK() {
		o.Wait = c.backoff.next(o.Reply.RetryAfter)
		o.Attempt = c.backoff.attempt
		return
	}
	c.backoff.attempt = 0
	if o.Reply.IntervalMS == 0 {
		return
	}
	interval := min(max(time.Duration(o.Reply.IntervalMS)*time.Millisecond, minInterval), maxInterval)
	if interval != c.interval {
		c.interval, o.Interval = interval, interval
	}
}

// publish tells the outcome.
func (c *Camera) publish(o Outcome) {
	if c.cfg.Report != nil {
		c.cfg.Report(o)
	}
	e := event.Event{Source: event.Camera, Name: c.cfg.Name, Kind: event.Uploaded,
		Status: o.Reply.Status, Text: o.Reply.Line, Frame: event.FrameInfo{Seq: o.Seq, Bytes: o.Bytes, Took: o.Took}}
	switch {
	case o.Err != nil:
		e.Kind, e.Text = event.UploadFailed, o.Err.Error()
	case !o.OK():
		e.Kind, e.Text = event.UploadFailed, "server answered "+o.Reply.Line
	}
	c.cfg.Events.Publish(e)
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
