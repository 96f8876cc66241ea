package sim

import (
	"context"
	"errors"
	"time"
)

// What our firmware wants of a picture before it sends it: the same as its
// CheckFrame. The OV2640's tables alone are 623 bytes (esp32-wire 4.3).
const (
	minFrame  = 600
	maxFrame  = 1_000_000
	badFrames = 3 // in a row, until the camera is started anew
)

// ErrNoFrame is what a Source returns when the driver gives none: four seconds
// without a picture (esp32-wire 4.7). The sketch crashes on it, the firmware
// starts the camera anew.
var ErrNoFrame = errors.New("no frame")

// capture takes a picture that is worth sending. It is nil when the camera lost
// its supply meanwhile.
func (c *Camera) capture(ctx context.Context, seq uint64, at time.Duration) ([]byte, error) {
	if c.link.cfg.Profile != Firmware {
		return c.cfg.Source.Next(ctx, seq, at)
	}
	var why error
	for range badFrames {
		jpeg, err := c.cfg.Source.Next(ctx, seq, at)
		if err != nil {
			return nil, err
		}
		if !c.powered() {
			return nil, nil
		}
		if why = checkSend(jpeg); why == nil {
			return jpeg, nil
		}
	}
	return nil, why
}

// checkSend says what is wrong with a picture, in the firmware's words.
func checkSend(j []byte) error {
	switch n := len(j); {
	case n < minFrame:
		return errors.New("frame is too small")
	case n > maxFrame:
		return errors.New("frame is too large")
	case j[0] != 0xFF || j[1] != 0xD8:
		return errors.New("frame has no start")
	case j[n-2] != 0xFF || j[n-1] != 0xD9:
		return errors.New("frame has no end")
	}
	return nil
}
