package scene

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"image"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// ramp is a picture with an edge, a slope and some grain.
func ramp(w, h int, seed uint64) *image.Gray {
	r := rand.New(rand.NewPCG(seed, 2))
	g := image.NewGray(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			v := 40 + x*120/w + y*60/h + r.IntN(7)
			if x > w/3 && y > h/2 {
				v = 255 - v
			}
			g.Pix[y*g.Stride+x] = uint8(v)
		}
	}
	return g
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestHeaderLayout holds the file against the dump of a real frame
// (esp32-wire 4.3 and 4.4), not against our own constants.
func TestHeaderLayout(t *testing.T) {
	b := EncodeOV2640(ramp(800, 600, 1), 12)
	for _, tt := range []struct {
		name string
		at   int
		want string
	}{
		{"SOI", 0, "FFD8"},
		{"APP0", 2, "FFE0 0010 4A46494600 0101 01 0000 0000 00 00"},
		{"DQT luma", 20, "FFDB 0043 00 0c 08 09 0b 09 08 0c 0b 0a 0b 0e 0d 0c 0e 12 1e"},
		{"DQT chroma", 89, "FFDB 0043 01 0d 0e 0e 12 10 12 23 14 14 23 4a 32"},
		{"DHT DC 0", 158, "FFC4 001F 00 00010501 01010101 01000000 00000000 000102030405060708090A0B"},
		{"DHT AC 0", 191, "FFC4 00B5 10 00020103 03020403 05050404 0000017D 01020300"},
		{"DHT DC 1", 374, "FFC4 001F 01 00030101 01010101 01010100 00000000 000102030405060708090A0B"},
		{"DHT AC 1", 407, "FFC4 00B5 11 00020102 04040304 07050404 00010277 00010203"},
		{"SOF0", 590, "FFC0 0011 08 0258 0320 03 01 21 00 02 11 01 03 11 01"},
		{"SOS", 609, "FFDA 000C 03 01 00 02 11 03 11 00 3F 00"},
		{"EOI", len(b) - 2, "FFD9"},
	} {
		want := unhex(t, tt.want)
		if got := b[tt.at:][:len(want)]; !bytes.Equal(got, want) {
			t.Errorf("%s at %d:\n got %x\nwant %x", tt.name, tt.at, got, want)
		}
	}
	scan := b[623 : len(b)-2]
	for i, v := range scan {
		if v == 0xff && (i+1 == len(scan) || scan[i+1] != 0) {
			t.Fatalf("marker inside of the entropy data at %d", 623+i)
		}
	}
}

// TestQuantTables: q=10 as dumped from a camera, q=16 unscaled, the ends.
func TestQuantTables(t *testing.T) {
	for _, tt := range []struct {
		table, quality int
		start          string
	}{
		{0, 10, "0a 07 08 09 08 06 0a 09 08 09 0b 0b 0a 0c 0f 19"},
		{1, 10, "0b 0b 0b 0f 0d 0f 1d 10 10 1d 3e 29"},
		{0, 12, "0c 08 09 0b 09 08 0c 0b 0a 0b 0e 0d 0c 0e 12 1e"},
		{0, 0, "01 01 01 01"},
		{0, -5, "01 01 01 01"},
		{0, 63, "3f 2b"},
		{0, 64, "3f 2b"},
		{1, 63, "43 47 47"},
	} {
		q := quantTable(tt.table, tt.quality)
		want := unhex(t, tt.start)
		for i, w := range want {
			if got := q[zigzag[i]]; got != w {
				t.Errorf("table %d quality %d entry %d: got %#x, want %#x", tt.table, tt.quality, i, got, w)
			}
		}
	}
	if q := quantTable(1, 63); q[63] != 255 {
		t.Errorf("coarsest chroma entry %d, want the cap of 255", q[63])
	}
}

// segments returns the bodies of the marker segments before the scan, by
// marker, concatenated.
func segments(b []byte) map[byte][]byte {
	m := map[byte][]byte{}
	for i := 2; b[i+1] != 0xda; {
		n := int(binary.BigEndian.Uint16(b[i+2:]))
		m[b[i+1]] = append(m[b[i+1]], b[i+4:i+2+n]...)
		i += 2 + n
	}
	return m
}

