package shutoff

import (
	"errors"
	"fmt"
	"sync"

	"periph.io/x/conn/v3/gpio"

	"porthole/hil"
	"porthole/internal/cli"
)

// rtsPin is made of RTS and DTR of a spare serial adapter. One line alone would
// not be safe, since opening a port asserts both; two transistors make of them a
// switch that is on for one combination of four (esp32-wire 5.3, hil 5a):
//
//	DTR RTS  camera
//	 0   0   off: released, or the process is gone
//	 1   1   off: just opened by Linux
//	 1   0   off: on the way
//	 0   1   on
type rtsPin struct {
	identity
	mu    sync.Mutex
	port  hil.Port
	known bool // the lines are as we set them
}

var _ Pin = (*rtsPin)(nil)

// hangUpper is a local port, whose lines stay as they are when its process dies
// unless it is told to let them fall.
type hangUpper interface{ SetHangUp(on bool) error }

// RTS returns the pin made of the reset lines of a port, which it owns from then
// on, also when it fails. High is on.
func RTS(port hil.Port, name string) (Pin, error) {
	if h, ok := port.(hangUpper); ok {
		if err := h.SetHangUp(true); err != nil {
			return nil, errors.Join(fmt.Errorf("make %s fail-safe: %w", name, err), port.Close())
		}
	}
	return &rtsPin{identity: identity{name, -1}, port: port}, nil
}

// Out implements gpio.PinOut.
func (p *rtsPin) Out(level gpio.Level) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.port == nil {
		return fmt.Errorf("set %s: %w", p.name, ErrClosed)
	}
	if !p.known {
		// Both may be asserted. A far end that moves one line after the other
		// could pass through "on" from there, but not by way of DTR alone.
		if err := p.set(true, false); err != nil {
			return err
		}
		p.known = true
	}
	return p.set(false, level == gpio.High)
}

func (p *rtsPin) set(dtr, rts bool) error {
	err := p.port.SetLines(dtr, rts)
	if err == nil {
		return nil
	}
	p.known = false
	err = fmt.Errorf("set %s: %w", p.name, err)
	if errors.Is(err, hil.ErrNoLines) {
		err = cli.Hint(err, "take a port with DTR and RTS: a USB adapter, or rfc2217://")
	}
	return err
}

// Level implements Pin: a port does not say how its outputs are.
func (p *rtsPin) Level() (gpio.Level, error) { return gpio.Low, ErrNoLevel }

// Fits implements Pin. The circuit says what is safe.
func (p *rtsPin) Fits(safe gpio.Level) error {
	if safe == gpio.High {
		return errors.New("safe level high does not fit RTS and DTR: every port that is just opened, and every one that is not, would switch the camera on")
	}
	return nil
}

// Halt implements gpio.PinOut: it releases both lines and closes the port.
func (p *rtsPin) Halt() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.port == nil {
		return nil
	}
	err := p.port.SetLines(false, false)
	err = errors.Join(err, p.port.Close())
	p.port = nil
	if err != nil {
		return fmt.Errorf("release %s: %w", p.name, err)
	}
	return nil
}
