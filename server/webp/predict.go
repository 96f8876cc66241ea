package webp

// block is 4x4 pixels or coefficients, row by row.
type block [16]int32

// edge is what a 4x4 block is predicted from: the corner, eight pixels above
// and right of it, and four on its left.
type edge struct {
	corner int32
	above  [8]int32
	left   [4]int32
}

// mean3 and mean2 are the filters of the diagonals.
func mean3(a, b, c int32) int32 { return (a + 2*b + c + 2) >> 2 }
func mean2(a, b int32) int32    { return (a + b + 1) >> 1 }

// predict fills p by a mode (12.3).
func (e *edge) predict(p *block, mode int) {
	switch mode {
	case modeDC:
		sum := int32(4)
		for i := range 4 {
			sum += e.above[i] + e.left[i]
		}
		for i := range p {
			p[i] = sum >> 3
		}
	case modeTM:
		for i := range p {
			p[i] = clip(e.left[i>>2] + e.above[i&3] - e.corner)
		}
	case modeVE:
		a := e.corner
		for x := range 4 {
			v := mean3(a, e.above[x], e.above[x+1])
			a = e.above[x]
			p[x], p[4+x], p[8+x], p[12+x] = v, v, v, v
		}
	case modeHE:
		a := e.corner
		for y := range 4 {
			v := mean3(a, e.left[y], e.left[min(y+1, 3)])
			a = e.left[y]
			p[4*y], p[4*y+1], p[4*y+2], p[4*y+3] = v, v, v, v
		}
	case modeLD:
		var d [7]int32
		for i := range d {
			d[i] = mean3(e.above[i], e.above[i+1], e.above[min(i+2, 7)])
		}
		for i := range p {
			p[i] = d[i>>2+i&3]
		}
	case modeVL:
		for x := range 4 {
			p[x] = mean2(e.above[x], e.above[x+1])
			p[4+x] = mean3(e.above[x], e.above[x+1], e.above[x+2])
			p[8+x] = mean2(e.above[x+1], e.above[x+2])
			p[12+x] = mean3(e.above[x+1], e.above[x+2], e.above[x+3])
		}
		// The right column leaves the pattern.
		p[11] = mean3(e.above[4], e.above[5], e.above[6])
		p[15] = mean3(e.above[5], e.above[6], e.above[7])
	case modeHU:
		l := e.left
		p[0], p[1] = mean2(l[0], l[1]), mean3(l[0], l[1], l[2])
		p[2], p[3] = mean2(l[1], l[2]), mean3(l[1], l[2], l[3])
		p[4], p[5] = p[2], p[3]
		p[6], p[7] = mean2(l[2], l[3]), mean3(l[2], l[3], l[3])
		p[8], p[9] = p[6], p[7]
		for _, i := range [6]int{10, 11, 12, 13, 14, 15} {
			p[i] = l[3]
		}
	default:
		e.predictRight(p, mode)
	}
}

// predictRight fills p by the modes that point down and right. Their pixels come
// from one line around the block: left from below, corner, above.
func (e *edge) predictRight(p *block, mode int) {
	line := [9]int32{e.left[3], e.left[2], e.left[1], e.left[0], e.corner, e.above[0], e.above[1], e.above[2], e.above[3]}
	three := func(i int) int32 { return mean3(line[i-1], line[i], line[i+1]) }
	two := func(i int) int32 { return mean2(line[i], line[i+1]) }
	switch mode {
	case modeRD:
		for i := range p {
			p[i] = three(4 - i>>2 + i&3)
		}
	case modeVR:
		for x := range 4 {
			p[x], p[4+x] = two(4+x), three(4+x)
		}
		p[8], p[12] = three(3), three(2)
		for x := 1; x < 4; x++ {
			p[8+x], p[12+x] = p[x-1], p[4+x-1]
		}
	case modeHD:
		for y := range 4 {
			p[4*y], p[4*y+1] = two(3-y), three(4-y)
		}
		p[2], p[3] = three(5), three(6)
		for y := 1; y < 4; y++ {
			p[4*y+2], p[4*y+3] = p[4*y-4], p[4*y-3]
		}
	}
}

func clip(v int32) int32 { return min(max(v, 0), 255) }
