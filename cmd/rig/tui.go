package main

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"porthole/hil/backtrace"
	"porthole/internal/cli"
	"porthole/internal/event"
	"porthole/loadtest"
	"porthole/tui"
)

type tuiCmd struct {
	Server string `placeholder:"URL" help:"Attach to the private side of a server, http://host:port (default: a server, a camera and a board in this process)."`
	Public string `placeholder:"URL" help:"Public side of --server, for the picture that viewers see."`
	Token  string `placeholder:"TOKEN" help:"Of --server, where its private side asks for one. Better in the environment, where the process list does not show it."`
	CA     string `name:"ca" placeholder:"FILE" help:"Root certificate (PEM) for https (default: the system's)."`
	Port   string `placeholder:"PORT" help:"Serial port of a board whose console is shown: a device, usb:VID:PID or rfc2217://host:port."`
	Pin    string `env:"-" placeholder:"PIN" help:"Shutoff pin of the board at --port: gpiochip:CHIP:LINE, rts:PORT or periph:NAME. The camera is off from the start and after the end of the dashboard."`
	Safe   string `env:"-" placeholder:"low|high" help:"Level of the pin at which the camera is off; docs/wiring.md says which."`
	ELF    string `name:"elf" placeholder:"FILE" help:"Program on the board, to name the functions of crashes."`

	Load string `placeholder:"FILE" help:"Show a load run of another process: a report of rig load --json, or what rig load --samples writes while it runs."`

	HTTP   string        `name:"http" default:"127.0.0.1:0" help:"Address of the live page of the server in this process (default: any free port)."`
	Seed   uint64        `placeholder:"N" help:"Seed of the simulated room and board; 0 draws one."`
	Period time.Duration `default:"2s" help:"Time between two frames of the simulated camera."`

	ReadOnly bool          `help:"Show only: no key changes anything."`
	Image    string        `default:"auto" enum:"auto,kitty,half,ascii,off" help:"Draw pictures by the graphics protocol of kitty, as half blocks, ASCII or not at all; auto asks the terminal and goes by its colours."`
	Plain    bool          `help:"No screen: one sentence for each change, for screen readers and logs."`
	JSON     bool          `name:"json" help:"No screen: the events as JSON lines."`
	For      time.Duration `placeholder:"TIME" help:"End after this time."`

	Record      string `placeholder:"FILE" help:"Also record the session: events and pictures."`
	RecordLimit int    `default:"256" placeholder:"MB" help:"Size at which a recording ends."`
	Replay      string `placeholder:"FILE" help:"Show a recording instead: arrows and brackets move through time."`
	Export      string `placeholder:"FILE" help:"Write the session as one HTML page, or as an animated picture where FILE ends in .svg: of --replay at once, else at the end."`
	Script      string `placeholder:"FILE" help:"Carry out commands by the clock: lines such as '20s camera.off' and '30s load.more viewers=50'."`
}

func (c *tuiCmd) Run(ctx context.Context, std cli.IO) error {
	if err := c.check(); err != nil {
		return err
	}
	if c.Replay != "" {
		return c.replay(ctx, std)
	}
	c.Seed = cmp.Or(c.Seed, rand.Uint64()>>1|1)
	if c.For > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, c.For)
		defer stop()
	}
	b, err := c.open(ctx, std)
	if err != nil {
		return err
	}
	rec, err := c.recording(b.source)
	if err != nil {
		return errors.Join(err, b.close())
	}
	if rec != nil {
		b.source, b.recorded = rec, true
	}
	err = c.follow(ctx, b.source, func() error { return c.show(ctx, std, b) })
	err = errors.Join(err, b.close())
	if rec != nil {
		err = errors.Join(err, rec.finish(std))
	}
	return err
}

func (c *tuiCmd) check() error {
	switch {
	case c.Plain && c.JSON:
		return cli.Usage(errors.New("--plain and --json exclude each other"))
	case c.Replay != "" && (c.Server != "" || c.Port != "" || c.Record != "" || c.Load != ""):
		return cli.Usage(errors.New("--replay shows a recording: it goes without --server, --port, --load and --record"))
	case c.Replay != "" && (c.Plain || c.JSON):
		return cli.Usage(cli.Hint(errors.New("--replay is a screen"), "a recording is a file of JSON lines: read it with any tool"))
	case c.Script != "" && (c.Replay != "" || c.ReadOnly):
		return cli.Usage(errors.New("--script changes things: it goes without --replay and --read-only"))
	case c.Server == "" && (c.Public != "" || c.Token != "" || c.CA != ""):
		return cli.Usage(errors.New("--public, --token and --ca go with --server"))
	case c.Port == "" && (c.Pin != "" || c.Safe != ""):
		return cli.Usage(cli.Hint(errors.New("--pin and --safe go with --port"), "the pin belongs to the board at that port; rig power switches a pin alone"))
	case c.Pin == "" && c.Safe != "":
		return cli.Usage(errors.New("--safe goes with --pin"))
	case c.RecordLimit < 1:
		return cli.Usage(fmt.Errorf("--record-limit %d is no size", c.RecordLimit))
	}
	return nil
}

// bench is what a dashboard looks at, with what ends it.
type bench struct {
	source   tui.Source
	title    string
	absent   map[tui.Panel]string
	close    func() error
	confirm  map[string]string // command: what to ask before it is sent
	recorded bool
	ended    <-chan struct{} // closed when a part failed; nil where none can
}