// TestAnnexK compares our tables with those of image/jpeg, which come from the
// same annex: at its quality 50 nothing is scaled.
func TestAnnexK(t *testing.T) {
	var std bytes.Buffer
	color := image.NewYCbCr(image.Rect(0, 0, 16, 16), image.YCbCrSubsampleRatio420)
	if err := jpeg.Encode(&std, color, &jpeg.Options{Quality: 50}); err != nil {
		t.Fatal(err)
	}
	want, got := segments(std.Bytes()), segments(EncodeOV2640(ramp(16, 8, 1), 16))
	for _, marker := range []byte{0xdb, 0xc4} {
		if !bytes.Equal(got[marker], want[marker]) {
			t.Errorf("tables of marker %#x differ from image/jpeg:\n got %x\nwant %x", marker, got[marker], want[marker])
		}
	}
}

func psnr(a, b *image.Gray) float64 {
	var sum float64
	for y := range a.Rect.Dy() {
		for x := range a.Rect.Dx() {
			d := float64(a.Pix[y*a.Stride+x]) - float64(b.Pix[y*b.Stride+x])
			sum += d * d
		}
	}
	return 10 * math.Log10(255*255*float64(a.Rect.Dx()*a.Rect.Dy())/max(sum, 1e-9))
}

// lumaOf decodes b and returns its luma; the colour must be constant grey.
func lumaOf(t testing.TB, b []byte) *image.Gray {
	t.Helper()
	m, err := jpeg.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatalf("decode: %v", err)
	}
	c, ok := m.(*image.YCbCr)
	if !ok || c.SubsampleRatio != image.YCbCrSubsampleRatio422 {
		t.Fatalf("decoded to %T, want 4:2:2 YCbCr", m)
	}
	for _, plane := range [][]uint8{c.Cb, c.Cr} {
		for _, v := range plane {
			if v != 128 {
				t.Fatalf("colour %d, want 128 everywhere", v)
			}
		}
	}
	return &image.Gray{Pix: c.Y, Stride: c.YStride, Rect: c.Rect}
}

func TestDecodesBack(t *testing.T) {
	s := newScene(t, Config{Seed: 3})
	pictures := map[string]*image.Gray{
		"scene": s.Picture(5, 0),
		"ramp":  ramp(320, 240, 4),
		"sub":   ramp(100, 90, 5).SubImage(image.Rect(13, 7, 90, 77)).(*image.Gray),
	}
	for name, g := range pictures {
		for _, tt := range []struct {
			quality int
			least   float64 // dB
		}{{0, 48}, {10, 35}, {12, 34.5}, {15, 33.5}, {63, 26}} {
			if got := psnr(g, lumaOf(t, EncodeOV2640(g, tt.quality))); got < tt.least {
				t.Errorf("%s at quality %d: %.2f dB, want at least %.2f", name, tt.quality, got, tt.least)
			}
		}
	}
}

// TestSizes: every remainder of the 16x8 coding unit, and the extremes.
func TestSizes(t *testing.T) {
	for _, size := range [][2]int{{1, 1}, {1, 9}, {15, 8}, {16, 7}, {17, 8}, {16, 9}, {24, 8}, {25, 17}, {400, 296}, {333, 251}, {65535, 1}, {1, 65535}} {
		w, h := size[0], size[1]
		t.Run(fmt.Sprintf("%dx%d", w, h), func(t *testing.T) {
			g := ramp(w, h, 9)
			got := lumaOf(t, EncodeOV2640(g, 1))
			if got.Rect != g.Rect {
				t.Fatalf("decoded to %v, want %v", got.Rect, g.Rect)
			}
			if p := psnr(g, got); p < 40 {
				t.Errorf("%.2f dB", p)
			}
		})
	}
	for _, r := range []image.Rectangle{{}, image.Rect(0, 0, 0, 5), image.Rect(0, 0, 65536, 1), image.Rect(0, 0, 1, 65536)} {
		if b := EncodeOV2640(image.NewGray(r), 12); b != nil {
			t.Errorf("%v: got %d bytes, want none", r, len(b))
		}
	}
}

// TestBitWriter: bits of any length in any order come out in order, FF is
// stuffed and the end is filled with ones (T.81 F.1.2.3).
func TestBitWriter(t *testing.T) {
	const seed = 4
	r := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		var w bitWriter
		var all strings.Builder
		for range r.IntN(60) {
			n := uint(r.IntN(27))
			v := r.Uint32() & (1<<n - 1)
			if r.IntN(3) == 0 {
				v = 1<<n - 1
			}
			w.put(v, n)
			if n > 0 {
				fmt.Fprintf(&all, "%0*b", n, v)
			}
		}
		w.flush()
		for all.Len()%8 != 0 {
			all.WriteByte('1')
		}
		var got strings.Builder
		for _, b := range bytes.ReplaceAll(w.out, []byte{0xff, 0}, []byte{0xff}) {
			fmt.Fprintf(&got, "%08b", b)
		}
		if got.String() != all.String() {
			t.Fatalf("seed %d:\n got %s\nwant %s", seed, got.String(), all.String())
		}
		if n := bytes.Count(w.out, []byte{0xff}); n != bytes.Count(w.out, []byte{0xff, 0}) {
			t.Fatalf("seed %d: unstuffed FF in %x", seed, w.out)
		}
	}
}

