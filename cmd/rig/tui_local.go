package main

import (
	"context"
	"errors"
	"sync"

	"porthole/hil/backtrace"
	"porthole/internal/cli"
	"porthole/internal/event"
	"porthole/loadtest"
	"porthole/tui"
)

// local starts everything in this process: server, camera and board, or a board
// at a port instead of the simulated one's console.
func (c *tuiCmd) local(ctx context.Context, std cli.IO, program *backtrace.Program) (*bench, error) {
	frames := &sourceFlags{Source: "scene", Order: "loop", Interval: c.Period, Seed: c.Seed, Stamp: true, Clock: true}
	src, err := frames.open(ctx, std)
	if err != nil {
		return nil, err
	}
	bus := new(event.Bus)
	// Before anything starts, so that the first line of the boot is seen.
	source := newBusSource(bus, nil)
	f, err := newFeed(feedConfig{https: "127.0.0.1:0", http: c.HTTP, interval: c.Period, seed: c.Seed, source: src, bus: bus})
	if err != nil {
		src.close()
		return nil, err
	}
	source.server = f.server
	var console *watch
	if c.Port != "" {
		if console, err = watchPort(ctx, bus, c.Port, program); err == nil {
			if err = c.switched(ctx, console); err != nil {
				err = errors.Join(err, console.close())
			}
		}
	} else {
		console, err = watchWire(ctx, bus, f.device, program)
	}
	if err != nil {
		f.closeListeners()
		src.close()
		return nil, errors.Join(err, f.device.close())
	}
	truth := new(modeLog)
	modes := bus.Subscribe(1024)
	load, err := c.load(bus, loadtest.Config{
		TargetURL: "https://" + f.https.Addr().String() + "/latest", TLS: trusting(f.roots), Truth: truth, InProcess: true,
	})
	if err != nil {
		f.closeListeners()
		src.close()
		return nil, errors.Join(err, console.close(), f.device.close())
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	var parts sync.WaitGroup
	parts.Go(func() { truth.read(modes, nil) })
	var feedErr error
	ended := make(chan struct{})
	parts.Go(func() { defer close(ended); feedErr = f.run(running) })
	page := "http://" + f.http.Addr().String() + "/"
	return &bench{
		source: source, title: page, ended: ended,
		absent: map[tui.Panel]string{tui.LoadPanel: "no load runs: g starts 150 viewers, :load.start viewers=N as many as you say"},
		close: func() error {
			load()
			stop()
			err := console.close()
			modes.Close()
			parts.Wait()
			source.sub.Close()
			src.close()
			return errors.Join(err, feedErr)
		},
	}, nil
}
