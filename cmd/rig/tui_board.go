package main

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"sync"

	"porthole/hil"
	"porthole/hil/backtrace"
	"porthole/hil/monitor"
	"porthole/hil/serial"
	"porthole/internal/cli"
	"porthole/internal/console"
	"porthole/internal/event"
	"porthole/sim/board"
)

// watch is a running monitor that feeds a bus with a board's console and with
// what the lines say of the board.
type watch struct {
	stop  context.CancelFunc
	parts sync.WaitGroup
	sub   *event.Subscription
	err   error // of the monitor; read after close
}

// watchPort watches a board's port by its name. The port comes back after it was
// unplugged.
func watchPort(ctx context.Context, bus *event.Bus, name string, program *backtrace.Program) (*watch, error) {
	// It steps back for a flasher and says so.
	open := func(ctx context.Context) (hil.Port, error) {
		return openShared(ctx, name, func(h serial.Handover) {
			text := "the port was lent to " + h.To
			if h.Back {
				text = "the port is back"
			}
			bus.Publish(event.Event{Source: event.Bench, Kind: event.Note, Text: text})
		})
	}
	port, err := open(ctx)
	if err != nil {
		return nil, cli.Hint(err, "rig ports lists the ports and who uses them")
	}
	return newWatch(bus, name, monitor.Config{Port: port, Reopen: open, Events: bus, Program: program}), nil
}

// watchWire watches the simulated board of this process.
func watchWire(bus *event.Bus, d *device, program *backtrace.Program) (*watch, error) {
	open := func(context.Context) (hil.Port, error) {
		wire, err := d.Connect()
		if err != nil {
			return nil, err
		}
		return wirePort{wire}, nil
	}
	port, err := open(context.Background())
	if err != nil {
		return nil, err
	}
	return newWatch(bus, "simulated, in this process", monitor.Config{Port: port, Reopen: open, Events: bus, Program: program}), nil
}

// wirePort is a cable to a simulated board as a port.
type wirePort struct{ *board.Wire }

// Discard implements [hil.Port].
func (p wirePort) Discard() error { return p.Purge() }

func newWatch(bus *event.Bus, name string, cfg monitor.Config) *watch {
	ctx, stop := context.WithCancel(context.Background())
	w := &watch{stop: stop, sub: bus.Subscribe(consoleBacklog)}
	w.parts.Go(func() {
		_, w.err = monitor.Run(ctx, cfg)
		if w.err != nil && ctx.Err() == nil {
			bus.Publish(event.Event{Source: event.Bench, Kind: event.Note, Text: "the console has ended: " + w.err.Error()})
		}
	})
	w.parts.Go(func() { follow(w.sub, bus, event.BoardState{Port: name, State: "listening"}) })
	return w
}

func (w *watch) close() error {
	w.stop()
	w.sub.Close()
	w.parts.Wait()
	if errors.Is(w.err, context.Canceled) {
		return nil
	}
	return w.err
}

// follow reads the console on a bus and publishes what it says of the board,
// when that changed.
func follow(sub *event.Subscription, bus *event.Bus, state event.BoardState) {
	bus.Publish(event.Event{Source: event.Board, Kind: event.BoardChanged, Board: state})
	for {
		e, ok := sub.Next(context.Background())
		if !ok {
			return
		}
		if e.Source != event.Board || e.Kind != event.Console {
			continue
		}
		next := state
		readBoard(&next, e.Text)
		if next != state {
			state = next
			bus.Publish(event.Event{Time: e.Time, Source: event.Board, Kind: event.BoardChanged, Board: state})
		}
	}
}

// readBoard takes what one line of the console says of the board.
func readBoard(b *event.BoardState, line string) {
	if banner, ok := console.ParseBanner(line); ok {
		*b = event.BoardState{Port: b.Port, State: "booting", Reset: strings.ToLower(banner.Reason), Starts: b.Starts + 1, Panics: b.Panics, Camera: b.Camera}
		if banner.Download() {
			b.State = "waiting for a flasher"
		}
		return
	}
	if backtrace.IsCrash(line) {
		b.State = "crashed"
		b.Panics++
		return
	}
	l, ok := console.Parse(line)
	if !ok {
		return
	}
	switch l.Kind {
	case console.Boot:
		b.State, b.Firmware = "running", strings.TrimSpace(l.Project+" "+l.Version)
		b.Reset = cmp.Or(l.Reset, b.Reset)
		b.Heap, b.PSRAM = l.Heap, l.PSRAM
	case console.ConfigMissing, console.ConfigWrong, console.ConfigUnreadable:
		b.State = "without settings"
	case console.ConfigRead:
		b.State = "running"
	case console.WiFiJoined:
		b.WiFi, b.RSSI = l.SSID, l.RSSI
	case console.WiFiLost, console.WiFiFailed:
		b.WiFi, b.RSSI = "", 0
	case console.CameraOff:
		b.Camera = "off"
	case console.CameraOn, console.CameraReady:
		b.Camera = "on"
	case console.CameraError:
		b.Camera = "not working"
	case console.UploadOK: // also where the watch began long after the start
		b.State, b.Camera = "running", "on"
	case console.Status:
		b.Heap = l.Heap
	}
}
