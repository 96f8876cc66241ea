package picture

import (
	"image"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"porthole/internal/frame"
)

// lamp is the light on a place of a room, 1 as usual, in picture number n.
type lamp func(n int, x, y float64) float64

// Of the room in the tests of light: 20 rows of blocks.
const litWidth, litHeight = 240, 160

var litRoom = sync.OnceValue(func() (v []float64) {
	for y := range litHeight {
		for x := range litWidth {
			fx, fy := float64(x), float64(y)
			level := 110 + 50*math.Sin(fx/37)*math.Cos(fy/29) + 20*math.Sin(fx/5+fy/7)
			if x > litWidth/8 && x < litWidth/4 && y > litHeight/8 && y < litHeight/2 {
				level = 28 // a screen that is off
			}
			v = append(v, level)
		}
	}
	return v
})

// lit is the room under a lamp as a sensor sees it, and without its noise.
func lit(n int, l lamp, r *rand.Rand) (seen, clean *image.Gray) {
	seen, clean = flat(litWidth, litHeight, 0), flat(litWidth, litHeight, 0)
	for i, v := range litRoom() {
		v *= l(n, float64(i%litWidth)/litWidth, float64(i/litWidth)/litHeight)
		clean.Pix[i] = uint8(min(v+0.5, 255))
		seen.Pix[i] = uint8(min(max(v+2*r.NormFloat64()+0.5, 0), 255))
	}
	return seen, clean
}

// off is how far the parts of a picture, of 16x16 pixels, are from the truth at
// most, in levels of their mean.
func off(a, b *image.Gray) (most float64) {
	const side = 16
	for y := 0; y+side <= a.Rect.Dy(); y += side {
		for x := 0; x+side <= a.Rect.Dx(); x += side {
			sum := 0
			for v := range side {
				for u := range side {
					i := (y+v)*a.Stride + x + u
					sum += int(a.Pix[i]) - int(b.Pix[i])
				}
			}
			most = max(most, math.Abs(float64(sum))/(side*side))
		}
	}
	return most
}

// mains are bands of an amplitude and a distance in rows, somewhere else in
// every picture.
func mains(amplitude, rows float64, harmonic float64) lamp {
	return func(n int, _, y float64) float64 {
		a := 2*math.Pi*y*litHeight/rows + float64(n)*2.4 // the golden angle
		return 1 + amplitude*(math.Sin(a)+harmonic*math.Sin(2*a+1))
	}
}

// TestLightHeld: what a camera and the mains do to the light is not shown, and
// nothing moves for it.
func TestLightHeld(t *testing.T) {
	const seed, pictures, settled = 1, 30, 6
	drift := func(most, period float64) lamp {
		return func(n int, _, _ float64) float64 { return 1 + most*math.Sin(float64(n)*2*math.Pi/period) }
	}
	for _, tt := range []struct {
		name string
		lamp lamp
		most float64 // levels that a part of the picture may change by
	}{
		{"nothing", func(int, float64, float64) float64 { return 1 }, 0.5},
		{"exposure drifts by 1 %", drift(0.01, 37), 0.5},
		{"exposure hunts by 1.7 % from picture to picture", drift(0.017, 2.3), 0.5},
		{"exposure in steps of 1.8 %", func(n int, _, _ float64) float64 { return 1 + 0.018*float64(n/7%2) }, 0.5},
		{"bands of 0.4 %", mains(0.004, 60, 0), 0.5},
		{"bands of 1.2 %", mains(0.012, 60, 0), 0.5},
		{"bands of 5 %", mains(0.05, 60, 0), 0.5},
		{"bands 57 rows apart, no whole number in the picture", mains(0.012, 57, 0), 0.5},
		{"bands 97 rows apart, fewer than two", mains(0.012, 97, 0), 0.5},
		{"bands 36 rows apart, of a scaled picture", mains(0.012, 36, 0), 0.5},
		{"bands with a harmonic", mains(0.02, 80, 0.3), 0.5},
		{"bands of 1.2 % in the half that has no daylight", func(n int, x, y float64) float64 {
			if x < 0.5 {
				return 1
			}
			return mains(0.012, 60, 0)(n, x, y)
		}, 0.5},
		{"bands and drift", func(n int, x, y float64) float64 {
			return mains(0.012, 60, 0)(n, x, y) * drift(0.015, 20)(n, x, y)
		}, 0.5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 1))
			var with Denoiser
			var before, raw *image.Gray
			var shown, plain float64
			moving := 0
			for n := range pictures {
				g, clean := lit(n, tt.lamp, r)
				m := with.Apply(g, steps12())
				if n > settled {
					shown, plain = max(shown, off(g, before)), max(plain, off(clean, raw))
					moving = max(moving, m)
				}
				before, raw = g, clean
			}
			t.Logf("from picture to picture a part changes by %.2f levels, in the room's light by %.2f; %d of 1000 blocks move at most", shown, plain, moving)
			if shown > tt.most {
				t.Errorf("seed %d: a part of the picture changes by %.2f levels, want at most %.2f", seed, shown, tt.most)
			}
			if moving > 10 {
				t.Errorf("seed %d: %d of 1000 blocks move in a room at rest", seed, moving)
			}
		})
	}
}

