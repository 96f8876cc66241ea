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
	"porthole/internal/wire"
	"porthole/sim"
)

// UploaderConfig says how a board's frames get to the server. Only Source is
// required.
type UploaderConfig struct {
	Source sim.Source
	// Bus gets what the camera reports, under Name.
	Bus  *events.Bus
	Name string
	// The rest is that of [sim.Config].
	Profile sim.Profile
	Core    sim.Core
	Timing  sim.Timing
	Resume  bool
	Faults  sim.Faults
	Seed    uint64
	Sketch  wire.SketchOptions
	Phase   time.Duration // before the very first upload
	// Uploaded is called after every upload; nil for nobody.
	Uploaded func()
}

// An Uploader sends frames the way the board does, over package sim: TLS against
// the provisioned certificates, or without where none are provisioned. Frames are
// numbered on from boot to boot, and the source's time runs from the first
// capture, on the camera's grid: a first run without trouble asks the source for
// the same frames each time. It belongs to one board.
type Uploader struct {
	cfg    UploaderConfig
	epoch  time.Time     // of the first capture
	frames atomic.Uint64 // taken so far

	link    *sim.Link // kept from run to run, like the connection in it
	linkCfg boardcfg.Config
	net     Upload // the network of the link
}

// NewUploader returns an Uploader that has sent nothing yet.
func NewUploader(cfg UploaderConfig) *Uploader { return &Uploader{cfg: cfg} }

// CameraUploads is the Uploads of the sketch, without more: frames of source,
// reported to bus under name.
func CameraUploads(source sim.Source, bus *events.Bus, name string) Uploads {
	return NewUploader(UploaderConfig{Source: source, Bus: bus, Name: name}).Run
}

// config is what both ways to use the link have in common.
func (c *Uploader) config(u Upload) (sim.Config, error) {
	target, tlsConfig, err := uploadTarget(u.Config)
	if err != nil {
		return sim.Config{}, err
	}
	dial := func(ctx context.Context) (net.Conn, error) { return c.net.Dial(ctx, "tcp", target.Address()) }
	return sim.Config{
		Name: c.cfg.Name, Target: target, TLS: tlsConfig, Dial: dial,
		Profile: c.cfg.Profile, Core: c.cfg.Core, Timing: c.cfg.Timing, Resume: c.cfg.Resume, Faults: c.cfg.Faults,
		Seed: c.cfg.Seed, Sketch: c.cfg.Sketch,
	}, nil
}

// way gives the link to the configured server, the old one where nothing changed.
func (c *Uploader) way(cfg sim.Config, u Upload) (*sim.Link, error) {
	c.net = u
	if c.link != nil && c.linkCfg == u.Config {
		return c.link, nil
	}
	c.Close()
	link, err := sim.NewLink(cfg)
	if err != nil {
		return nil, err
	}
	c.link, c.linkCfg = link, u.Config
	return link, nil
}

// Close drops the connection, where one is kept. Runs have to have ended.
func (c *Uploader) Close() {
	if c.link != nil {
		c.link.Close()
	}
	c.link = nil
}

// Run is an Uploads.
func (c *Uploader) Run(ctx context.Context, u Upload) error {
	cfg, err := c.config(u)
	if err != nil {
		return err
	}
	if cfg.Link, err = c.way(cfg, u); err != nil {
		return err
	}
	var offset time.Duration
	if c.epoch.IsZero() {
		cfg.Phase = c.cfg.Phase
		c.epoch = time.Now().Add(cfg.Phase)
	} else {
		offset = time.Since(c.epoch)
	}
	if s, ok := c.cfg.Source.(*sim.Sensor); ok {
		s.Restart()
	}
	base := c.frames.Load()
	own := new(events.Bus)
	cfg.Source, cfg.Interval, cfg.Powered, cfg.Events = c.numbered(offset), u.Config.Interval, u.Powered, own
	cfg.Report = func(o sim.Outcome) {
		o.Seq += base
		u.Report(outcome(o))
		if c.cfg.Uploaded != nil {
			c.cfg.Uploaded()
		}
	}
	camera, err := sim.New(cfg)
	if err != nil {
		return err
	}
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
			c.cfg.Bus.Publish(e)
		}
	})
	err = camera.Run(ctx)
	results.Close()
	wg.Wait()
	switch {
	case ctx.Err() != nil:
		return nil
	case c.cfg.Profile != sim.Firmware && errors.Is(err, sim.ErrNoFrame):
		return fmt.Errorf("%w: %w", ErrCrash, err)
	}
	return err
}

// Notify is a Notify: the message of our firmware that the camera was switched off
// or on. The sketch has none.
func (c *Uploader) Notify(ctx context.Context, u Upload, on bool) (int, error) {
	if c.cfg.Profile != sim.Firmware {
		return 0, errNoNotice
	}
	cfg, err := c.config(u)
	if err != nil {
		return 0, err
	}
	link, err := c.way(cfg, u)
	if err != nil {
		return 0, err
	}
	state := wire.CameraOff
	if on {
		state = wire.CameraOn
	}
	reply, err := link.Notice(ctx, state)
	return reply.Status, err
}

// errNoNotice means that the board's program knows no notices.
var errNoNotice = errors.New("no notices")

// numbered counts frames, and time from offset on, over the life of the board and
// not of one run.
func (c *Uploader) numbered(offset time.Duration) sim.Source {
	return sourceFunc(func(ctx context.Context, _ uint64, at time.Duration) ([]byte, error) {
		return c.cfg.Source.Next(ctx, c.frames.Add(1), offset+at)
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

// outcome makes a Report of what the camera said.
func outcome(o sim.Outcome) Report {
	r := Report{
		Seq: o.Seq, Bytes: o.Bytes, Took: o.Took, Status: o.Reply.Status, Err: o.Err,
		Waves: int(o.Reply.Waves), Wait: o.Wait, Attempt: o.Attempt, Interval: o.Interval,
	}
	if o.Err == nil && !o.OK() {
		r.Err = errors.New("server answered " + o.Reply.Line)
	}
	return r
}
