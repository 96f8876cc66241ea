package picture

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"image"
	"image/jpeg"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"porthole/internal/scene"
)

func encode(t testing.TB, g *image.Gray, quality int) []byte {
	t.Helper()
	data, err := NewEncoder(quality).Encode(g)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestLayout: every picture has the same markers in the same places, up to the
// lengths of its two Huffman tables.
func TestLayout(t *testing.T) {
	for _, g := range []*image.Gray{grain(800, 600, 1), flat(800, 600, 0), flat(800, 600, 128)} {
		data := encode(t, g, 12)
		for _, tt := range []struct {
			name string
			at   int
			want string
		}{
			{"SOI and DQT", 0, "ffd8 ffdb 0043 00 0c 08 09 0b 09 08 0c 0b 0a 0b 0e 0d 0c 0e 12 1e"},
			{"SOF0", 71, "ffc0 000b 08 0258 0320 01 01 11 00"},
			{"EOI", len(data) - 2, "ffd9"},
		} {
			want, err := hex.DecodeString(strings.ReplaceAll(tt.want, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			if got := data[tt.at:][:len(want)]; !bytes.Equal(got, want) {
				t.Errorf("%s at %d: %x, want %x", tt.name, tt.at, got, want)
			}
		}
		at, markers := 2, ""
		for {
			m := data[at+1]
			markers += fmt.Sprintf("%02x ", m)
			at += 2 + int(binary.BigEndian.Uint16(data[at+2:]))
			if m == 0xda {
				break
			}
		}
		if markers != "db c0 c4 c4 da " {
			t.Errorf("segments %s", markers)
		}
	}
}

// TestEncodeSizes: every remainder of the block, and the extremes.
func TestEncodeSizes(t *testing.T) {
	for _, s := range [][2]int{{1, 1}, {7, 8}, {8, 7}, {9, 8}, {8, 9}, {16, 16}, {45, 29}, {400, 296}, {65535, 1}, {1, 65535}} {
		g := grain(s[0], s[1], 9)
		got := decoded(t, encode(t, g, 1))
		if got.Rect != g.Rect {
			t.Fatalf("%v decoded to %v", g.Rect, got.Rect)
		}
		if p := psnr(g, got); p < 40 {
			t.Errorf("%v: %.1f dB", g.Rect, p)
		}
	}
	for _, r := range []image.Rectangle{{}, image.Rect(0, 0, 0, 5), image.Rect(0, 0, 65536, 1), image.Rect(0, 0, 1, 65536)} {
		if _, err := NewEncoder(12).Encode(image.NewGray(r)); err == nil {
			t.Errorf("%v encoded", r)
		}
	}
	sub := grain(100, 90, 5).SubImage(image.Rect(13, 7, 90, 77)).(*image.Gray)
	if got := decoded(t, encode(t, sub, 1)); psnr(sub, got) < 40 {
		t.Error("a part of a picture is not itself")
	}
}

// TestExtremes drives every coefficient to its limits.
func TestExtremes(t *testing.T) {
	for name, f := range map[string]func(x, y int) bool{
		"checks of 1": func(x, y int) bool { return (x+y)&1 == 0 },
		"checks of 8": func(x, y int) bool { return (x>>3+y>>3)&1 == 0 },
		"columns":     func(x, y int) bool { return x&1 == 0 },
		"halves":      func(x, y int) bool { return x&4 == 0 },
		"white":       func(x, y int) bool { return true },
	} {
		g := flat(64, 32, 0)
		for i := range g.Pix {
			if f(i%64, i/64) {
				g.Pix[i] = 255
			}
		}
		if p := psnr(g, decoded(t, encode(t, g, 1))); p < 45 {
			t.Errorf("%s: %.1f dB", name, p)
		}
	}
}

// TestAgainstCamera encodes what the camera encoded before, with its own
// steps: the file must be at most three quarters of the camera's, and the
// pictures nearly the same.
func TestAgainstCamera(t *testing.T) {
	s := newScene(t, scene.Config{Seed: 7, Clock: true})
	for _, hour := range []int{2, 7, 12, 17, 22} {
		data := s.JPEG(uint64(hour), time.Duration(hour)*time.Hour)
		r, err := newPipeline(t, Config{}).Process(data, inspect(t, data))
		if err != nil {
			t.Fatal(err)
		}
		got := decoded(t, r.JPEG)
		again, err := NewEncoder(DefaultQuality).Encode(got)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again, r.JPEG) {
			t.Errorf("%02d h: the encoder changes what it encoded itself: %d B, then %d B", hour, len(r.JPEG), len(again))
		}
		share, p := float64(len(r.JPEG))/float64(len(data)), psnr(r.Picture, got)
		t.Logf("%02d h: camera %d B, ours %d B (%.3f), %.1f dB to the camera's", hour, len(data), len(r.JPEG), share, p)
		if share > 0.75 {
			t.Errorf("%02d h: %.3f of the camera's bytes", hour, share)
		}
		if p < 46 {
			t.Errorf("%02d h: %.1f dB to the camera's picture", hour, p)
		}
	}
}

// TestAgainstStandard: at equal steps image/jpeg, with the tables of Annex K,
// makes a file larger by a sixth of the same picture, which is hardly better.
// Its quality 50 is our 16.
func TestAgainstStandard(t *testing.T) {
	g := newScene(t, scene.Config{Seed: 7}).Picture(1, 12*time.Hour)
	var std bytes.Buffer
	if err := jpeg.Encode(&std, g, &jpeg.Options{Quality: 50}); err != nil {
		t.Fatal(err)
	}
	data := encode(t, g, 16)
	if len(data) > std.Len()*6/7 {
		t.Errorf("%d B, image/jpeg %d B", len(data), std.Len())
	}
	ours, theirs := psnr(g, decoded(t, data)), psnr(g, decoded(t, std.Bytes()))
	t.Logf("ours %d B %.2f dB, image/jpeg %d B %.2f dB", len(data), ours, std.Len(), theirs)
	if ours < theirs-0.5 {
		t.Errorf("%.2f dB, image/jpeg %.2f dB", ours, theirs)
	}
}

// TestForeignDecoder: libavcodec reads the same pixels as image/jpeg.
func TestForeignDecoder(t *testing.T) {
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Fatalf("%v; make deps installs it", err)
	}
	g := newScene(t, scene.Config{Seed: 7}).Picture(1, 12*time.Hour)
	for _, g := range []*image.Gray{g, flat(16, 8, 255), Crop(g, image.Rect(3, 5, 138, 106))} {
		data := encode(t, g, 12)
		name := filepath.Join(t.TempDir(), "picture.jpg")
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		var stderr bytes.Buffer
		cmd := exec.CommandContext(t.Context(), ffmpeg, "-v", "error", "-xerror", "-i", name, "-f", "rawvideo", "-pix_fmt", "gray", "-color_range", "pc", "-")
		cmd.Stderr = &stderr
		raw, err := cmd.Output()
		if err != nil || stderr.Len() > 0 {
			t.Fatalf("ffmpeg: %v\n%s", err, stderr.String())
		}
		w, h := g.Rect.Dx(), g.Rect.Dy()
		if len(raw) != w*h {
			t.Fatalf("ffmpeg read %d pixels of %d x %d", len(raw), w, h)
		}
		got := &image.Gray{Pix: raw, Stride: w, Rect: image.Rect(0, 0, w, h)}
		if p := psnr(got, decoded(t, data)); p < 50 {
			t.Errorf("%v: the two decoders are %.1f dB apart", g.Rect, p)
		}
	}
}

// TestCodeBook holds the codes against what makes them a code of a JPEG: no
// code is the start of another, none is all ones, none is longer than 16 bits,
// and none of another set of lengths would be shorter where the bound does not
// bind.
func TestCodeBook(t *testing.T) {
	const seed = 3
	r := rand.New(rand.NewPCG(seed, 0))
	fibonacci := func(n int) (f [symbols]uint32) {
		a, b := uint32(1), uint32(1)
		for i := range n {
			f[i*5%symbols] = a
			a, b = b, a+b
		}
		return f
	}
	tests := map[string][symbols]uint32{
		"one":           {7: 1},
		"two":           {0: 100, 255: 1},
		"deep":          fibonacci(20),
		"deeper":        fibonacci(40),
		"all the same":  {},
		"halving twice": {1: 8, 2: 4, 3: 2, 4: 1},
	}
	all := [symbols]uint32{}
	for i := range all {
		all[i] = 1
	}
	tests["all the same"] = all
	for i := range 50 {
		var f [symbols]uint32
		for s := range f {
			f[s] = uint32(r.ExpFloat64() * float64(r.IntN(3)) * 1000)
		}
		f[i]++
		tests[fmt.Sprintf("random %d", i)] = f
	}
	for name, freq := range tests {
		var b codeBook
		b.build(&freq)
		space, n := 0, 0
		for s, c := range b.codes {
			if (c.len > 0) != (freq[s] > 0) {
				t.Errorf("seed %d, %s: symbol %d of frequency %d has %d bits", seed, name, s, freq[s], c.len)
			}
			if c.len == 0 {
				continue
			}
			n++
			space += 1 << (maxCodeLen - c.len)
			if c.len > maxCodeLen || c.bits == 1<<c.len-1 {
				t.Errorf("seed %d, %s: symbol %d has the code %0*b", seed, name, s, c.len, c.bits)
			}
			for s2, c2 := range b.codes {
				if s2 != s && c2.len >= c.len && c2.bits>>(c2.len-c.len) == c.bits {
					t.Errorf("seed %d, %s: the code of %d starts that of %d", seed, name, s, s2)
				}
				if freq[s2] > freq[s] && c2.len > c.len {
					t.Errorf("seed %d, %s: symbol %d is rarer than %d and has fewer bits", seed, name, s, s2)
				}
			}
		}
		if n != len(b.symbols) || space >= 1<<maxCodeLen {
			t.Errorf("seed %d, %s: %d symbols of %d take %d of %d codes", seed, name, n, len(b.symbols), space, 1<<maxCodeLen)
		}
	}
	var b codeBook
	f := tests["halving twice"]
	if b.build(&f); b.codes[1].len != 1 || b.codes[2].len != 2 || b.codes[3].len != 3 || b.codes[4].len != 4 {
		t.Errorf("lengths %v, want 1 2 3 4", b.codes[1:5])
	}
}

// FuzzEncode: any picture of any size comes back, within what its steps allow.
func FuzzEncode(f *testing.F) {
	f.Add(uint8(1), uint8(1), uint8(12), []byte{0})
	f.Add(uint8(16), uint8(8), uint8(0), []byte{0, 255, 255, 0, 1})
	f.Add(uint8(33), uint8(17), uint8(63), []byte("\x00\xff"))
	f.Add(uint8(8), uint8(24), uint8(1), []byte{})
	f.Fuzz(func(t *testing.T, w, h, quality uint8, pixels []byte) {
		g := flat(int(w%64)+1, int(h%64)+1, 0)
		for i := range g.Pix {
			if len(pixels) > 0 {
				g.Pix[i] = pixels[i%len(pixels)]
			}
		}
		q := int(quality)%MaxQuality + 1
		got := decoded(t, encode(t, g, q))
		if got.Rect != g.Rect {
			t.Fatalf("%v decoded to %v", g.Rect, got.Rect)
		}
		// A coefficient that is left out is off by up to one and a half steps,
		// any other by half of one. The transform keeps the sum of squares, of
		// which the edge pixels outside are a part.
		var sum float64
		for _, step := range quantTable(q) {
			sum += (float64(step)*1.5 + 0.5) * (float64(step)*1.5 + 0.5)
		}
		blocks := ((g.Rect.Dx() + 7) / 8) * ((g.Rect.Dy() + 7) / 8)
		var err float64
		for i, v := range g.Pix {
			d := float64(v) - float64(got.Pix[i/g.Stride*got.Stride+i%g.Stride])
			err += d * d
		}
		if limit := (sum + 64) * float64(blocks); err > limit {
			t.Fatalf("%v at quality %d: squared error %.0f, at most %.0f", g.Rect, q, err, limit)
		}
	})
}
