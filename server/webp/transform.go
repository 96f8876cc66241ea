package webp

// forward is the transform of the difference of two blocks, scaled by two
// against an orthonormal one.
func forward(d *block) {
	for i := 0; i < 16; i += 4 {
		a0, a1, a2, a3 := d[i]+d[i+3], d[i+1]+d[i+2], d[i+1]-d[i+2], d[i]-d[i+3]
		d[i] = (a0 + a1) * 8
		d[i+1] = (a2*2217 + a3*5352 + 1812) >> 9
		d[i+2] = (a0 - a1) * 8
		d[i+3] = (a3*2217 - a2*5352 + 937) >> 9
	}
	for i := range 4 {
		a0, a1, a2, a3 := d[i]+d[12+i], d[4+i]+d[8+i], d[4+i]-d[8+i], d[i]-d[12+i]
		d[i] = (a0 + a1 + 7) >> 4
		d[4+i] = (a2*2217 + a3*5352 + 12000) >> 16
		if a3 != 0 {
			d[4+i]++
		}
		d[8+i] = (a0 - a1 + 7) >> 4
		d[12+i] = (a3*2217 - a2*5352 + 51000) >> 16
	}
}

// inverse adds what the coefficients c stand for to p (14.3).
func inverse(c, p *block) {
	const (
		c1 = 85627 // 65536 * cos(pi/8) * sqrt(2)
		c2 = 35468 // 65536 * sin(pi/8) * sqrt(2)
	)
	var m block
	for i := range 4 {
		a, b := c[i]+c[8+i], c[i]-c[8+i]
		d := c[4+i]*c2>>16 - c[12+i]*c1>>16
		e := c[4+i]*c1>>16 + c[12+i]*c2>>16
		m[i], m[4+i], m[8+i], m[12+i] = a+e, b+d, b-d, a-e
	}
	for y := range 4 {
		r := m[4*y : 4*y+4]
		dc := r[0] + 4
		a, b := dc+r[2], dc-r[2]
		d := r[1]*c2>>16 - r[3]*c1>>16
		e := r[1]*c1>>16 + r[3]*c2>>16
		q := p[4*y : 4*y+4]
		q[0], q[1] = clip(q[0]+(a+e)>>3), clip(q[1]+(b+d)>>3)
		q[2], q[3] = clip(q[2]+(b-d)>>3), clip(q[3]+(a-e)>>3)
	}
}

// forwardDC is the transform of the sixteen DCs of a macroblock.
func forwardDC(d *block) {
	for i := 0; i < 16; i += 4 {
		a0, a1, a2, a3 := d[i]+d[i+2], d[i+1]+d[i+3], d[i+1]-d[i+3], d[i]-d[i+2]
		d[i], d[i+1], d[i+2], d[i+3] = a0+a1, a3+a2, a3-a2, a0-a1
	}
	for i := range 4 {
		a0, a1, a2, a3 := d[i]+d[8+i], d[4+i]+d[12+i], d[4+i]-d[12+i], d[i]-d[8+i]
		d[i], d[4+i], d[8+i], d[12+i] = (a0+a1)>>1, (a3+a2)>>1, (a3-a2)>>1, (a0-a1)>>1
	}
}

// inverseDC returns them (14.3).
func inverseDC(d *block) {
	var m block
	for i := range 4 {
		a0, a1 := d[i]+d[12+i], d[4+i]+d[8+i]
		a2, a3 := d[4+i]-d[8+i], d[i]-d[12+i]
		m[i], m[8+i], m[4+i], m[12+i] = a0+a1, a0-a1, a3+a2, a3-a2
	}
	for i := 0; i < 16; i += 4 {
		dc := m[i] + 3
		a0, a1 := dc+m[i+3], m[i+1]+m[i+2]
		a2, a3 := m[i+1]-m[i+2], dc-m[i+3]
		d[i], d[i+1], d[i+2], d[i+3] = (a0+a1)>>3, (a3+a2)>>3, (a0-a1)>>3, (a3-a2)>>3
	}
}

// quantiser divides coefficients by their steps, with a dead zone, and returns
// levels in zigzag order.
type quantiser struct {
	dc, ac int32
}

// Rounding: a coefficient counts when it is above 1-bias of a step, in 1/256.
// Most of those that are just above a half are noise, and cost more than they
// bring.
const (
	biasDC = 110
	biasAC = 96
)

// quantise writes the levels from place first on, and replaces c by what the
// decoder will make of them.
func (q quantiser) quantise(c *block, levels *[16]int16, first int) {
	for n := first; n < 16; n++ {
		z := zigzag[n]
		step, bias := q.ac, int32(biasAC)
		if n == 0 {
			step, bias = q.dc, biasDC
		}
		v := c[z]
		sign := v >> 31
		level := ((v ^ sign) - sign + step*bias>>8) / step
		level = (min(level, maxLevel) ^ sign) - sign
		levels[n] = int16(level)
		c[z] = level * step
	}
}
