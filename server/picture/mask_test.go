package picture

import (
	"bytes"
	"fmt"
	"image"
	"math/rand/v2"
	"testing"

	"porthole/internal/scene"
)

// randomRects returns up to n rectangles inside of size.
func randomRects(r *rand.Rand, size image.Point, n int) []image.Rectangle {
	rects := make([]image.Rectangle, r.IntN(n)+1)
	for i := range rects {
		x, y := r.IntN(size.X), r.IntN(size.Y)
		rects[i] = image.Rect(x, y, x+1+r.IntN(size.X-x), y+1+r.IntN(size.Y-y))
	}
	return rects
}

// outcome is everything that Process tells the world about one picture.
func outcome(r Result, err error) string {
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%x %x %x %d %d %d %d", r.JPEG, r.WebP, r.Picture.Pix, r.Width, r.Height, r.Mean, r.Moving)
}

// TestMaskedPixelsNeverMatter is the property that masks promise: two feeds
// that differ in masked pixels only, picture after picture, through every stage
// that keeps a state, are the same in every byte and in every error.
func TestMaskedPixelsNeverMatter(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		size := image.Pt(1+r.IntN(70), 1+r.IntN(50))
		cfg := Config{Camera: size, Masks: randomRects(r, size, 4), Quality: 1 + r.IntN(30),
			WebP: r.IntN(2) == 0, Normalize: r.IntN(2) == 0, Denoise: r.IntN(2) == 0, Width: r.IntN(2) * (1 + r.IntN(size.X))}
		if r.IntN(2) == 0 {
			cfg.Crop = randomRects(r, size, 1)[0]
		}
		one, other := newPipeline(t, cfg), newPipeline(t, cfg)
		masks := NewMasks(size, cfg.Masks)
		changed := 0
		for n := range 5 {
			a := grain(size.X, size.Y, seed*10+uint64(n))
			if n == 3 { // a cut picture: the error must not depend on them either
				a = flat(size.X, size.Y, missing)
			}
			b := flat(size.X, size.Y, 0)
			copy(b.Pix, a.Pix)
			for i := range b.Pix {
				if masks.covers(i%b.Stride, i/b.Stride) {
					b.Pix[i] = uint8(r.Uint32())
					changed++
				}
			}
			if x, y := outcome(one.process(a, steps12())), outcome(other.process(b, steps12())); x != y {
				t.Fatalf("seed %d, picture %d, %+v:\n%.200s\n%.200s", seed, n, cfg, x, y)
			}
		}
		if changed == 0 {
			t.Fatalf("seed %d: no masked pixel was changed", seed)
		}
	}
}

// TestUnmaskedPixelsMatter: the same test with a pixel outside of the masks
// must see a difference, or it proves nothing.
func TestUnmaskedPixelsMatter(t *testing.T) {
	size := image.Pt(64, 48)
	p := newPipeline(t, Config{Camera: size, Masks: []image.Rectangle{image.Rect(16, 8, 32, 16)}, Quality: 1})
	a, b := grain(64, 48, 1), grain(64, 48, 1)
	b.Pix[7*b.Stride+16] ^= 0x40 // just above
	if outcome(p.process(a, steps12())) == outcome(p.process(b, steps12())) {
		t.Error("a pixel outside of the masks changes nothing")
	}
}

// TestMaskThroughCamera: what the camera saw behind a mask does not come back
// through its JPEG. Quantisation spreads a pixel over its block, so the masks
// are grown to whole coding units; the outputs of two scenes that differ only
// behind the mask must be the same to the last byte.
func TestMaskThroughCamera(t *testing.T) {
	const seed = 5
	r := rand.New(rand.NewPCG(seed, 0))
	mask := image.Rect(101, 53, 203, 99) // on no boundary of a coding unit
	cfg := Config{Camera: image.Pt(320, 240), Masks: []image.Rectangle{mask}}
	a, b := grain(320, 240, 1), grain(320, 240, 1)
	for y := mask.Min.Y; y < mask.Max.Y; y++ {
		for x := mask.Min.X; x < mask.Max.X; x++ {
			b.Pix[y*b.Stride+x] = uint8(r.IntN(2) * 255)
		}
	}
	var out [2][]byte
	for i, g := range []*image.Gray{a, b} {
		data := scene.EncodeOV2640(g, 12)
		res, err := newPipeline(t, cfg).Process(data, inspect(t, data))
		if err != nil {
			t.Fatal(err)
		}
		out[i] = res.JPEG
		// The colour of the mask, and nothing else, is where it was asked for.
		for y := mask.Min.Y; y < mask.Max.Y; y++ {
			for x := mask.Min.X; x < mask.Max.X; x++ {
				if v := res.Picture.Pix[y*res.Picture.Stride+x]; v != maskLevel {
					t.Fatalf("level %d at (%d, %d)", v, x, y)
				}
			}
		}
	}
	if !bytes.Equal(out[0], out[1]) {
		t.Error("what is behind the mask shows")
	}
}

func TestMasks(t *testing.T) {
	r := image.Rect
	for _, tt := range []struct {
		name  string
		rects []image.Rectangle
		want  []image.Rectangle // of a 40x20 picture, grown
	}{
		{"none", nil, nil},
		{"one unit", []image.Rectangle{r(16, 8, 32, 16)}, []image.Rectangle{r(16, 8, 32, 16)}},
		{"one pixel", []image.Rectangle{r(16, 8, 17, 9)}, []image.Rectangle{r(16, 8, 32, 16)}},
		{"one before", []image.Rectangle{r(15, 7, 16, 8)}, []image.Rectangle{r(0, 0, 16, 8)}},
		{"across a corner", []image.Rectangle{r(15, 7, 17, 9)}, []image.Rectangle{r(0, 0, 32, 16)}},
		{"the last pixel", []image.Rectangle{r(39, 19, 40, 20)}, []image.Rectangle{r(32, 16, 40, 20)}},
		{"two", []image.Rectangle{r(0, 0, 1, 1), r(33, 0, 34, 1)}, []image.Rectangle{r(0, 0, 16, 8), r(32, 0, 40, 8)}},
		{"more than all", []image.Rectangle{r(-5, -5, 500, 500)}, []image.Rectangle{r(0, 0, 40, 20)}},
		{"outside", []image.Rectangle{r(40, 0, 50, 10)}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// A part of a larger picture: its origin is not (0, 0).
			whole := flat(60, 40, 200)
			g := whole.SubImage(r(10, 10, 50, 30)).(*image.Gray)
			NewMasks(image.Pt(40, 20), tt.rects).Burn(g)
			for y := range 40 {
				for x := range 60 {
					want := uint8(200)
					for _, m := range tt.want {
						if (image.Point{x - 10, y - 10}).In(m) {
							want = maskLevel
						}
					}
					if got := whole.GrayAt(x, y).Y; got != want {
						t.Fatalf("level %d at (%d, %d), want %d", got, x-10, y-10, want)
					}
				}
			}
		})
	}
}
