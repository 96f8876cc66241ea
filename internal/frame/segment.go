package frame

// frameHeader reads SOF0 or SOF2:
//
//	P(1)=8  Y(2) height  X(2) width  Nf(1)  Nf x { C(1) id  H(4bit) V(4bit)  Tq(1) }
//
// Sizes are checked before anything that depends on them.
func (w *walker) frameHeader(m byte, p []byte) *Error {
	if w.info.Components != 0 {
		return fail(Malformed, "second frame header")
	}
	if len(p) < 6 {
		return fail(Malformed, "frame header of %d bytes", len(p))
	}
	if p[0] != 8 {
		return fail(Unsupported, "%d bits per sample", p[0])
	}
	height, width := int(p[1])<<8|int(p[2]), int(p[3])<<8|int(p[4])
	if width == 0 || height == 0 {
		return fail(Malformed, "%d x %d pixels", width, height)
	}
	if width > w.limits.MaxWidth || height > w.limits.MaxHeight {
		return fail(TooBig, "%d x %d pixels, at most %d x %d", width, height, w.limits.MaxWidth, w.limits.MaxHeight)
	}
	if n := int64(width) * int64(height); n > maxPixels {
		return fail(TooBig, "%d x %d pixels, at most %d in all", width, height, maxPixels)
	}
	nf := int(p[5])
	switch {
	case nf == 0:
		return fail(Malformed, "no components")
	case nf != 1 && nf != maxComponents:
		return fail(Unsupported, "%d components", nf)
	case len(p) != 6+3*nf:
		return fail(Malformed, "frame header of %d bytes for %d components", len(p), nf)
	}
	for i := range nf {
		q := p[6+3*i:]
		c := component{id: q[0], h: int(q[1] >> 4), v: int(q[1] & 15), tq: q[2]}
		if c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4 {
			return fail(Malformed, "sampling factors %d x %d", c.h, c.v)
		}
		if c.tq > 3 {
			return fail(Malformed, "quantisation table %d", c.tq)
		}
		for _, d := range w.comps[:i] {
			if d.id == c.id {
				return fail(Malformed, "component %d twice", c.id)
			}
		}
		w.comps[i] = c
		w.hMax, w.vMax = max(w.hMax, c.h), max(w.vMax, c.v)
	}
	w.info.Width, w.info.Height, w.info.Components = width, height, nf
	w.info.Progressive = m == mSOF2
	return nil
}

// quantTables reads DQT: one or more { Pq(4bit) Tq(4bit)  64 values of 1+Pq bytes }.
func (w *walker) quantTables(p []byte) *Error {
	if len(p) == 0 {
		return fail(Malformed, "empty quantisation table segment")
	}
	for len(p) > 0 {
		pq, tq := p[0]>>4, p[0]&15
		if pq > 1 || tq > 3 {
			return fail(Malformed, "quantisation table 0x%02X", p[0])
		}
		n := 1 + 64*(1+int(pq))
		if len(p) < n {
			return fail(Malformed, "quantisation table of %d bytes", len(p))
		}
		w.qTables |= 1 << tq
		p = p[n:]
	}
	return nil
}

// huffmanTables reads DHT: one or more { Tc(4bit) Th(4bit)  16 counts  that many symbols }.
func (w *walker) huffmanTables(p []byte) *Error {
	if len(p) == 0 {
		return fail(Malformed, "empty huffman table segment")
	}
	for len(p) > 0 {
		tc, th := p[0]>>4, p[0]&15
		if tc > 1 || th > 3 {
			return fail(Malformed, "huffman table 0x%02X", p[0])
		}
		if len(p) < 17 {
			return fail(Malformed, "huffman table of %d bytes", len(p))
		}
		symbols, codes := 0, 0 // codes: used share of the code space, in 1/65536
		for i, n := range p[1:17] {
			symbols += int(n)
			codes += int(n) << (15 - i)
		}
		if symbols == 0 || symbols > 256 || codes > 1<<16 {
			return fail(Malformed, "huffman table of %d symbols", symbols)
		}
		if len(p) < 17+symbols {
			return fail(Malformed, "huffman table cut after %d of %d symbols", len(p)-17, symbols)
		}
		if tc == 0 {
			w.dcTables |= 1 << th
		} else {
			w.acTables |= 1 << th
		}
		p = p[17+symbols:]
	}
	return nil
}

