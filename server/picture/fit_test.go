package picture

import (
	"image"
	"testing"
	"time"

	"porthole/internal/scene"
)

// TestFit: of every size to every size, what is shown is the middle of the
// source, at the same levels.
func TestFit(t *testing.T) {
	for _, tt := range []struct {
		name     string
		from, to image.Point
		// Where in the source, in permille of its sides, the corners of the
		// result come from.
		x0, y0, x1, y1 float64
	}{
		{"smaller", image.Pt(800, 600), image.Pt(400, 300), 0, 0, 1, 1},
		{"odd", image.Pt(800, 600), image.Pt(317, 238), 0, 0, 1, 1},
		{"larger", image.Pt(400, 300), image.Pt(1600, 1200), 0, 0, 1, 1},
		{"wider", image.Pt(800, 600), image.Pt(1280, 720), 0, 0.125, 1, 0.875},
		{"narrower", image.Pt(1280, 720), image.Pt(800, 600), 0.125, 0, 0.875, 1},
		{"square", image.Pt(800, 600), image.Pt(100, 100), 0.125, 0, 0.875, 1},
		{"one pixel", image.Pt(800, 600), image.Pt(1, 1), 0.125, 0, 0.875, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			slope := func(fx, fy float64) float64 { return 20 + 150*fx + 60*fy }
			g := image.NewGray(image.Rectangle{Max: tt.from})
			for y := range tt.from.Y {
				for x := range tt.from.X {
					g.Pix[y*g.Stride+x] = uint8(slope((float64(x)+0.5)/float64(tt.from.X), (float64(y)+0.5)/float64(tt.from.Y)) + 0.5)
				}
			}
			out := Fit(g, tt.to)
			if out.Rect != (image.Rectangle{Max: tt.to}) || out.Stride != tt.to.X {
				t.Fatalf("%v, stride %d", out.Rect, out.Stride)
			}
			for y := range tt.to.Y {
				for x := range tt.to.X {
					want := slope(tt.x0+(tt.x1-tt.x0)*(float64(x)+0.5)/float64(tt.to.X), tt.y0+(tt.y1-tt.y0)*(float64(y)+0.5)/float64(tt.to.Y))
					if got := float64(out.Pix[y*out.Stride+x]); got < want-2 || got > want+2 {
						t.Fatalf("level %v at (%d, %d), want %.1f", got, x, y, want)
					}
				}
			}
		})
	}
	for _, v := range []uint8{0, 1, 127, 254, 255} {
		for _, size := range []image.Point{{7, 5}, {33, 77}, {200, 100}, {1, 50}} {
			for _, got := range Fit(flat(31, 23, v), size).Pix {
				if got != v {
					t.Fatalf("a flat picture of %d has %d at %v", v, got, size)
				}
			}
		}
	}
}

// TestRecordedLikeLive: a recorded picture of any size leaves with the size, the
// masks and the crop of the camera's own.
func TestRecordedLikeLive(t *testing.T) {
	camera := image.Pt(320, 240)
	mask := image.Rect(32, 32, 64, 64)
	p := newPipeline(t, Config{Camera: camera, Masks: []image.Rectangle{mask}, Crop: image.Rect(0, 0, 320, 200), Width: 160})
	for _, size := range []image.Point{{320, 240}, {800, 600}, {160, 160}} {
		data := newScene(t, scene.Config{Seed: 3, Width: size.X, Height: size.Y}).JPEG(1, 12*time.Hour)
		a, err := p.AdmitRecorded(data, inspect(t, data), image.Point{})
		if err != nil {
			t.Fatal(err)
		}
		if a.Size() != camera {
			t.Errorf("%v: admitted as %v", size, a.Size())
		}
		r, err := p.Render(a)
		if err != nil {
			t.Fatal(err)
		}
		if r.Width != 160 || r.Height != 100 {
			t.Errorf("%v: rendered as %d x %d", size, r.Width, r.Height)
		}
		for y := 17; y < 31; y++ {
			for x := 17; x < 31; x++ {
				if v := r.Picture.GrayAt(x, y).Y; v != maskLevel {
					t.Fatalf("%v: level %d behind the mask", size, v)
				}
			}
		}
	}
	data := newScene(t, scene.Config{Seed: 3, Width: 800, Height: 600}).JPEG(1, 12*time.Hour)
	plain := newPipeline(t, Config{})
	for _, want := range []image.Point{{}, {640, 480}} {
		a, err := plain.AdmitRecorded(data, inspect(t, data), want)
		if err != nil {
			t.Fatal(err)
		}
		if want == (image.Point{}) {
			want = image.Pt(800, 600)
		}
		if a.Size() != want {
			t.Errorf("admitted as %v, want %v", a.Size(), want)
		}
	}
	r, err := PassThrough().AdmitRecorded(data, inspect(t, data), image.Pt(640, 480))
	if err != nil || r.Size() != image.Pt(800, 600) {
		t.Errorf("a pass-through made %v of it, %v", r.Size(), err)
	}
}
