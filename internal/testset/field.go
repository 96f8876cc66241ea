package testset

import (
	"image"
	"math"
)

// field is a picture in floating point, 0 to 255, row by row.
type field struct {
	w, h int
	v    []float64
}

func newField(w, h int) *field { return &field{w: w, h: h, v: make([]float64, w*h)} }

func (f *field) clone() *field {
	g := newField(f.w, f.h)
	copy(g.v, f.v)
	return g
}

func (f *field) row(y int) []float64 { return f.v[y*f.w:][:f.w] }

// std is the standard deviation of the field's first w columns and h rows.
func (f *field) std(w, h int) float64 {
	var sum, squares float64
	for y := range h {
		for _, v := range f.row(y)[:w] {
			sum += v
			squares += v * v
		}
	}
	n := float64(w * h)
	return math.Sqrt(squares/n - sum/n*sum/n)
}

// scale multiplies all values.
func (f *field) scale(by float64) *field {
	for i := range f.v {
		f.v[i] *= by
	}
	return f
}

// gauss returns the field blurred with the given standard deviations, the
// kernel cut at four of them and the edges mirrored.
func (f *field) gauss(sy, sx float64) *field {
	out, tmp := newField(f.w, f.h), newField(f.w, f.h)
	k := kernel(sx)
	r := len(k) / 2
	line := make([]float64, f.w+2*r)
	for y := range f.h {
		src, dst := f.row(y), tmp.row(y)
		for i := range line {
			line[i] = src[mirror(i-r, f.w)]
		}
		for x := range dst {
			var s float64
			for i, c := range k {
				s += c * line[x+i]
			}
			dst[x] = s
		}
	}
	k = kernel(sy)
	r = len(k) / 2
	for y := range f.h {
		dst := out.row(y)
		for i, c := range k {
			for x, v := range tmp.row(mirror(y+i-r, f.h)) {
				dst[x] += c * v
			}
		}
	}
	return out
}

func kernel(sigma float64) []float64 {
	r := int(4*sigma + 0.5)
	k := make([]float64, 2*r+1)
	var sum float64
	for i := range k {
		d := float64(i-r) / sigma
		k[i] = math.Exp(-d * d / 2)
		sum += k[i]
	}
	for i := range k {
		k[i] /= sum
	}
	return k
}

// mirror folds an index into 0..n-1; the edge sample is repeated.
func mirror(i, n int) int {
	for i < 0 || i >= n {
		if i < 0 {
			i = -1 - i
		} else {
			i = 2*n - 1 - i
		}
	}
	return i
}

// at is the linear interpolation at (x, y), which must lie inside.
func (f *field) at(x, y float64) float64 {
	x0, y0 := int(x), int(y)
	fx, fy := x-float64(x0), y-float64(y0)
	x1, y1 := min(x0+1, f.w-1), min(y0+1, f.h-1)
	a, b := f.row(y0), f.row(y1)
	return (a[x0]*(1-fx)+a[x1]*fx)*(1-fy) + (b[x0]*(1-fx)+b[x1]*fx)*fy
}

// zoom enlarges linearly, corner on corner.
func (f *field) zoom(by, bx int) *field {
	out := newField(f.w*bx, f.h*by)
	for y := range out.h {
		v := float64(y) * float64(f.h-1) / float64(max(out.h-1, 1))
		row := out.row(y)
		for x := range row {
			row[x] = f.at(float64(x)*float64(f.w-1)/float64(out.w-1), v)
		}
	}
	return out
}

// smooth is blurred noise of standard deviation one.
func smooth(h, w int, sy, sx float64, seed uint32) *field {
	f := newSource(seed).normals(w, h).gauss(sy, sx)
	return f.scale(1 / f.std(w, h))
}

// clip bounds all values to 0..255.
func (f *field) clip() *field {
	for i, v := range f.v {
		f.v[i] = min(max(v, 0), 255)
	}
	return f
}

// gray rounds to a picture.
func (f *field) gray() *image.Gray {
	g := image.NewGray(image.Rect(0, 0, f.w, f.h))
	for i, v := range f.v {
		g.Pix[i] = uint8(min(max(v, 0), 255) + 0.5)
	}
	return g
}
