package delta

import "math/bits"

// candidates of a coarse search are looked at closely.
const candidates = 4

// sampled are the rows of a macroblock that the coarse search compares.
var sampled = [4]int{1, 6, 9, 14}

// find returns the vector, in half pixels, whose place in the reference is most
// like the macroblock of the source at (x, y): the predicted one, or one within
// reach, or half a pixel beside it.
func (e *encoder) find(x, y, px, py int) (dx, dy int) {
	best := e.difference(x, y, 0, 0, 1<<30)
	toll := func(u, v int) int { // a vector's bits, in levels: about four each
		return 4 * (2 + bits.Len(uint(abs(u-px))) + bits.Len(uint(abs(v-py))))
	}
	try := func(u, v int) {
		if u == dx && v == dy {
			return
		}
		if t := toll(u, v); t < best {
			if d := e.difference(x, y, u, v, best-t) + t; d < best {
				best, dx, dy = d, u, v
			}
		}
	}
	try(px, py)
	if best > 2*mbSize*mbSize {
		for _, c := range e.survey(x, y) {
			try(c.dx, c.dy)
		}
	}
	cx, cy := dx, dy
	for v := -1; v <= 1; v++ {
		for u := -1; u <= 1; u++ {
			try(cx+u, cy+v)
		}
	}
	return dx, dy
}

type candidate struct{ cost, dx, dy int }

// survey compares a quarter of the macroblock with all places within reach and
// returns the best ones.
func (e *encoder) survey(x, y int) (top [candidates]candidate) {
	for i := range top {
		top[i].cost = 1 << 30
	}
	src, ref, reach := e.source, e.ref, e.set.Search
	for v := max(-reach, -y); v <= min(reach, ref.ph-mbSize-y); v++ {
		for u := max(-reach, -x); u <= min(reach, ref.pw-mbSize-x); u++ {
			sum, limit := 0, top[candidates-1].cost
			for _, r := range sampled {
				a := src.pix[(y+r)*src.pw+x:][:mbSize]
				b := ref.pix[(y+v+r)*ref.pw+x+u:][:mbSize]
				for i, p := range a {
					d := int(p) - int(b[i])
					sum += max(d, -d)
				}
				if sum >= limit {
					break
				}
			}
			if sum >= limit {
				continue
			}
			i := candidates - 1
			for ; i > 0 && top[i-1].cost > sum; i-- {
				top[i] = top[i-1]
			}
			top[i] = candidate{sum, 2 * u, 2 * v}
		}
	}
	return top
}

// difference is the sum of absolute differences, or at least limit.
func (e *encoder) difference(x, y, dx, dy, limit int) int {
	var pred patch
	e.ref.inter(x, y, dx, dy, &pred)
	sum := 0
	for r := range mbSize {
		a, b := e.source.pix[(y+r)*e.source.pw+x:][:mbSize], pred[mbSize*r:][:mbSize]
		for i, v := range a {
			d := int(v) - int(b[i])
			sum += max(d, -d)
		}
		if sum >= limit {
			return sum
		}
	}
	return sum
}
