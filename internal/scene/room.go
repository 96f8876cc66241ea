package scene

// The room, in pixels of the board. Everything in it is drawn from back to
// front; lights and shadows are part of the drawing.
const (
	deskEdge = 372 // where the desk meets the wall
	horizon  = 210 // vanishing line of the desk top
)

// roomSeed separates the textures of the room from everything in motion.
const roomSeed = 0x726f6f6d

type room struct {
	*canvas
	seed uint64
}

// drawRoom draws everything that does not move.
func drawRoom(v *view, seed uint64) *canvas {
	r := &room{newCanvas(v), hash(seed, roomSeed)}
	r.wall()
	r.poster()
	r.shelf(118, 1)
	r.shelf(226, 2)
	r.desk()
	r.plant()
	r.monitor()
	r.keyboard()
	r.notebook()
	r.deskLamp()
	r.mug()
	return r.canvas
}

// pool is light that falls off around (cx, cy): k at the centre, a quarter of
// it at distance radius (all in board pixels).
func pool(p point, cx, cy, radius, k int32) int32 {
	dx, dy := int64(p.x/unit-cx), int64(p.y/unit-cy)
	r2 := int64(radius) * int64(radius)
	f := r2 << 12 / (r2 + dx*dx + dy*dy)
	return int32(int64(k) * f >> 12 * f >> 12)
}

// roomLight falls on what stands upright: daylight from a window on the left,
// the desk lamp, the glow of the monitor and some lamp behind the camera.
func roomLight(p point) (day, lamp int32) {
	x, y := p.x/unit, p.y/unit
	day = 290 - x*150/designWidth - y*30/designHeight
	lamp = 70 + pool(p, 165, 285, 125, 260) + pool(p, 390, 220, 200, 60)
	return day, lamp
}

// deskLight falls on the desk top.
func deskLight(p point) (day, lamp int32) {
	x, y := p.x/unit, p.y/unit
	day = 300 - x*140/designWidth - (y-deskEdge)*60/228
	lamp = 64 + pool(p, 185, 430, 135, 290) + pool(p, 385, 395, 130, 80)
	return day, lamp
}

func dim(l light, by int32) light {
	return func(p point) (int32, int32) {
		d, n := l(p)
		return d * by >> 8, n * by >> 8
	}
}

// wall is painted with a roller: fine grain over faint large blotches.
func (r *room) wall() {
	paint := func(p point) int32 {
		a := noise2(r.seed+1, p.x/9, p.y/9)*80 + noise2(r.seed+2, p.x, p.y)*44 +
			noise2(r.seed+3, p.x*2, p.y*2)*30
		return 152*lumaOne + a>>8*2
	}
	r.fill(rect(0, 0, designWidth, designHeight), matt(roomLight, paint))
	// The sun through a window with crossed bars.
	for i := range int32(2) {
		for j := range int32(3) {
			x, y := 186+i*66+j*17, 4+j*86+i*9
			r.shade(poly(x, y, x+57, y+8, x+73, y+84, x+16, y+76), 7, 322, fullLight)
		}
	}
}

// desk is a wooden top of planks seen in perspective.
func (r *room) desk() {
	r.shade(rect(-40, deskEdge-7, designWidth+40, deskEdge+40), 16, 190, 170)
	grain := func(p point) int32 {
		x, y := int64(p.x-400*unit), int64(p.y-horizon*unit)
		depth := int32(int64(390*unit*256) / y) // 256 at the front edge
		across := int32(x * int64(depth) >> 14) // 256 = 64 board pixels there
		plank, in := floorDiv(int64(depth)*5, 256*2)
		s := r.seed + 10 + uint64(plank)
		v := across/2 + int32(mix(s)&0xffff)
		tone := int32(mix(s+77)%17) - 8
		warp := noise2(s, v/3, depth) / 2
		a := tone*lumaOne*3/2 + noise2(s+1, v/4, depth*24+warp*4)*5/2 +
			noise2(s+2, v, depth*60)*5/4 + noise2(s+3, v*4, depth*140)/2
		if in < 9 {
			a -= 26 * lumaOne // the joint
		}
		return 112*lumaOne + a
	}
	r.fill(rect(0, deskEdge, designWidth, designHeight), matt(deskLight, grain))
	r.blend(rect(0, deskEdge, designWidth, deskEdge+2), 110, flat(deskLight, 190))
	r.shade(rect(0, deskEdge-2, designWidth, deskEdge+6), 10, 215, 215)
}

