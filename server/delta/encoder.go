package delta

import (
	"image"
	"math"

	"porthole/internal/dct"
)

// encoder makes the bodies of frames. It has a picture of its own, the one that
// a viewer has who got all frames, and codes every picture as the changes from
// it.
type encoder struct {
	set    Settings
	q      [2]quantiser // coarse, fine
	layout layout
	source *plane // what is to be coded …
	before *plane // … and the same of the frame before
	still  []uint8
	ref    *plane // the viewer's picture
	now    *plane // the one being made
	active []uint8
	key    bool // being made

	mbs []macroblock
	out writer
}

// settledAfter frames without a change of the source a place counts as at rest.
const settledAfter = 2

// changedBlock is how much a block of the source changes from one frame to the
// next if something moved there: squared levels, summed over its 64 pixels. What
// a denoised picture changes at rest stays below.
const changedBlock = 400

func newEncoder(set Settings, w, h int) *encoder {
	e := &encoder{set: set, layout: layoutOf(w, h)}
	e.q[0], e.q[1] = newQuantiser(set.Coarse, set.CoarseWeight), newQuantiser(set.Fine, set.FineWeight)
	e.source, e.before, e.ref, e.now = newPlane(w, h), newPlane(w, h), newPlane(w, h), newPlane(w, h)
	e.still, e.active = make([]uint8, e.layout.count()), make([]uint8, e.layout.count())
	e.mbs = make([]macroblock, e.layout.count())
	return e
}

// changed reports whether the source moved in the macroblock at (x, y).
func (e *encoder) changed(x, y int) bool {
	for b := range 4 {
		sum := 0
		for r := range 8 {
			at := (y+b>>1*8+r)*e.source.pw + x + b&1*8
			p, q := e.source.pix[at:][:8], e.before.pix[at:][:8]
			for i, v := range p {
				d := int(v) - int(q[i])
				sum += d * d
			}
		}
		if sum > changedBlock {
			return true
		}
	}
	return false
}

// load takes the next source picture.
func (e *encoder) load(g *image.Gray, first bool) {
	e.source, e.before = e.before, e.source
	e.source.load(g)
	for i := range e.still {
		if first {
			e.still[i] = settledAfter // until it moves
		} else if e.changed(i%e.layout.across*mbSize, i/e.layout.across*mbSize) {
			e.still[i] = 0
		} else if e.still[i] < math.MaxUint8 {
			e.still[i]++
		}
	}
}

// frame codes the source as changes from the reference, or as a key, and
// returns the body. The picture it makes becomes the reference.
func (e *encoder) frame(key bool) []byte {
	e.key = key
	e.out.rc.reset(nil)
	e.out.m = startModel
	clear(e.mbs)
	if !e.key {
		copy(e.now.pix, e.ref.pix)
	}
	for i := range e.mbs {
		e.macroblock(i)
	}
	e.now.deblock(e.mbs, int(e.set.Coarse), int(e.set.Fine))
	e.ref, e.now = e.now, e.ref
	if !e.key {
		age(e.active, e.mbs)
	}
	return e.out.rc.finish()
}

// trial is one way to code a macroblock.
type trial struct {
	mb     macroblock
	levels [4]levels
	res    [4]residual
	pred   patch
	cost   int64 // distortion plus weighted bits, in 1/256
}

// macroblock chooses how to code macroblock i, writes it and makes its pixels.
func (e *encoder) macroblock(i int) {
	x, y := i%e.layout.across*mbSize, i/e.layout.across*mbSize
	// A key takes the finer of the two steps: what it lacks, its viewers lack
	// until the place changes again.
	rest := e.still[i] >= settledAfter || e.key && e.set.Fine < e.set.Coarse
	fine := 0
	if rest {
		fine = 1
	}
	weight := e.q[fine].weight

	var best, t trial
	best.cost = math.MaxInt64
	try := func() {
		m := meter{m: &e.out.m}
		e.put(&m, i, &t)
		if t.cost += int64(m.cost) * weight; t.cost < best.cost {
			best = t
		}
	}
	if !e.key {
		t = trial{}
		e.ref.inter(x, y, 0, 0, &t.pred)
		t.cost = e.distortion(x, y, &t.pred) << 8
		try()
		if best.cost > weight*6*256 {
			t = trial{mb: macroblock{coded: true, fine: rest}}
			e.ref.inter(x, y, 0, 0, &t.pred)
			e.residuals(x, y, &t, 0, weight)
			try()
			if !rest {
				px, py := e.layout.predictVector(e.mbs, i, i%e.layout.across)
				if dx, dy := e.find(x, y, px, py); dx != 0 || dy != 0 {
					t = trial{mb: macroblock{coded: true, fine: rest, dx: int16(dx), dy: int16(dy)}}
					e.ref.inter(x, y, dx, dy, &t.pred)
					e.residuals(x, y, &t, 0, weight)
					try()
				}
			}
		}
	}
	if e.key || !rest && best.cost > weight*20*256 {
		for mode := range intraModes {
			t = trial{mb: macroblock{coded: true, intra: true, fine: rest, mode: uint8(mode)}}
			e.now.intra(x, y, mode, &t.pred)
			e.residuals(x, y, &t, 1, weight)
			try()
		}
	}
	if best.mb.pattern == 0 {
		best.mb.fine = false
	}
	e.put(&e.out, i, &best)
	e.mbs[i] = best.mb
	if best.mb.coded {
		var res [4]*residual
		for b := range res {
			res[b] = &best.res[b]
		}
		e.now.put(x, y, &best.pred, int(best.mb.pattern), &res)
	}
}

