package quality

import (
	"image"
	"math"
	"math/rand/v2"
	"testing"
)

func noise(w, h int, seed uint64) *image.Gray {
	r := rand.New(rand.NewPCG(seed, 0))
	g := image.NewGray(image.Rect(0, 0, w, h))
	for i := range g.Pix {
		g.Pix[i] = uint8(r.IntN(256))
	}
	return g
}

// direct is SSIM at one pixel by its definition.
func direct(a, b *image.Gray, x, y int) float64 {
	at := func(g *image.Gray, u, v int) float64 {
		return float64(g.GrayAt(min(max(u, 0), g.Rect.Dx()-1), min(max(v, 0), g.Rect.Dy()-1)).Y)
	}
	var weights, ma, mb float64
	each := func(f func(w, p, q float64)) {
		for dy := -radius; dy <= radius; dy++ {
			for dx := -radius; dx <= radius; dx++ {
				f(math.Exp(-float64(dx*dx+dy*dy)/(2*sigma*sigma)), at(a, x+dx, y+dy), at(b, x+dx, y+dy))
			}
		}
	}
	each(func(w, p, q float64) { weights += w; ma += w * p; mb += w * q })
	ma, mb = ma/weights, mb/weights
	var va, vb, cov float64
	each(func(w, p, q float64) {
		va += w * (p - ma) * (p - ma) / weights
		vb += w * (q - mb) * (q - mb) / weights
		cov += w * (p - ma) * (q - mb) / weights
	})
	return (2*ma*mb + c1) * (2*cov + c2) / ((ma*ma + mb*mb + c1) * (va + vb + c2))
}

func TestSSIM(t *testing.T) {
	a, b := noise(23, 17, 1), noise(23, 17, 2)
	for i := range b.Pix { // similar, not equal
		b.Pix[i] = uint8((3*int(a.Pix[i]) + int(b.Pix[i])) / 4)
	}
	m := SSIM(a, b)
	for y := range 17 {
		for x := range 23 {
			if got, want := m.V[y*23+x], direct(a, b, x, y); math.Abs(got-want) > 1e-9 {
				t.Fatalf("SSIM at %d, %d is %v, by its definition %v", x, y, got, want)
			}
		}
	}
	if got := SSIM(a, a).Mean(); math.Abs(got-1) > 1e-12 {
		t.Errorf("a picture and itself: %v", got)
	}
	if got := SSIM(noise(64, 64, 1), noise(64, 64, 2)).Mean(); got > 0.1 {
		t.Errorf("two pictures of noise: %v", got)
	}
	area := make([]bool, len(m.V))
	area[5], area[100] = true, true
	if sum, n := m.In(area); n != 2 || sum != m.V[5]+m.V[100] {
		t.Errorf("in an area of two pixels: %v of %d", sum, n)
	}
}

func TestPSNR(t *testing.T) {
	a := noise(16, 16, 1)
	b := image.NewGray(a.Rect)
	for i, v := range a.Pix {
		b.Pix[i] = v ^ 1
	}
	if got, want := PSNR(a, b), 20*math.Log10(255); math.Abs(got-want) > 1e-9 {
		t.Errorf("one level apart: %v dB, want %v", got, want)
	}
	if got := PSNR(a, a); !math.IsInf(got, 1) {
		t.Errorf("equal: %v dB", got)
	}
}

func TestMoving(t *testing.T) {
	a, b := image.NewGray(image.Rect(0, 0, 9, 7)), image.NewGray(image.Rect(0, 0, 9, 7))
	b.Pix[3*b.Stride+1] = 5
	b.Pix[6*b.Stride+8] = 4
	for i, got := range Moving(a, b, 4, 2) {
		x, y := i%9, i/9
		if want := x <= 3 && y >= 1 && y <= 5; got != want {
			t.Errorf("pixel %d, %d moving: %v", x, y, got)
		}
	}
}
