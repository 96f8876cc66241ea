package shutoff

import (
	"errors"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/physic"
)

// identity is what all pins say about themselves, and what none can do.
type identity struct {
	name   string
	number int
}

func (i identity) String() string   { return i.name }
func (i identity) Name() string     { return i.name }
func (i identity) Number() int      { return i.number }
func (i identity) Function() string { return "OUT" }

// PWM implements gpio.PinOut: a supply is not dimmed.
func (i identity) PWM(gpio.Duty, physic.Frequency) error {
	return errors.New("a shutoff pin has no pulse width modulation")
}

// None is the pin of a bench without one. It stands where a nil would crash, and
// refuses to be switched either way: a camera that cannot be cut is not cut.
type None struct{ identity }

var _ Pin = None{}

// String implements gpio.PinOut.
func (None) String() string { return "none" }

// Out implements gpio.PinOut.
func (None) Out(gpio.Level) error { return ErrNoPin }

// Level implements Pin.
func (None) Level() (gpio.Level, error) { return gpio.Low, ErrNoPin }

// Fits implements Pin.
func (None) Fits(gpio.Level) error { return ErrNoPin }

// Halt implements gpio.PinOut.
func (None) Halt() error { return nil }
