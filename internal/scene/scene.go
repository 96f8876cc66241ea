// Package scene makes the pictures of the simulated camera: a home office with
// somebody at work, seen by an OV2640. A picture depends on the configuration,
// the frame number and the time alone, to the last bit, on every platform, so
// that two runs with one seed and epoch upload identical bytes.
//
// The package also has the two things that make such pictures useful in tests:
// a stamp inside the picture that says which frame it is and when it was taken,
// and an encoder that writes JPEG as that sensor does.
package scene

import (
	"fmt"
	"image"
	"sync"
	"time"
)

// Defaults of Config.
const (
	DefaultWidth    = 800
	DefaultHeight   = 600
	DefaultInterval = 2 * time.Second
	DefaultQuality  = 12
)

// Limits of Config: below the smallest size the clock and the stamp do not
// fit; above the largest no OV2640 goes.
const (
	MinWidth, MinHeight = 160, 120
	MaxWidth, MaxHeight = 1600, 1200
)

// Config says what a scene looks like. The zero value of a field means its
// default; a zero Epoch is 1970-01-01.
type Config struct {
	Seed          uint64
	Epoch         time.Time     // wall clock at scene time 0; milliseconds count
	Width, Height int           // 800 x 600
	Interval      time.Duration // between frames, 2 s; see Scene.Interval
	Quality       int           // of the sensor, 1 (finest) to 63; 12
	Clock         bool          // draw the time of day
	Stamp         bool          // draw the picture stamp
}

// Scene is a room through a camera. Nothing of it changes after New: it may be
// used by any number of goroutines. One at 800x600 holds 2.4 MB and the scratch memory of the
// frames being drawn; whoever simulates
// many cameras shares it.
type Scene struct {
	config Config
	view   *view
	room   *canvas
	cloth  *cloth
	sensor *sensor
	// scratch keeps the working memory of frames, 1.4 MB each, between them.
	// It saves 96 % of what JPEG allocates and 5 % of its processor time.
	scratch sync.Pool
}

// scratch is the working memory of one frame. gray is for JPEG, whose picture
// nobody else sees.
type scratch struct {
	painter
	gray *image.Gray
}

// New draws the parts of the scene that do not move.
func New(c Config) (*Scene, error) {
	if c.Width == 0 && c.Height == 0 {
		c.Width, c.Height = DefaultWidth, DefaultHeight
	}
	if c.Width < MinWidth || c.Width > MaxWidth || c.Height < MinHeight || c.Height > MaxHeight {
		return nil, fmt.Errorf("set scene size: %dx%d is not between %dx%d and %dx%d",
			c.Width, c.Height, MinWidth, MinHeight, MaxWidth, MaxHeight)
	}
	if c.Interval == 0 {
		c.Interval = DefaultInterval
	}
	if c.Interval < time.Millisecond {
		return nil, fmt.Errorf("set scene interval: %v is below 1ms", c.Interval)
	}
	if c.Quality == 0 {
		c.Quality = DefaultQuality
	}
	if c.Quality < 0 || c.Quality > MaxQuality {
		return nil, fmt.Errorf("set scene quality: %d is not between 1 and %d", c.Quality, MaxQuality)
	}
	if c.Epoch.IsZero() {
		c.Epoch = time.Unix(0, 0)
	}
	c.Epoch = c.Epoch.UTC()
	v := newView(c.Width, c.Height)
	s := &Scene{
		config: c,
		view:   v,
		room:   drawRoom(v, c.Seed),
		cloth:  newCloth(hash(c.Seed, 0x636c6f74)),
		sensor: newSensor(v, c.Seed),
	}
	s.scratch.New = func() any {
		return &scratch{
			painter{view: v, lit: make([]uint16, v.w*v.h)},
			image.NewGray(image.Rect(0, 0, v.w, v.h)),
		}
	}
	return s, nil
}

// Config returns the configuration with the defaults filled in.
func (s *Scene) Config() Config { return s.config }

// At returns the scene time of frame seq of a feed that never paused.
func (s *Scene) At(seq uint64) time.Duration { return time.Duration(seq) * s.config.Interval }

// Picture returns the frame with number seq taken at a time since the epoch.
// What is seen follows at; the number only makes the sensor noise and the
// stamp. So a feed that paused goes on with the next number at a later time.
// The caller owns the picture.
func (s *Scene) Picture(seq uint64, at time.Duration) *image.Gray {
	work := s.scratch.Get().(*scratch)
	defer s.scratch.Put(work)
	g := image.NewGray(image.Rect(0, 0, s.view.w, s.view.h))
	s.draw(g, &work.painter, seq, at)
	return g
}

// JPEG returns Picture as the camera would upload it.
func (s *Scene) JPEG(seq uint64, at time.Duration) []byte {
	work := s.scratch.Get().(*scratch)
	defer s.scratch.Put(work)
	s.draw(work.gray, &work.painter, seq, at)
	return EncodeOV2640(work.gray, s.config.Quality)
}

// draw overwrites every pixel of g.
func (s *Scene) draw(g *image.Gray, p *painter, seq uint64, at time.Duration) {
	now := s.config.Epoch.Add(at)
	ms := at.Milliseconds()
	p.light = exposureAt(s.config.Seed, now)
	p.expose(s.room)
	p.drawScreen(newScreenText(s.config.Seed, ms))
	p.drawPerson(s.cloth, poseAt(s.config.Seed, ms))
	s.sensor.capture(g, p.lit, hash(s.config.Seed, int64(seq), int64(at)), p.light.noise)
	if s.config.Clock {
		drawClock(g, now)
	}
	if s.config.Stamp {
		DrawStamp(g, Stamp{Seq: seq, Captured: now})
	}
}
