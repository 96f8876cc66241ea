package scene

// painter draws what moves over the lit room, one frame at a time.
type painter struct {
	*view
	raster
	light exposure
	lit   []uint16 // luma x 64, the frame in the making
}

// expose mixes the two layers of the room in the light of the moment.
func (p *painter) expose(c *canvas) {
	d, l := uint32(p.light.day), uint32(p.light.lamp)
	lamp := c.lamp[:len(c.day)]
	lit := p.lit[:len(c.day)]
	for i, v := range c.day {
		lit[i] = uint16(min((uint32(v)*d+uint32(lamp[i])*l)>>8, lumaMax))
	}
}

// fill paints the inside of a path; paint gives luma x 64 for a place on the
// board.
func (p *painter) fill(shape path, paint func(q point) int32) {
	p.raster.fill(p.view, shape, func(y, x0 int, cover []int32) {
		row := p.lit[y*p.w+x0:][:len(cover)]
		for i, k := range cover {
			if k == 0 {
				continue
			}
			v := clamp(paint(point{p.boardX[x0+i], p.boardY[y]}), 0, lumaMax)
			row[i] = uint16((int32(row[i])*(256-k) + v*k) >> 8)
		}
	})
}

// darken multiplies what is under a path by light/256, without a soft edge.
func (p *painter) darken(shape path, light int32) {
	p.raster.fill(p.view, shape, func(y, x0 int, cover []int32) {
		row := p.lit[y*p.w+x0:][:len(cover)]
		for i, k := range cover {
			row[i] = uint16(int32(row[i]) * (256 - (256-light)*k>>8) >> 8)
		}
	})
}

// lum is the brightness of a reflectance (luma) under shares of daylight and
// lamp light.
func (p *painter) lum(luma, day, lamp int32) int32 {
	return luma * (day*p.light.day + lamp*p.light.lamp) >> 10 // 64/256/256
}
