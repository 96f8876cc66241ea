// Package shutoff cuts the supply of a camera, and never gives it by accident.
//
//	Switch   on for a while, off, tripped; logs every edge
//	Pin      what a Switch moves: a periph gpio.PinOut that can be let go of
//	Open     a Pin by its name:
//
//	gpiochip:CHIP:LINE   a line of a Linux GPIO chip
//	rts:PORT             RTS and DTR of a spare serial adapter
//	periph:NAME          a pin that a periph driver has registered
//	none                 no pin: refuses to be switched
//
// # What makes it safe
//
// The wiring is such that nothing driven means camera off (docs/wiring.md);
// software only ever adds to that. In the order in which things go wrong:
//
//	the program forgets      the lease of On ends, the Switch cuts by itself
//	it returns or panics     Close cuts; use defer
//	it dies                  the system lets go of the line, the wiring cuts
//	the adapter is pulled    the wiring cuts
//	the pin does not obey    the Switch lets go of it and latches
//
// A pin's safe level is the one at which the camera is off, and depends on the
// wiring alone. It has no default: a guess would be wrong every second time.
package shutoff

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"periph.io/x/conn/v3/gpio"
)

// Pin is an output that a Switch can move. Out makes it an output with the given
// level in one step, if it is none yet: a pin that passes through another level
// first switches the camera on for a moment. Halt lets go of it, after which the
// wiring decides; Out may follow again.
//
// A Pin belongs to one Switch, which calls it from one goroutine at a time.
type Pin interface {
	gpio.PinOut
	// Level reads back what is driven, without changing the direction.
	// ErrNoLevel if the driver cannot.
	Level() (gpio.Level, error)
	// Fits tells what is wrong with a safe level on this pin, if anything.
	Fits(safe gpio.Level) error
}

// Safe is the level of the pin at which the camera is off. The zero value means
// that nobody has said so yet.
type Safe string

// The safe levels. A pin that is active high is safe low, and the other way round.
const (
	SafeLow  Safe = "low"
	SafeHigh Safe = "high"
)

// level returns the safe level and the one that switches the camera on.
func (s Safe) level() (off, on gpio.Level, err error) {
	switch s {
	case SafeLow:
		return gpio.Low, gpio.High, nil
	case SafeHigh:
		return gpio.High, gpio.Low, nil
	case "":
		return false, false, ErrNoSafe
	}
	return false, false, fmt.Errorf("safe level %q: want low or high", string(s))
}

// Errors a caller may branch on.
var (
	ErrNoSafe  = errors.New("the safe level of the pin is not configured")
	ErrNoPin   = errors.New("no shutoff pin is configured")
	ErrNoLevel = errors.New("the pin cannot be read back")
	ErrTripped = errors.New("the shutoff is tripped")
	ErrExpired = errors.New("the lease has ended")
	ErrClosed  = errors.New("the shutoff is closed")
	ErrBusy    = errors.New("the pin is in use")
)

// MaxLease is the longest time that one On or Renew keeps the camera on.
const MaxLease = 24 * time.Hour

// State is what a Switch knows about the camera's supply.
type State string

// The states.
const (
	Off State = "off"
	On  State = "on"
	// Unknown means that the pin did not obey. The wiring has been given the
	// word, and the switch is tripped.
	Unknown State = "unknown"
)

// Edge is one attempt to move the pin, whether it worked or not. As JSON it is
// one line of a log.
type Edge struct {
	Seq    uint64        // from 1
	Wall   time.Time     // when it was asked for, by the clock on the wall
	Mono   time.Duration // the same since New, by the monotonic clock
	Took   time.Duration // until the driver said that it was done
	Level  gpio.Level    // of the pin
	Camera State         // what it means
	Why    string
	Err    error // nil: done
}

// MarshalJSON implements json.Marshaler.
func (e Edge) MarshalJSON() ([]byte, error) {
	line := struct {
		Seq    uint64    `json:"seq"`
		Wall   time.Time `json:"wall"`
		Mono   int64     `json:"mono_ns"`
		Took   int64     `json:"took_ns"`
		Level  string    `json:"level"`
		Camera State     `json:"camera"`
		Why    string    `json:"why"`
		Err    string    `json:"error,omitempty"`
	}{e.Seq, e.Wall.Round(0), int64(e.Mono), int64(e.Took), levelName(e.Level), e.Camera, e.Why, ""}
	if e.Err != nil {
		line.Err = e.Err.Error()
	}
	return json.Marshal(line)
}

// String is the edge for people.
func (e Edge) String() string {
	s := fmt.Sprintf("%s +%.6fs camera %s (pin %s, %v): %s", e.Wall.Format("15:04:05.000000"), e.Mono.Seconds(), e.Camera, levelName(e.Level), e.Took.Round(time.Microsecond), e.Why)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func levelName(l gpio.Level) string {
	if l == gpio.High {
		return "high"
	}
	return "low"
}
