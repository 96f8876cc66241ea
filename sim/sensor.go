package sim

import (
	"bytes"
	"context"
	"image"
	"image/draw"
	"image/jpeg"
	"slices"
	"sync"
	"time"

	"porthole/internal/scene"
)

// Sensor gives the frames of a source as the OV2640 and its driver do, with what
// boards in the field suffer from. It belongs to one camera.
type Sensor struct {
	// Source is what the lens sees.
	Source Source
	// Faults happen once in so many captures.
	Faults Faults
	// Seed is what they are drawn from.
	Seed uint64
	// Fresh is what our firmware makes of the camera: GRAB_LATEST, and the first
	// frames after a start thrown away. Else the two frame buffers fill before the
	// program asks: the first two pictures are in colour and of the start, later
	// ones two captures old (esp32-wire 1.6, 4.6).
	Fresh bool
	// Colors keeps pictures in colour for sensors that see the same ones; nil makes
	// each anew.
	Colors *Colors

	rng   *rng
	count int
	queue [][]byte // the buffers, the oldest first
}

// What the driver waits for.
const (
	frameBuffers = 2
	framePeriod  = 80 * time.Millisecond // of an SVGA picture (esp32-wire 4.7)
	frameTimeout = 4 * time.Second       // esp32-wire 4.7
)

// Tint of a picture in colour: warm light.
const (
	colorQuality = 12
	colorCb      = -3
	colorCr      = 2
)

var _ Source = (*Sensor)(nil)

// Restart is what a new start of the driver does: the buffers are empty and the
// special effect is not set yet.
func (s *Sensor) Restart() { s.count, s.queue = 0, nil }

// Next implements [Source].
func (s *Sensor) Next(ctx context.Context, seq uint64, at time.Duration) ([]byte, error) {
	if s.rng == nil {
		s.rng = newRNG(s.Seed ^ 0x6f76)
	}
	if s.rng.chance(s.Faults.Null) {
		if err := sleepUntil(ctx, time.Now().Add(frameTimeout)); err != nil {
			return nil, err
		}
		return nil, ErrNoFrame
	}
	if s.rng.chance(s.Faults.Overflow) {
		// FB-OVF: the driver drops the picture and takes the next.
		if err := sleepUntil(ctx, time.Now().Add(framePeriod)); err != nil {
			return nil, err
		}
	}
	frame, err := s.Source.Next(ctx, seq, at)
	if err != nil {
		return nil, err
	}
	if !s.Fresh {
		frame = s.stale(frame)
	}
	if s.rng.chance(s.Faults.Cut) {
		frame = frame[:len(frame)-len(frame)/3] // NO-EOI: the end never came
	}
	return frame, nil
}

// stale gives the picture of two captures ago. The first capture fills both
// buffers, before the program has set the special effect.
func (s *Sensor) stale(frame []byte) []byte {
	s.count++
	if s.count == 1 {
		s.queue = nil
		for i := range frameBuffers {
			s.queue = append(s.queue, s.Colors.of(frame, i))
		}
	}
	oldest := s.queue[0]
	s.queue = append(slices.Delete(s.queue, 0, 1), frame)
	return oldest
}

// Colors are pictures in colour, by the gray ones they were made from. It is safe
// for concurrent use, and keeps all of them: for small sets of pictures.
type Colors struct {
	mu   sync.Mutex
	made map[colorKey][]byte
}

type colorKey struct {
	first  *byte
	buffer int
}

func (c *Colors) of(frame []byte, buffer int) []byte {
	if c == nil || len(frame) == 0 {
		return inColor(frame, buffer)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.made == nil {
		c.made = make(map[colorKey][]byte)
	}
	key := colorKey{&frame[0], buffer}
	made, ok := c.made[key]
	if !ok {
		made = inColor(frame, buffer)
		c.made[key] = made
	}
	return made
}

// inColor is a gray picture as the camera takes it without special effect, the
// white balance of each buffer one step further; a picture that this machine cannot
// decode stays as it is.
func inColor(frame []byte, buffer int) []byte {
	img, err := jpeg.Decode(bytes.NewReader(frame))
	if err != nil {
		return frame
	}
	gray := image.NewGray(img.Bounds())
	draw.Draw(gray, gray.Rect, img, img.Bounds().Min, draw.Src)
	return scene.EncodeColor(gray, colorQuality, colorCb+int8(buffer), colorCr)
}