// TestLightShown: what happens to the light of a room is shown, a change that is
// not the same everywhere or more than a few percent in the next picture, and
// what lasts in the end.
func TestLightShown(t *testing.T) {
	const seed, from = 2, 12
	after := func(l lamp) lamp {
		return func(n int, x, y float64) float64 {
			if n < from {
				return 1
			}
			return l(n-from, x, y)
		}
	}
	uniform := func(by float64) lamp { return func(int, float64, float64) float64 { return by } }
	for _, tt := range []struct {
		name     string
		lamp     lamp
		pictures int     // after the change
		most     float64 // levels that a part may be off then, and from then on
	}{
		{"lamp switched on", after(uniform(1.4)), 1, 2.5},
		{"lamp switched off", after(uniform(0.6)), 1, 2.5},
		{"lamp with a glow", after(func(_ int, x, y float64) float64 {
			return 1.04 + 0.5*math.Exp(-8*((x-0.7)*(x-0.7)+(y-0.3)*(y-0.3)))
		}), 1, 4},
		{"a brighter bulb, 3 %", after(uniform(1.03)), 1, 1.5},
		{"a brighter bulb, 8 %", after(uniform(1.08)), 1, 2.5},
		{"exposure in one step of 5 %", after(uniform(1.05)), 1, 2.5},
		{"lamp in the upper half", after(func(_ int, _, y float64) float64 {
			if y < 0.5 {
				return 1.1
			}
			return 1
		}), 1, 4},
		{"a shadow over the lower half", after(func(_ int, _, y float64) float64 {
			if y > 0.5 {
				return 0.93
			}
			return 1
		}), 1, 4},
		{"a slope of light from top to bottom", after(func(_ int, _, y float64) float64 { return 0.9 + 0.2*y }), 1, 4},
		{"sun on a quarter", after(func(_ int, x, y float64) float64 {
			if x > 0.5 && y > 0.5 {
				return 1.2
			}
			return 1
		}), 1, 4},
		{"somebody in dark clothes", after(func(n int, x, y float64) float64 {
			if math.Hypot(x-0.3-0.02*float64(n), y-0.6) < 0.2 {
				return 0.4
			}
			return 1
		}), 1, 4},
		{"somebody in dark clothes, and the exposure follows", after(func(n int, x, y float64) float64 {
			if math.Hypot(x-0.3-0.02*float64(n), y-0.6) < 0.2 {
				return 0.4 * 1.12
			}
			return 1.12
		}), 1, 4},
		{"lamp on under bands", func(n int, x, y float64) float64 {
			return after(uniform(1.4))(n, x, y) * mains(0.01, 60, 0)(n, x, y)
		}, 1, 5},
		{"dusk, 1 % a picture", after(func(n int, _, _ float64) float64 { return math.Pow(0.99, float64(min(n, 50))) }), 0, 4.5},
		{"dusk, 4 % a picture", after(func(n int, _, _ float64) float64 { return math.Pow(0.96, float64(min(n, 20))) }), 0, 4.5},
		{"1.8 % that stay", after(uniform(1.018)), 150, 1.2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 1))
			var d Denoiser
			worst := 0.0
			for n := range from + tt.pictures + 20 {
				g, clean := lit(n, tt.lamp, r)
				d.Apply(g, steps12())
				if n >= from+tt.pictures {
					if o := off(g, clean); o > worst {
						worst = o
						t.Logf("picture %d: off by %.2f", n-from, o)
					}
				}
			}
			if worst > tt.most {
				t.Errorf("seed %d: a part of the picture is off by %.2f levels, want at most %.2f", seed, worst, tt.most)
			}
		})
	}
}

