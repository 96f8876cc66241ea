package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"porthole/internal/event"
)

// fault is a trouble that can be made on purpose and taken back.
type fault struct {
	name, text string
	begin, end func()
}

// Bounds of how long a fault stays.
const (
	faultTime = 30 * time.Second
	faultMost = time.Hour
)

// faults offers named faults as commands, fault.NAME for each and fault.undo. One
// is on at a time, so that cause and effect stay clear: the next one undoes the
// one before. None is forgotten: each ends after for=TIME.
type faults struct {
	bus  *event.Bus
	name string // of the board
	undo []func()

	mu    sync.Mutex
	on    *fault
	until time.Time
	timer *time.Timer
}

func newFaults(bus *event.Bus, name string, all []fault) *faults {
	f := &faults{bus: bus, name: name}
	for _, one := range all {
		f.undo = append(f.undo, bus.Handle("fault."+one.name, func(_ context.Context, c event.Command) (event.Reply, error) { return f.begin(&one, c) }))
	}
	f.undo = append(f.undo, bus.Handle("fault.undo", func(context.Context, event.Command) (event.Reply, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.on == nil {
			return event.Reply{}, errors.New("no fault is on")
		}
		text := f.on.text
		f.end()
		return event.Reply{Text: "no more: " + text}, nil
	}))
	return f
}

func (f *faults) begin(one *fault, c event.Command) (event.Reply, error) {
	d := faultTime
	if s := c.Args["for"]; s != "" {
		var err error
		if d, err = time.ParseDuration(s); err != nil || d < time.Second || d > faultMost {
			return event.Reply{}, fmt.Errorf("for=%q is no time from 1s to %v", s, faultMost)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.end()
	f.on, f.until = one, time.Now().Add(d)
	one.begin()
	f.timer = time.AfterFunc(d, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.on == one && !time.Now().Before(f.until) {
			f.end()
		}
	})
	f.publish(event.Fault{Name: one.name, Text: one.text, Until: f.until})
	return event.Reply{Text: fmt.Sprintf("%s, for %v", one.text, d)}, nil
}

// end takes the fault back that is on. The caller holds the lock.
func (f *faults) end() {
	if f.on == nil {
		return
	}
	one := f.on
	f.timer.Stop()
	f.on = nil
	one.end()
	f.publish(event.Fault{Name: one.name, Text: one.text, Over: true})
}

func (f *faults) publish(x event.Fault) {
	f.bus.Publish(event.Event{Source: event.Board, Name: f.name, Kind: event.FaultChanged, Fault: x})
}

func (f *faults) close() {
	for _, undo := range f.undo {
		undo()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.end()
}