// TestExtremes drives every coefficient to its limits: the largest sizes must
// have a code and survive.
func TestExtremes(t *testing.T) {
	for name, f := range map[string]func(x, y int) bool{
		"checks of 1": func(x, y int) bool { return (x+y)&1 == 0 },
		"checks of 8": func(x, y int) bool { return (x>>3+y>>3)&1 == 0 },
		"columns":     func(x, y int) bool { return x&1 == 0 },
		"halves":      func(x, y int) bool { return x&4 == 0 },
		"black":       func(x, y int) bool { return false },
		"white":       func(x, y int) bool { return true },
	} {
		g := image.NewGray(image.Rect(0, 0, 64, 32))
		for i := range g.Pix {
			if f(i%64, i/64) {
				g.Pix[i] = 255
			}
		}
		if p := psnr(g, lumaOf(t, EncodeOV2640(g, 0))); p < 45 {
			t.Errorf("%s: %.2f dB", name, p)
		}
	}
}

// TestForwardDCT compares the integer transform with the definition.
func TestForwardDCT(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	worst := 0.0
	for n := range 200 {
		var b block
		for i := range b {
			b[i] = int32(r.IntN(256)) - 128
			if n&1 == 0 { // full swing
				b[i] = b[i]>>31&-255 + 127
			}
		}
		in := b
		b.fdct()
		for v := range 8 {
			for u := range 8 {
				var sum float64
				for y := range 8 {
					for x := range 8 {
						sum += float64(in[8*y+x]) * math.Cos(float64((2*x+1)*u)*math.Pi/16) * math.Cos(float64((2*y+1)*v)*math.Pi/16)
					}
				}
				for _, k := range []int{u, v} {
					if k == 0 {
						sum /= math.Sqrt2
					}
				}
				worst = max(worst, math.Abs(2*sum-float64(b[8*v+u]))) // scaled by 8: 8 * sum/4
			}
		}
	}
	if worst > 2 {
		t.Errorf("coefficients (x8) are off by up to %.2f", worst)
	}
}

// TestQuantiserExact tries all divisors with all coefficients that can occur.
func TestQuantiserExact(t *testing.T) {
	var table [64]uint8
	for q := 1; q <= 255; q++ {
		for i := range table {
			table[i] = uint8(q)
		}
		z := newQuantiser(&table)
		for from := 0; from < 1<<14; from += 64 {
			var b block
			var out [64]int32
			for i := range b {
				b[i] = int32(from + i - 1<<13)
			}
			set := z.apply(&b, &out)
			for k := range out {
				c, d := b[zigzag[k]], int32(8*q)
				want := (max(c, -c) + d/2) / d
				if c < 0 {
					want = -want
				}
				if out[k] != want || (set>>k&1 != 0) != (want != 0) {
					t.Fatalf("%d/%d = %d, set %v; want %d", c, d, out[k], set>>k&1 != 0, want)
				}
			}
		}
	}
}

func FuzzEncode(f *testing.F) {
	f.Add(uint8(1), uint8(1), uint8(12), []byte{0})
	f.Add(uint8(16), uint8(8), uint8(0), []byte{0, 255, 255, 0, 1})
	f.Add(uint8(33), uint8(17), uint8(63), []byte("\x00\xff"))
	f.Add(uint8(8), uint8(24), uint8(200), []byte{})
	f.Fuzz(func(t *testing.T, w, h, quality uint8, pixels []byte) {
		g := image.NewGray(image.Rect(0, 0, int(w%64)+1, int(h%64)+1))
		for i := range g.Pix {
			if len(pixels) > 0 {
				g.Pix[i] = pixels[i%len(pixels)]
			}
		}
		b := EncodeOV2640(g, int(quality))
		got := lumaOf(t, b)
		if got.Rect != g.Rect {
			t.Fatalf("decoded to %v, want %v", got.Rect, g.Rect)
		}
		if quality <= 1 && psnr(g, got) < 40 {
			t.Fatalf("%v at quality %d: %.2f dB", g.Rect, quality, psnr(g, got))
		}
	})
}
