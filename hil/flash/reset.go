package flash

import (
	"context"
	"time"
)

// A Step sets both lines in one call and stays there; true is asserted, which
// is electrically low. On the usual circuit (esp32-serial 3.1)
//
//	DTR RTS
//	 0   0   run
//	 0   1   EN low: in reset
//	 1   0   IO0 low: a chip that leaves reset now enters its loader
//	 1   1   run, the transistors lock each other out
type Step struct {
	DTR, RTS bool
	Hold     time.Duration
	// Ready ends the hold early when the chip says that its loader waits: IO0
	// need not stay low any longer.
	Ready bool
}

// A Strategy is a sequence of steps that brings the chip into its loader. They
// differ in how long EN stays low, in how long IO0 is held afterwards, which
// must outlast the rise of EN, and in whether the lines pass through states
// that some bridges need (esp32-serial 3.2).
type Strategy struct {
	Name  string
	Steps []Step
}

// Times of the strategies. EN is pulled low by a transistor, quickly; it rises
// through a resistor into a capacitor, in 1 to 100 ms and more.
const (
	shortPulse = 20 * time.Millisecond
	pulse      = 100 * time.Millisecond
	shortHold  = 50 * time.Millisecond
	longHold   = 550 * time.Millisecond
)

// ladder is the order in which strategies are tried, again and again. The first
// one is the fastest where the chip prints its banner: IO0 is released when it
// is seen. The two with a short hold are for circuits in which a held IO0 does
// harm; on others they lose the race (esp32-serial 12).
var ladder = []Strategy{
	{"quick", []Step{{false, true, shortPulse, false}, {true, false, longHold, true}, {false, false, 0, false}}},
	tight("tight 550 ms", longHold, true),
	classic("classic 550 ms", longHold, true),
	tight("tight 50 ms", shortHold, false),
	classic("classic 50 ms", shortHold, false),
}

// tight changes both lines at once, as UNIX systems can.
func tight(name string, hold time.Duration, ready bool) Strategy {
	return Strategy{name, []Step{
		{false, false, 0, false}, {true, true, 0, false}, {false, true, pulse, false},
		{true, false, hold, ready}, {false, false, 0, false},
	}}
}

// classic changes one line after the other, DTR first.
func classic(name string, hold time.Duration, ready bool) Strategy {
	return Strategy{name, []Step{
		{false, false, 0, false}, {false, true, pulse, false}, {true, true, 0, false},
		{true, false, hold, ready}, {false, false, 0, false},
	}}
}

// hardResets are the pulses that restart a chip from flash, tried in turn until
// the banner is seen.
var hardResets = []time.Duration{shortPulse, pulse, pulse}

// apply runs the steps, reading what the chip prints on the way.
func (l *link) apply(ctx context.Context, steps []Step) error {
	for _, step := range steps {
		if err := l.lines(step.DTR, step.RTS); err != nil {
			return err
		}
		until := time.Now().Add(step.Hold)
		for time.Now().Before(until) && !(step.Ready && l.log.ready) {
			if err := l.fill(ctx, until); err != nil && err != errSilent {
				return err
			}
		}
		if step.RTS && !step.DTR {
			l.log.restart() // what came until now was said before the reset
		}
	}
	return nil
}