// TestLightRests: while the light is steady nothing is corrected, whatever else
// happens: the pictures are to the last bit those without this step.
func TestLightRests(t *testing.T) {
	for _, tt := range []struct {
		name string
		lamp lamp
	}{
		{"nothing", func(int, float64, float64) float64 { return 1 }},
		{"somebody walks by", func(n int, x, y float64) float64 {
			if math.Hypot(x-0.02*float64(n), y-0.6) < 0.2 {
				return 0.4
			}
			return 1
		}},
		{"a text scrolls", func(n int, x, y float64) float64 {
			if x < 0.4 && y < 0.6 {
				return 1 + 0.3*math.Sin(40*y+float64(n))
			}
			return 1
		}},
		{"a blind moves in a window", func(n int, x, y float64) float64 {
			if x > 0.5 && y < 0.8 {
				return 1 + 0.1*math.Sin(30*y+float64(n))
			}
			return 1
		}},
	} {
		for seed := range uint64(5) {
			r := rand.New(rand.NewPCG(seed, 3))
			var d Denoiser
			for n := range 15 {
				g, _ := lit(n, tt.lamp, r)
				d.Apply(g, steps12())
				for y, e := range d.light.excess {
					if e != 0 {
						t.Fatalf("%s, seed %d: in picture %d row %d is taken for brighter by %.2f %%", tt.name, seed, n, y, float64(e)*100/lightOne)
					}
				}
			}
		}
	}
}

// TestLightMasks: a feed whose light is being held never depends on a masked
// pixel, and masks stay as they are.
func TestLightMasks(t *testing.T) {
	for seed := range uint64(6) {
		r := rand.New(rand.NewPCG(seed, 4))
		size := image.Pt(litWidth, litHeight)
		cfg := Config{Camera: size, Masks: randomRects(r, size, 3), Denoise: true, Normalize: seed%2 == 1}
		for i, m := range cfg.Masks { // part of the rows, so that they could decide
			cfg.Masks[i] = m.Intersect(image.Rect(0, 0, litWidth/2, litHeight))
			if cfg.Masks[i].Empty() {
				cfg.Masks[i] = image.Rect(40, 8, 100, 150)
			}
		}
		one, other := newPipeline(t, cfg), newPipeline(t, cfg)
		masks := NewMasks(size, cfg.Masks)
		held := 0
		for n := range 8 {
			a, _ := lit(n, func(n int, x, y float64) float64 {
				return mains(0.02, 60, 0)(n, x, y) * (1 + 0.02*math.Sin(float64(n))) * (1 + 0.05*float64(n/5))
			}, r)
			b := Crop(a, image.Rectangle{})
			for i := range b.Pix {
				if masks.covers(i%b.Stride, i/b.Stride) { // with other bands, in another light
					b.Pix[i] = uint8(min(255, float64(b.Pix[i])*mains(0.1, 45, 0)(n, 0, float64(i/b.Stride)/litHeight)))
				}
			}
			resA, errA := one.process(a, steps12())
			resB, errB := other.process(b, steps12())
			if x, y := outcome(resA, errA), outcome(resB, errB); x != y {
				t.Fatalf("seed %d, picture %d, %+v: what is behind the mask shows", seed, n, cfg)
			}
			level := resA.Picture.Pix[cfg.Masks[0].Min.Y*litWidth+cfg.Masks[0].Min.X]
			for i, v := range resA.Picture.Pix {
				if masks.covers(i%litWidth, i/litWidth) && (v != level || !cfg.Normalize && v != maskLevel) {
					t.Fatalf("seed %d, picture %d: the mask has level %d", seed, n, v)
				}
			}
			if slices.Max(one.denoiser.light.excess) > 0 {
				held++
			}
		}
		if held < 4 {
			t.Errorf("seed %d: the light was held in %d pictures only", seed, held)
		}
	}
}

// TestLightRevoked: what comes after a frame that was taken back does not depend
// on it, also if it was a step of the light.
func TestLightRevoked(t *testing.T) {
	run := func(dropped float64) (out []string) {
		r, other := rand.New(rand.NewPCG(1, 5)), rand.New(rand.NewPCG(2, 5))
		p := newPipeline(t, Config{Denoise: true})
		for n := range 8 {
			g, _ := lit(n, mains(0.01, 60, 0), r)
			if n == 5 && dropped != 0 {
				g, _ := lit(n, func(int, float64, float64) float64 { return dropped }, other)
				a, err := p.admit(g, steps12(), frame.Info{Width: litWidth, Height: litHeight})
				if err != nil {
					t.Fatal(err)
				}
				renderIn(t, p, a, Manner{Revocable: true})
				p.Revoke()
			}
			out = append(out, outcome(p.process(g, steps12())))
		}
		return out
	}
	want := run(0)
	for _, dropped := range []float64{1.02, 1.06, 1.5} {
		for i, got := range run(dropped) {
			if got != want[i] {
				t.Errorf("picture %d depends on a frame with %.2f of the light that was taken back", i, dropped)
			}
		}
	}
}

