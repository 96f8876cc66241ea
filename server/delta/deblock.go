package delta

// macroblock is how a macroblock was coded. The zero value is skipped.
type macroblock struct {
	coded   bool // not skipped
	intra   bool
	fine    bool
	mode    uint8 // of intra prediction
	dx, dy  int16
	pattern uint8 // bit b: block b has a residual
}

// deblock smooths the edges between blocks of which at least one was coded
// anew, first all upright edges, then all level ones. Both sides of every edge
// move towards each other by less than the quantiser could have torn them
// apart; larger steps are edges of things and stay.
func (p *plane) deblock(mbs []macroblock, coarse, fine int) {
	across := p.pw / mbSize
	for pass := range 2 {
		step, dx, dy := 1, 1, 0
		if pass == 1 {
			step, dx, dy = p.pw, 0, 1
		}
		for by := dy; by < p.ph/8; by++ {
			for bx := dx; bx < p.pw/8; bx++ {
				here, there := &mbs[by/2*across+bx/2], &mbs[(by-dy)/2*across+(bx-dx)/2]
				if !here.coded && !there.coded || !torn(here, by&1*2+bx&1, there, (by-dy)&1*2+(bx-dx)&1) {
					continue
				}
				q := fine
				if here.coded && !here.fine || there.coded && !there.fine {
					q = coarse
				}
				edge := int32(q*7/10 + 2)
				flat, most := int32(q/4+2), int32(q/5+1)
				at := by*8*p.pw + bx*8
				for range 8 {
					smooth(p.pix, at, step, edge, flat, most)
					at += dx*p.pw + dy
				}
			}
		}
	}
}

// torn reports whether the edge between block i of one macroblock and block j
// of another, or of the same one, can show.
func torn(a *macroblock, i int, b *macroblock, j int) bool {
	return a.coded && (a.intra || a.pattern>>i&1 != 0 || a.dx != b.dx || a.dy != b.dy) ||
		b.coded && (b.intra || b.pattern>>j&1 != 0)
}

func smooth(pix []uint8, at, step int, edge, flat, most int32) {
	p1, p0, q0, q1 := int32(pix[at-2*step]), int32(pix[at-step]), int32(pix[at]), int32(pix[at+step])
	if abs(p0-q0) >= edge || abs(p1-p0) >= flat || abs(q1-q0) >= flat {
		return
	}
	d := min(max(((q0-p0)*4+p1-q1+4)>>3, -most), most)
	pix[at-step] = clip(p0 + d)
	pix[at] = clip(q0 - d)
}

func abs[T int | int16 | int32](v T) T { return max(v, -v) }
