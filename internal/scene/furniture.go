package scene

// screenArea is the picture of the monitor, in board pixels: left, top, right,
// bottom. What it shows is drawn frame by frame.
var screenArea = [4]int32{258, 138, 522, 296}

// monitor is the case and the foot; the picture stays dark here.
func (r *room) monitor() {
	r.shade(rect(256, 150, 540, 330), 26, 150, 205)
	// Its glow on the wall.
	r.shade(rect(240, 118, 540, 318), 70, fullLight, 300)
	r.shade(ellipse(px(392, 392), 90*unit, 14*unit), 14, 130, 150)
	r.fill(spline(poly(334, 386, 390, 378, 446, 386, 452, 394, 390, 401, 328, 394)), flat(deskLight, 70))
	r.fill(poly(372, 300, 408, 300, 412, 386, 368, 386), matt(roomLight, func(p point) int32 {
		t := p.x/unit - 390
		return (64 - t*t/20) * lumaOne
	}))
	r.fill(rounded(248, 128, 532, 310, 6), flat(roomLight, 34))
	r.fill(rounded(250, 130, 530, 308, 5), flat(roomLight, 24))
	r.fill(rect(248, 303, 532, 310), flat(roomLight, 44))
	r.fill(rect(383, 305, 397, 307), flat(roomLight, 90))
}

// keyboard lies in perspective in front of the monitor.
func (r *room) keyboard() {
	corner := func(u, v int32) point { // u, v in 0..1024 over the top
		left := 268 - v*24/1024
		right := 484 + v*24/1024
		return point{left*unit + u*(right-left)*unit/1024, 438*unit + v*(58*unit)/1024 + v*v*3*unit/(1024*512)}
	}
	r.shade(poly(262, 444, 496, 444, 526, 516, 244, 516), 12, 150, 165)
	quad := func(u0, v0, u1, v1 int32) path {
		return path{corner(u0, v0), corner(u1, v0), corner(u1, v1), corner(u0, v1)}
	}
	base := quad(-16, -30, 1040, 1060)
	r.fill(base.moved(0, 5*unit), flat(deskLight, 78))
	r.fill(base, flat(deskLight, 154))
	rows := [5][]int32{ // widths of the keys in quarters of a key
		{4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 8},
		{6, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 6},
		{7, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 9},
		{9, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 11},
		{5, 5, 5, 25, 5, 5, 5, 5},
	}
	for i, widths := range rows {
		v0 := int32(i)*1024/5 + 14
		u := int32(0)
		for _, w := range widths {
			u0, u1 := u*1024/60+8, (u+w)*1024/60-8
			r.fill(quad(u0, v0+14, u1, v0+1024/5-14).moved(0, unit), flat(deskLight, 142))
			r.fill(quad(u0, v0, u1, v0+1024/5-34), flat(deskLight, 182))
			u += w
		}
	}
}

// notebook lies open on the left, a pen across it.
func (r *room) notebook() {
	r.shade(poly(34, 496, 200, 484, 222, 566, 30, 584), 10, 150, 165)
	page := func(x0, x1, y0, y1, dy int32) path { return poly(x0, y0, x1, y0-dy, x1+(x1-x0)/12, y1-dy, x0-6, y1) }
	lines := func(p point) int32 {
		x, y := p.x/unit, p.y+p.x/12
		v := int32(202)
		if row := y / unit % 9; row == 4 {
			v = 198
		} else if word := hash2(r.seed+60, x/3, y/unit/9); row > 0 && row < 4 && x > 48 && y/unit < 560 &&
			hash2(r.seed+61, x/17, y/unit/9)%4 != 0 && word%3 != 0 {
			v = 168
		}
		return v*lumaOne + noise2(r.seed+62, p.x*3, p.y*3)/4
	}
	r.fill(page(36, 116, 492, 574, 6), matt(deskLight, lines))
	r.fill(page(116, 196, 486, 568, 6), matt(dim(deskLight, 246), lines))
	r.shade(poly(112, 487, 120, 486, 125, 569, 115, 570), 5, 200, 200)
	r.shade(limb(px(131, 552), px(206, 513), 3*unit, 3*unit), 4, 170, 170)
	r.fill(limb(px(128, 549), px(202, 508), 3*unit, 3*unit), flat(deskLight, 46))
	r.fill(limb(px(130, 547), px(200, 508), unit, unit), flat(deskLight, 120))
}

