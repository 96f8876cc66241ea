package main

import (
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"

	"porthole/hil/hiltest"
	"porthole/hil/shutoff"
	"porthole/internal/event"
)

// TestPinOfTheDashboard: the camera is off from the start, on for as long as the
// dashboard holds it, and off at its end, in whatever way.
func TestPinOfTheDashboard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := hiltest.NewPin(gpio.Low)
		sw, err := shutoff.New(shutoff.Config{Pin: shutoff.Chip(line.Handle(), "test", 1), Safe: shutoff.SafeLow})
		if err != nil {
			t.Fatal(err)
		}
		released := 0
		p := &pinSwitch{sw: sw, release: func() error { released++; return nil }}
		bus := new(event.Bus)
		w := &watch{bus: bus}
		w.switches(p)
		do := func(name string, want gpio.Level) {
			t.Helper()
			if _, err := bus.Do(t.Context(), event.Command{Name: name}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if got := line.Level(); got != want {
				t.Errorf("after %s the line is %v", name, got)
			}
		}
		if line.Level() != gpio.Low {
			t.Error("the camera is on from the start")
		}
		do("camera.on", gpio.High)
		do("camera.on", gpio.High)
		time.Sleep(10 * keepLease)
		if line.Level() != gpio.High {
			t.Error("the camera was not held on")
		}
		do("camera.off", gpio.Low)
		do("camera.off", gpio.Low)
		do("camera.on", gpio.High)
		if err := p.close(); err != nil || line.Level() != gpio.Low || released != 1 {
			t.Errorf("at the end: %v, line %v, released %d times", err, line.Level(), released)
		}
		time.Sleep(time.Minute)
		if line.Level() != gpio.Low {
			t.Error("the camera came on again")
		}
	})
}
