package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"porthole/internal/boardcfg"
	"porthole/internal/cli"
	"porthole/internal/console"
	"porthole/internal/espimage"
	"porthole/internal/esprom"
	"porthole/internal/event"
	"porthole/sim"
	"porthole/sim/board"
)

// instant is a board that boots and joins its network without waiting.
const instant = 1e5

// deviceConfig describes a simulated board with its surroundings: what is in its
// flash, what its camera sees, how its serial side is reached.
type deviceConfig struct {
	board    board.Config
	firmware board.FirmwareConfig
	settings *boardcfg.Config // provisioned into the flash; nil leaves it as it is
	source   *finite
	world    *board.World
	bus      *event.Bus
	name     string
	upload   board.UploaderConfig // but for source, bus and name; the zero value is our firmware

	rfc2217  string // address of the serial port server, "" for none
	pty      string // link to the pseudo-terminal, "" for none
	download bool   // the pseudo-terminal starts in download mode
}

// device is a running simulated board.
type device struct {
	*board.Board
	firmware *board.Firmware
	serial   net.Listener // may be nil
	pty      *board.PTY   // may be nil
	source   *finite
	undo     []func()
	faults   *faults
}

// newDevice starts a board. Its camera sees nothing before run, since no server
// answers yet.
func newDevice(cfg deviceConfig) (_ *device, err error) {
	d := &device{source: cfg.source}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	if cfg.rfc2217 != "" {
		if d.serial, err = cli.Listen(cfg.rfc2217, "--serial, or make sim SERIAL_PORT=2218"); err != nil {
			return nil, err
		}
	}
	if cfg.board.Flash == nil {
		image, err := board.DemoImage(espimage.Demo{Version: "1.0.0"})
		if err != nil {
			return nil, err
		}
		if cfg.board.Flash, err = board.NewFlash(image, 4<<20); err != nil {
			return nil, err
		}
	}
	if cfg.settings != nil {
		if err := board.Provision(cfg.board.Flash, *cfg.settings); err != nil {
			return nil, err
		}
	}
	line := new(faultyLine)
	if cfg.world.Dial == nil {
		cfg.world.Dial = line.dial
	}
	cfg.firmware.Network = cfg.world
	if cfg.source != nil {
		u := cfg.upload
		u.Profile, u.Bus, u.Name = cmp.Or(u.Profile, sim.Firmware), cfg.bus, cfg.name
		u.Source = sensor(cfg.source, u)
		losing(cfg.world, &u)
		uploader := board.NewUploader(u)
		cfg.firmware.Uploads, cfg.firmware.Notify = uploader.Run, uploader.Notify
	}
	if d.firmware, err = board.NewFirmware(cfg.firmware); err != nil {
		return nil, err
	}
	cfg.board.Program = d.firmware
	cfg.board.Chip = board.WROVERE(deviceMAC(cfg.board.Seed))
	if d.Board, err = board.New(cfg.board); err != nil {
		return nil, err
	}
	if cfg.pty != "" {
		d.pty, err = board.OpenPTY(board.PTYConfig{Board: d.Board, Link: cfg.pty, Download: cfg.download, CloseReset: 3 * time.Second})
		if err != nil {
			return nil, cli.Hint(err, "--pty names a link that may be made or replaced")
		}
	}
	d.handle(cfg.bus, cfg.name)
	if cfg.bus != nil {
		d.faults = newFaults(cfg.bus, cfg.name, d.troubles(cfg.world, line))
	}
	return d, nil
}

// deviceMAC is an address of the vendor's own range that belongs to the seed.
func deviceMAC(seed uint64) esprom.MAC {
	return esprom.MAC{0x24, 0x6f, 0x28, byte(seed >> 16), byte(seed >> 8), byte(seed)}
}

