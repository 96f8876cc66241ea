// Package quality measures how near a picture is to another: PSNR, and SSIM
// after Wang, Bovik, Sheikh and Simoncelli (2004) with an 11x11 Gaussian window.
package quality

import (
	"image"
	"math"
)

// PSNR is the peak signal to noise ratio in decibels, infinite for equal
// pictures. Both must have the same size.
func PSNR(a, b *image.Gray) float64 {
	w, h := a.Rect.Dx(), a.Rect.Dy()
	var sum int64
	for y := range h {
		r := b.Pix[y*b.Stride:][:w]
		for x, v := range a.Pix[y*a.Stride:][:w] {
			d := int64(v) - int64(r[x])
			sum += d * d
		}
	}
	return 10 * math.Log10(255*255*float64(w*h)/float64(sum))
}

const (
	radius = 5
	sigma  = 1.5
	c1     = (0.01 * 255) * (0.01 * 255)
	c2     = (0.03 * 255) * (0.03 * 255)
)

// Map is the similarity around each pixel, row by row, at most 1.
type Map struct {
	W, H int
	V    []float64
}

// SSIM compares two pictures of one size. Beyond their edges the edge pixels
// count.
func SSIM(a, b *image.Gray) Map {
	w, h := a.Rect.Dx(), a.Rect.Dy()
	n := w * h
	var planes [5][]float64 // a, b, a², b², ab
	for i := range planes {
		planes[i] = make([]float64, n)
	}
	for y := range h {
		for x := range w {
			p, q := float64(a.Pix[y*a.Stride+x]), float64(b.Pix[y*b.Stride+x])
			i := y*w + x
			planes[0][i], planes[1][i], planes[2][i], planes[3][i], planes[4][i] = p, q, p*p, q*q, p*q
		}
	}
	tmp := make([]float64, n)
	for i := range planes {
		blur(planes[i], tmp, w, h)
	}
	m := Map{w, h, tmp}
	for i := range tmp {
		ma, mb := planes[0][i], planes[1][i]
		va, vb, cov := planes[2][i]-ma*ma, planes[3][i]-mb*mb, planes[4][i]-ma*mb
		m.V[i] = (2*ma*mb + c1) * (2*cov + c2) / ((ma*ma + mb*mb + c1) * (va + vb + c2))
	}
	return m
}

// Mean over the whole picture.
func (m Map) Mean() float64 {
	var sum float64
	for _, v := range m.V {
		sum += v
	}
	return sum / float64(len(m.V))
}

// In is the sum over the pixels where area is true, and their number.
func (m Map) In(area []bool) (sum float64, n int) {
	for i, v := range m.V {
		if area[i] {
			sum += v
			n++
		}
	}
	return sum, n
}

var window = func() (k [2*radius + 1]float64) {
	var sum float64
	for i := range k {
		d := float64(i-radius) / sigma
		k[i] = math.Exp(-d * d / 2)
		sum += k[i]
	}
	for i := range k {
		k[i] /= sum
	}
	return k
}()

// blur replaces p by its windowed mean.
func blur(p, tmp []float64, w, h int) {
	line := make([]float64, w+2*radius)
	for y := range h {
		src := p[y*w:][:w]
		copy(line[radius:], src)
		for i := range radius {
			line[i], line[radius+w+i] = src[0], src[w-1]
		}
		dst := tmp[y*w:][:w]
		for x := range dst {
			var s float64
			for i, c := range window {
				s += c * line[x+i]
			}
			dst[x] = s
		}
	}
	for y := range h {
		dst := p[y*w:][:w]
		clear(dst)
		for i, c := range window {
			src := tmp[min(max(y+i-radius, 0), h-1)*w:][:w]
			for x, v := range src {
				dst[x] += c * v
			}
		}
	}
}

// Moving marks where a picture differs from the one before: pixels that changed
// by more than a threshold of levels, grown by margin pixels on each side. It is
// meant for clean pictures.
func Moving(before, now *image.Gray, threshold, margin int) []bool {
	w, h := now.Rect.Dx(), now.Rect.Dy()
	changed, wide := make([]bool, w*h), make([]bool, w*h)
	for y := range h {
		for x := range w {
			d := int(now.Pix[y*now.Stride+x]) - int(before.Pix[y*before.Stride+x])
			if max(d, -d) > threshold {
				for u := max(x-margin, 0); u <= min(x+margin, w-1); u++ {
					wide[y*w+u] = true
				}
			}
		}
	}
	for y := range h {
		for v := max(y-margin, 0); v <= min(y+margin, h-1); v++ {
			for x := range w {
				if wide[y*w+x] {
					changed[v*w+x] = true
				}
			}
		}
	}
	return changed
}
