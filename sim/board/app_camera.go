package board

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"porthole/internal/boardcfg"
	events "porthole/internal/event"
	"porthole/sim"
)

// CameraUploads gives the Uploads that send frames of source the way the board
// does, over package sim: TLS against the provisioned certificates, or without
// where none are provisioned. Frames are numbered on from boot to boot, and the
// source's time runs from the first capture, on the camera's grid: a first run
// without trouble asks the source for the same frames each time. bus gets what
// the camera reports, under name; it may be nil.
//
// A CameraUploads belongs to one board.
func CameraUploads(source sim.Source, bus *events.Bus, name string) Uploads {
	c := &uploader{source: source, bus: bus, name: name}
	return c.run
}

type uploader struct {
	source sim.Source
	bus    *events.Bus
	name   string
	epoch  time.Time     // of the first capture
	frames atomic.Uint64 // taken so far
}

func (c *uploader) run(ctx context.Context, u Upload) error {
	target, tlsConfig, err := uploadTarget(u.Config)
	if err != nil {
		return err
	}
	var offset time.Duration
	if c.epoch.IsZero() {
		c.epoch = time.Now()
	} else {
		offset = time.Since(c.epoch)
	}
	dial := &dialer{dial: u.Dial, address: target.Address()}
	own := new(events.Bus)
	camera, err := sim.New(sim.Config{
		Name: c.name, Target: target, TLS: tlsConfig, Dial: dial.connect,
		Source: c.numbered(offset), Interval: u.Config.Interval, Powered: u.Powered, Events: own,
	})
	if err != nil {
		return err
	}
	base := c.frames.Load()
	results := own.Subscribe(16)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			// It ends with Close, when everything is read.
			e, ok := results.Next(context.WithoutCancel(ctx))
			if !ok {
				return
			}
			e.Frame.Seq += base
			c.bus.Publish(e)
			u.Report(outcome(e, dial))
		}
	})
	err = camera.Run(ctx)
	results.Close()
	wg.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// numbered counts frames, and time from offset on, over the life of the board and
// not of one run.
func (c *uploader) numbered(offset time.Duration) sim.Source {
	return sourceFunc(func(ctx context.Context, _ uint64, at time.Duration) ([]byte, error) {
		return c.source.Next(ctx, c.frames.Add(1), offset+at)
	})
}

type sourceFunc func(ctx context.Context, seq uint64, at time.Duration) ([]byte, error)

func (f sourceFunc) Next(ctx context.Context, seq uint64, at time.Duration) ([]byte, error) {
	return f(ctx, seq, at)
}

func uploadTarget(cfg boardcfg.Config) (sim.Target, *tls.Config, error) {
	t := sim.Target{TLS: cfg.CA != "", Host: cfg.Host, Port: int(cfg.Port), Path: cfg.Path, Token: cfg.Token}
	pool, err := cfg.Pool()
	if err != nil {
		return t, nil, fmt.Errorf("trust server: %w", err)
	}
	return t, &tls.Config{RootCAs: pool}, nil
}

// dialer keeps the error of the last attempt, which an event has only as text.
type dialer struct {
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	address string
	mu      sync.Mutex
	err     error
}

func (d *dialer) connect(ctx context.Context) (net.Conn, error) {
	conn, err := d.dial(ctx, "tcp", d.address)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
	return conn, err
}

func (d *dialer) last() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

// outcome makes a Report of what the camera said.
func outcome(e events.Event, d *dialer) Report {
	r := Report{Seq: e.Frame.Seq, Bytes: e.Frame.Bytes, Took: e.Frame.Took, Status: e.Status}
	if e.Kind == events.UploadFailed {
		r.Err = errors.New(e.Text)
		if err := d.last(); err != nil && e.Status == 0 {
			r.Err = err
		}
	}
	return r
}
