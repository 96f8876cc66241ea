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
// what the lines say of the board, and takes commands for the board behind the
// port. The port is shared: it steps back for a flasher, its own or another's.
type watch struct {
	bus   *event.Bus
	name  string
	stop  context.CancelFunc
	parts sync.WaitGroup
	sub   *event.Subscription
	undo  []func()
	err   error // of the monitor; read after close

	mu    sync.Mutex
	port  *serial.Shared // the newest: it is another one after the port was away
	state event.BoardState
	busy  string // the work that has the port, "" for none
	pin   *pinSwitch
}

// watchPort watches a board's port by its name. The port comes back after it was
// unplugged.
func watchPort(ctx context.Context, bus *event.Bus, name string, program *backtrace.Program) (*watch, error) {
	w := &watch{bus: bus, name: name}
	w, err := w.run(ctx, program, func(ctx context.Context) (*serial.Shared, error) {
		return openShared(ctx, name, 0, func(h serial.Handover) { w.lent(h) })
	})
	if err != nil {
		return nil, cli.Hint(err, "rig ports lists the ports and who uses them")
	}
	w.handle("board.reset", w.reset)
	return w, nil
}

// watchWire watches the simulated board of this process, which resets itself.
func watchWire(ctx context.Context, bus *event.Bus, d *device, program *backtrace.Program) (*watch, error) {
	w := &watch{bus: bus, name: "simulated, in this process"}
	return w.run(ctx, program, func(ctx context.Context) (*serial.Shared, error) {
		return serial.NewShared(ctx, serial.SharedConfig{Open: func(context.Context) (hil.Port, error) {
			wire, err := d.Connect()
			if err != nil {
				return nil, err
			}
			return wirePort{wire}, nil
		}})
	})
}

// wirePort is a cable to a simulated board as a port.
type wirePort struct{ *board.Wire }

// Discard implements [hil.Port].
func (p wirePort) Discard() error { return p.Purge() }

// run starts the monitor; ctx bounds the first opening only.
func (w *watch) run(ctx context.Context, program *backtrace.Program, open func(context.Context) (*serial.Shared, error)) (*watch, error) {
	reopen := func(ctx context.Context) (hil.Port, error) {
		port, err := open(ctx)
		if err != nil {
			return nil, err
		}
		w.mu.Lock()
		w.port = port
		w.mu.Unlock()
		return port, nil
	}
	port, err := reopen(ctx)
	if err != nil {
		return nil, err
	}
	running, stop := context.WithCancel(context.Background())
	w.stop, w.sub = stop, w.bus.Subscribe(consoleBacklog)
	w.change(func(b *event.BoardState) { b.Port, b.State = w.name, "listening" })
	w.parts.Go(func() {
		_, w.err = monitor.Run(running, monitor.Config{Port: port, Reopen: reopen, Events: w.bus, Program: program})
		if w.err != nil && running.Err() == nil {
			w.note("the console has ended: " + w.err.Error())
		}
	})
	w.parts.Go(w.follow)
	w.handle("board.flash", w.flash)
	w.handle("board.provision", w.provision)
	return w, nil
}

func (w *watch) handle(name string, h event.Handler) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.undo = append(w.undo, w.bus.Handle(name, h))
}

func (w *watch) note(text string) {
	w.bus.Publish(event.Event{Source: event.Bench, Kind: event.Note, Text: text})
}

// lent says that another process has the port, or had it.
func (w *watch) lent(h serial.Handover) {
	text, holder := "the port was lent to "+h.To, h.To
	if h.Back {
		text, holder = "the port was given back", ""
	}
	w.note(text)
	w.change(func(b *event.BoardState) { b.Holder = holder })
}

// change changes what is known of the board, and publishes it where it differs.
func (w *watch) change(f func(*event.BoardState)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	next := w.state
	if f(&next); next != w.state {
		w.state = next
		w.bus.Publish(event.Event{Source: event.Board, Kind: event.BoardChanged, Board: next})
	}
}

// follow reads the console on the bus.
func (w *watch) follow() {
	for {
		e, ok := w.sub.Next(context.Background())
		if !ok {
			return
		}
		if e.Kind == event.Note && strings.HasPrefix(e.Text, "the port is gone") {
			w.change(func(b *event.BoardState) { b.State = "gone" })
		}
		if e.Kind == event.Note && strings.HasPrefix(e.Text, "the port is back") {
			w.change(func(b *event.BoardState) { b.State = "listening" })
		}
		if e.Source == event.Board && e.Kind == event.Console {
			w.change(func(b *event.BoardState) { readBoard(b, e.Text) })
		}
	}
}

func (w *watch) close() error {
	w.mu.Lock()
	undo := w.undo
	w.mu.Unlock()
	for _, f := range undo {
		f()
	}
	w.stop()
	w.sub.Close()
	w.parts.Wait()
	var err error
	if w.pin != nil {
		err = w.pin.close()
	}
	if errors.Is(w.err, context.Canceled) {
		return err
	}
	return errors.Join(w.err, err)
}

// readBoard takes what one line of the console says of the board.
func readBoard(b *event.BoardState, line string) {
	if banner, ok := console.ParseBanner(line); ok {
		*b = event.BoardState{Port: b.Port, Holder: b.Holder, Pin: b.Pin, State: "booting", Reset: strings.ToLower(banner.Reason), Starts: b.Starts + 1, Panics: b.Panics, Camera: b.Camera}
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
