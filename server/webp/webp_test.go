package webp

import (
	"bytes"
	"fmt"
	"image"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/image/vp8"
	"golang.org/x/image/webp"

	"porthole/internal/scene"
)

// room is the simulated room as the camera sees it, and without noise.
func room(t testing.TB, w, h int) *image.Gray {
	t.Helper()
	s, err := scene.New(scene.Config{Seed: 7, Width: w, Height: h})
	if err != nil {
		t.Fatal(err)
	}
	return s.Picture(1, 12*time.Hour)
}

func random(r *rand.Rand, w, h int) *image.Gray {
	g := image.NewGray(image.Rect(0, 0, w, h))
	kind := r.IntN(4)
	for i := range g.Pix {
		x, y := i%w, i/w
		switch kind {
		case 0:
			g.Pix[i] = uint8(r.Uint32())
		case 1:
			g.Pix[i] = uint8(255 * (r.IntN(2)))
		case 2:
			g.Pix[i] = uint8(x*3 + y*5 + r.IntN(4))
		case 3:
			g.Pix[i] = uint8((x/7 + y/5) % 2 * 200)
		}
	}
	return g
}

func decode(t testing.TB, data []byte) *image.YCbCr {
	t.Helper()
	m, err := webp.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return m.(*image.YCbCr)
}

func psnr(a, b *image.Gray) float64 {
	var sum float64
	for y := range a.Rect.Dy() {
		for x := range a.Rect.Dx() {
			d := float64(a.GrayAt(x, y).Y) - float64(b.GrayAt(x, y).Y)
			sum += d * d
		}
	}
	return 10 * math.Log10(255*255*float64(a.Rect.Dx()*a.Rect.Dy())/max(sum, 1e-9))
}

// gray is what a browser shows of it: luma 16 to 235 is black to white.
func gray(m *image.YCbCr) *image.Gray {
	g := image.NewGray(m.Rect)
	for i := range g.Pix {
		y := int(m.Y[m.YOffset(i%g.Stride, i/g.Stride)])
		g.Pix[i] = uint8(min(max(((y-16)*255+109)/219, 0), 255))
	}
	return g
}

// TestDecoderAgrees: for pictures of every kind, size and quantiser, an
// independent decoder rebuilds to the last pixel what the encoder believes it
// will, before the loop filter.
func TestDecoderAgrees(t *testing.T) {
	const seed = 4
	r := rand.New(rand.NewPCG(seed, 0))
	for n := range 60 {
		w, h, index := 1+r.IntN(70), 1+r.IntN(70), r.IntN(128)
		if n%4 == 0 {
			index = r.IntN(8)
		}
		g := random(r, w, h)
		e := NewEncoder(index)
		e.sharp = true // no loop filter
		data, err := e.Encode(g)
		if err != nil {
			t.Fatal(err)
		}
		m := decode(t, data)
		if m.Rect.Size() != image.Pt(w, h) {
			t.Fatalf("seed %d, picture %d: %v, want %dx%d", seed, n, m.Rect, w, h)
		}
		for y := range h {
			for x := range w {
				if got, want := m.Y[m.YOffset(x, y)], e.rebuilt.pix[e.rebuilt.at(x, y)]; got != want {
					t.Fatalf("seed %d, picture %d of %dx%d, index %d: %d at (%d, %d), the encoder has %d", seed, n, w, h, index, got, x, y, want)
				}
			}
		}
		for _, v := range append(m.Cb, m.Cr...) {
			if v != 128 {
				t.Fatalf("seed %d, picture %d: it has colour", seed, n)
			}
		}
	}
}

// TestQuality: the finer the quantiser, the more bytes and the less error.
func TestQuality(t *testing.T) {
	g := room(t, 400, 304)
	var bytes int
	var quality float64
	for _, index := range []int{127, 80, 40, 20, 0} {
		data, err := NewEncoder(index).Encode(g)
		if err != nil {
			t.Fatal(err)
		}
		db := psnr(g, gray(decode(t, data)))
		t.Logf("index %3d: %6d bytes, %.2f dB", index, len(data), db)
		if len(data) <= bytes || db <= quality {
			t.Errorf("index %d: %d bytes and %.2f dB after %d and %.2f", index, len(data), db, bytes, quality)
		}
		bytes, quality = len(data), db
	}
	if quality < 45 {
		t.Errorf("the finest quantiser gives %.2f dB", quality)
	}
}

// TestContainer: what the header says is so.
func TestContainer(t *testing.T) {
	for _, size := range []image.Point{{1, 1}, {16, 16}, {17, 15}, {800, 600}} {
		data, err := NewEncoder(40).Encode(random(rand.New(rand.NewPCG(3, 3)), size.X, size.Y))
		if err != nil {
			t.Fatal(err)
		}
		if len(data)%2 != 0 || string(data[:4]) != "RIFF" || int(data[4])|int(data[5])<<8|int(data[6])<<16 != len(data)-8 {
			t.Errorf("%v: %d bytes, header % x", size, len(data), data[:20])
		}
		d := vp8.NewDecoder()
		n := int(data[16]) | int(data[17])<<8 | int(data[18])<<16
		d.Init(bytes.NewReader(data[20:20+n]), n)
		if h, err := d.DecodeFrameHeader(); err != nil || !h.KeyFrame || !h.ShowFrame || h.Width != size.X || h.Height != size.Y {
			t.Errorf("%v: frame %+v, %v", size, h, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, size := range []image.Point{{0, 1}, {1, 0}, {16384, 1}, {1, 16384}} {
		if _, err := NewEncoder(0).Encode(image.NewGray(image.Rectangle{Max: size})); err == nil {
			t.Errorf("%v: no error", size)
		}
	}
}

// TestReuse: an encoder gives the same file for the same picture, whatever it
// encoded before.
func TestReuse(t *testing.T) {
	e := NewEncoder(40)
	g := room(t, 160, 120)
	want, err := NewEncoder(40).Encode(g)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 1))
	for _, size := range []image.Point{{160, 120}, {33, 200}, {160, 120}} {
		if _, err := e.Encode(random(r, size.X, size.Y)); err != nil {
			t.Fatal(err)
		}
		if got, err := e.Encode(g); err != nil || !bytes.Equal(got, want) {
			t.Errorf("after a picture of %v: %d bytes, want %d", size, len(got), len(want))
		}
	}
	part := image.NewGray(image.Rect(0, 0, 200, 200)).SubImage(image.Rect(7, 9, 167, 129)).(*image.Gray)
	for y := range 120 {
		copy(part.Pix[y*part.Stride:], g.Pix[y*g.Stride:][:160])
	}
	if got, err := e.Encode(part); err != nil || !bytes.Equal(got, want) {
		t.Errorf("a part of a larger picture: %d bytes, want %d", len(got), len(want))
	}
}

// TestCosts: the table of costs is that of the logarithm.
func TestCosts(t *testing.T) {
	for p := 1; p < 256; p++ {
		if want := -math.Log2(float64(p)/256) * 256; math.Abs(float64(costs[p])-want) > 1.01 {
			t.Errorf("costs[%d] = %d, want %.2f", p, costs[p], want)
		}
	}
}

func FuzzEncode(f *testing.F) {
	f.Add(uint8(40), uint8(17), []byte("some pixels that repeat"))
	f.Fuzz(func(t *testing.T, index, width uint8, pix []byte) {
		w := max(int(width)%64, 1)
		h := len(pix) / w
		if h == 0 || h > 64 {
			return
		}
		g := &image.Gray{Pix: pix, Stride: w, Rect: image.Rect(0, 0, w, h)}
		e := NewEncoder(int(index))
		e.sharp = true
		data, err := e.Encode(g)
		if err != nil {
			t.Fatal(err)
		}
		m := decode(t, data)
		for y := range h {
			for x := range w {
				if got, want := m.Y[m.YOffset(x, y)], e.rebuilt.pix[e.rebuilt.at(x, y)]; got != want {
					t.Fatalf("%d at (%d, %d), the encoder has %d", got, x, y, want)
				}
			}
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	g := room(b, 800, 600)
	for _, index := range []int{20, 40, 60} {
		b.Run(fmt.Sprint("index", index), func(b *testing.B) {
			e := NewEncoder(index)
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				data, err := e.Encode(g)
				if err != nil {
					b.Fatal(err)
				}
				n = len(data)
			}
			b.ReportMetric(float64(n), "B/picture")
		})
	}
}
