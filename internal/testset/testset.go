// Package testset makes the pictures that the delta codec is measured on: a
// desk with a person, a screen and a hand, as an ideal camera would see it, and
// the JPEGs that a small camera makes of that. It is a port of the scene the
// project's bandwidth figures were first measured on, number for number, so
// that they can be reproduced, and its further scenes change one thing each.
//
// There is no stamp and no clock in these pictures. They are synthetic: a room
// of real things behind a real sensor costs two to four times the bytes.
package testset

import (
	"image"
	"iter"
	"math"
	"strings"

	"porthole/internal/scene"
)

// Size of every picture.
const (
	Width  = 800
	Height = 600
)

// Period is the number of seconds between two frames.
const Period = 2

// Scene says what happens before the camera.
type Scene struct {
	Name string
	// Text is what it is good for, in one line.
	Text                 string
	Person, Screen, Hand bool
	// Drift is how far the automatic exposure wanders (1 = like the first
	// measurements: steps of about 1 %, a slow wave of 0.8 %).
	Drift float64
	// Banding is the amplitude of the mains' light and dark bands, 1 = 0.4 %.
	Banding float64
	// Light scales the whole picture, 1 by day.
	Light float64
	// Noise is the standard deviation of the sensor's noise at mid grey.
	Noise float64
	// Seed draws other movements and other noise; 0 is that of the first
	// measurements.
	Seed uint32
}

const noise = 2.5

// Scenes are all scenes. The first is the one the headline figures mean.
var Scenes = []Scene{
	{Name: "desk", Text: "person, screen and hand at fixed exposure", Person: true, Screen: true, Hand: true, Light: 1, Noise: noise},
	{Name: "exposure", Text: "the same with drifting exposure and mains banding", Person: true, Screen: true, Hand: true, Drift: 1, Banding: 1, Light: 1, Noise: noise},
	{Name: "banding", Text: "an empty room under a lamp with strong mains banding", Banding: 3, Light: 1, Noise: noise},
	{Name: "person", Text: "only the person moves", Person: true, Light: 1, Noise: noise},
	{Name: "screen", Text: "only the screen scrolls", Screen: true, Light: 1, Noise: noise},
	{Name: "hand", Text: "only the hand moves, in every frame", Hand: true, Light: 1, Noise: noise},
	{Name: "static", Text: "nothing moves but the sensor's noise", Light: 1, Noise: noise},
	{Name: "night", Text: "a sixth of the light, noise at full gain", Person: true, Screen: true, Light: 0.16, Noise: 2 * noise},
}

// Find returns the scene of a name.
func Find(name string) (Scene, bool) {
	for _, s := range Scenes {
		if s.Name == name {
			return s, true
		}
	}
	return Scene{}, false
}

// Names lists the scenes' names.
func Names() string {
	var names []string
	for _, s := range Scenes {
		names = append(names, s.Name)
	}
	return strings.Join(names, ", ")
}

// Frame is one moment.
type Frame struct {
	// Clean is what an ideal camera sees; it is the truth that quality is
	// measured against.
	Clean *image.Gray
	// Steady is what it would see at fixed exposure and without the mains: what
	// happens before the camera. What moves is what moves there. It is Clean
	// itself in scenes without either.
	Steady *image.Gray
	// JPEG is what the camera sends.
	JPEG []byte
}

// cameraBytes is how long the first frame's JPEG is at least: the camera's
// quality is chosen for it.
const cameraBytes = 25_000

// Frames yields the first n frames of a scene. The same call yields the same
// frames.
func (s Scene) Frames(n int) iter.Seq2[int, Frame] {
	return func(yield func(int, Frame) bool) {
		grain := sensor(77)
		r := newSource(9 + s.Seed)
		quality := 0
		i := 0
		for m := range s.moments(n) {
			clean := m.clean
			f := Frame{Clean: clean.gray()}
			f.Steady = f.Clean
			if m.steady != clean {
				f.Steady = m.steady.gray()
			}
			raw := expose(clean, grain, r, s.Noise).gray()
			if quality == 0 {
				for quality = 30; quality < 96 && len(encode(raw, quality)) < cameraBytes; quality++ {
				}
			}
			f.JPEG = encode(raw, quality)
			if !yield(i, f) {
				return
			}
			i++
		}
	}
}

// moment is an ideal picture, and the same in steady light.
type moment struct{ clean, steady *field }

// moments yields the ideal pictures. Everything is drawn from the source in
// every scene, so that scenes differ in what they show only.
func (s Scene) moments(n int) iter.Seq[moment] {
	return func(yield func(moment) bool) {
		r := newSource(5 + s.Seed)
		var px, py float64
		gain, pose := 1.0, 0
		for t := range n {
			if r.float64() < 0.5 {
				px += 3 * r.normal()
				py += 1.5 * r.normal()
				pose = t
			}
			if r.float64() < 0.06 {
				px += 25 * r.normal()
			}
			px, py = min(max(px*0.97, -60), 60), min(max(py*0.97, -12), 12)
			hx := 300 + 40*r.normal()
			hy := 462 + 10*r.normal()
			a := room().clone()
			if s.Screen {
				screen(a, t/8)
			}
			if s.Person {
				person(a, px, py, pose)
			}
			if s.Hand {
				hand(a, hx, hy)
			}
			finish := func(a *field) *field {
				if s.Light != 1 {
					a.scale(s.Light)
				}
				return a.gauss(0.8, 0.8).clip()
			}
			var m moment
			if s.Drift > 0 || s.Banding > 0 {
				m.steady = finish(a.clone())
				if r.float64() < 0.05 {
					gain *= 1 + s.Drift*0.012*r.normal()
				}
				g := gain * (1 + s.Drift*0.008*math.Sin(2*math.Pi*float64(t)/37))
				phase := r.float64()
				for y := range Height {
					by := g * (1 + s.Banding*0.004*math.Sin(2*math.Pi*(float64(y)/150+phase)))
					for x := range a.row(y) {
						a.row(y)[x] *= by
					}
				}
			}
			m.clean = finish(a)
			if m.steady == nil {
				m.steady = m.clean
			}
			if !yield(m) {
				return
			}
		}
	}
}

// sensor is the gain of each pixel: half a percent of fixed pattern.
func sensor(seed uint32) *field {
	f := newSource(seed).normals(Width, Height)
	for i, v := range f.v {
		f.v[i] = 1 + 0.005*v
	}
	return f
}

// expose is what the sensor makes of a picture: noise that grows with the light
// as photons have it, a little correlated as after demosaicing.
func expose(clean, grain *field, r *source, sigma float64) *field {
	n := r.normals(Width, Height).gauss(0.6, 0.6)
	scale := sigma / n.std(Width, Height)
	for i, c := range clean.v {
		n.v[i] = c*grain.v[i] + scale*math.Sqrt((c+20)/140)*n.v[i]
	}
	return n.clip()
}

// encode is the camera's JPEG at a quality of the usual 1..100 scale, from 50.
func encode(g *image.Gray, quality int) []byte {
	scale := 200 - 2*quality
	if quality < 50 {
		scale = 5000 / quality
	}
	return scene.EncodeScaled(g, scale)
}
