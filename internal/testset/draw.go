package testset

import (
	"image"
	"math"
)

// oversampling is how much finer than the picture the room is drawn.
const oversampling = 2

// drawing is the canvas the furniture is drawn on, in levels. Coordinates of
// its methods are those of the picture; edges belong to the shape.
type drawing struct{ g *image.Gray }

func newDrawing(level uint8) drawing {
	g := image.NewGray(image.Rect(0, 0, Width*oversampling, Height*oversampling))
	for i := range g.Pix {
		g.Pix[i] = level
	}
	return drawing{g}
}

// fill paints the pixels of a bounding box for which inside is true.
func (d drawing) fill(x0, y0, x1, y1 float64, level uint8, inside func(x, y float64) bool) {
	r := image.Rect(int(x0), int(y0), int(x1)+1, int(y1)+1).Intersect(d.g.Rect)
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			if inside == nil || inside(float64(x), float64(y)) {
				d.g.Pix[y*d.g.Stride+x] = level
			}
		}
	}
}

func (d drawing) rect(x0, y0, x1, y1 float64, level uint8) {
	const s = oversampling
	d.fill(x0*s, y0*s, x1*s, y1*s, level, nil)
}

func (d drawing) ellipse(x0, y0, x1, y1 float64, level uint8) {
	const s = oversampling
	x0, y0, x1, y1 = x0*s, y0*s, x1*s, y1*s
	rx, ry := (x1-x0+1)/2, (y1-y0+1)/2
	d.fill(x0, y0, x1, y1, level, func(x, y float64) bool {
		dx, dy := (x-(x0+x1)/2)/rx, (y-(y0+y1)/2)/ry
		return dx*dx+dy*dy <= 1
	})
}

// line is straight and has flat ends.
func (d drawing) line(x0, y0, x1, y1, width float64, level uint8) {
	const s = oversampling
	x0, y0, x1, y1, width = x0*s, y0*s, x1*s, y1*s, width*s
	ux, uy := x1-x0, y1-y0
	length := math.Hypot(ux, uy)
	ux, uy = ux/length, uy/length
	d.fill(min(x0, x1)-width, min(y0, y1)-width, max(x0, x1)+width, max(y0, y1)+width, level, func(x, y float64) bool {
		along, across := (x-x0)*ux+(y-y0)*uy, (y-y0)*ux-(x-x0)*uy
		return along >= 0 && along <= length && math.Abs(across) <= width/2
	})
}

// polygon is convex, its corners given clockwise on the screen.
func (d drawing) polygon(level uint8, xy ...float64) {
	const s = oversampling
	n := len(xy) / 2
	left, top, right, bottom := math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)
	for i := range n {
		left, right = min(left, s*xy[2*i]), max(right, s*xy[2*i])
		top, bottom = min(top, s*xy[2*i+1]), max(bottom, s*xy[2*i+1])
	}
	d.fill(left, top, right, bottom, level, func(x, y float64) bool {
		for i := range n {
			j := (i + 1) % n
			ax, ay, bx, by := s*xy[2*i], s*xy[2*i+1], s*xy[2*j], s*xy[2*j+1]
			if (bx-ax)*(y-ay)-(by-ay)*(x-ax) < 0 {
				return false
			}
		}
		return true
	})
}

// picture brings the drawing to size with a three-lobed Lanczos filter, first
// along the rows, then along the columns, with levels between the two.
func (d drawing) picture() *field {
	const taps = 3 * oversampling * 2
	var weight [taps]float64
	var sum float64
	for i := range weight {
		// The centre of an output pixel lies between two input pixels.
		x := math.Pi * (float64(i) - taps/2 + 0.5) / oversampling
		weight[i] = math.Sin(x) / x * math.Sin(x/3) / (x / 3)
		sum += weight[i]
	}
	shrink := func(src []uint8, n, stride int, put func(i int, v float64)) {
		for i := range n / oversampling {
			var v, norm float64
			for t, w := range weight {
				if at := i*oversampling + oversampling/2 - taps/2 + t; at >= 0 && at < n {
					v += w * float64(src[at*stride])
					norm += w
				}
			}
			put(i, math.Floor(min(max(v/norm, 0), 255)+0.5))
		}
	}
	g := d.g
	w, h := g.Rect.Dx(), g.Rect.Dy()
	narrow := make([]uint8, w/oversampling*h)
	for y := range h {
		shrink(g.Pix[y*g.Stride:], w, 1, func(i int, v float64) { narrow[y*w/oversampling+i] = uint8(v) })
	}
	out := newField(w/oversampling, h/oversampling)
	for x := range out.w {
		shrink(narrow[x:], h, out.w, func(i int, v float64) { out.v[i*out.w+x] = v })
	}
	return out
}
