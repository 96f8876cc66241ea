package webp

// attempt is one way to code a macroblock.
type attempt struct {
	unit    macroblock
	rebuilt [256]uint8
	cost    int64 // squared error times 256, plus lambda times bits times 256
}

// side is what the coder of a row keeps of the macroblock on the left.
type side struct {
	modes [4]uint8
	neighbours
}

// encodeRow decides the macroblocks of one row.
func (e *Encoder) encodeRow(y int) {
	var left side
	var large, small attempt
	for x := range e.across {
		above := side{[4]uint8(e.aboveModes[4*x:]), neighbours{[4]uint8(e.aboveSet[4*x:]), e.aboveDC[x]}}
		e.tryLarge(&large, x, y, &above, &left)
		best := &large
		if e.trySmall(&small, x, y, &above, &left, large.cost) {
			best = &small
		}
		u := &e.units[y*e.across+x]
		*u = best.unit
		for i := range 16 {
			copy(e.rebuilt.pix[e.rebuilt.at(16*x, 16*y+i):], best.rebuilt[16*i:16*i+16])
		}
		// The contexts of what follows.
		u.put(nothing{}, &above.neighbours, &left.neighbours)
		for i, mode := range u.modes {
			above.modes[i&3], left.modes[i>>2] = mode, mode
		}
		copy(e.aboveModes[4*x:], above.modes[:])
		copy(e.aboveSet[4*x:], above.set[:])
		e.aboveDC[x] = above.dc
	}
	// What is above and right of the last macroblock of the next row.
	end := e.rebuilt.at(16*e.across, 16*y+15)
	for i := range 4 {
		e.rebuilt.pix[end+i] = e.rebuilt.pix[end-1]
	}
}

// tryLarge codes a macroblock whose prediction is one block.
func (e *Encoder) tryLarge(a *attempt, x, y int, above, left *side) {
	// The mode with the least error before coding is nearly always the best.
	var p [256]uint8
	least, mode := int64(-1), 0
	for m := range largeModes {
		e.predictLarge(&p, x, y, m)
		if d := e.distance(&p, x, y); least < 0 || d < least {
			least, mode, a.rebuilt = d, m, p
		}
	}
	u := &a.unit
	*u = macroblock{large: true, mode: uint8(mode)}
	var dcs block
	var coefficients [16]block
	for i := range coefficients {
		c := &coefficients[i]
		e.difference(c, &a.rebuilt, x, y, i)
		forward(c)
		dcs[i] = c[0]
		e.y1.quantise(c, &u.levels[i], 1)
		u.coded = u.coded || u.levels[i] != [16]int16{}
	}
	forwardDC(&dcs)
	e.y2.quantise(&dcs, &u.dcs, 0)
	u.coded = u.coded || u.dcs != [16]int16{}
	inverseDC(&dcs)
	for i := range coefficients {
		u.modes[i] = uint8(mode)
		coefficients[i][0] = dcs[i]
		a.add(&coefficients[i], i)
	}
	c := &e.coster
	c.cost = 0
	c.raw(145, true)
	putLargeMode(c, u.mode)
	over, beside := above.neighbours, left.neighbours
	u.put(c, &over, &beside)
	a.cost = e.distance(&a.rebuilt, x, y)<<8 + e.lambda*int64(c.cost)>>8
}

// trySmall codes a macroblock of sixteen predictions, and reports whether that
// costs less than most. It gives up as soon as it does not.
func (e *Encoder) trySmall(a *attempt, x, y int, above, left *side, most int64) bool {
	u := &a.unit
	*u = macroblock{}
	var overhang [4]int32 // above and right of the macroblock
	for i := range overhang {
		overhang[i] = int32(e.rebuilt.pix[e.rebuilt.at(16*x+16+i, 16*y-1)])
	}
	over, beside := *above, *left
	c := &e.coster
	c.cost = 0
	c.raw(145, false)
	a.cost = e.lambda * int64(c.cost) >> 8
	for i := range 16 {
		bx, by := i&3, i>>2
		var edges edge
		e.edges(&edges, a, x, y, i, &overhang)
		var source block
		e.sourceBlock(&source, x, y, i)

		// All modes by their error before coding; the three best are tried.
		var predicted [blockModes]block
		var errors [blockModes]int64
		for m := range predicted {
			edges.predict(&predicted[m], m)
			errors[m] = squared(&source, &predicted[m])
		}
		best := int64(-1)
		var set uint8
		for range 3 {
			m := 0
			for k := range errors {
				if errors[k] >= 0 && (errors[m] < 0 || errors[k] < errors[m]) {
					m = k
				}
			}
			errors[m] = -1
			var d block
			for k := range d {
				d[k] = source[k] - predicted[m][k]
			}
			forward(&d)
			var levels [16]int16
			e.y1.quantise(&d, &levels, 0)
			inverse(&d, &predicted[m])
			c.cost = 0
			putBlockMode(c, uint8(m), over.modes[bx], beside.modes[by])
			some := putTokens(c, &levels, planeY1, int(over.set[bx]+beside.set[by]), 0)
			cost := squared(&source, &predicted[m])<<8 + e.lambda*int64(c.cost)>>8
			if best < 0 || cost < best {
				best, set = cost, bit(some)
				u.modes[i], u.levels[i] = uint8(m), levels
				for k, v := range predicted[m] {
					a.rebuilt[(4*by+k>>2)*16+4*bx+k&3] = uint8(v)
				}
			}
		}
		u.coded = u.coded || set == 1
		over.modes[bx], beside.modes[by] = u.modes[i], u.modes[i]
		over.set[bx], beside.set[by] = set, set
		if a.cost += best; a.cost >= most {
			return false
		}
	}
	return true
}

