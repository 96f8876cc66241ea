package delta

import (
	"image"
	"math/rand/v2"
	"testing"

	"porthole/internal/frame"
	"porthole/internal/testset"
	"porthole/server/picture"
)

// film is a small moving picture: texture, a lump that moves by whole and half
// pixels over it, and a new corner now and then.
type film struct {
	w, h  int
	r     *rand.Rand
	floor []uint8
	x, y  int
}

func newFilm(w, h int, seed uint64) *film {
	f := &film{w: w, h: h, r: rand.New(rand.NewPCG(seed, 1)), floor: make([]uint8, w*h)}
	v := 128
	for i := range f.floor {
		v = min(max(v+f.r.IntN(21)-10, 30), 220)
		f.floor[i] = uint8(v)
	}
	return f
}

func (f *film) next() *image.Gray {
	g := image.NewGray(image.Rect(0, 0, f.w, f.h))
	switch f.r.IntN(8) {
	case 0: // a new corner
		for y := range f.h / 3 {
			for x := range f.w / 3 {
				f.floor[y*f.w+x] += uint8(f.r.IntN(90))
			}
		}
	case 1: // nothing
	default:
		f.x += f.r.IntN(7) - 3
		f.y += f.r.IntN(7) - 3
	}
	copy(g.Pix, f.floor)
	for y := range f.h {
		for x := range f.w {
			u, v := x-f.w/2-f.x, y-f.h/2-f.y
			if 9*u*u+4*v*v < f.w*f.h {
				g.Pix[y*f.w+x] = uint8(60 + 40*(u>>2&1) + 30*(v>>3&1) + f.r.IntN(3))
			}
		}
	}
	return g
}

// shot is a frame of the test set as the server shows it, and the truth, also in
// steady light.
type shot struct{ clean, steady, public *image.Gray }

// shots renders a scene as the server does by default.
func shots(t testing.TB, s testset.Scene, n int) (out []shot) {
	t.Helper()
	p, err := picture.New(picture.Config{Denoise: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range s.Frames(n) {
		info, err := frame.Inspect(f.JPEG, frame.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		a, err := p.Admit(f.JPEG, info)
		if err != nil {
			t.Fatal(err)
		}
		r, err := p.Render(a)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, shot{f.Clean, f.Steady, r.Picture})
	}
	return out
}
