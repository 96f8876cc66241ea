package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"porthole/hil/serial"
	"porthole/hil/shutoff"
	"porthole/internal/cli"
	"porthole/internal/event"
)

// pinSwitch is a shutoff pin under the commands camera.on and camera.off. The
// camera is off from the beginning, and on only as long as this process holds it
// on: the end of the dashboard, in whatever way, switches it off.
type pinSwitch struct {
	sw      *shutoff.Switch
	release func() error // of the lease

	mu   sync.Mutex
	stop context.CancelFunc // of the holding, nil while off
	held sync.WaitGroup
}

// takePin takes the pin for a watched board.
func (w *watch) takePin(ctx context.Context, f *pinFlags) error {
	name, err := f.parse()
	if err != nil {
		return err
	}
	lease, err := (serial.Leases{}).Acquire(ctx, pinLease(name), serial.Request{Purpose: "rig tui"})
	if err != nil {
		return cli.Hint(err, "rig power off ends it")
	}
	log := func(e shutoff.Edge) {
		w.bus.Publish(event.Event{Source: event.Bench, Kind: event.Note, Text: "shutoff: " + cli.Printable(e.String())})
		w.change(func(b *event.BoardState) {
			b.Pin = fmt.Sprintf("%s, %s: camera %s", name, e.Level, e.Camera)
			if e.Err != nil {
				b.Pin = fmt.Sprintf("%s: %s", name, cli.Printable(e.Err.Error()))
			}
		})
	}
	sw, err := f.open(ctx, name, log)
	if err != nil {
		return errors.Join(err, lease.Release())
	}
	w.switches(&pinSwitch{sw: sw, release: lease.Release})
	return nil
}

func (w *watch) switches(p *pinSwitch) {
	w.pin = p
	w.handle("camera.off", p.off)
	w.handle("camera.on", p.on)
}

func (p *pinSwitch) on(context.Context, event.Command) (event.Reply, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if state, _, _ := p.sw.Status(); p.stop != nil && state == shutoff.On {
		return event.Reply{Text: "the camera is on already"}, nil
	}
	p.letGo() // of a camera that went off by itself
	if err := p.sw.On(keepLease); err != nil {
		return event.Reply{}, err
	}
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	p.held.Go(func() { _ = p.sw.Hold(ctx, keepLease) }) // its end is an edge, which is told
	return event.Reply{Text: "the camera has its supply, as long as this dashboard runs"}, nil
}

func (p *pinSwitch) off(context.Context, event.Command) (event.Reply, error) {
	if err := p.cut(); err != nil {
		return event.Reply{}, err
	}
	return event.Reply{Text: "the camera's supply is cut"}, nil
}

// cut switches off first and tidies up then.
func (p *pinSwitch) cut() error {
	err := p.sw.Off()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.letGo()
	return err
}

// letGo ends the holding. The caller holds the lock.
func (p *pinSwitch) letGo() {
	if p.stop != nil {
		p.stop()
		p.stop = nil
	}
	p.held.Wait()
}

func (p *pinSwitch) close() error {
	err := p.cut()
	return errors.Join(err, p.sw.Close(), p.release())
}
