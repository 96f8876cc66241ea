package picture

import (
	"bytes"
	"image"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"porthole/internal/scene"
)

func TestCrop(t *testing.T) {
	g := grain(40, 30, 1)
	sub := g.SubImage(image.Rect(5, 3, 40, 30)).(*image.Gray)
	got := Crop(sub, image.Rect(2, 1, 12, 9))
	if got.Rect != image.Rect(0, 0, 10, 8) || got.Stride != 10 {
		t.Fatalf("cropped to %v, stride %d", got.Rect, got.Stride)
	}
	for y := range 8 {
		for x := range 10 {
			if got.GrayAt(x, y) != g.GrayAt(5+2+x, 3+1+y) {
				t.Fatalf("wrong pixel at (%d, %d)", x, y)
			}
		}
	}
	if whole := Crop(g, image.Rectangle{}); !bytes.Equal(whole.Pix, g.Pix) {
		t.Error("an empty crop is not the whole picture")
	} else if whole.Pix[0]++; whole.Pix[0] == g.Pix[0] {
		t.Error("the crop shares memory with its source")
	}
}

// areaMean is Downscale by definition, in exact fractions.
func areaMean(g *image.Gray, width, height int) *image.Gray {
	w, h := g.Rect.Dx(), g.Rect.Dy()
	out := image.NewGray(image.Rect(0, 0, width, height))
	overlap := func(i, n, x, m int) int { // of source i of n with target x of m, in units of 1/(n*m)
		return max(0, min((i+1)*m, (x+1)*n)-max(i*m, x*n))
	}
	for y := range height {
		for x := range width {
			sum := new(big.Int)
			for i := range h {
				for j := range w {
					weight := overlap(i, h, y, height) * overlap(j, w, x, width)
					sum.Add(sum, big.NewInt(int64(weight)*int64(g.Pix[i*g.Stride+j])))
				}
			}
			all := big.NewInt(int64(w) * int64(h))
			sum.Add(sum, new(big.Int).Quo(all, big.NewInt(2)))
			out.Pix[y*width+x] = uint8(sum.Quo(sum, all).Int64())
		}
	}
	return out
}

func TestDownscale(t *testing.T) {
	const seed = 6
	r := rand.New(rand.NewPCG(seed, 0))
	for range 60 {
		w, h := 1+r.IntN(40), 1+r.IntN(40)
		width := 1 + r.IntN(w)
		g := grain(w, h, r.Uint64())
		if r.IntN(3) == 0 {
			g = flat(w, h, 255)
		}
		got := Downscale(g, width)
		if want := max(1, (h*width+w/2)/w); got.Rect != image.Rect(0, 0, width, want) {
			t.Fatalf("seed %d: %dx%d to %d is %v, want height %d", seed, w, h, width, got.Rect, want)
		}
		if want := areaMean(g, width, got.Rect.Dy()); !bytes.Equal(got.Pix, want.Pix) {
			t.Fatalf("seed %d: %dx%d to %v:\n got %d\nwant %d", seed, w, h, got.Rect, got.Pix, want.Pix)
		}
	}
	g := grain(20, 10, 1)
	for _, width := range []int{0, 20, 21, 65535} {
		if Downscale(g, width) != g {
			t.Errorf("width %d changes a picture that is 20 wide", width)
		}
	}
	if got := Downscale(grain(1600, 1200, 1), 1599); got.Rect != image.Rect(0, 0, 1599, 1199) {
		t.Errorf("UXGA to 1599 is %v", got.Rect)
	}
}

