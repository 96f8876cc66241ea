package delta

// changes are a frame's contents without its entropy coding: they depend on the
// frame and on the activity before it, not on the picture they are applied to,
// so that what one frame says can be applied to several pictures.
type changes struct {
	key          bool
	coarse, fine int
	mbs          []macroblock
	res          []residual // of the blocks with one, in order
	active       []uint8    // activity of each macroblock after the frame
	tally        *[contexts][2]int
}

// Activity of a macroblock is activeNow where the last frame coded it, and one
// less with each frame that skips it.
const (
	activeNow = 3
	activeMax = 3
)

// maxVector bounds motion vectors, in pixels.
const maxVector = 2047

// layout gives the places of macroblocks.
type layout struct{ across, down int }

func layoutOf(w, h int) layout {
	return layout{(w + mbSize - 1) / mbSize, (h + mbSize - 1) / mbSize}
}

func (l layout) count() int { return l.across * l.down }

// skipContext of macroblock i at column x: how many of the neighbours left,
// above and above right are coded, how active the place was, and whether a
// neighbour that is not known yet was active.
func (l layout) skipContext(mbs []macroblock, active []uint8, i, x int) int {
	n := 0
	if x > 0 && mbs[i-1].coded {
		n++
	}
	if i >= l.across {
		if mbs[i-l.across].coded {
			n++
		}
		if x+1 < l.across && mbs[i-l.across+1].coded {
			n++
		}
	}
	ahead := 0
	if x+1 < l.across && active[i+1] == activeMax || i+l.across < len(active) && active[i+l.across] == activeMax {
		ahead = 1
	}
	return ctxSkip + (n*4+int(active[i]))*2 + ahead
}

// predictVector of macroblock i is that of the one left of it, else above, if
// it was coded from the picture before, else zero.
func (l layout) predictVector(mbs []macroblock, i, x int) (dx, dy int) {
	if x > 0 && mbs[i-1].coded && !mbs[i-1].intra {
		return int(mbs[i-1].dx), int(mbs[i-1].dy)
	}
	if i >= l.across && mbs[i-l.across].coded && !mbs[i-l.across].intra {
		return int(mbs[i-l.across].dx), int(mbs[i-l.across].dy)
	}
	return 0, 0
}

// intraContext is 1 or 2 next to a macroblock that was predicted from its
// neighbours.
func (l layout) intraContext(mbs []macroblock, i, x int) int {
	n := 0
	if x > 0 && mbs[i-1].intra {
		n++
	}
	if i >= l.across && mbs[i-l.across].intra {
		n++
	}
	return ctxIntra + n
}

// codedContext of block b: whether the blocks left of it and above have a
// residual. pattern is that of the macroblock so far.
func (l layout) codedContext(mbs []macroblock, i, x, b int, pattern uint8, kind int) int {
	n := 0
	switch {
	case b&1 == 1:
		n += int(pattern >> (b - 1) & 1)
	case x > 0:
		n += int(mbs[i-1].pattern >> (b + 1) & 1)
	}
	switch {
	case b >= 2:
		n += 2 * int(pattern>>(b-2)&1)
	case i >= l.across:
		n += 2 * int(mbs[i-l.across].pattern>>(b+2)&1)
	}
	return ctxCoded + 4*kind + n
}

// age moves the activities on by one frame.
func age(active []uint8, mbs []macroblock) {
	for i := range mbs {
		if mbs[i].coded {
			active[i] = activeNow
		} else if active[i] > 0 {
			active[i]--
		}
	}
}

// parse reads a frame's body. active are the activities before a delta; they
// are not changed.
func (c *changes) parse(h *Header, body []byte, l layout, active []uint8) {
	r := reader{rc: newRangeDecoder(body), m: startModel, tally: c.tally}
	n := l.count()
	c.key, c.coarse, c.fine = h.Key, int(h.Coarse), int(h.Fine)
	c.mbs = append(c.mbs[:0], make([]macroblock, n)...)
	c.res = c.res[:0]
	c.active = append(c.active[:0], active...)
	if c.key {
		c.active = append(c.active[:0], make([]uint8, n)...)
	}
	q := [2]steps{newSteps(c.coarse), newSteps(c.fine)}
	var v levels
	for i := range n {
		x, mb := i%l.across, &c.mbs[i]
		if c.key {
			c.active[i] = r.activity(c.active, i, x)
			mb.coded, mb.intra = true, true
		} else {
			mb.coded = r.bit(l.skipContext(c.mbs, active, i, x)) != 0
			if !mb.coded {
				continue
			}
			mb.intra = r.bit(l.intraContext(c.mbs, i, x)) != 0
		}
		kind := 0
		if mb.intra {
			kind = 1
			high := r.bit(ctxMode)
			mb.mode = uint8(high<<1 | r.bit(ctxMode+1+high))
		} else {
			dx, dy := l.predictVector(c.mbs, i, x)
			first := ctxStill
			if dx != 0 || dy != 0 {
				first++
			}
			if r.bit(first) != 0 {
				dx += r.offset(ctxVector)
				dy += r.offset(ctxVector + vectorSteps)
			}
			mb.dx = int16(min(max(dx, -maxVector), maxVector))
			mb.dy = int16(min(max(dy, -maxVector), maxVector))
		}
		pattern := uint8(0)
		for b := range 4 {
			pattern |= uint8(r.bit(l.codedContext(c.mbs, i, x, b, pattern, kind)) << b)
		}
		mb.pattern = pattern
		if pattern == 0 {
			continue
		}
		mb.fine = r.bit(ctxFine+kind) != 0
		class := kind * 2
		step := &q[0]
		if mb.fine {
			class++
			step = &q[1]
		}
		for b := range 4 {
			if pattern>>b&1 != 0 {
				r.block(class, &v)
				c.res = append(c.res, residual{})
				inverse(&v, step, &c.res[len(c.res)-1])
			}
		}
	}
	if !c.key {
		age(c.active, c.mbs)
	}
}

func (r *reader) offset(ctx int) int {
	v := r.number(ctx, vectorSteps)
	if v != 0 && r.rc.raw() != 0 {
		v = -v
	}
	return v
}

func (r *reader) activity(active []uint8, i, x int) uint8 {
	ctx := ctxActive
	if x > 0 {
		ctx += 3 * int(active[i-1])
	}
	v := uint8(0)
	for v < activeMax && r.bit(ctx+int(v)) != 0 {
		v++
	}
	return v
}

// apply makes the next picture from the one before. The two are of one size and
// not the same; from is not looked at for a key.
func (c *changes) apply(from, to *plane) {
	if !c.key {
		copy(to.pix, from.pix)
	}
	across := to.pw / mbSize
	var pred patch
	var res [4]*residual
	at := 0
	for i := range c.mbs {
		mb := &c.mbs[i]
		if !mb.coded {
			continue
		}
		x, y := i%across*mbSize, i/across*mbSize
		if mb.intra {
			to.intra(x, y, int(mb.mode), &pred)
		} else {
			from.inter(x, y, int(mb.dx), int(mb.dy), &pred)
		}
		for b := range 4 {
			if mb.pattern>>b&1 != 0 {
				res[b] = &c.res[at]
				at++
			}
		}
		to.put(x, y, &pred, int(mb.pattern), &res)
	}
	to.deblock(c.mbs, c.coarse, c.fine)
}
