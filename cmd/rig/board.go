package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"porthole/internal/cli"
	"porthole/internal/event"
	"porthole/sim/board"
)

type boardCmd struct {
	Serial   string `default:"127.0.0.1:2217" placeholder:"HOST:PORT" help:"Serial port over the network (RFC 2217), with reset lines (default: ${default}); 'off' for none."`
	PTY      string `name:"pty" placeholder:"LINK" help:"Also publish the serial port as a pseudo-terminal under this name. It has no reset lines."`
	Download bool   `help:"Start in download mode and answer a flasher that cannot reset the board: for --pty."`

	Flash  string `placeholder:"FILE" help:"Keep the flash in this file; a missing file is an erased flash (default: a demo application, in memory)."`
	Erased bool   `help:"Start with an erased flash in memory."`
	SizeMB int    `name:"size" default:"4" enum:"1,2,4,8,16" help:"Flash size in MB."`

	ROM     string        `name:"rom" default:"fast" enum:"fast,strict" help:"How the ROM answers unknown commands: fast, or strict as the silicon does, which costs some flashers 6 s."`
	EN      time.Duration `name:"en" default:"75ms" help:"From the release of EN to the sampling of the straps, 1ms to 1s."`
	Latency bool          `help:"Flash operations take the time of the datasheet."`
	Pace    bool          `help:"Bytes take their time on the line."`
	Faults  string        `placeholder:"FILE" help:"Schedule of faults, one a line; see --list-faults."`
	Seed    uint64        `placeholder:"N" help:"Seed of everything random; 0 draws one and prints it."`
	Speed   float64       `default:"1" help:"Divide every wait of bootloader and application."`

	SSID     string `name:"ssid" default:"porthole" help:"Name of the simulated Wi-Fi network."`
	Password string `placeholder:"TEXT" help:"Its password; none makes it an open network. Better in the environment."`

	ListFaults bool `help:"List every kind of fault and end."`
}

func (c *boardCmd) Run(ctx context.Context, std cli.IO) (err error) {
	if c.ListFaults {
		for _, f := range board.FaultSpecs() {
			heals := "a careful host heals it"
			if !f.Heals {
				heals = "needs a person"
			}
			fmt.Fprintf(std.Out, "%-20s %s (%s)\n", f.Name, f.Doc, heals)
		}
		return nil
	}
	c.Seed = cmp.Or(c.Seed, rand.Uint64()>>1|1)
	cfg, err := c.config()
	if err != nil {
		return err
	}
	kept, err := c.keep(ctx, &cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, kept.release()) }()
	bus := new(event.Bus)
	states := make(chan board.TraceEvent, 64)
	cfg.board.Trace = func(e board.TraceEvent) {
		if e.Kind == board.TraceState || e.Kind == board.TraceFault {
			select {
			case states <- e:
			default: // the board is not held up by a slow terminal
			}
		}
	}
	cfg.bus = bus
	src, err := (&sourceFlags{Source: "scene", Order: "loop", Interval: 2 * time.Second, Seed: c.Seed, Stamp: true, Clock: true}).open(ctx, std)
	if err != nil {
		return err
	}
	defer src.close()
	cfg.source = newFinite(src, 0)
	d, err := newDevice(cfg)
	if err != nil {
		return err
	}
	fmt.Fprintf(std.Out, "board       ESP32 %s, %d MB flash, --seed %d\n", d.Chip().MAC, c.SizeMB, c.Seed)
	if d.serial != nil {
		fmt.Fprintf(std.Out, "serial      rfc2217://%s\n", d.serial.Addr())
	}
	if d.pty != nil {
		fmt.Fprintf(std.Out, "serial      %s (%s)\n", c.PTY, d.pty.Name())
	}
	fmt.Fprintf(std.Out, "Wi-Fi       %s\nstop        Ctrl-C\n\n", cli.Printable(c.SSID))

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var telling sync.WaitGroup
	telling.Go(func() {
		for {
			select {
			case e := <-states:
				text := "state: " + board.State(e.A).String()
				if e.Kind == board.TraceFault && e.A < uint64(len(cfg.board.Faults)) {
					text = "fault: " + cfg.board.Faults[e.A].String()
				}
				// A flasher has finished: keep what it wrote.
				if e.Kind == board.TraceState && board.State(e.A) == board.StateBoot {
					if err := d.Save(); err != nil {
						text += "; flash not saved: " + err.Error()
					}
				}
				bus.Publish(event.Event{Source: event.Board, Kind: event.Note, Text: text})
			case <-ctx.Done():
				return
			}
		}
	})
	return printed(std, bus, func() error {
		err := d.run(ctx)
		stop()
		telling.Wait()
		return err
	})
}

