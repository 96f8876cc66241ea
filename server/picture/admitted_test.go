package picture

import (
	"bytes"
	"errors"
	"image"
	"testing"
	"time"

	"porthole/internal/scene"
)

// TestAdmittedIsNotTouched: rendering takes nothing from the frame, so that one
// can be held back, recorded and rendered at the same time.
func TestAdmittedIsNotTouched(t *testing.T) {
	data := newScene(t, scene.Config{Seed: 3, Width: 160, Height: 120}).JPEG(1, 12*time.Hour)
	cfg := Config{Camera: image.Pt(160, 120), Masks: []image.Rectangle{image.Rect(20, 20, 60, 60)}, Normalize: true, Denoise: true}
	p := newPipeline(t, cfg)
	a, err := p.Admit(data, inspect(t, data))
	if err != nil {
		t.Fatal(err)
	}
	before := bytes.Clone(a.gray.Pix)
	if a.gray.Stride != 160 || a.gray.Rect.Min != (image.Point{}) || a.Size() != image.Pt(160, 120) {
		t.Fatalf("admitted %v, stride %d, size %v", a.gray.Rect, a.gray.Stride, a.Size())
	}
	first, err := p.Render(a)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, a.gray.Pix) {
		t.Error("rendering changed the frame")
	}
	again, err := newPipeline(t, cfg).Render(a)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.JPEG, again.JPEG) {
		t.Error("the same frame, rendered first by two pipelines, differs")
	}
}

// TestMasksChangeWhileFramesWait: a frame that was admitted before the masks
// were set, and is still held back, is shown with them.
func TestMasksChangeWhileFramesWait(t *testing.T) {
	data := newScene(t, scene.Config{Seed: 3, Width: 160, Height: 120}).JPEG(1, 12*time.Hour)
	info := inspect(t, data)
	camera := image.Pt(160, 120)
	mask := image.Rect(16, 16, 64, 64)
	old := newPipeline(t, Config{Camera: camera, Masks: []image.Rectangle{image.Rect(96, 96, 112, 104)}})
	a, err := old.Admit(data, info)
	if err != nil {
		t.Fatal(err)
	}
	r, err := newPipeline(t, Config{Camera: camera, Masks: []image.Rectangle{mask}}).Render(a)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []image.Rectangle{mask, image.Rect(96, 96, 112, 104)} {
		for y := m.Min.Y; y < m.Max.Y; y++ {
			for x := m.Min.X; x < m.Max.X; x++ {
				if v := r.Picture.GrayAt(x, y).Y; v != maskLevel {
					t.Fatalf("level %d at (%d, %d)", v, x, y)
				}
			}
		}
	}
	if !old.Masked() || newPipeline(t, Config{}).Masked() || PassThrough().Masked() {
		t.Error("pipelines do not know whether they mask")
	}
	_, err = newPipeline(t, Config{Camera: image.Pt(320, 240), Masks: []image.Rectangle{mask}}).Render(a)
	if e, ok := errors.AsType[*Error](err); !ok || e.Kind != Size {
		t.Errorf("a frame of another size under new masks: %v", err)
	}
}

// TestKept: what is written down of a frame is masked, and admitted again is
// the same frame but for rounding.
func TestKept(t *testing.T) {
	s := newScene(t, scene.Config{Seed: 3})
	mask := image.Rect(100, 100, 300, 200)
	p := newPipeline(t, Config{Camera: image.Pt(800, 600), Masks: []image.Rectangle{mask}})
	data := s.JPEG(1, 12*time.Hour)
	a, err := p.Admit(data, inspect(t, data))
	if err != nil {
		t.Fatal(err)
	}
	kept, err := a.JPEG()
	if err != nil {
		t.Fatal(err)
	}
	plain := decoded(t, kept)
	if db := psnr(plain, a.gray); db < 50 {
		t.Errorf("kept at %.1f dB", db)
	}
	for y := mask.Min.Y; y < mask.Max.Y; y++ {
		for x := mask.Min.X; x < mask.Max.X; x++ {
			if v := plain.GrayAt(x, y).Y; v < maskLevel-8 || v > maskLevel+8 {
				t.Fatalf("level %d behind the mask at (%d, %d)", v, x, y)
			}
		}
	}
	b, err := p.Admit(kept, inspect(t, kept))
	if err != nil {
		t.Fatal(err)
	}
	if b.steps != a.steps {
		t.Error("the camera's quantisation steps are lost")
	}
	again, err := b.JPEG()
	if err != nil {
		t.Fatal(err)
	}
	if db := psnr(decoded(t, again), plain); db < 55 {
		t.Errorf("kept twice at %.1f dB", db)
	}
	if len(kept) > len(data) {
		t.Errorf("%d bytes kept of %d", len(kept), len(data))
	}
}

func TestPassThrough(t *testing.T) {
	data := newScene(t, scene.Config{Seed: 3, Width: 160, Height: 120}).JPEG(1, 0)
	p := PassThrough()
	r, err := p.Process(data, inspect(t, data))
	if err != nil || !bytes.Equal(r.JPEG, data) || r.Width != 160 || r.Height != 120 || r.Picture != nil {
		t.Errorf("passed %d of %d bytes, %d x %d, %v", len(r.JPEG), len(data), r.Width, r.Height, err)
	}
	a, err := p.Admit(data, inspect(t, data))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newPipeline(t, Config{}).Render(a); err == nil {
		t.Error("bytes that were never decoded were rendered")
	}
	b, err := newPipeline(t, Config{}).Admit(data, inspect(t, data))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Render(b); err == nil {
		t.Error("a pass-through has nothing to pass of a decoded frame")
	}
}
