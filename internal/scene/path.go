package scene

// The drawing board is 800x600 units of one pixel, in steps of 1/64.
const (
	designWidth  = 800
	designHeight = 600
)

// point is a place on the drawing board in 1/64 pixel.
type point struct{ x, y int32 }

func px(x, y int32) point { return point{x * unit, y * unit} }

// path is one closed polygon that does not cross itself.
type path []point

func poly(xy ...int32) path {
	p := make(path, 0, len(xy)/2)
	for i := 0; i+1 < len(xy); i += 2 {
		p = append(p, px(xy[i], xy[i+1]))
	}
	return p
}

func rect(x0, y0, x1, y1 int32) path { return poly(x0, y0, x1, y0, x1, y1, x0, y1) }

// quarter is cos of 0, 11.25, … 90 degrees in 1/16384.
var quarter = [9]int32{16384, 16069, 15137, 13623, 11585, 9102, 6270, 3196, 0}

// cos32 returns the cosine of i/32 of a turn in 1/16384.
func cos32(i int32) int32 {
	switch i &= 31; {
	case i <= 8:
		return quarter[i]
	case i <= 16:
		return -quarter[16-i]
	case i <= 24:
		return -quarter[i-16]
	default:
		return quarter[32-i]
	}
}

func sin32(i int32) int32 { return cos32(i - 8) }

// ellipse returns a 32-cornered outline; radii in 1/64 pixel.
func ellipse(c point, rx, ry int32) path {
	p := make(path, 32)
	for i := range p {
		p[i] = point{c.x + rx*(cos32(int32(i))>>2)>>12, c.y + ry*(sin32(int32(i))>>2)>>12}
	}
	return p
}

// rounded returns a rectangle with corners of radius r pixels.
func rounded(x0, y0, x1, y1, r int32) path {
	p := make(path, 0, 36)
	for corner, c := range [4]point{px(x1-r, y1-r), px(x0+r, y1-r), px(x0+r, y0+r), px(x1-r, y0+r)} {
		for i := range int32(9) {
			a := int32(corner)*8 + i
			p = append(p, point{c.x + r*cos32(a)>>8, c.y + r*sin32(a)>>8})
		}
	}
	return p
}

// spline draws a smooth closed curve (Catmull-Rom) through p.
func spline(p path) path {
	const steps = 6
	n := len(p)
	out := make(path, 0, n*steps)
	curve := func(a, b, c, d, t int32) int32 {
		// 0.5*(2b + (c-a)t + (2a-5b+4c-d)t² + (3b-a-3c+d)t³), t in sixths
		v := int64(2*b)*steps*steps*steps + int64(c-a)*int64(t)*steps*steps +
			int64(2*a-5*b+4*c-d)*int64(t*t)*steps + int64(3*b-a-3*c+d)*int64(t*t*t)
		q, _ := floorDiv(v, 2*steps*steps*steps)
		return int32(q)
	}
	for i, b := range p {
		a, c, d := p[(i+n-1)%n], p[(i+1)%n], p[(i+2)%n]
		for t := range int32(steps) {
			out = append(out, point{curve(a.x, b.x, c.x, d.x, t), curve(a.y, b.y, c.y, d.y, t)})
		}
	}
	return out
}

// limb is a tapered bar with round ends; radii in 1/64 pixel.
func limb(a, b point, ra, rb int32) path {
	dx, dy := int64(b.x-a.x), int64(b.y-a.y)
	length := int64(isqrt(uint64(dx*dx + dy*dy)))
	if length == 0 {
		return ellipse(a, max(ra, rb), max(ra, rb))
	}
	p := make(path, 0, 34)
	// A half turn around each end, measured from the left normal.
	arc := func(c point, r int32, nx, ny int64) {
		for i := range int32(17) {
			cs, sn := int64(cos32(i)), int64(sin32(i))
			p = append(p, point{
				c.x + int32((nx*cs-ny*sn)*int64(r)/length>>14),
				c.y + int32((nx*sn+ny*cs)*int64(r)/length>>14),
			})
		}
	}
	arc(a, ra, -dy, dx)
	arc(b, rb, dy, -dx)
	return p
}

func (p path) moved(dx, dy int32) path {
	out := make(path, len(p))
	for i, q := range p {
		out[i] = point{q.x + dx, q.y + dy}
	}
	return out
}