// predictLarge fills p by a mode of 16x16 (12.2).
func (e *Encoder) predictLarge(p *[256]uint8, x, y, mode int) {
	pix := e.rebuilt.pix
	above := pix[e.rebuilt.at(16*x, 16*y-1):][:16]
	left := func(i int) uint8 { return pix[e.rebuilt.at(16*x-1, 16*y+i)] }
	switch mode {
	case modeDC:
		sum, n := 0, 0
		if y > 0 {
			for _, v := range above {
				sum += int(v)
			}
			n += 16
		}
		if x > 0 {
			for i := range 16 {
				sum += int(left(i))
			}
			n += 16
		}
		mean := uint8(128)
		if n > 0 {
			mean = uint8((sum + n/2) / n)
		}
		for i := range p {
			p[i] = mean
		}
	case modeTM:
		corner := int32(pix[e.rebuilt.at(16*x-1, 16*y-1)])
		for i := range 16 {
			l := int32(left(i)) - corner
			for j, v := range above {
				p[16*i+j] = uint8(clip(l + int32(v)))
			}
		}
	case modeVE:
		for i := range 16 {
			copy(p[16*i:], above)
		}
	case modeHE:
		for i := range 16 {
			l := left(i)
			for j := range 16 {
				p[16*i+j] = l
			}
		}
	}
}

// edges collects what block i of a macroblock is predicted from: pixels of the
// macroblocks around it, and of the attempt itself.
func (e *Encoder) edges(d *edge, a *attempt, x, y, i int, overhang *[4]int32) {
	bx, by := i&3, i>>2
	at := func(u, v int) int32 { // in the macroblock's own pixels
		if u < 0 || v < 0 {
			return int32(e.rebuilt.pix[e.rebuilt.at(16*x+u, 16*y+v)])
		}
		return int32(a.rebuilt[16*v+u])
	}
	d.corner = at(4*bx-1, 4*by-1)
	for k := range 4 {
		d.left[k] = at(4*bx-1, 4*by+k)
		d.above[k] = at(4*bx+k, 4*by-1)
		if bx == 3 { // for all rows of blocks, as the pixels beside are not there yet
			d.above[4+k] = overhang[k]
		} else {
			d.above[4+k] = at(4*bx+4+k, 4*by-1)
		}
	}
}

func (e *Encoder) sourceBlock(b *block, x, y, i int) {
	for r := range 4 {
		row := e.source.pix[e.source.at(16*x+4*(i&3), 16*y+4*(i>>2)+r):][:4]
		for c, v := range row {
			b[4*r+c] = int32(v)
		}
	}
}

// difference is block i of the source minus that of p.
func (e *Encoder) difference(b *block, p *[256]uint8, x, y, i int) {
	e.sourceBlock(b, x, y, i)
	for k := range b {
		b[k] -= int32(p[(4*(i>>2)+k>>2)*16+4*(i&3)+k&3])
	}
}

// add adds block i, given by its coefficients, to what is rebuilt.
func (a *attempt) add(c *block, i int) {
	var p block
	for k := range p {
		p[k] = int32(a.rebuilt[(4*(i>>2)+k>>2)*16+4*(i&3)+k&3])
	}
	inverse(c, &p)
	for k, v := range p {
		a.rebuilt[(4*(i>>2)+k>>2)*16+4*(i&3)+k&3] = uint8(v)
	}
}

// distance is the squared error of p as a macroblock.
func (e *Encoder) distance(p *[256]uint8, x, y int) (sum int64) {
	for r := range 16 {
		row := e.source.pix[e.source.at(16*x, 16*y+r):][:16]
		for c, v := range row {
			d := int64(v) - int64(p[16*r+c])
			sum += d * d
		}
	}
	return sum
}

func squared(a, b *block) (sum int64) {
	for i := range a {
		d := int64(a[i] - b[i])
		sum += d * d
	}
	return sum
}