// put writes macroblock i into a sink.
func (e *encoder) put(s sink, i int, t *trial) {
	x, mb := i%e.layout.across, &t.mb
	if e.key {
		e.putActivity(s, i, x)
	} else {
		s.bit(e.layout.skipContext(e.mbs, e.active, i, x), btoi(mb.coded))
		if !mb.coded {
			return
		}
		s.bit(e.layout.intraContext(e.mbs, i, x), btoi(mb.intra))
	}
	kind := btoi(mb.intra)
	if mb.intra {
		high := int(mb.mode >> 1)
		s.bit(ctxMode, high)
		s.bit(ctxMode+1+high, int(mb.mode&1))
	} else {
		px, py := e.layout.predictVector(e.mbs, i, x)
		dx, dy := int(mb.dx)-px, int(mb.dy)-py
		first := ctxStill
		if px != 0 || py != 0 {
			first++
		}
		s.bit(first, btoi(dx != 0 || dy != 0))
		if dx != 0 || dy != 0 {
			offset(s, ctxVector, dx)
			offset(s, ctxVector+vectorSteps, dy)
		}
	}
	pattern := uint8(0)
	for b := range 4 {
		bit := mb.pattern >> b & 1
		s.bit(e.layout.codedContext(e.mbs, i, x, b, pattern, kind), int(bit))
		pattern |= bit << b
	}
	if pattern == 0 {
		return
	}
	s.bit(ctxFine+kind, btoi(mb.fine))
	for b := range 4 {
		if pattern>>b&1 != 0 {
			block(s, kind*2+btoi(mb.fine), &t.levels[b])
		}
	}
}

func offset(s sink, ctx, v int) {
	number(s, ctx, vectorSteps, abs(v))
	if v != 0 {
		s.raw(btoi(v < 0))
	}
}

func (e *encoder) putActivity(s sink, i, x int) {
	ctx := ctxActive
	if x > 0 {
		ctx += 3 * int(e.active[i-1])
	}
	for v := range activeMax {
		if e.active[i] == uint8(v) {
			s.bit(ctx+v, 0)
			return
		}
		s.bit(ctx+v, 1)
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// distortion is the squared difference between source and prediction.
func (e *encoder) distortion(x, y int, pred *patch) int64 {
	sum := 0
	for r := range mbSize {
		src := e.source.pix[(y+r)*e.source.pw+x:][:mbSize]
		for c, v := range pred[mbSize*r:][:mbSize] {
			d := int(src[c]) - int(v)
			sum += d * d
		}
	}
	return int64(sum)
}

// residuals quantises what the prediction of a trial lacks, block by block, and
// sets the trial's cost to the distortion that is left.
func (e *encoder) residuals(x, y int, t *trial, kind int, weight int64) {
	q := &e.q[btoi(t.mb.fine)]
	class := kind*2 + btoi(t.mb.fine)
	t.cost = 0
	for b := range 4 {
		ox, oy := b&1*8, b>>1*8
		var f dct.Block
		without := int64(0)
		for r := range 8 {
			src := e.source.pix[(y+oy+r)*e.source.pw+x+ox:][:8]
			for c, v := range t.pred[mbSize*(oy+r)+ox:][:8] {
				d := int32(src[c]) - int32(v)
				f[8*r+c] = d
				without += int64(d) * int64(d)
			}
		}
		f.Forward()
		v := &t.levels[b]
		with := without
		if quantise(&f, v, &q.steps) && e.thin(&f, v, q, class) {
			inverse(v, &q.steps, &t.res[b])
			with = 0
			for r := range 8 {
				src := e.source.pix[(y+oy+r)*e.source.pw+x+ox:][:8]
				for c, p := range t.pred[mbSize*(oy+r)+ox:][:8] {
					d := int64(src[c]) - int64(clip(int32(p)+int32(t.res[b][8*r+c])))
					with += d * d
				}
			}
			m := meter{m: &e.out.m}
			block(&m, class, v)
			if with<<8+int64(m.cost)*weight >= without<<8 {
				with = without
			} else {
				t.mb.pattern |= 1 << b
			}
		}
		t.cost += with << 8
	}
}

// quantise divides coefficients by their steps, rounding up from 0.6, and
// reports whether anything is left.
func quantise(f *dct.Block, v *levels, q *steps) bool {
	any := false
	for k, z := range dct.Zigzag {
		// f is dct.Scale = 8 times, a step 16 times an orthonormal transform's.
		a := abs(f[z]) * 2
		l := min((a+q[k]*2/5)/q[k], maxLevel)
		if l != 0 {
			any = true
		}
		if f[z] < 0 {
			l = -l
		}
		v[k] = int16(l)
	}
	return any
}

// thin makes small levels smaller where that saves more bits than it is worth,
// from the highest frequency down, and reports whether anything is left.
func (e *encoder) thin(f *dct.Block, v *levels, q *quantiser, class int) bool {
	count := 0
	for _, l := range v {
		if l != 0 {
			count++
		}
	}
	price := func() int64 {
		if count == 0 {
			return 0
		}
		m := meter{m: &e.out.m}
		block(&m, class, v)
		return int64(m.cost) * q.weight
	}
	now := price()
	for k := 63; k >= 0; k-- {
		l := v[k]
		if l == 0 || l > 2 || l < -2 {
			continue
		}
		less := l - 1
		if l < 0 {
			less = l + 1
		}
		// Squared levels, times 256: coefficients are in 1/16.
		c := int64(f[dct.Zigzag[k]]) * 2
		keep, drop := c-int64(l)*int64(q.steps[k]), c-int64(less)*int64(q.steps[k])
		v[k] = less
		if less == 0 {
			count--
		}
		if then := price(); keep*keep+now < drop*drop+then {
			v[k] = l
			if less == 0 {
				count++
			}
		} else {
			now = then
		}
	}
	return count > 0
}
