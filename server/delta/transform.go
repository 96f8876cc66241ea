package delta

import "porthole/internal/dct"

// cosines are the rows of the inverse transform: 724.08 times an orthonormal
// one, and 724.08² is 2^19.
var cosines = [8][8]int32{
	{256, 256, 256, 256, 256, 256, 256, 256},
	{355, 301, 201, 71, -71, -201, -301, -355},
	{334, 139, -139, -334, -334, -139, 139, 334},
	{301, -71, -355, -201, 201, 355, 71, -301},
	{256, -256, -256, 256, 256, -256, -256, 256},
	{201, -355, 71, 301, -301, -71, 355, -201},
	{139, -334, 334, -139, -139, 334, -334, 139},
	{71, -201, 301, -355, 355, -301, 201, -71},
}

// coefBits are the fraction bits of a dequantised coefficient.
const coefBits = 4

// maxCoef bounds a dequantised coefficient, so that no product below leaves 32
// bits: a pass adds up at most 1880 of them, or of what the pass before left,
// which is below 2^17.
const maxCoef = 1<<15 - 1

// steps are the quantisation steps of a block in zigzag order, in 1/16: a base
// step, and a twentieth more of it for each step away from the mean.
type steps [64]int32

func newSteps(q int) (t steps) {
	for k, z := range dct.Zigzag {
		t[k] = int32((q*(20+int(z>>3)+int(z&7))*(1<<coefBits) + 10) / 20)
	}
	return t
}

// residual is what is added to the prediction of a block, row by row.
type residual [64]int16

// inverse dequantises and transforms a block back.
func inverse(v *levels, q *steps, out *residual) {
	var c, t [64]int32
	rows := 0 // one bit for each row that is not all zero
	for k, l := range v {
		if l != 0 {
			z := dct.Zigzag[k]
			c[z] = min(max(int32(l)*q[k], -maxCoef), maxCoef)
			rows |= 1 << (z >> 3)
		}
	}
	for r := range 8 {
		if rows>>r&1 == 0 {
			continue
		}
		in := c[8*r:][:8]
		for u, f := range in {
			if f != 0 {
				for x, w := range cosines[u] {
					t[8*r+x] += f * w
				}
			}
		}
		for x := range 8 {
			t[8*r+x] = (t[8*r+x] + 1<<8) >> 9
		}
	}
	for x := range 8 {
		var sum [8]int32
		for r := range 8 {
			if rows>>r&1 == 0 {
				continue
			}
			f := t[8*r+x]
			for y, w := range cosines[r] {
				sum[y] += f * w
			}
		}
		for y, s := range sum {
			out[8*y+x] = int16((s + 1<<13) >> 14)
		}
	}
}
