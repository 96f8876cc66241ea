package scene

// canvas holds the still room in two layers, so that the light can change from
// frame to frame without drawing anything again: what the room looks like in
// full daylight alone, and what it looks like in lamp light alone. Values are
// luma x 64.
type canvas struct {
	*view
	raster
	day, lamp []uint16
}

func newCanvas(v *view) *canvas {
	return &canvas{view: v, day: make([]uint16, v.w*v.h), lamp: make([]uint16, v.w*v.h)}
}

// surface gives the look of a place on the board: its brightness (luma x 64)
// in daylight and in lamp light.
type surface func(p point) (day, lamp int32)

// light is how much daylight and lamp light falls on a place, 256 = full.
type light func(p point) (day, lamp int32)

// matt is a surface of the given reflectance (0..255 luma) under l.
func matt(l light, albedo func(p point) int32) surface {
	return func(p point) (int32, int32) {
		a := albedo(p)
		d, n := l(p)
		return a * d >> 8, a * n >> 8
	}
}

// flat is matt with one reflectance everywhere.
func flat(l light, luma int32) surface {
	return matt(l, func(point) int32 { return luma * lumaOne })
}

// fill paints the inside of p.
func (c *canvas) fill(p path, s surface) { c.blend(p, fullLight, s) }

// blend paints with an opacity of 0..256.
func (c *canvas) blend(p path, opacity int32, s surface) {
	c.raster.fill(c.view, p, func(y, x0 int, cover []int32) {
		for i, k := range cover {
			if k == 0 {
				continue
			}
			k = k * opacity >> 8
			at := y*c.w + x0 + i
			d, l := s(point{c.boardX[x0+i], c.boardY[y]})
			c.day[at] = mixLuma(c.day[at], d, k)
			c.lamp[at] = mixLuma(c.lamp[at], l, k)
		}
	})
}

func mixLuma(under uint16, over, k int32) uint16 {
	return uint16((int32(under)*(256-k) + clamp(over, 0, 4*lumaMax)*k) >> 8)
}

// shade multiplies the light under the blurred outline of p by day and lamp
// (256 = no change; less for a shadow, more for a patch of light). The blur is
// in board pixels.
func (c *canvas) shade(p path, blur, day, lamp int32) {
	radius := int(int64(blur) * c.scale >> 16 / 2)
	minX, minY, maxX, maxY := c.w, c.h, 0, 0
	for _, q := range p {
		x, y := c.device(q)
		minX, maxX = min(minX, int(x>>8)), max(maxX, int(x>>8)+1)
		minY, maxY = min(minY, int(y>>8)), max(maxY, int(y>>8)+1)
	}
	margin := 3*radius + 1
	minX, minY = max(minX-margin, 0), max(minY-margin, 0)
	maxX, maxY = min(maxX+margin, c.w), min(maxY+margin, c.h)
	if minX >= maxX || minY >= maxY {
		return
	}
	w, h := maxX-minX, maxY-minY
	mask := make([]int32, w*h)
	c.raster.fill(c.view, p, func(y, x0 int, cover []int32) {
		if y < minY || y >= maxY {
			return
		}
		for i, k := range cover {
			if x := x0 + i - minX; x >= 0 && x < w {
				mask[(y-minY)*w+x] = k << 8
			}
		}
	})
	for range 3 { // three box blurs come close to a Gaussian
		for y := range h {
			boxBlur(mask[y*w:], w, 1, radius)
		}
		for x := range w {
			boxBlur(mask[x:], h, w, radius)
		}
	}
	for y := range h {
		for x := range w {
			k := mask[y*w+x] >> 8
			at := (y+minY)*c.w + x + minX
			c.day[at] = scaleLuma(c.day[at], 256+(day-256)*k>>8)
			c.lamp[at] = scaleLuma(c.lamp[at], 256+(lamp-256)*k>>8)
		}
	}
}

func scaleLuma(v uint16, by int32) uint16 {
	return uint16(min(int32(v)*by>>8, 4*lumaMax))
}

// boxBlur replaces each of the n values, step apart, by the mean of those
// within radius; the edge values count for those outside.
func boxBlur(v []int32, n, step, radius int) {
	if radius == 0 || n == 0 {
		return
	}
	line := make([]int32, n)
	for i := range line {
		line[i] = v[i*step]
	}
	at := func(i int) int64 { return int64(line[min(max(i, 0), n-1)]) }
	var sum int64
	for i := -radius; i <= radius; i++ {
		sum += at(i)
	}
	for i := range n {
		v[i*step] = int32(sum / int64(2*radius+1))
		sum += at(i+radius+1) - at(i-radius)
	}
}
