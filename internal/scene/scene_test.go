package scene

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"image"
	"math"
	"sync"
	"testing"
	"time"
)

var testEpoch = time.Date(2026, 3, 14, 9, 26, 53, 589_000_000, time.UTC)

func newScene(t testing.TB, c Config) *Scene {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConfig(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   Config
		want string // of the error
	}{
		{"zero", Config{}, ""},
		{"smallest", Config{Width: 160, Height: 120}, ""},
		{"largest", Config{Width: 1600, Height: 1200}, ""},
		{"width only", Config{Width: 800}, "set scene size: 800x0 is not between 160x120 and 1600x1200"},
		{"narrow", Config{Width: 159, Height: 120}, "set scene size: 159x120 is not between 160x120 and 1600x1200"},
		{"high", Config{Width: 1600, Height: 1201}, "set scene size: 1600x1201 is not between 160x120 and 1600x1200"},
		{"coarse", Config{Quality: 64}, "set scene quality: 64 is not between 1 and 63"},
		{"negative quality", Config{Quality: -1}, "set scene quality: -1 is not between 1 and 63"},
		{"negative interval", Config{Interval: -time.Second}, "set scene interval: -1s is below 1ms"},
	} {
		_, err := New(tt.in)
		if got := errorText(err); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	got := newScene(t, Config{}).Config()
	want := Config{Epoch: time.Unix(0, 0).UTC(), Width: 800, Height: 600, Interval: 2 * time.Second, Quality: 12}
	if got != want {
		t.Errorf("defaults: got %+v, want %+v", got, want)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestGolden: these pictures must come out on every platform and in every
// version, or recorded runs can no longer be repeated. A deliberate change of
// the look changes them.
func TestGolden(t *testing.T) {
	for _, tt := range []struct {
		name string
		c    Config
		seq  uint64
		at   time.Duration
		want string
	}{
		{"first", Config{Seed: 1}, 0, 0,
			"b524afd44746f7656d11725e825de751ce5112eb7cd418ee93a0ce5782a5b624"},
		{"evening", Config{Seed: 42, Clock: true, Stamp: true}, 7200, 10 * time.Hour,
			"a3bf0129e85c775adee77639ed6eb11a87c0629619c0fce1e59b839f60ea256f"},
		{"small", Config{Seed: 1 << 63, Width: 400, Height: 296, Quality: 20, Stamp: true}, 1, 1234567 * time.Microsecond,
			"c1feddbb46a514e1900d4cc4b47a28f3da0f674aae65ff431b48b40b4f6851d4"},
	} {
		tt.c.Epoch = testEpoch
		sum := sha256.Sum256(newScene(t, tt.c).JPEG(tt.seq, tt.at))
		if got := hex.EncodeToString(sum[:]); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

// TestDeterministic: the same from another Scene, in another order and from
// many goroutines; different as soon as anything differs.
func TestDeterministic(t *testing.T) {
	c := Config{Seed: 5, Epoch: testEpoch, Width: 320, Height: 240}
	a, b := newScene(t, c), newScene(t, c)
	const n = 6
	var got [n][]byte
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { got[i] = a.JPEG(uint64(i), a.At(uint64(i))) })
	}
	wg.Wait()
	for i := n - 1; i >= 0; i-- {
		if want := b.JPEG(uint64(i), b.At(uint64(i))); !bytes.Equal(got[i], want) {
			t.Errorf("frame %d differs between two scenes of one configuration", i)
		}
		if i > 0 && bytes.Equal(got[i], got[i-1]) {
			t.Errorf("frames %d and %d are alike", i-1, i)
		}
	}
	c.Seed++
	if bytes.Equal(newScene(t, c).JPEG(0, 0), got[0]) {
		t.Error("another seed gives the same picture")
	}
	if bytes.Equal(a.JPEG(1, 0), got[0]) {
		t.Error("another number gives the same noise")
	}
}

// TestFrameBytes holds the default picture to what boards in the field send.
func TestFrameBytes(t *testing.T) {
	total, n := 0, 0
	for seed := range uint64(3) {
		s := newScene(t, Config{Seed: seed, Epoch: testEpoch, Clock: true, Stamp: true})
		for i := range uint64(12) {
			at := time.Duration(i) * (2*time.Hour + 7*time.Second)
			size := len(s.JPEG(i, at))
			if size < 20_000 || size > 30_000 {
				t.Errorf("seed %d at %v: %d bytes, want 20,000 to 30,000", seed, at, size)
			}
			total, n = total+size, n+1
		}
	}
	t.Logf("mean %d bytes", total/n)
}

// TestNoise measures the sensor noise from two frames of one moment.
func TestNoise(t *testing.T) {
	s := newScene(t, Config{Seed: 8, Epoch: testEpoch})
	a, b := s.Picture(1, 0), s.Picture(2, 0)
	var sums, counts [4]float64
	var all, right float64
	for i, v := range a.Pix {
		d := float64(v) - float64(b.Pix[i])
		level := (int(v) + int(b.Pix[i])) / 2 / 64
		sums[level] += d * d
		counts[level]++
		all += d * d
		if i%800 != 799 {
			right += d * (float64(a.Pix[i+1]) - float64(b.Pix[i+1]))
		}
	}
	var sigma [4]float64
	for i := range sigma {
		sigma[i] = math.Sqrt(sums[i] / counts[i] / 2)
	}
	if mean := math.Sqrt(all / float64(len(a.Pix)) / 2); mean < 1.4 || mean > 2.8 {
		t.Errorf("noise of %.2f grey levels", mean)
	}
	if !(sigma[0] < sigma[1] && sigma[1] < sigma[2] && sigma[2] < sigma[3]) {
		t.Errorf("noise does not grow with the signal: %.2f", sigma)
	}
	if c := right / all; c < 0.08 || c > 0.4 {
		t.Errorf("neighbours correlate by %.2f, want a little", c)
	}
}

func meanOf(g *image.Gray) float64 {
	sum := 0
	for _, v := range g.Pix {
		sum += int(v)
	}
	return float64(sum) / float64(len(g.Pix))
}

// TestDayAndNight: the light follows the wall clock, slowly, and there is
// always enough of it to see something.
func TestDayAndNight(t *testing.T) {
	s := newScene(t, Config{Seed: 1, Width: 160, Height: 120})
	noon, night := meanOf(s.Picture(0, 12*time.Hour)), meanOf(s.Picture(0, 2*time.Hour))
	if noon < night+15 {
		t.Errorf("mean at noon %.1f, at night %.1f", noon, night)
	}
	last := meanOf(s.Picture(0, 0))
	for at := time.Duration(0); at < 25*time.Hour; at += 5 * time.Minute {
		mean := meanOf(s.Picture(0, at))
		if mean < 40 || mean > 130 {
			t.Errorf("mean %.1f at %v", mean, at)
		}
		if math.Abs(mean-last) > 12 {
			t.Errorf("jump from %.1f to %.1f at %v", last, mean, at)
		}
		last = mean
	}
}

// changed counts the 16x16 tiles that differ by more than noise between two
// moments.
func changed(s *Scene, a, b time.Duration) (tiles int) {
	p, q := s.Picture(0, a), s.Picture(0, b)
	for y := 0; y+16 <= 600; y += 16 {
		for x := 0; x+16 <= 800; x += 16 {
			d := 0
			for r := range 16 {
				for c := range 16 {
					i := (y+r)*800 + x + c
					d += int(p.Pix[i]) - int(q.Pix[i])
				}
			}
			if max(d, -d) > 16*16*3 {
				tiles++
			}
		}
	}
	return tiles
}

// TestMotion: something moves between most frames, never everything.
func TestMotion(t *testing.T) {
	s := newScene(t, Config{Seed: 11, Epoch: testEpoch})
	moved := 0
	for i := range uint64(10) {
		n := changed(s, s.At(i), s.At(i+1))
		if n > 900 { // of 1850
			t.Errorf("%d tiles change between frames %d and %d", n, i, i+1)
		}
		if n >= 4 {
			moved++
		}
	}
	if moved < 7 {
		t.Errorf("something moves in %d of 10 frames only", moved)
	}
}

// TestTimes: no time breaks the arithmetic.
func TestTimes(t *testing.T) {
	for _, epoch := range []time.Time{{}, testEpoch, time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)} {
		s := newScene(t, Config{Epoch: epoch, Width: 160, Height: 120, Clock: true, Stamp: true})
		for _, at := range []time.Duration{0, time.Millisecond - 1, -time.Hour, 100 * 365 * 24 * time.Hour} {
			if b := s.JPEG(math.MaxUint64, at); len(b) < 1000 {
				t.Errorf("epoch %v at %v: %d bytes", epoch, at, len(b))
			}
		}
	}
}

// TestEverySize draws in the frame sizes of the camera (esp32-wire 4.1).
func TestEverySize(t *testing.T) {
	for _, size := range [][2]int{{160, 120}, {176, 144}, {240, 176}, {240, 240}, {320, 240}, {400, 296}, {480, 320},
		{640, 480}, {800, 600}, {1024, 768}, {1280, 720}, {1280, 1024}, {1600, 1200}, {161, 1200}, {1600, 121}, {333, 255}} {
		s := newScene(t, Config{Epoch: testEpoch, Width: size[0], Height: size[1], Clock: true, Stamp: true})
		b := s.JPEG(3, time.Minute)
		g := lumaOf(t, b)
		if g.Rect != image.Rect(0, 0, size[0], size[1]) {
			t.Errorf("%v: decoded to %v", size, g.Rect)
		}
		got, err := ReadStamp(g)
		if err != nil || got.Seq != 3 || !got.Captured.Equal(testEpoch.Add(time.Minute)) {
			t.Errorf("%v: stamp %+v, %v", size, got, err)
		}
		if limit := size[0] * size[1] / 5; len(b) > limit {
			t.Errorf("%v: %d bytes, more than the camera's buffer of %d", size, len(b), limit)
		}
	}
}

func TestClock(t *testing.T) {
	with := newScene(t, Config{Epoch: testEpoch, Clock: true}).Picture(0, time.Hour)
	without := newScene(t, Config{Epoch: testEpoch}).Picture(0, time.Hour)
	area := image.Rectangle{}
	white := 0
	for i, v := range with.Pix {
		if v != without.Pix[i] {
			area = area.Union(image.Rect(i%800, i/800, i%800+1, i/800+1))
		}
		if v == 228 && i/800 < 26 && i%800 < 110 {
			white++
		}
	}
	if !area.In(image.Rect(8, 8, 112, 30)) {
		t.Errorf("the clock draws at %v", area)
	}
	// 10:26:53: dots of the glyphs, 2x2 pixels each.
	dots := 0
	for _, d := range []int{1, 0, 10, 2, 6, 10, 5, 3} {
		for _, row := range digits[d] {
			for ; row != 0; row &= row - 1 {
				dots++
			}
		}
	}
	if white < dots*4 || white > dots*4+20 {
		t.Errorf("%d white pixels, want those of 10:26:53, %d", white, dots*4)
	}
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		newScene(b, Config{})
	}
}

func BenchmarkPicture(b *testing.B) {
	s := newScene(b, Config{Epoch: testEpoch, Clock: true, Stamp: true})
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		s.Picture(i, s.At(i))
	}
}

func BenchmarkJPEG(b *testing.B) {
	s := newScene(b, Config{Epoch: testEpoch, Clock: true, Stamp: true})
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		s.JPEG(i, s.At(i))
	}
}

func BenchmarkEncode(b *testing.B) {
	g := newScene(b, Config{Epoch: testEpoch}).Picture(0, 0)
	b.ReportAllocs()
	for b.Loop() {
		EncodeOV2640(g, DefaultQuality)
	}
}
