package scene

// pose is where the parts of the person are at one time; all in 1/64 pixel,
// relative to the resting place.
type pose struct {
	torso, head point
	lean        int32 // the shoulders tilt, 1/64 pixel at the shoulder
	hand        point // on the keyboard, absolute
	breath      int32
	warp        [16]point // of the outline
}

// poseAt works out the pose at a time (ms since the epoch): always breathing
// and swaying, shifting in the chair every so often, typing in bursts.
func poseAt(seed uint64, now int64) (p pose) {
	s := hash(seed, 0x706f7365)
	shift := step(s, 1, now, 21_000, 1_600)*22*unit>>8 + step(s, 2, now, 8_300, 900)*7*unit>>8
	p.torso.x = shift + wave(s, 3, now, 4_700)*4*unit>>8
	p.torso.y = step(s, 4, now, 33_000, 2_200)*9*unit>>8 + wave(s, 5, now, 6_100)*unit>>8
	p.head.x = p.torso.x*5/4 + step(s, 6, now, 5_900, 700)*9*unit>>8 + wave(s, 7, now, 2_300)*2*unit>>8
	p.head.y = p.torso.y*5/4 + step(s, 8, now, 9_100, 800)*5*unit>>8
	p.lean = step(s, 9, now, 12_700, 1_100) * 6 * unit >> 8
	p.breath = wave(s, 10, now, 1_900) * unit >> 8
	typing := hash(s, now/3_700)%4 != 0
	p.hand = px(404, 468)
	if typing {
		p.hand.x += step(s, 11, now, 640, 200) * 34 * unit >> 8
		p.hand.y += step(s, 12, now, 640, 200) * 12 * unit >> 8
	} else {
		p.hand.x += 26 * unit
		p.hand.y += 16 * unit
	}
	for i := range p.warp {
		p.warp[i] = point{
			wave(s, 20+int64(i), now, 5_300) * 3 * unit >> 8,
			wave(s, 40+int64(i), now, 6_700) * 2 * unit >> 8,
		}
	}
	return p
}

// cloth is a tile of woven and folded texture, -128..127, that moves with the
// body.
type cloth [128 * 128]int8

func newCloth(seed uint64) *cloth {
	var c cloth
	for y := range int32(128) {
		for x := range int32(128) {
			v := noise2(seed, x*12, y*7)*3/8 + noise2(seed+1, x*64, y*32)/6 + int32(hash2(seed+2, x, y)&31) - 16
			c[y*128+x] = int8(clamp(v/2, -128, 127))
		}
	}
	return &c
}

// at returns the texture at board distances (1/64 pixel) from the body's
// origin, two pixels a texel. The tile repeats, mirrored, so it has no seams.
func (c *cloth) at(x, y int32) int32 {
	fold := func(v int32) int32 {
		if v&128 != 0 {
			v = ^v
		}
		return v & 127
	}
	return int32(c[fold(y>>7)*128+fold(x>>7)])
}

// drawPerson draws somebody seen from behind, at work.
func (p *painter) drawPerson(c *cloth, at pose) {
	o := point{588*unit + at.torso.x, 470*unit + at.torso.y} // middle of the back
	bend := func(shape path) path {
		for i := range shape {
			w := at.warp[i%len(at.warp)]
			shape[i].x += o.x + w.x
			shape[i].y += o.y + w.y - shape[i].x/unit*at.lean/140
		}
		return spline(shape)
	}
	torso := bend(poly(-30, -112, 2, -118, 34, -112, 78, -98, 108, -66, 124, -8, 132, 60, 136, 150,
		-124, 150, -120, 60, -114, 0, -104, -60, -76, -97))
	wool := func(q point, base int32) int32 {
		x, y := q.x-o.x, q.y-o.y
		// Light comes from the left and above, and wraps around the back.
		t := (x/unit + 120) * 256 / 250
		day := clamp(272-t*t/480-y/unit/3, 70, 272)
		lamp := clamp(150-t*3/5, 26, 160) + 34
		v := p.lum(base, day, lamp)
		// Folds run down from the shoulders.
		fold := c.at(x*2/3+y/3, y/5)
		return v + v*fold*5>>11 + v*c.at(x*2, y*2)>>11
	}
	sweater := func(q point) int32 { return wool(q, 116+at.breath/unit) }

	// The far arm reaches for the keyboard.
	shoulder := point{o.x - 88*unit, o.y - 58*unit}
	elbow := point{o.x - 150*unit + at.warp[3].x, o.y + 56*unit}
	p.darken(limb(point{elbow.x, elbow.y + 10*unit}, point{at.hand.x + 6*unit, at.hand.y + 12*unit}, 22*unit, 10*unit), 150)
	p.drawHand(at.hand)
	wrist := point{at.hand.x + (elbow.x-at.hand.x)/5, at.hand.y + (elbow.y-at.hand.y)/5}
	p.fill(limb(elbow, wrist, 25*unit, 13*unit), func(q point) int32 { return wool(q, 108) })
	p.fill(limb(shoulder, elbow, 33*unit, 26*unit), func(q point) int32 { return wool(q, 112) })

	p.drawNeck(point{o.x + at.head.x/3 - at.torso.x/3, o.y})
	p.fill(torso, sweater)
	collar := bend(poly(-34, -112, -16, -124, 2, -126, 20, -124, 38, -112, 20, -104, 2, -102, -16, -104))
	p.fill(collar, func(q point) int32 { return wool(q, 92) })
	p.drawHead(c, point{590*unit + at.head.x, 290*unit + at.head.y})
	p.drawChair(point{596*unit + at.torso.x/2, 520*unit + at.torso.y/2})
}