// TestLightBounds: no correction takes a level out of a byte, or past another,
// and none touches a mask.
func TestLightBounds(t *testing.T) {
	var l light
	l.reset(8, 1)
	for e := int32(-lightMost); e <= lightMost; e += 13 {
		l.excess[0] = e * lightOne / (lightOne + e)
		var c [256]int32
		l.corrections(0, &c)
		state := make([]int32, 256)
		for v := range state {
			state[v] = int32(v) << stateBits
		}
		brighten(state, e)
		for v := range int32(256) {
			got := v<<stateBits - c[v]
			if got < 0 || got > 255<<stateBits || state[v] < 0 || state[v] > 255<<stateBits {
				t.Fatalf("excess %d: level %d becomes %d, the mean %d", e, v, got, state[v])
			}
			if v > 0 && (got < (v-1)<<stateBits-c[v-1] || state[v] < state[v-1]) {
				t.Fatalf("excess %d: level %d passes the one below", e, v)
			}
			if v <= 2*maskLevel && (c[v] != 0 || state[v] != v<<stateBits) {
				t.Fatalf("excess %d: a mask of level %d changes", e, v)
			}
		}
	}
}

// TestSine against the definition.
func TestSine(t *testing.T) {
	for a := uint64(0); a < 1<<32; a += 1<<18 + 7 {
		want := 16384 * math.Sin(float64(a)/(1<<32)*2*math.Pi)
		if got := float64(sine(uint32(a))); math.Abs(got-want) > 6 {
			t.Fatalf("sine of %d/2^32 turns is %.0f, want %.1f", a, got, want)
		}
	}
}

// TestFindWaves: the wave that is there, to what the rows' own errors allow, and
// none in noise, in a step, a slope, or a single row.
func TestFindWaves(t *testing.T) {
	for _, tt := range []struct {
		name  string
		rows  int
		at    func(y float64) float64 // per cent, y in rows of pixels
		waves int
		all   float64 // that is no wave
	}{
		{"one", 75, func(y float64) float64 { return 0.5 * math.Sin(2*math.Pi*y/150) }, 1, 0},
		{"weak", 75, func(y float64) float64 { return 0.2 * math.Sin(2*math.Pi*y/131) }, 1, 0},
		{"strong", 75, func(y float64) float64 { return 9 * math.Sin(2*math.Pi*y/187+2) }, 1, 0},
		{"two", 75, func(y float64) float64 { return math.Sin(2*math.Pi*y/150) + 0.4*math.Sin(2*math.Pi*y/75) }, 2, 0},
		{"in another light", 37, func(y float64) float64 { return 2 + math.Cos(2*math.Pi*y/168) }, 1, 2},
		{"noise", 75, func(float64) float64 { return 0 }, 0, 0},
		{"a step", 75, func(y float64) float64 { return 4 * math.Floor(y/300) }, 0, 0},
		{"a slope", 75, func(y float64) float64 { return y / 100 }, 0, 0},
		{"one row", 75, func(y float64) float64 {
			if y > 200 && y < 208 {
				return 8
			}
			return 0
		}, 0, 0},
		{"few rows", 15, func(y float64) float64 { return math.Sin(2 * math.Pi * y / 60) }, 0, 0},
		{"weaker than the noise", 75, func(y float64) float64 { return 0.05 * math.Sin(2*math.Pi*y/150) }, 0, 0},
	} {
		for seed := range uint64(20) {
			r := rand.New(rand.NewPCG(seed, 6))
			rows := make([]rowFit, tt.rows)
			for y := range rows {
				e := tt.at(float64(8*y)+3.5) + 0.08*r.NormFloat64()
				rows[y] = rowFit{int32(e * lightOne / 100), int32(20 + r.IntN(80))}
				if r.IntN(12) == 0 {
					rows[y] = rowFit{}
				}
			}
			waves := findWaves(rows)
			if len(waves) != tt.waves {
				t.Errorf("%s, seed %d: %d waves, want %d: %v", tt.name, seed, len(waves), tt.waves, waves)
				break
			}
			for y := 0; y < 8*tt.rows && tt.waves > 0; y++ {
				e := 0.0
				for _, w := range waves {
					e += float64(w.at(y)) * 100 / lightOne
				}
				if d := e + tt.all - tt.at(float64(y)); math.Abs(d) > 0.2 {
					t.Errorf("%s, seed %d: in row %d they are off by %.2f %%", tt.name, seed, y, d)
					break
				}
			}
		}
	}
}
