package shutoff

import (
	"fmt"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/gpio/gpioreg"

	"porthole/internal/cli"
)

// periphPin is any pin that a periph driver has registered. It is never read
// back: drivers there make an output an input to read it (hil 5a), which is what
// a shutoff must not do.
//
// Two things depend on the driver, and the smoke test finds them out: whether Out
// passes through another level first, and what happens to the level when the
// process dies. Drivers that write registers leave it as it is.
type periphPin struct {
	gpio.PinOut
}

var _ Pin = periphPin{}

// Periph returns the registered pin of that name, number or alias.
func Periph(name string) (Pin, error) {
	p := gpioreg.ByName(name)
	if p == nil {
		return nil, cli.Hint(fmt.Errorf("no pin %q is registered", name),
			"only a program that links a periph driver has pins; rig itself links none, use gpiochip:CHIP:LINE")
	}
	return periphPin{p}, nil
}

// Level implements Pin.
func (periphPin) Level() (gpio.Level, error) { return gpio.Low, ErrNoLevel }

// Fits implements Pin.
func (periphPin) Fits(gpio.Level) error { return nil }
