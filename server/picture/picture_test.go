package picture

import (
	"bytes"
	"image"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"porthole/internal/frame"
	"porthole/internal/scene"
)

// grain is a picture with an edge, a slope and some noise.
func grain(w, h int, seed uint64) *image.Gray {
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

// steps12 are those of a camera at its usual quality.
func steps12() (s Steps) {
	for i, q := range quantTable(12) {
		s[i] = uint16(q)
	}
	return s
}

func flat(w, h int, v uint8) *image.Gray {
	g := image.NewGray(image.Rect(0, 0, w, h))
	for i := range g.Pix {
		g.Pix[i] = v
	}
	return g
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

// inspect returns what ingest knows of a frame.
func inspect(t testing.TB, data []byte) frame.Info {
	t.Helper()
	info, err := frame.Inspect(data, frame.Limits{MaxWidth: maxSide, MaxHeight: maxSide})
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// decoded reads one of our own JPEGs: one component, and accepted by the same
// inspection that uploads go through.
func decoded(t testing.TB, data []byte) *image.Gray {
	t.Helper()
	if info := inspect(t, data); info.Components != 1 || info.Trailing != 0 {
		t.Fatalf("our own picture is %+v", info)
	}
	m, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("decode: %v", err)
	}
	g, ok := m.(*image.Gray)
	if !ok {
		t.Fatalf("decoded to %T", m)
	}
	return g
}

func newPipeline(t testing.TB, c Config) *Pipeline {
	t.Helper()
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Process admits and renders.
func (p *Pipeline) Process(jpeg []byte, info frame.Info) (Result, error) {
	a, err := p.Admit(jpeg, info)
	if err != nil {
		return Result{}, err
	}
	return p.render(a)
}

// process takes over at the decoded picture.
func (p *Pipeline) process(g *image.Gray, steps Steps) (Result, error) {
	a, err := p.admit(g, steps, frame.Info{Width: g.Rect.Dx(), Height: g.Rect.Dy()})
	if err != nil {
		return Result{}, err
	}
	return p.render(a)
}

func (p *Pipeline) render(a *Admitted) (Result, error) {
	r, err := p.Render(a)
	if err != nil {
		return Result{}, err
	}
	return *r, nil
}

func newScene(t testing.TB, c scene.Config) *scene.Scene {
	t.Helper()
	s, err := scene.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConfig(t *testing.T) {
	camera := image.Pt(800, 600)
	r := image.Rect
	for _, tt := range []struct {
		name string
		cfg  Config
		want string // part of the error; "" is none
	}{
		{"zero", Config{}, ""},
		{"all", Config{Camera: camera, Masks: []image.Rectangle{r(0, 0, 1, 1), r(799, 599, 800, 600)}, Crop: r(0, 0, 800, 600), Width: 400, Denoise: true, Normalize: true, Quality: 63}, ""},
		{"quality over", Config{Quality: 64}, "64 is not between 1 and 63"},
		{"quality under", Config{Quality: -1}, "-1 is not"},
		{"width under", Config{Width: -1}, "picture width: -1"},
		{"width over", Config{Width: 65536}, "picture width: 65536"},
		{"camera under", Config{Camera: image.Pt(0, 5)}, "camera size: 0x5"},
		{"camera over", Config{Camera: image.Pt(65536, 5)}, "camera size: 65536x5"},
		{"mask without a size", Config{Masks: []image.Rectangle{r(0, 0, 8, 8)}}, "size is not given"},
		{"crop without a size", Config{Crop: r(0, 0, 8, 8)}, "size is not given"},
		{"crop over", Config{Camera: camera, Crop: r(0, 0, 801, 600)}, "crop: (0,0)-(801,600)"},
		{"crop empty", Config{Camera: camera, Crop: r(5, 5, 5, 9)}, "crop: (5,5)-(5,9)"},
		{"mask empty", Config{Camera: camera, Masks: []image.Rectangle{r(0, 0, 8, 8), r(9, 9, 9, 9)}}, "mask 2"},
		{"mask outside", Config{Camera: camera, Masks: []image.Rectangle{r(0, -1, 8, 8)}}, "mask 1"},
		{"many masks", Config{Camera: camera, Masks: make([]image.Rectangle, maxMasks+1)}, "65, at most 64"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := New(tt.cfg)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("New = %v, want …%s…", err, tt.want)
			}
		})
	}
}

func BenchmarkProcess(b *testing.B) {
	data := newScene(b, scene.Config{Seed: 1}).JPEG(3, 0)
	info := inspect(b, data)
	for name, cfg := range map[string]Config{"plain": {}, "full": {
		Camera: image.Pt(800, 600), Masks: []image.Rectangle{image.Rect(50, 50, 200, 150)},
		Normalize: true, Denoise: true}} {
		b.Run(name, func(b *testing.B) {
			p := newPipeline(b, cfg)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Process(data, info); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkStages(b *testing.B) {
	data := newScene(b, scene.Config{Seed: 1}).JPEG(3, 0)
	info := inspect(b, data)
	g, _, err := Decode(data, info)
	if err != nil {
		b.Fatal(err)
	}
	e, d, n := NewEncoder(12), new(Denoiser), 0
	var banded [2]*image.Gray
	for k := range banded {
		banded[k] = Crop(g, image.Rectangle{})
		for i, v := range banded[k].Pix {
			banded[k].Pix[i] = uint8(min(float64(v)*mains(0.012, 150, 0)(k, 0, float64(i/g.Rect.Dx())/litHeight), 255))
		}
	}
	for _, s := range []struct {
		name string
		run  func()
	}{
		{"decode", func() { Decode(data, info) }},
		{"tail", func() { CheckTail(g, Masks{}) }},
		{"mean", func() { TrimmedMean(g, Masks{}) }},
		{"downscale", func() { Downscale(g, 400) }},
		{"denoise", func() { d.Apply(Crop(g, image.Rectangle{}), steps12()) }},
		{"denoise in bands", func() { n++; d.Apply(Crop(banded[n%2], image.Rectangle{}), steps12()) }},
		{"encode", func() { e.Encode(g) }},
	} {
		b.Run(s.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.run()
			}
		})
	}
}
