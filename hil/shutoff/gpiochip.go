package shutoff

import (
	"fmt"
	"sync"

	"periph.io/x/conn/v3/gpio"
)

// Line is one line of a GPIO chip as the kernel offers it, in four calls. The
// kernel holds a line only while it is requested: closing it, and any end of the
// process, gives it back, with a level that the controller decides. So does the
// one of [KernelLine], and a fake must.
type Line interface {
	// Request takes the line as an output that has this level from its first
	// moment on. ErrBusy if somebody else has it.
	Request(level gpio.Level) error
	// Set changes the level of a requested line.
	Set(level gpio.Level) error
	// Value reads the line without changing its direction.
	Value() (gpio.Level, error)
	// Close gives the line back.
	Close() error
}

// chipPin is the driver over a Line.
type chipPin struct {
	identity
	mu   sync.Mutex
	line Line
	held bool
}

var _ Pin = (*chipPin)(nil)

// Chip returns the pin that a line of a GPIO chip is. name is for people, number
// the line's offset.
func Chip(line Line, name string, number int) Pin {
	return &chipPin{identity: identity{name, number}, line: line}
}

// Out implements gpio.PinOut. The first one requests the line with its level, so
// that there is no moment in which it is an output with another one.
func (p *chipPin) Out(level gpio.Level) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held {
		if err := p.line.Set(level); err != nil {
			return fmt.Errorf("set %s: %w", p.name, err)
		}
		return nil
	}
	if err := p.line.Request(level); err != nil {
		return fmt.Errorf("request %s: %w", p.name, err)
	}
	p.held = true
	return nil
}

// Level implements Pin.
func (p *chipPin) Level() (gpio.Level, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.held {
		return gpio.Low, ErrNoLevel
	}
	return p.line.Value()
}

// Fits implements Pin: a line can be wired either way.
func (p *chipPin) Fits(gpio.Level) error { return nil }

// Halt implements gpio.PinOut.
func (p *chipPin) Halt() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.held {
		return nil
	}
	p.held = false
	if err := p.line.Close(); err != nil {
		return fmt.Errorf("give back %s: %w", p.name, err)
	}
	return nil
}
