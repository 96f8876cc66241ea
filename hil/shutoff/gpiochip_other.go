//go:build !linux

package shutoff

import (
	"errors"

	"periph.io/x/conn/v3/gpio"
)

var errNotLinux = errors.New("GPIO chips are Linux's; use rts: with a spare serial adapter")

type noLine struct{}

// KernelLine returns a line that cannot be requested: there are no GPIO chips here.
func KernelLine(chip, line string) Line { return noLine{} }

func (noLine) Request(gpio.Level) error   { return errNotLinux }
func (noLine) Set(gpio.Level) error       { return errNotLinux }
func (noLine) Value() (gpio.Level, error) { return gpio.Low, errNotLinux }
func (noLine) Close() error               { return nil }

// Look reads a line that nobody holds. There are none here.
func Look(chip, line string) (gpio.Level, string, error) { return gpio.Low, "", errNotLinux }