// drawHand draws the back of a hand with four fingers on the keys.
func (p *painter) drawHand(h point) {
	skin := func(q point) int32 {
		t := clamp((q.x-h.x)/unit+16, 0, 40)
		return p.lum(168, 268-t*3, 210-t*3)
	}
	for i := range int32(4) {
		tip := point{h.x + (i*9-19)*unit, h.y - (13+3*(i&1)-i)*unit}
		p.fill(limb(point{h.x + (i*6-8)*unit, h.y}, tip, 4*unit, 3*unit), skin)
	}
	p.fill(limb(h, point{h.x + 13*unit, h.y + 8*unit}, 13*unit, 12*unit), skin)
}

func (p *painter) drawNeck(o point) {
	p.fill(limb(point{o.x + 2*unit, o.y - 152*unit}, point{o.x + 2*unit, o.y - 104*unit}, 27*unit, 31*unit), func(q point) int32 {
		t := clamp((q.x-o.x)/unit+30, 0, 60)
		down := clamp((q.y-o.y)/unit+150, 0, 48)
		return p.lum(148, 240-t*3+down/2, 150-t*2)
	})
}

// drawHead draws hair, an ear and headphones, from behind and a little from
// the right, looking at the monitor.
func (p *painter) drawHead(c *cloth, o point) {
	// Cheek and ear on the side of the monitor.
	p.fill(spline(path{
		{o.x - 44*unit, o.y - 18*unit}, {o.x - 55*unit, o.y + 2*unit}, {o.x - 53*unit, o.y + 26*unit},
		{o.x - 42*unit, o.y + 46*unit}, {o.x - 22*unit, o.y + 50*unit}, {o.x - 26*unit, o.y},
	}), func(q point) int32 {
		t := clamp((q.x-o.x)/unit+56, 0, 40)
		return p.lum(158, 262-t*3, 180-t*3)
	})
	band := func(l int32) func(point) int32 {
		return func(q point) int32 { return p.lum(l, 250-(q.x-o.x)/unit*2, 150-(q.x-o.x)/unit) }
	}
	// The band of the headphones goes over the hair, so all but its rim is hidden.
	p.fill(spline(poly(-56, 6, -54, -32, -37, -62, -5, -77, 30, -69, 52, -43, 60, 4, 40, 14, 0, 20, -36, 14).
		moved(o.x, o.y)), band(58))
	hair := spline(path{
		{o.x - 6*unit, o.y - 68*unit}, {o.x + 26*unit, o.y - 61*unit}, {o.x + 48*unit, o.y - 36*unit},
		{o.x + 54*unit, o.y - 2*unit}, {o.x + 47*unit, o.y + 32*unit}, {o.x + 30*unit, o.y + 54*unit},
		{o.x + 6*unit, o.y + 60*unit}, {o.x - 20*unit, o.y + 55*unit}, {o.x - 37*unit, o.y + 36*unit},
		{o.x - 44*unit, o.y + 8*unit}, {o.x - 50*unit, o.y - 20*unit}, {o.x - 36*unit, o.y - 52*unit},
	})
	p.fill(hair, func(q point) int32 {
		x, y := q.x-o.x, q.y-o.y
		px, py := x/unit, y/unit
		// Strands curve around the crown, which shines on the left.
		strand := c.at(x*3+px*(py+40)*5/2, y/4+px*px)
		gloss := max(0, 44-((px+22)*(px+22)+(py+30)*(py+30))/26)
		round := clamp(256-(px*px+py*py*3/4)/18, 60, 256)
		v := p.lum((58+gloss)*round>>8, 250-px, 150-px)
		return v + v*strand>>7
	})
	p.fill(limb(point{o.x - 50*unit, o.y - 12*unit}, point{o.x - 47*unit, o.y + 20*unit}, 10*unit, 10*unit), band(40))
	p.fill(limb(point{o.x - 54*unit, o.y - 10*unit}, point{o.x - 51*unit, o.y + 18*unit}, 6*unit, 6*unit), band(84))
	p.fill(limb(point{o.x + 55*unit, o.y - 12*unit}, point{o.x + 52*unit, o.y + 20*unit}, 11*unit, 11*unit), band(36))
	p.fill(limb(point{o.x + 59*unit, o.y - 9*unit}, point{o.x + 56*unit, o.y + 17*unit}, 7*unit, 7*unit), band(70))
}

// drawChair draws the back rest, which hides the lower back.
func (p *painter) drawChair(o point) {
	dx, dy := o.x-596*unit, o.y-520*unit
	back := spline(poly(506, 468, 528, 450, 592, 444, 658, 449, 682, 466, 694, 530, 700, 640, 492, 640, 498, 530))
	p.fill(back.moved(dx, dy), func(q point) int32 {
		x, y := (q.x-dx)/unit, (q.y-dy)/unit
		v := int32(46)
		if (x+y)&3 == 0 || (x-y)&3 == 0 {
			v = 53 // mesh
		}
		if y < 452+(x-592)*(x-592)/520 {
			v = 92 // the edge catches the light
		}
		return p.lum(v, 290-(x-500), 150-(x-500)/2)
	})
}