// handle offers the board's switches as commands.
func (d *device) handle(bus *event.Bus, name string) {
	if bus == nil {
		return
	}
	note := func(text string) (event.Reply, error) {
		bus.Publish(event.Event{Source: event.Board, Name: name, Kind: event.Note, Text: text})
		return event.Reply{Text: text}, nil
	}
	for command, do := range map[string]func(event.Command) (event.Reply, error){
		"camera.off": func(event.Command) (event.Reply, error) {
			d.SetShutoff(true)
			return note("the camera's supply is cut")
		},
		"camera.on": func(event.Command) (event.Reply, error) {
			d.SetShutoff(false)
			return note("the camera's supply is back")
		},
		"board.reset": func(event.Command) (event.Reply, error) {
			d.Restart(false)
			return note("the board was reset")
		},
		"board.panic": func(c event.Command) (event.Reply, error) {
			if err := d.Panic(cmp.Or(c.Args["reason"], board.DefaultPanic)); err != nil {
				return event.Reply{}, err
			}
			return note("the application crashed")
		},
		"board.hang": func(event.Command) (event.Reply, error) {
			if err := d.firmware.Hang(); err != nil {
				return event.Reply{}, err
			}
			return note("the application hangs: the watchdog will bite")
		},
		"board.brownout": func(event.Command) (event.Reply, error) {
			if err := d.firmware.Brownout(); err != nil {
				return event.Reply{}, err
			}
			return note("the supply sagged")
		},
	} {
		d.undo = append(d.undo, bus.Handle(command, func(_ context.Context, c event.Command) (event.Reply, error) { return do(c) }))
	}
}

// troubles are the faults of a simulated board.
func (d *device) troubles(world *board.World, line *faultyLine) []fault {
	down := func(on bool) func() {
		return func() {
			for _, p := range world.Points {
				world.SetDown(p.SSID, on)
			}
		}
	}
	sensor := func(code int) func() { return func() { d.firmware.SetCameraFault(code); d.Restart(false) } }
	return []fault{
		{"wifi", "the Wi-Fi network is gone", down(true), down(false)},
		{"network", "the board has no way to the server", func() { line.setCut(true) }, func() { line.setCut(false) }},
		{"slow", "the board's uploads crawl", func() { line.setSlow(true) }, func() { line.setSlow(false) }},
		{"sensor", "the camera sensor does not answer", sensor(console.CameraNotFound), sensor(0)},
		{"power", "the board has no power", func() { d.SetPower(false) }, func() { d.SetPower(true) }},
		{"cable", "the serial cable is unplugged", func() { d.SetPlugged(false) }, func() { d.SetPlugged(true) }},
	}
}

// run serves the faces until ctx ends, the source has ended, or something fails.
func (d *device) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var parts sync.WaitGroup
	var serialErr, ptyErr error
	if d.serial != nil {
		face := &board.RFC2217{Board: d.Board}
		parts.Go(func() { defer stop(); serialErr = face.Serve(ctx, d.serial) })
	}
	if d.pty != nil {
		parts.Go(func() { defer stop(); ptyErr = d.pty.Run(ctx) })
	}
	var ended <-chan struct{}
	if d.source != nil {
		ended = d.source.ended
	}
	select {
	case <-ctx.Done():
	case <-ended:
	}
	stop()
	parts.Wait()
	err := errors.Join(serialErr, ptyErr, d.close())
	if d.source != nil {
		err = errors.Join(err, d.source.err())
	}
	return err
}

func (d *device) close() error {
	for _, undo := range d.undo {
		undo()
	}
	d.undo = nil
	if d.faults != nil && d.Board != nil {
		d.faults.close()
		d.faults = nil
	}
	if d.serial != nil {
		d.serial.Close()
	}
	var err error
	if d.pty != nil {
		err = d.pty.Close()
	}
	if d.Board != nil {
		err = errors.Join(err, d.Board.Close())
	}
	return err
}

// finite is a source that tells when it has ended: after its frames, or when the
// source behind it ends or fails.
type finite struct {
	sim.Source
	left  int // frames; below 0 for no limit
	ended chan struct{}

	once    sync.Once
	failure atomic.Pointer[error]
}

func newFinite(source sim.Source, frames int) *finite {
	if frames == 0 {
		frames = -1
	}
	return &finite{Source: source, left: frames, ended: make(chan struct{})}
}

// Next implements sim.Source. It is called from one goroutine at a time.
func (f *finite) Next(ctx context.Context, seq uint64, at time.Duration) ([]byte, error) {
	if f.left == 0 {
		f.end(nil)
		return nil, io.EOF
	}
	jpeg, err := f.Source.Next(ctx, seq, at)
	switch {
	case err == nil:
		f.left--
	case errors.Is(err, io.EOF):
		f.end(nil)
	case ctx.Err() == nil:
		f.end(err)
	}
	return jpeg, err
}

func (f *finite) end(err error) {
	f.once.Do(func() {
		if err != nil {
			f.failure.Store(&err)
		}
		close(f.ended)
	})
}

func (f *finite) err() error {
	if p := f.failure.Load(); p != nil {
		return fmt.Errorf("camera: %w", *p)
	}
	return nil
}
