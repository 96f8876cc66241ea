package tui

import "math"

// bars are the eighths of a cell, from below.
const bars = " ▁▂▃▄▅▆▇█"

// spark draws values as one row of bars, the newest at the right, scaled from 0
// to top (or to the largest value where top is 0). NaN leaves a gap.
func (c *canvas) spark(x, y, w int, values []float64, top float64, st style) {
	values = bucket(values, w)
	if top <= 0 {
		top = largest(values)
	}
	eighths := []rune(bars)
	for i, v := range values {
		if math.IsNaN(v) {
			continue
		}
		n := 0
		if top > 0 && v > 0 {
			n = min(max(int(math.Ceil(v/top*8)), 1), 8)
		}
		r := eighths[n]
		if n == 0 {
			r = '_'
		}
		c.set(x+w-len(values)+i, y, r, st)
	}
}

// brailleDots are the bits of the dots of a braille cell: column, then row from
// below.
var brailleDots = [2][4]rune{{0x40, 0x04, 0x02, 0x01}, {0x80, 0x20, 0x10, 0x08}}

// line draws values as a braille line in a rectangle, two values a cell and four
// levels a row. It returns the value of the top.
func (c *canvas) line(r rect, values []float64, st style) (top float64) {
	if r.w <= 0 || r.h <= 0 {
		return 0
	}
	values = bucket(values, r.w*2)
	top = largest(values)
	if top <= 0 {
		top = 1
	}
	grid := make([]rune, r.w*r.h)
	last := -1
	for i, v := range values {
		if math.IsNaN(v) {
			last = -1
			continue
		}
		level := min(max(int(math.Round(v/top*float64(r.h*4-1))), 0), r.h*4-1)
		from := level
		if last >= 0 { // joins steep steps
			switch {
			case last < level:
				from = last + 1
			case last > level:
				from = last - 1
			}
		}
		x := r.w*2 - len(values) + i
		for l := min(from, level); l <= max(from, level); l++ {
			grid[(r.h-1-l/4)*r.w+x/2] |= brailleDots[x%2][l%4]
		}
		last = level
	}
	for i, bits := range grid {
		if bits != 0 {
			c.set(r.x+i%r.w, r.y+i/r.w, 0x2800+bits, st)
		}
	}
	return top
}

// bucket reduces values to at most n by the largest of each group: a spike must
// not disappear because the screen is narrow.
func bucket(values []float64, n int) []float64 {
	if n <= 0 {
		return nil
	}
	if len(values) <= n {
		return values
	}
	out := make([]float64, n)
	for i := range out {
		out[i] = math.NaN()
		for _, v := range values[i*len(values)/n : (i+1)*len(values)/n] {
			if !math.IsNaN(v) && (math.IsNaN(out[i]) || v > out[i]) {
				out[i] = v
			}
		}
	}
	return out
}

func largest(values []float64) float64 {
	top := 0.0
	for _, v := range values {
		if v > top {
			top = v
		}
	}
	return top
}
