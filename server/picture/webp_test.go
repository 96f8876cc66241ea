package picture

import (
	"bytes"
	"image"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/image/webp"

	"porthole/internal/frame"
	"porthole/internal/scene"
)

// lumaOf reads a WebP as a browser shows it, and holds that it is gray.
func lumaOf(t testing.TB, data []byte) *image.Gray {
	t.Helper()
	decoded, err := webp.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	m := decoded.(*image.YCbCr)
	for _, v := range append(m.Cb, m.Cr...) {
		if v != 128 {
			t.Fatal("the WebP has colour")
		}
	}
	g := image.NewGray(m.Rect)
	for i := range g.Pix {
		y := int(m.Y[m.YOffset(i%g.Stride, i/g.Stride)]) // 16 to 235 is black to white
		g.Pix[i] = uint8(min(max(((y-16)*255+109)/219, 0), 255))
	}
	return g
}

// TestWebP: the second rendition is the same picture, and has less than half of
// the bytes of the first; without being asked for there is none.
func TestWebP(t *testing.T) {
	s := newScene(t, scene.Config{Seed: 7})
	p, plain := newPipeline(t, Config{WebP: true, Denoise: true}), newPipeline(t, Config{Denoise: true})
	for n := range uint64(6) {
		data := s.JPEG(n, 12*time.Hour+s.At(n))
		r, err := p.Process(data, inspect(t, data))
		if err != nil {
			t.Fatal(err)
		}
		other, err := plain.Process(data, inspect(t, data))
		if err != nil {
			t.Fatal(err)
		}
		if other.WebP != nil || !bytes.Equal(other.JPEG, r.JPEG) {
			t.Error("WebP changes the JPEG, or comes unasked")
		}
		a, b := psnr(r.Picture, decoded(t, r.JPEG)), psnr(r.Picture, lumaOf(t, r.WebP))
		t.Logf("JPEG %d bytes, %.2f dB; WebP %d bytes, %.2f dB", len(r.JPEG), a, len(r.WebP), b)
		if len(r.WebP)*2 > len(r.JPEG) || b < 42.5 {
			t.Errorf("picture %d: WebP of %d bytes at %.2f dB, JPEG of %d at %.2f", n, len(r.WebP), b, len(r.JPEG), a)
		}
	}
}

// TestWebPNeverTwice: grain makes also the WebP of the same frame another one each
// time, to its pixels.
func TestWebPNeverTwice(t *testing.T) {
	p := newPipeline(t, Config{WebP: true})
	for name, g := range map[string]*image.Gray{
		"room": newScene(t, scene.Config{Seed: 7, Width: 320, Height: 240}).Picture(1, 12*time.Hour), "night": flat(320, 240, 3), "wall": flat(320, 240, 200),
	} {
		a, err := p.admit(g, steps12(), frame.Info{Width: 320, Height: 240})
		if err != nil {
			t.Fatal(err)
		}
		seen := make(map[string]bool)
		rnd := rand.New(rand.NewPCG(1, 2))
		const times = 40
		for range times {
			r, err := p.RenderIn(a, Manner{Grain: rnd})
			if err != nil {
				t.Fatal(err)
			}
			seen[string(lumaOf(t, r.WebP).Pix)] = true
		}
		if len(seen) != times {
			t.Errorf("%s: %d different pictures of %d", name, len(seen), times)
		}
	}
}