// open starts or attaches what the dashboard shows.
func (c *tuiCmd) open(ctx context.Context, std cli.IO) (*bench, error) {
	program, err := c.program()
	if err != nil {
		return nil, err
	}
	if c.Server != "" {
		roots, err := loadRoots(c.CA)
		if err != nil {
			return nil, err
		}
		return c.attach(ctx, roots, program)
	}
	return c.local(ctx, std, program)
}

func (c *tuiCmd) program() (*backtrace.Program, error) {
	if c.ELF == "" {
		return nil, nil
	}
	p, err := backtrace.Open(c.ELF)
	if err != nil {
		return nil, cli.Hint(err, "--elf names the program's ELF file, firmware.elf of the build")
	}
	return p, nil
}

// attach follows a server elsewhere and, where a port is given, a board here.
func (c *tuiCmd) attach(ctx context.Context, roots *x509.CertPool, program *backtrace.Program) (*bench, error) {
	src, err := newRemoteSource(ctx, c.Server, c.Public, c.Token, roots)
	if err != nil {
		return nil, err
	}
	// What is done here and not there: a board at a port, viewers.
	here := new(event.Bus)
	joined := join(src, newBusSource(here, nil), c.Port == "")
	b := &bench{source: joined, title: c.Server, absent: map[tui.Panel]string{
		tui.CameraPanel: "no frame has arrived at this server since it started: run a camera, or rig sim --to " + cmp.Or(c.Public, "URL"),
	}}
	closers := []func() error{joined.close, src.Close}
	b.close = func() (err error) {
		for _, f := range closers {
			err = errors.Join(err, f())
		}
		return err
	}
	if c.Port == "" {
		b.absent[tui.BoardPanel] = "no board: give its serial port with --port, as rig ports lists them"
		b.absent[tui.ConsolePanel] = "no console: give the board's serial port with --port, as rig ports lists them"
	} else {
		watch, err := watchPort(ctx, here, c.Port, program)
		if err != nil {
			return nil, errors.Join(err, b.close())
		}
		closers = slices.Insert(closers, 0, watch.close)
		if err := c.switched(ctx, watch); err != nil {
			return nil, errors.Join(err, b.close())
		}
		b.title += " + " + c.Port
	}
	cfg := loadtest.Config{TLS: trusting(roots), Truth: joined.truth}
	b.absent[tui.LoadPanel] = "no load runs: give the public side with --public to start one with g; rig load --samples FILE and --load FILE show one that runs elsewhere"
	if c.Public != "" {
		cfg.TargetURL = strings.TrimSuffix(c.Public, "/") + "/latest"
		b.absent[tui.LoadPanel] = "no load runs: g starts 150 viewers in this process; rig load --samples FILE and --load FILE show one that runs elsewhere"
		b.confirm = map[string]string{"load.start": "Let viewers on this machine poll " + cfg.TargetURL + "? It is somebody's server."}
	}
	load, err := c.load(here, cfg)
	if err != nil {
		return nil, errors.Join(err, b.close())
	}
	closers = slices.Insert(closers, 0, func() error { load(); return nil })
	return b, nil
}

// load offers viewers, or follows a run of another process. It returns what ends
// either.
func (c *tuiCmd) load(bus *event.Bus, cfg loadtest.Config) (end func(), err error) {
	switch {
	case c.Load != "":
		l, err := followLoad(bus, c.Load)
		if err != nil {
			return nil, err
		}
		return l.close, nil
	case cfg.TargetURL == "":
		return func() {}, nil
	}
	return newLoadRunner(bus, cfg).close, nil
}

// switched takes the shutoff pin where one is named.
func (c *tuiCmd) switched(ctx context.Context, w *watch) error {
	if c.Pin == "" {
		return nil
	}
	return w.takePin(ctx, &pinFlags{Pin: c.Pin, Safe: c.Safe})
}

// show runs the screen, or what stands in for it.
func (c *tuiCmd) show(ctx context.Context, std cli.IO, b *bench) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if b.ended != nil {
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			select {
			case <-b.ended:
				stop()
			case <-ctx.Done():
			}
		}()
		defer func() { stop(); <-ended }()
	}
	switch {
	case c.Plain:
		return plainEvents(ctx, std.Out, b)
	case c.JSON:
		return jsonEvents(ctx, std.Out, b)
	}
	return c.screen(ctx, std, tui.Config{Source: b.source, Title: b.title, ReadOnly: c.ReadOnly, Image: imageWay(c.Image), Absent: b.absent, Confirm: b.confirm})
}

// imageWay maps the flag's value to the dashboard's.
func imageWay(flag string) tui.Image {
	if flag == "auto" {
		return tui.Auto
	}
	return tui.Image(flag)
}

// screen shows the dashboard on the terminal and leaves its summary there.
func (c *tuiCmd) screen(ctx context.Context, std cli.IO, cfg tui.Config) error {
	if !isTerminal(std.Out) {
		return cli.Usage(cli.Hint(errors.New("standard output is not a terminal"), "use --plain or --json where there is none"))
	}
	summary, err := tui.Run(ctx, cfg)
	fmt.Fprint(std.Out, summary)
	if err != nil {
		return fmt.Errorf("show dashboard: %w", err)
	}
	return nil
}

func (c *tuiCmd) replay(ctx context.Context, std cli.IO) error {
	s, err := readSession(c.Replay)
	if err != nil {
		return err
	}
	if c.Export != "" {
		return exportSession(std.Out, s, filepath.Base(c.Replay), c.Export)
	}
	title := c.Replay
	if s.Cut {
		title += " (its end is missing)"
	}
	return c.screen(ctx, std, tui.Config{Source: s.Replay(), Session: s, Title: title, ReadOnly: true, Image: imageWay(c.Image)})
}
