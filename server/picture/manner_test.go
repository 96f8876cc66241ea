package picture

import (
	"bytes"
	"image"
	"math/rand/v2"
	"testing"
	"time"

	"porthole/internal/frame"
	"porthole/internal/scene"
)

func admit(t *testing.T, p *Pipeline, jpeg []byte) *Admitted {
	t.Helper()
	info, err := frame.Inspect(jpeg, frame.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	a, err := p.Admit(jpeg, info)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func renderIn(t *testing.T, p *Pipeline, a *Admitted, m Manner) *Result {
	t.Helper()
	r, err := p.RenderIn(a, m)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestGrainDiffers: one still picture, rendered again and again, never gives
// the same bytes twice, and nobody can see the difference.
func TestGrainDiffers(t *testing.T) {
	for _, tt := range []struct {
		name    string
		size    image.Point
		quality int
		times   int
		off     int // of a pixel, at most
	}{
		{"small and dark", image.Pt(64, 48), DefaultQuality, 500, 4},
		{"large", image.Pt(400, 296), DefaultQuality, 30, 4},
		{"finest", image.Pt(64, 48), 1, 500, 4},
		{"coarsest", image.Pt(64, 48), MaxQuality, 500, 16},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPipeline(t, Config{Quality: tt.quality, Denoise: true, Normalize: true})
			g := image.NewGray(image.Rectangle{Max: tt.size})
			for i := range g.Pix {
				g.Pix[i] = 17
			}
			a, err := p.admit(g, Steps{}, frame.Info{Width: tt.size.X, Height: tt.size.Y})
			if err != nil {
				t.Fatal(err)
			}
			rnd := rand.New(rand.NewPCG(1, 1))
			seen := make(map[string]bool)
			var plain *Result
			for range 50 {
				plain = renderIn(t, p, a, Manner{}) // the denoiser comes to rest
			}
			for i := range tt.times {
				r := renderIn(t, p, a, Manner{Grain: rnd})
				if seen[string(r.JPEG)] {
					t.Fatalf("picture %d has been there before", i)
				}
				seen[string(r.JPEG)] = true
				for j, v := range r.Picture.Pix {
					if d := int(v) - int(plain.Picture.Pix[j]); max(d, -d) > tt.off {
						t.Fatalf("a pixel is off by %d", d)
					}
				}
			}
		})
	}
}

// TestGrainCosts little.
func TestGrainCosts(t *testing.T) {
	sc := newScene(t, scene.Config{Seed: 3})
	with, without := newPipeline(t, Config{Denoise: true}), newPipeline(t, Config{Denoise: true})
	rnd := rand.New(rand.NewPCG(1, 1))
	n, m := 0, 0
	for i := range 10 {
		jpeg := sc.JPEG(uint64(i), time.Duration(i)*2*time.Second)
		n += len(renderIn(t, with, admit(t, with, jpeg), Manner{Grain: rnd}).JPEG)
		m += len(renderIn(t, without, admit(t, without, jpeg), Manner{}).JPEG)
	}
	t.Logf("%d bytes with grain, %d without", n, m)
	if n*100 > m*101 {
		t.Errorf("grain costs %d bytes of %d", n-m, m)
	}
}

// TestJoin: a frame that is brighter than the one before comes out equally
// bright after a join, and then returns to what it would be.
func TestJoin(t *testing.T) {
	flat := func(level uint8) *image.Gray {
		g := image.NewGray(image.Rect(0, 0, 64, 64))
		for i := range g.Pix {
			g.Pix[i] = level - 8 + uint8(i%17)
		}
		return g
	}
	for _, tt := range []struct {
		name      string
		normalize bool
		from, to  uint8
		end       int
	}{
		{"brighter", false, 80, 110, 110},
		{"darker", false, 110, 80, 80},
		{"normalised", true, 80, 140, canonicalMean},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPipeline(t, Config{Normalize: tt.normalize})
			show := func(level uint8, join bool) int {
				a, err := p.admit(flat(level), Steps{}, frame.Info{Width: 64, Height: 64})
				if err != nil {
					t.Fatal(err)
				}
				return int(TrimmedMean(renderIn(t, p, a, Manner{Join: join}).Picture, Masks{}))
			}
			before := show(tt.from, false)
			after := show(tt.to, true)
			if d := after - before; d < -3 || d > 3 {
				t.Errorf("the join shows: %d after %d", after, before)
			}
			last := after
			for range 100 {
				next := show(tt.to, false)
				if d := next - last; d < -3 || d > 3 {
					t.Errorf("a step on the way: %d after %d", next, last)
				}
				last = next
			}
			if d := last - tt.end; d < -1 || d > 1 {
				t.Errorf("ends at %d, want %d", last, tt.end)
			}
		})
	}
}

// TestRevoke: what comes after a frame that was taken back does not depend on it.
func TestRevoke(t *testing.T) {
	sc := newScene(t, scene.Config{Seed: 5, Width: 320, Height: 240})
	jpeg := func(i int) []byte { return sc.JPEG(uint64(i), time.Duration(i)*2*time.Second) }
	dark := newScene(t, scene.Config{Seed: 6, Width: 320, Height: 240, Epoch: time.Unix(8*3600, 0)}).JPEG(1, 0)
	run := func(dropped []byte) (out [][]byte) {
		p := newPipeline(t, Config{Denoise: true, Normalize: true})
		for i := range 6 {
			m := Manner{Revocable: true, Join: i == 4}
			if dropped != nil && i == 4 {
				renderIn(t, p, admit(t, p, dropped), m)
				p.Revoke()
				p.Revoke() // once is enough
			}
			out = append(out, renderIn(t, p, admit(t, p, jpeg(i)), m).JPEG)
		}
		return out
	}
	want := run(nil)
	for name, dropped := range map[string][]byte{"the frame itself": jpeg(4), "another room": dark} {
		for i, got := range run(dropped) {
			if !bytes.Equal(got, want[i]) {
				t.Errorf("%s: picture %d depends on a frame that was taken back", name, i)
			}
		}
	}
}
