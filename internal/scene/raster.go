package scene

import "slices"

// view maps the drawing board to a picture of w x h pixels: scaled to cover
// it, centred, the overhang cut off.
type view struct {
	w, h   int
	scale  int64 // picture pixels per unit pixel, 16 fraction bits
	ox, oy int64 // picture place of the board's corner, 1/256 pixel
	// Board coordinates (1/64) of the pixel centres.
	boardX, boardY []int32
}

func newView(w, h int) *view {
	v := &view{w: w, h: h}
	v.scale = max((int64(w)<<16+designWidth-1)/designWidth, (int64(h)<<16+designHeight-1)/designHeight)
	v.ox = (int64(w)<<8 - designWidth*v.scale>>8) / 2
	v.oy = (int64(h)<<8 - designHeight*v.scale>>8) / 2
	inverse := func(n int, origin int64) []int32 {
		at := make([]int32, n)
		for i := range at {
			q, _ := floorDiv((int64(i)<<8+128-origin)<<14, v.scale)
			at[i] = int32(q)
		}
		return at
	}
	v.boardX, v.boardY = inverse(w, v.ox), inverse(h, v.oy)
	return v
}

// device returns p in 1/256 pixel of the picture.
func (v *view) device(p point) (x, y int32) {
	return int32(int64(p.x)*v.scale>>14 + v.ox), int32(int64(p.y)*v.scale>>14 + v.oy)
}

// raster turns paths into rows of coverage. It keeps its buffers between
// paths; the zero value is ready.
type raster struct {
	edges []edge
	cross []int32
	cover []int32 // of the row at hand, 0..256 each
}

type edge struct {
	top, bottom int32 // top <= y < bottom, 1/256 pixel
	x, y        int32 // a point on the edge
	dx, dy      int64
}

// subRows is how many lines sample a row of pixels. Along the line the
// coverage is exact.
const subRows = 4

// fill calls row for every picture row that p touches, with the coverage
// (0..256) of the pixels from x0 on. The slice is valid during the call.
func (r *raster) fill(v *view, p path, row func(y, x0 int, cover []int32)) {
	r.edges = r.edges[:0]
	minX, maxX := int32(1<<30), int32(-1<<30)
	bottom := int32(-1 << 30)
	for i, q := range p {
		x0, y0 := v.device(q)
		x1, y1 := v.device(p[(i+1)%len(p)])
		minX, maxX = min(minX, x0), max(maxX, x0)
		bottom = max(bottom, y0)
		if y0 != y1 {
			r.edges = append(r.edges, edge{min(y0, y1), max(y0, y1), x0, y0, int64(x1 - x0), int64(y1 - y0)})
		}
	}
	left, right := max(int(minX>>8), 0), min(int(maxX>>8)+1, v.w)
	if left >= right || len(r.edges) == 0 {
		return
	}
	slices.SortFunc(r.edges, func(a, b edge) int { return int(a.top - b.top) })
	if len(r.cover) < v.w {
		r.cover = make([]int32, v.w)
	}
	cover := r.cover[left:right]
	done := 0 // edges before it have ended
	for y := max(int(r.edges[0].top>>8), 0); y <= min(int(bottom>>8), v.h-1); y++ {
		clear(cover)
		for sub := range int32(subRows) {
			line := int32(y)<<8 + 256/subRows/2 + sub*(256/subRows)
			for done < len(r.edges) && r.edges[done].bottom <= line {
				done++
			}
			r.cross = r.cross[:0]
			for i := done; i < len(r.edges) && r.edges[i].top <= line; i++ {
				e := &r.edges[i]
				if line < e.bottom {
					r.cross = append(r.cross, e.x+int32(e.dx*int64(line-e.y)/e.dy))
				}
			}
			slices.Sort(r.cross)
			for i := 0; i+1 < len(r.cross); i += 2 {
				span(cover, r.cross[i]-int32(left)<<8, r.cross[i+1]-int32(left)<<8)
			}
		}
		row(y, left, cover)
	}
}

// span adds one sub-row from a to b (1/256 pixel) to cover.
func span(cover []int32, a, b int32) {
	a, b = max(a, 0), min(b, int32(len(cover))<<8)
	if a >= b {
		return
	}
	first, last := a>>8, (b-1)>>8
	if first == last {
		cover[first] += (b - a) / subRows
		return
	}
	cover[first] += (256 - a&255) / subRows
	for i := first + 1; i < last; i++ {
		cover[i] += 256 / subRows
	}
	cover[last] += (b - last<<8) / subRows
}