// deskLamp stands on the left, its shade turned to the desk.
func (r *room) deskLamp() {
	r.shade(ellipse(px(104, 416), 48*unit, 13*unit), 10, 150, 160)
	// The arm throws its shadow on the wall.
	r.shade(limb(px(84, 400), px(52, 292), 4*unit, 4*unit), 6, 220, 190)
	r.fill(ellipse(px(98, 411), 39*unit, 11*unit), flat(deskLight, 40))
	r.fill(ellipse(px(98, 407), 39*unit, 11*unit), flat(deskLight, 66))
	metal := func(l int32) surface { return flat(dim(roomLight, 230), l) }
	r.fill(limb(px(98, 405), px(66, 306), 4*unit, 4*unit), metal(58))
	r.fill(limb(px(97, 405), px(65, 306), unit, unit), metal(120))
	r.fill(limb(px(66, 306), px(132, 236), 4*unit, 4*unit), metal(58))
	r.fill(limb(px(65, 305), px(131, 235), unit, unit), metal(120))
	r.fill(ellipse(px(66, 306), 7*unit, 7*unit), metal(44))
	// The inside of the shade glows: bright in lamp light, plain by day.
	r.fill(spline(poly(124, 280, 146, 268, 178, 254, 201, 250, 186, 266, 160, 279)), func(p point) (int32, int32) {
		return 120 * lumaOne, (170 + pool(p, 162, 266, 22, 75)) * lumaOne
	})
	outer := spline(poly(122, 278, 117, 252, 126, 230, 146, 222, 168, 229, 190, 238, 202, 251, 180, 255, 150, 267))
	r.fill(outer, func(p point) (int32, int32) {
		t := clamp(((p.x-p.y)/unit+140)*2, 0, 120)
		d, l := roomLight(p)
		return (50 + t/2) * lumaOne * d >> 8, (26 + t/4) * lumaOne * min(l, 256) >> 8
	})
	r.shade(ellipse(px(163, 272), 60*unit, 40*unit), 50, fullLight, 318)
}

// mug has a handle on the right and coffee in it.
func (r *room) mug() {
	r.shade(ellipse(px(236, 468), 42*unit, 11*unit), 10, 140, 140)
	handle := [...]point{px(244, 427), px(261, 431), px(261, 446), px(245, 455)}
	for i := range len(handle) - 1 {
		r.fill(limb(handle[i], handle[i+1], 3*unit, 3*unit), flat(deskLight, 138))
	}
	body := func(p point) int32 {
		t := (p.x/unit - 213) // lit from the left, dark to the right
		v := 206 - t*t/14
		if y := p.y / unit; y > 436 && y < 442 {
			v -= 60 // a stripe
		}
		return max(v, 60) * lumaOne
	}
	r.fill(spline(poly(197, 416, 222, 412, 247, 416, 247, 440, 244, 464, 236, 470, 222, 472, 208, 470, 200, 464, 197, 440)),
		matt(deskLight, body))
	r.fill(ellipse(px(222, 416), 25*unit, 7*unit), flat(deskLight, 215))
	r.fill(ellipse(px(222, 417), 22*unit, 5*unit+unit/2), flat(deskLight, 110))
	r.fill(ellipse(px(222, 418), 20*unit, 4*unit), flat(deskLight, 34))
}

// plant stands at the right end of the desk.
func (r *room) plant() {
	r.shade(ellipse(px(757, 432), 50*unit, 14*unit), 12, 140, 160)
	r.fill(poly(716, 366, 782, 366, 773, 428, 726, 428), matt(roomLight, func(p point) int32 {
		t := p.x/unit - 738
		return max(182-t*t/11, 70) * lumaOne
	}))
	r.fill(rounded(711, 358, 787, 372, 3), matt(roomLight, func(p point) int32 {
		t := p.x/unit - 738
		return max(196-t*t/13, 80) * lumaOne
	}))
	for i := range int64(22) {
		h := hash(r.seed, 70, i)
		tip := px(pick(h, 672, 812), pick(h>>7, 232, 330))
		from := px(pick(h>>14, 734, 764), 360)
		r.leaf(from, tip, pick(h>>21, 52, 128), pick(h>>28, 9, 15))
	}
}

// leaf is two bellied halves, the lower one in shade.
func (r *room) leaf(from, tip point, luma, belly int32) {
	mid := point{(from.x + 2*tip.x) / 3, (from.y+2*tip.y)/3 - 6*unit}
	dx, dy := int64(tip.x-from.x), int64(tip.y-from.y)
	n := int64(isqrt(uint64(dx*dx + dy*dy)))
	side := point{int32(-dy * int64(belly*unit) / n), int32(dx * int64(belly*unit) / n)}
	near := point{mid.x - side.x, mid.y - side.y}
	far := point{mid.x + side.x, mid.y + side.y}
	stem := point{(from.x*2 + mid.x) / 3, (from.y*2 + mid.y) / 3}
	r.fill(limb(from, stem, unit, unit), flat(roomLight, luma*3/4))
	vein := func(l int32) surface {
		return matt(roomLight, func(p point) int32 {
			return l*lumaOne + noise2(r.seed+80, p.x, p.y)*3
		})
	}
	r.fill(spline(path{stem, near, tip, far}), vein(luma))
	r.fill(spline(path{stem, mid, tip, far}), vein(luma*3/4))
	r.fill(limb(stem, tip, unit/2, unit/3), flat(roomLight, luma*5/4))
}