// scanHeader reads SOS:
//
//	Ns(1)  Ns x { Cs(1) id  Td(4bit) Ta(4bit) }  Ss(1) Se(1)  Ah(4bit) Al(4bit)
//
// and returns the fewest bits that the scan can hold.
func (w *walker) scanHeader(p []byte) (minBits int64, err *Error) {
	nf := w.info.Components
	if nf == 0 {
		return 0, fail(Malformed, "scan before the frame header")
	}
	if w.scans++; w.scans > maxScans {
		return 0, fail(Malformed, "more than %d scans", maxScans)
	}
	if len(p) < 1 || p[0] < 1 || int(p[0]) > nf || len(p) != 4+2*int(p[0]) {
		return 0, fail(Malformed, "scan header of %d bytes", len(p))
	}
	ns := int(p[0])
	ss, se, ah := p[1+2*ns], p[2+2*ns], p[3+2*ns]>>4
	needDC, needAC := true, true
	if w.info.Progressive {
		// A scan carries either DC (0..0) or, for one component, a band of AC.
		if ss > se || se > 63 || ss == 0 && se != 0 || ss > 0 && ns != 1 {
			return 0, fail(Malformed, "progressive scan of coefficients %d to %d", ss, se)
		}
		needDC, needAC = ss == 0 && ah == 0, ss > 0
	}
	var blocks int64
	var inScan uint8
	for i := range ns {
		id, td, ta := p[1+2*i], p[2+2*i]>>4, p[2+2*i]&15
		k := w.component(id)
		if k < 0 || inScan>>k&1 != 0 {
			return 0, fail(Malformed, "scan of component %d", id)
		}
		inScan |= 1 << k
		c := &w.comps[k]
		if c.seen && !w.info.Progressive {
			return 0, fail(Malformed, "second scan of component %d", id)
		}
		c.seen = true
		if w.qTables>>c.tq&1 == 0 {
			return 0, fail(Malformed, "quantisation table %d is missing (DQT)", c.tq)
		}
		if needDC && (td > 3 || w.dcTables>>td&1 == 0) || needAC && (ta > 3 || w.acTables>>ta&1 == 0) {
			return 0, fail(Malformed, "huffman table for component %d is missing (DHT)", id)
		}
		blocks += w.blocks(c, ns == 1)
	}
	switch {
	case !w.info.Progressive:
		minBits = 2 * blocks // a one-bit DC code and a one-bit end of block
	case ss == 0:
		minBits = blocks // one bit per block in first and refining DC scans
	}
	return minBits, nil
}

// component finds the plane with the given id, or -1.
func (w *walker) component(id byte) int {
	for i, c := range w.comps[:w.info.Components] {
		if c.id == id {
			return i
		}
	}
	return -1
}

// blocks counts the 8x8 blocks that a scan holds for c: whole MCUs when
// interleaved, just enough for the plane when c is alone (T.81 A.2).
func (w *walker) blocks(c *component, alone bool) int64 {
	if alone {
		across := ceilDiv(ceilDiv(w.info.Width*c.h, w.hMax), 8)
		down := ceilDiv(ceilDiv(w.info.Height*c.v, w.vMax), 8)
		return int64(across) * int64(down)
	}
	across := ceilDiv(w.info.Width, 8*w.hMax)
	down := ceilDiv(w.info.Height, 8*w.vMax)
	return int64(across) * int64(down) * int64(c.h) * int64(c.v)
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }
