package scene

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"math/rand/v2"
	"testing"
	"time"
)

var someStamps = []Stamp{
	{0, time.UnixMilli(0).UTC()},
	{1, testEpoch},
	{1<<32 - 1, time.UnixMilli(1<<48 - 1).UTC()},
	{43_200, time.Date(2031, 12, 31, 23, 59, 59, 999_000_000, time.UTC)},
}

var someSizes = [][2]int{{128, 64}, {160, 120}, {255, 144}, {256, 144}, {320, 240}, {400, 296}, {511, 300},
	{512, 384}, {640, 480}, {800, 600}, {803, 605}, {1600, 1200}}

func stamped(w, h int, s Stamp) *image.Gray {
	g := ramp(w, h, uint64(w))
	DrawStamp(g, s)
	return g
}

func wantStamp(t *testing.T, m image.Image, want Stamp) {
	t.Helper()
	got, err := ReadStamp(m)
	if err != nil {
		t.Errorf("%T %v: %v", m, m.Bounds(), err)
	} else if got != want {
		t.Errorf("%T %v: got %+v, want %+v", m, m.Bounds(), got, want)
	}
}

func TestStampSizes(t *testing.T) {
	for _, s := range someStamps {
		for _, size := range someSizes {
			g := stamped(size[0], size[1], s)
			wantStamp(t, g, s)
			wantStamp(t, halved(g), s)
			wantStamp(t, doubled(g), s)
		}
	}
	for _, size := range [][2]int{{127, 64}, {128, 63}, {0, 0}, {1, 1000}} {
		g := image.NewGray(image.Rect(0, 0, size[0], size[1]))
		DrawStamp(g, someStamps[1])
		for _, v := range g.Pix {
			if v != 0 {
				t.Fatalf("%v: something was drawn where nothing fits", size)
			}
		}
		if _, err := ReadStamp(g); !errors.Is(err, ErrNoStamp) {
			t.Errorf("%v: got %v", size, err)
		}
	}
}

// halved and doubled are the plain box filters of a scaler.
func halved(g *image.Gray) *image.Gray {
	out := image.NewGray(image.Rect(0, 0, g.Rect.Dx()/2, g.Rect.Dy()/2))
	for i := range out.Pix {
		p := g.Pix[i/out.Stride*2*g.Stride+i%out.Stride*2:]
		out.Pix[i] = uint8((int(p[0]) + int(p[1]) + int(p[g.Stride]) + int(p[g.Stride+1]) + 2) / 4)
	}
	return out
}

func doubled(g *image.Gray) *image.Gray {
	out := image.NewGray(image.Rect(0, 0, g.Rect.Dx()*2, g.Rect.Dy()*2))
	for i := range out.Pix {
		out.Pix[i] = g.Pix[i/out.Stride/2*g.Stride+i%out.Stride/2]
	}
	return out
}

// TestStampSurvivesJPEG: camera encoder, decoder, and every quality a server
// might re-encode with, in colour and in grey, at full and at half size.
func TestStampSurvivesJPEG(t *testing.T) {
	for _, size := range [][2]int{{160, 120}, {400, 296}, {800, 600}} {
		for i, s := range someStamps {
			m, err := jpeg.Decode(bytes.NewReader(EncodeOV2640(stamped(size[0], size[1], s), 10+18*i)))
			if err != nil {
				t.Fatal(err)
			}
			wantStamp(t, m, s)
			grey := image.NewGray(m.Bounds())
			draw.Draw(grey, m.Bounds(), m, image.Point{}, draw.Src)
			for quality := 30; quality <= 95; quality += 13 {
				for _, in := range []image.Image{m, grey, halved(grey)} {
					wantStamp(t, recoded(t, in, quality), s)
				}
			}
		}
	}
}

func recoded(t *testing.T, m image.Image, quality int) image.Image {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: quality}); err != nil {
		t.Fatal(err)
	}
	out, err := jpeg.Decode(&b)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestStampImageTypes: everything a decoder or a screenshot can hand us, with
// a corner that is not at the origin.
func TestStampImageTypes(t *testing.T) {
	s := someStamps[3]
	g := stamped(800, 600, s)
	for _, m := range []draw.Image{
		image.NewRGBA(g.Rect), image.NewNRGBA(g.Rect), image.NewRGBA64(g.Rect), image.NewGray16(g.Rect), image.NewCMYK(g.Rect),
		image.NewRGBA(g.Rect.Add(image.Pt(-31, 77))), image.NewGray(g.Rect.Add(image.Pt(5, -9))),
	} {
		draw.Draw(m, m.Bounds(), g, image.Point{}, draw.Src)
		wantStamp(t, m, s)
	}
	framed := image.NewGray(image.Rect(0, 0, 1000, 700))
	inner := framed.SubImage(image.Rect(40, 50, 840, 650)).(*image.Gray)
	DrawStamp(inner, s)
	wantStamp(t, inner, s)
	if framed.Pix[0] != 0 || framed.GrayAt(40, 633).Y != 0 || framed.GrayAt(40, 634).Y != stampWhite || framed.GrayAt(40, 650).Y != 0 {
		t.Error("the stamp is not where its picture is")
	}
	c := image.NewYCbCr(image.Rect(0, 0, 900, 700), image.YCbCrSubsampleRatio420)
	cut := c.SubImage(image.Rect(16, 32, 816, 632)).(*image.YCbCr)
	for y := range 600 {
		copy(cut.Y[y*cut.YStride:][:800], g.Pix[y*800:])
	}
	wantStamp(t, cut, s)
}

// TestStampNoise: grain far above the sensor's, low contrast and a cast.
func TestStampNoise(t *testing.T) {
	const seed = 6
	r := rand.New(rand.NewPCG(seed, 0))
	for _, tt := range []struct {
		name        string
		sigma, gain float64
		offset      float64
	}{
		{"grain", 30, 1, 0},
		{"faded", 6, 0.35, 120},
		{"dark", 4, 0.4, 0},
		{"bright", 10, 1.3, 10},
	} {
		g := stamped(800, 600, someStamps[3])
		for i, v := range g.Pix {
			g.Pix[i] = uint8(min(max(float64(v)*tt.gain+tt.offset+r.NormFloat64()*tt.sigma, 0), 255))
		}
		got, err := ReadStamp(g)
		if err != nil || got != someStamps[3] {
			t.Errorf("%s (seed %d): %+v, %v", tt.name, seed, got, err)
		}
	}
}

// TestStampBlur: a blur as wide as a cell leaves just enough in the middle of
// each, and nothing elsewhere.
func TestStampBlur(t *testing.T) {
	g := stamped(800, 600, someStamps[3])
	out := image.NewGray(g.Rect)
	for i := range out.Pix {
		sum := 0
		for dy := -4; dy <= 4; dy++ {
			for dx := -4; dx <= 4; dx++ {
				sum += int(g.Pix[min(max(i/800+dy, 0), 599)*800+min(max(i%800+dx, 0), 799)])
			}
		}
		out.Pix[i] = uint8(sum / 81)
	}
	wantStamp(t, out, someStamps[3])
}

// TestStampWraps: the strip has 32 bits for the number.
func TestStampWraps(t *testing.T) {
	s := someStamps[1]
	g := stamped(800, 600, Stamp{7<<32 + s.Seq, s.Captured.Add(999 * time.Microsecond)})
	wantStamp(t, g, s)
}

// TestStampDamaged flips every cell in turn: a finder cell means no stamp, any
// other means a damaged one, never a wrong one.
func TestStampDamaged(t *testing.T) {
	for i := range stampCells {
		g := stamped(800, 600, someStamps[3])
		x, y := i%64*8, 584+i/64*8
		for r := range 8 {
			for c := range 8 {
				g.SetGray(x+c, y+r, color.Gray{Y: 255 - g.GrayAt(x+c, y+r).Y})
			}
		}
		want := ErrStampDamaged
		if i < 8 || i >= 120 {
			want = ErrNoStamp
		}
		if got, err := ReadStamp(g); !errors.Is(err, want) {
			t.Errorf("cell %d: got %+v, %v; want %v", i, got, err, want)
		}
	}
}

// TestStampFalse: strips of random cells, of random cells with a true finder,
// and pictures of plain noise never pass. The check has 32 bits, so a single
// acceptance in these 300,000 strips has a chance of 1 in 14,000.
func TestStampFalse(t *testing.T) {
	const seed = 12
	r := rand.New(rand.NewPCG(seed, 0))
	g := image.NewGray(image.Rect(0, 0, 160, 64))
	damaged := 0
	for n := range 300_000 {
		for i := range stampCells {
			level := uint8(r.Uint32())
			if n%3 != 0 {
				level = level>>7*(stampWhite-stampBlack) + stampBlack
			}
			if bit := i % 8; n%3 == 2 && (i < 8 || i >= 120) {
				pattern := uint8(finderHead)
				if i >= 120 {
					pattern = finderTail
				}
				level = pattern >> (7 - bit) & 1 * 200
			}
			for y := range 4 { // the inner pixels are all that is read
				row := g.Pix[(i/16*8+2+y)*160+i%16*8+2:]
				row[0], row[1], row[2], row[3] = level, level, level, level
			}
		}
		got, err := ReadStamp(g)
		if err == nil {
			t.Fatalf("seed %d, strip %d was taken for %+v", seed, n, got)
		}
		if errors.Is(err, ErrStampDamaged) {
			damaged++
		}
	}
	if damaged < 90_000 {
		t.Errorf("only %d strips came as far as the check: the test is too weak", damaged)
	}
	s := newScene(t, Config{Epoch: testEpoch})
	for i := range uint64(5) {
		if got, err := ReadStamp(s.Picture(i, s.At(i))); !errors.Is(err, ErrNoStamp) {
			t.Errorf("a scene without stamp: %+v, %v", got, err)
		}
	}
}

func FuzzReadStamp(f *testing.F) {
	for i, s := range someStamps {
		b := s.bytes()
		f.Add(uint16(100+200*i), uint16(90+90*i), b[:], uint8(0))
	}
	f.Add(uint16(0), uint16(0), []byte{}, uint8(1))
	f.Add(uint16(64), uint16(32), []byte{0xb2, 0xff}, uint8(2))
	f.Fuzz(func(t *testing.T, w, h uint16, cells []byte, kind uint8) {
		r := image.Rect(0, 0, int(w%700), int(h%200))
		g := image.NewGray(r)
		if at, ok := stampStrip(r.Dx(), r.Dy()); ok && len(cells) > 0 {
			for i := range stampCells {
				level := cells[i/8%len(cells)] << (i % 8) >> 7 * 255
				x, y := i%at.perRow*8, at.y+i/at.perRow*8
				draw.Draw(g, image.Rect(x, y, x+8, y+8), image.NewUniform(color.Gray{Y: level}), image.Point{}, draw.Src)
			}
		}
		var m image.Image = g
		switch kind % 4 {
		case 1:
			m = &image.YCbCr{Y: g.Pix, YStride: g.Stride, Rect: r}
		case 2:
			m = halved(g)
		case 3:
			c := image.NewRGBA(r)
			draw.Draw(c, r, g, image.Point{}, draw.Src)
			m = c
		}
		s, err := ReadStamp(m)
		switch {
		case err == nil: // then it is a stamp that we draw
			again := image.NewGray(image.Rect(0, 0, 800, 600))
			DrawStamp(again, s)
			wantStamp(t, again, s)
		case !errors.Is(err, ErrNoStamp) && !errors.Is(err, ErrStampDamaged):
			t.Fatalf("unexpected error %v", err)
		}
	})
}

func BenchmarkReadStamp(b *testing.B) {
	s := newScene(b, Config{Epoch: testEpoch, Stamp: true})
	m, err := jpeg.Decode(bytes.NewReader(s.JPEG(1, 0)))
	if err != nil {
		b.Fatal(err)
	}
	plain := newScene(b, Config{Epoch: testEpoch}).Picture(1, 0)
	for _, tt := range []struct {
		name string
		m    image.Image
	}{{"YCbCr", m}, {"none", plain}} {
		b.Run(fmt.Sprint(tt.name), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ReadStamp(tt.m)
			}
		})
	}
}