// poster shows hills in a wooden frame.
func (r *room) poster() {
	r.shade(rect(46, 54, 156, 204), 12, 165, 190)
	r.fill(rect(38, 44, 148, 194), flat(roomLight, 62))
	r.fill(rect(43, 49, 143, 189), flat(roomLight, 190))
	r.fill(rect(55, 63, 131, 175), matt(roomLight, func(p point) int32 {
		y := p.y / unit
		sun := pool(p, 106, 92, 13, 60)
		for i, ridge := range [...]struct{ y, amp, luma int32 }{{150, 9, 62}, {133, 17, 88}, {116, 22, 118}} {
			top := ridge.y + noise2(r.seed+40+uint64(i), p.x/16+int32(i)*900, 0)*ridge.amp>>8 +
				noise2(r.seed+44, p.x/8, int32(i)<<8)*3>>8
			if y > top {
				return ridge.luma * lumaOne
			}
		}
		return (150 + (y-63)*45/70 + sun) * lumaOne
	}))
	// Glass: a soft reflection across the corner.
	r.shade(poly(55, 63, 100, 63, 55, 120), 5, 300, 280)
}

// shelf is a board with books; y is its upper side.
func (r *room) shelf(y int32, salt uint64) {
	const left, right = 586, 800
	s := r.seed + 1000*salt
	r.shade(rect(left+6, y+8, right, y+34), 12, 150, 170)
	r.shade(rect(left+10, y-70, right, y+2), 12, 190, 205)
	n := 0
	for x := int32(left + 8); x < right-10; n++ {
		h := hash(s, int64(n))
		w := pick(h, 8, 21)
		tall := pick(h>>8, 54, 84)
		luma := pick(h>>16, 42, 190)
		switch {
		case salt == 1 && n == 6:
			x += r.frame(x+4, y) + 10
			continue
		case salt == 2 && n == 5:
			x += r.stack(x+2, y, s) + 8
			continue
		case h%9 == 0 && n > 0: // one that leans against its neighbour
			r.book(poly(x+10, y-tall+4, x+10+w, y-tall+8, x+w+1, y, x+1, y), luma, h)
			x += w + 12
			continue
		}
		r.book(rect(x, y-tall, x+w, y), luma, h)
		x += w + 1
	}
	r.fill(rect(left, y, right, y+9), matt(roomLight, func(p point) int32 {
		return 96*lumaOne + noise2(s, p.x/20, p.y*2)*5
	}))
	r.fill(rect(left, y, right, y+2), flat(roomLight, 138))
}

// book draws a spine from its outline, corners from the upper left clockwise.
func (r *room) book(p path, luma int32, h uint64) {
	left, right, top := p[3].x, p[2].x, p[0].y
	width := max(right-left, unit)
	r.fill(p, matt(roomLight, func(q point) int32 {
		lean := (p[0].x - left) * (p[3].y - q.y) / max(p[3].y-top, 1)
		t := (q.x - left - lean) * 256 / width // across the spine: round edges
		round := 256 - (t-118)*(t-118)/120
		v := luma * lumaOne * clamp(round, 120, 256) >> 8
		down := (q.y - top) / unit
		band := pick(h>>30, 5, 14)
		if t > 40 && t < 210 && (down == band || down == band+3) {
			v += (140 - luma) * lumaOne / 2
		}
		if t > 70 && t < 180 && down > band+8 && down < band+8+pick(h>>34, 12, 24) && hash2(h, down/2, 0)%4 != 0 {
			v += (165 - luma) * lumaOne / 4 // the title
		}
		return v
	}))
}

// frame is a small photograph on the shelf; it returns its width.
func (r *room) frame(x, y int32) int32 {
	r.shade(rect(x+3, y-46, x+48, y), 8, 170, 190)
	r.fill(rect(x, y-52, x+42, y), flat(roomLight, 48))
	r.fill(rect(x+4, y-48, x+38, y-4), flat(roomLight, 186))
	r.fill(rect(x+8, y-43, x+34, y-9), flat(roomLight, 120))
	r.fill(ellipse(px(x+17, y-28), 5*unit, 6*unit), flat(roomLight, 178))
	r.fill(ellipse(px(x+26, y-26), 4*unit, 5*unit), flat(roomLight, 166))
	r.fill(poly(x+9, y-9, x+12, y-19, x+17, y-22, x+22, y-19, x+26, y-20, x+32, y-17, x+33, y-9), flat(roomLight, 68))
	return 42
}

// stack is books lying on their sides with a ball on top; it returns its width.
func (r *room) stack(x, y int32, s uint64) int32 {
	const width = 58
	for i := range int32(3) {
		h := hash(s, 500, int64(i))
		inset := pick(h, 0, 7)
		luma := pick(h>>9, 60, 175)
		top := y - 12*(i+1)
		r.fill(rect(x+inset, top, x+width-inset/2, top+12), matt(roomLight, func(p point) int32 {
			t := (p.y - top*unit) * 256 / (12 * unit)
			return luma * lumaOne * clamp(262-(t-90)*(t-90)/150, 130, 256) >> 8
		}))
	}
	c := px(x+30, y-36-13)
	r.fill(ellipse(c, 13*unit, 13*unit), matt(roomLight, func(p point) int32 {
		dx, dy := (p.x-c.x)/unit+5, (p.y-c.y)/unit+5
		return (200 - (dx*dx+dy*dy)/3) * lumaOne
	}))
	return width
}