func TestTrimmedMean(t *testing.T) {
	masked := NewMasks(image.Pt(32, 16), []image.Rectangle{image.Rect(0, 0, 16, 16)})
	for _, tt := range []struct {
		name  string
		level func(i int) uint8
		masks Masks
		want  uint8
	}{
		{"flat", func(int) uint8 { return 77 }, Masks{}, 77},
		{"black", func(int) uint8 { return 0 }, Masks{}, 0},
		{"a window does not count", func(i int) uint8 { return uint8(50 + i%10/9*205) }, Masks{}, 50},
		{"two halves", func(i int) uint8 { return uint8(100 * (i % 2)) }, Masks{}, 50},
		{"masked half", func(i int) uint8 { return uint8(200 - i%32/16*190) }, masked, 10},
		{"all masked", func(int) uint8 { return 9 }, NewMasks(image.Pt(32, 16), []image.Rectangle{image.Rect(0, 0, 32, 16)}), canonicalMean},
	} {
		g := flat(32, 16, 0)
		for i := range g.Pix {
			g.Pix[i] = tt.level(i)
		}
		if got := TrimmedMean(g, tt.masks); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

// TestGain: a feed comes in at the canonical mean, and a step of the exposure
// fades instead of jumping.
func TestGain(t *testing.T) {
	var a Gain
	shown := func(level uint8) int {
		g := flat(16, 16, level)
		a.Apply(g, TrimmedMean(g, Masks{}))
		return int(g.Pix[0])
	}
	if got := shown(80); got != canonicalMean {
		t.Errorf("the first picture has mean %d, want %d", got, canonicalMean)
	}
	before := shown(100) // brighter by a quarter
	if before < canonicalMean*115/100 {
		t.Errorf("a step of the exposure is gone at once: %d", before)
	}
	for range 100 {
		got := shown(100)
		if got > before || got < before-2 {
			t.Fatalf("after %d comes %d", before, got)
		}
		before = got
	}
	if before < canonicalMean-1 || before > canonicalMean+1 {
		t.Errorf("in the end the mean is %d, want %d", before, canonicalMean)
	}
	for range 200 {
		shown(5)
	}
	if got := shown(5); got < 9 || got > 10 {
		t.Errorf("night of level 5 is shown as %d, want twice it at most", got)
	}
	if got := shown(255); got != 255 {
		t.Errorf("white behind a raised gain is %d", got)
	}
}

// TestDenoiseScene measures on the camera's own JPEGs against the room without
// noise: what rests gets better and smaller, and what moves does not smear.
func TestDenoiseScene(t *testing.T) {
	s := newScene(t, scene.Config{Seed: 7, Clock: true})
	plain, quiet := newPipeline(t, Config{}), newPipeline(t, Config{Denoise: true})
	const pictures, settled = 14, 8
	var bytesPlain, bytesQuiet, moving int
	var dbPlain, dbQuiet, worst float64
	for n := range uint64(pictures) {
		at := 12*time.Hour + s.At(n)
		data := s.JPEG(n, at)
		info := inspect(t, data)
		a, err := plain.Process(data, info)
		if err != nil {
			t.Fatal(err)
		}
		b, err := quiet.Process(data, info)
		if err != nil {
			t.Fatal(err)
		}
		if n < settled {
			continue
		}
		// Other numbers at the same time are the same view with other noise.
		clean := flat(800, 600, 0)
		sum := make([]int, len(clean.Pix))
		const views = 4
		for i := range uint64(views) {
			for j, v := range s.Picture(1000+views*n+i, at).Pix {
				sum[j] += int(v)
			}
		}
		for j := range sum {
			clean.Pix[j] = uint8((sum[j] + views/2) / views)
		}
		bytesPlain, bytesQuiet, moving = bytesPlain+len(a.JPEG), bytesQuiet+len(b.JPEG), moving+b.Moving
		// The clouds over this room and its camera's exposure are held back by up
		// to holdMost: that is asked for, and no noise.
		light := float64(sumOf(b.Picture)) / float64(sumOf(clean))
		if math.Abs(light-1) > 0.025 {
			t.Errorf("picture %d: the light is off by %.1f %%", n, 100*(light-1))
		}
		dbPlain += psnr(clean, a.Picture)
		for j, v := range clean.Pix {
			clean.Pix[j] = uint8(min(float64(v)*light+0.5, 255))
		}
		for j, v := range a.Picture.Pix { // the same, for the worst part
			a.Picture.Pix[j] = uint8(min(float64(v)*light+0.5, 255))
		}
		dbQuiet += psnr(clean, b.Picture)
		// A smear would be a block that is far off in one picture only.
		for y := 0; y < 600; y += 24 {
			for x := 0; x < 800; x += 20 {
				r := image.Rect(x, y, x+20, y+24)
				worst = max(worst, psnr(Crop(clean, r), Crop(a.Picture, r))-psnr(Crop(clean, r), Crop(b.Picture, r)))
			}
		}
	}
	const n = pictures - settled
	t.Logf("bytes %d to %d, %.2f dB to %.2f dB, %d of 1000 blocks move, worst part loses %.1f dB",
		bytesPlain/n, bytesQuiet/n, dbPlain/n, dbQuiet/n, moving/n, worst)
	if bytesQuiet*100 > bytesPlain*97 {
		t.Errorf("%d B a picture, without denoising %d B", bytesQuiet/n, bytesPlain/n)
	}
	if dbQuiet < dbPlain+0.5*n {
		t.Errorf("%.2f dB, without denoising %.2f dB", dbQuiet/n, dbPlain/n)
	}
	if worst > 8 {
		t.Errorf("a part of a picture loses %.1f dB", worst)
	}
	if moving/n > 200 || moving/n < 5 {
		t.Errorf("%d of 1000 blocks move", moving/n)
	}
}

// sumOf adds up all pixels.
func sumOf(g *image.Gray) (sum int) {
	for _, v := range g.Pix {
		sum += int(v)
	}
	return sum
}

// TestDenoiseFollows: a bright square that jumps is where it is, at once, and
// nothing stays where it was.
func TestDenoiseFollows(t *testing.T) {
	var d Denoiser
	for n := range 40 {
		g := flat(96, 64, 60)
		x, y := n*13%72, n*7%40
		for v := y; v < y+20; v++ {
			for u := x; u < x+20; u++ {
				g.Pix[v*g.Stride+u] = 180
			}
		}
		want := flat(96, 64, 0)
		copy(want.Pix, g.Pix)
		d.Apply(g, steps12())
		for i := range g.Pix {
			if diff := int(g.Pix[i]) - int(want.Pix[i]); diff < -12 || diff > 12 {
				t.Fatalf("picture %d: %d at (%d, %d), want %d", n, g.Pix[i], i%96, i/96, want.Pix[i])
			}
		}
	}
	if got := d.Apply(flat(40, 40, 9), steps12()); got != 1000 {
		t.Errorf("a picture of another size: %d of 1000 blocks move", got)
	}
}

// TestDenoiseEdge: a change that is rest on its own is taken as it is beside
// one that moves, so that the edge of a mover leaves no trail.
func TestDenoiseEdge(t *testing.T) {
	for _, tt := range []struct {
		name  string
		mover uint8 // level of the left block in the second picture
		want  uint8 // of the right block, which goes from 60 to 62
	}{{"alone", 60, 61}, {"beside a mover", 160, 62}} {
		var d Denoiser
		d.Apply(flat(16, 8, 60), steps12())
		g := flat(16, 8, 62)
		for i := range g.Pix {
			if i%16 < 8 {
				g.Pix[i] = tt.mover
			}
		}
		d.Apply(g, steps12())
		if g.Pix[0] != tt.mover || g.Pix[15] != tt.want {
			t.Errorf("%s: %d and %d, want %d and %d", tt.name, g.Pix[0], g.Pix[15], tt.mover, tt.want)
		}
	}
}
