// Package picture turns a frame as a camera uploaded it into the picture that
// may be shown: it stands between ingest and publication, runs once per frame,
// and lets no uploaded byte through.
//
//	     ╭───── Pipeline.Admit ────╮        ╭───────── Pipeline.Render ─────────╮
//	JPEG ─ decode ─ mask ───── tail ─ Admitted ─ crop ─ downscale ─ gain ─ denoise ─ encode ─ JPEG
//	       Decode  Masks.Burn  CheckTail         Crop   Downscale   Gain   Denoiser  Encoder
//
// A frame is admitted when it arrives and rendered when it is published; it may
// be held back, recorded or dropped in between. Every stage takes and returns an
// [image.Gray] and can be used alone. All of it is integer arithmetic, so that
// one input gives one output on every platform.
//
// # What masks promise
//
// Masks are burned in right behind the decoder, before a pixel is looked at:
// also the check for a cut picture, the gain and the denoiser see the mask
// colour only. So what leaves the pipeline, errors included, depends on the
// decoded pixels outside of the masks and on nothing inside of them.
//
// A decoded pixel outside of a mask can still depend on what the camera saw
// inside of it, where both lie in one block of the camera's JPEG: quantisation
// spreads an edge over its whole 8x8 block (ringing). Masks are therefore grown
// outward to the camera's 16x8 coding units (esp32-wire 4.3). Beyond a unit a
// JPEG spreads no luma. Frames whose luma is not that of a JPEG in YCbCr at
// full resolution are refused while there are masks.
//
// The length of a picture's scan and the state of a camera's automatic exposure
// depend on everything the sensor sees. Neither is passed on: the picture is
// encoded anew, and [Config].Normalize removes most of the exposure.
package picture

import (
	"fmt"
	"image"
	"sync"
)

// Bounds of Config.
const (
	// DefaultQuality is what the sketch asks its camera for. With the camera's
	// own quality number an uncropped picture is requantised on the steps it
	// was quantised with, which costs next to nothing; steps slightly different
	// cost both bytes and quality.
	DefaultQuality = 12
	MaxQuality     = 63
	maxSide        = 1<<16 - 1 // what a JPEG can express
	maxMasks       = 64
)

// Config says what is done to a picture. Rectangles are in pixels of the
// camera's picture, half open as usual in Go.
type Config struct {
	// Camera is the size of the pictures the camera sends. With it a picture of
	// another size is refused; masks and crop need it, because on a picture of
	// another size they would cover something else.
	Camera image.Point
	// Masks are painted over, grown to the camera's coding units.
	Masks []image.Rectangle
	// Crop is the part to keep; empty keeps everything.
	Crop image.Rectangle
	// Width to scale down to, keeping the shape; 0 or not below the picture's
	// width leaves the size as it is.
	Width int
	// Normalize pulls the brightness slowly towards a canonical mean.
	Normalize bool
	// Denoise averages over time what does not move, and holds the light: what
	// automatic exposure and the mains do to the whole picture is taken out.
	Denoise bool
	// Quality is the quantiser in the numbers of the OV2640: Annex K times
	// Quality/16, 1 (finest) to 63; 0 means DefaultQuality.
	Quality int
	// WebP says that there is a second rendition, for browsers that ask for it: a
	// third of the bytes, for ten times the work of the JPEG.
	WebP bool
	// Turn, if set, is shared by pipelines that must not decode at the same
	// time, which bounds the memory of all of them to that of one picture.
	Turn *sync.Mutex
}

// check fills in defaults, or says which field is wrong.
func (c *Config) check() error {
	if c.Quality == 0 {
		c.Quality = DefaultQuality
	}
	whole := image.Rectangle{Max: c.Camera}
	switch {
	case c.Quality < 1 || c.Quality > MaxQuality:
		return fmt.Errorf("set picture quality: %d is not between 1 and %d", c.Quality, MaxQuality)
	case c.Width < 0 || c.Width > maxSide:
		return fmt.Errorf("set picture width: %d is not between 0 and %d", c.Width, maxSide)
	case c.Camera != image.Point{} && (c.Camera.X < 1 || c.Camera.Y < 1 || c.Camera.X > maxSide || c.Camera.Y > maxSide):
		return fmt.Errorf("set camera size: %dx%d is not between 1x1 and %dx%d", c.Camera.X, c.Camera.Y, maxSide, maxSide)
	case whole.Empty() && (len(c.Masks) > 0 || c.Crop != image.Rectangle{}):
		return fmt.Errorf("set masks or crop: the camera's picture size is not given")
	case len(c.Masks) > maxMasks:
		return fmt.Errorf("set masks: %d, at most %d", len(c.Masks), maxMasks)
	case c.Crop != image.Rectangle{} && (c.Crop.Empty() || !c.Crop.In(whole)):
		return fmt.Errorf("set crop: %v is not a part of the camera's %v", c.Crop, whole)
	}
	for i, m := range c.Masks {
		// Out of the picture is a typing error, and a mask that is not where
		// its owner believes protects nothing.
		if m.Empty() || !m.In(whole) {
			return fmt.Errorf("set mask %d: %v is not a part of the camera's %v", i+1, m, whole)
		}
	}
	return nil
}

// Result is a picture that may be shown. Nothing of it is shared with the
// pipeline.
type Result struct {
	// JPEG is the original rendition: baseline, one component.
	JPEG []byte
	// WebP is another rendition of it; nil where there is none.
	WebP []byte
	// Picture is what JPEG encodes, for other renditions. Its origin is (0, 0)
	// and its rows are adjacent. It is nil after a pass-through.
	Picture *image.Gray
	// Width and Height of both.
	Width, Height int
	// Mean is the trimmed mean brightness of the input outside of the masks,
	// 0..255, before the gain.
	Mean uint8
	// Moving is the share of blocks that moved, in permille: 1000 for the first
	// picture, and always without Denoise.
	Moving int
}
