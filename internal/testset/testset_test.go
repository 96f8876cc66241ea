package testset

import (
	"bytes"
	"image"
	"image/jpeg"
	"math"
	"testing"

	"porthole/internal/quality"
)

func luma(t testing.TB, data []byte) *image.Gray {
	t.Helper()
	m, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	y := m.(*image.YCbCr)
	return &image.Gray{Pix: y.Y, Stride: y.YStride, Rect: y.Rect}
}

// TestCameraRow: the port is the scene that the first bandwidth figures were
// measured on (server 4: 25,366 B, 39.18 dB, SSIM 0.9526). The room is drawn by
// other code than there, so that the last digits differ.
func TestCameraRow(t *testing.T) {
	const n = 60
	var size, ssim, psnr, measured float64
	for i, f := range Scenes[0].Frames(n) {
		size += float64(len(f.JPEG)) / n
		if i%10 == 0 { // quality is the same in every frame
			g := luma(t, f.JPEG)
			ssim += quality.SSIM(g, f.Clean).Mean()
			psnr += quality.PSNR(g, f.Clean)
			measured++
		}
	}
	ssim, psnr = ssim/measured, psnr/measured
	t.Logf("%.0f B a frame, %.2f dB, SSIM %.4f", size, psnr, ssim)
	if math.Abs(size/25366-1) > 0.03 {
		t.Errorf("%.0f bytes a frame, want 25,366 within 3 %%", size)
	}
	if math.Abs(ssim-0.9526) > 0.002 {
		t.Errorf("SSIM %.4f, want 0.9526 within 0.002", ssim)
	}
	if math.Abs(psnr-39.18) > 0.2 {
		t.Errorf("%.2f dB, want 39.18 within 0.2", psnr)
	}
}

// TestScenes: every scene yields frames of the right size, the same ones each
// time, and moves where it says so.
func TestScenes(t *testing.T) {
	for _, s := range Scenes {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			const n = 9 // the screen scrolls with the last
			var first, before Frame
			changed := 0
			for i, f := range s.Frames(n) {
				if got := luma(t, f.JPEG).Rect; got != image.Rect(0, 0, Width, Height) || f.Clean.Rect != got {
					t.Fatalf("frame %d is %v", i, got)
				}
				if i == 0 {
					first = f
				} else {
					if bytes.Equal(f.JPEG, before.JPEG) {
						t.Errorf("frame %d is the one before: no noise", i)
					}
					for _, m := range quality.Moving(before.Steady, f.Steady, 2, 0) {
						if m {
							changed++
						}
					}
				}
				before = f
			}
			if moves := s.Person || s.Screen || s.Hand; moves != (changed > 0) {
				t.Errorf("%d pixels of the pictures in steady light changed", changed)
			}
			// Drift and banding change all of the picture.
			if steady := s.Drift == 0 && s.Banding == 0; steady != (before.Steady == before.Clean) {
				t.Errorf("the light is steady: %v, want %v", before.Steady == before.Clean, steady)
			} else if p := quality.PSNR(before.Steady, before.Clean); !steady && (p < 35 || p > 50) {
				t.Errorf("the light is %.1f dB from steady", p)
			}
			for _, f := range s.Frames(1) {
				if !bytes.Equal(f.JPEG, first.JPEG) {
					t.Error("the same scene twice gives two first frames")
				}
			}
		})
	}
	if _, ok := Find("desk"); !ok {
		t.Error("there is no desk")
	}
	if _, ok := Find("nowhere"); ok {
		t.Error("there is a nowhere")
	}
}