// config turns the flags into a board.
func (c *boardCmd) config() (deviceConfig, error) {
	cfg := deviceConfig{pty: c.PTY, download: c.Download}
	if c.Serial != "off" {
		cfg.rfc2217 = c.Serial
	}
	if cfg.rfc2217 == "" && c.PTY == "" {
		return cfg, cli.Usage(cli.Hint(errors.New("the board has no serial port at all"), "--serial HOST:PORT or --pty LINK"))
	}
	if c.EN < board.MinEN || c.EN > board.MaxEN {
		return cfg, cli.Usage(fmt.Errorf("--en %v: want %v to %v", c.EN, board.MinEN, board.MaxEN))
	}
	if c.Speed < board.MinSpeed || c.Speed > board.MaxSpeed {
		return cfg, cli.Usage(fmt.Errorf("--speed %v: want %v to %v", c.Speed, board.MinSpeed, float64(board.MaxSpeed)))
	}
	if c.Erased && c.Flash != "" {
		return cfg, cli.Usage(errors.New("--erased and --flash exclude each other"))
	}
	cfg.board = board.Config{Seed: c.Seed, EN: c.EN, Latency: c.Latency, Pace: c.Pace, AutoDownload: c.Download, FlashFile: c.Flash}
	if c.ROM == "strict" {
		cfg.board.ROM = board.ROMStrict
	}
	if c.Faults != "" {
		f, err := os.Open(c.Faults)
		if err != nil {
			return cfg, cli.Hint(fmt.Errorf("read faults: %w", err), "--faults names a text file; see --list-faults")
		}
		defer f.Close()
		if cfg.board.Faults, err = board.ParseSchedule(f); err != nil {
			return cfg, cli.Hint(fmt.Errorf("read faults of %q: %w", c.Faults, err), "see --list-faults")
		}
	}
	if c.Flash == "" && (c.Erased || c.Download) {
		var err error
		if cfg.board.Flash, err = board.NewFlash(nil, c.SizeMB<<20); err != nil {
			return cfg, err
		}
	}
	cfg.world = &board.World{Points: []board.AccessPoint{{SSID: c.SSID, Password: c.Password}}}
	cfg.firmware = board.FirmwareConfig{Speed: c.Speed, Seed: c.Seed}
	return cfg, nil
}

// keep takes the file of --flash and reads it; without one it has nothing to do.
func (c *boardCmd) keep(ctx context.Context, cfg *deviceConfig) (_ *flashFile, err error) {
	if c.Flash == "" {
		return nil, nil
	}
	kept, err := takeFlashFile(ctx, c.Flash, "rig board")
	if err != nil {
		return nil, err
	}
	if cfg.board.Flash, err = kept.load(c.SizeMB << 20); err != nil {
		return nil, errors.Join(cli.Hint(err, "--size must be that of the file"), kept.release())
	}
	// Written now, so that a folder that cannot be written to is noticed before
	// somebody flashes the board for nothing.
	if err := cfg.board.Flash.Save(c.Flash); err != nil {
		return nil, errors.Join(cli.Hint(err, "--flash names a file that may be written"), kept.release())
	}
	return kept, nil
}
