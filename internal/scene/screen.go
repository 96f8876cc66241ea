package scene

// The monitor shows somebody's source text: a tree of files at the left, lines
// that scroll now and then, and a line that is being typed.
const (
	cellWidth  = 4 * unit  // a character, gap included
	cellHeight = 9 * unit  // a line
	textLeft   = 58 * unit // where the text begins, from the screen's left
	gutterLeft = 46 * unit
	statusTop  = 149 * unit
	scrollMs   = 14_000 // the text may scroll this often
	keyMs      = 240    // one typed character
	maxColumns = 60
)

// textLine is one visible line: a glyph per column, 0 for a space, and the
// brightness of each.
type textLine struct{ glyph, luma [maxColumns]uint8 }

// screenText is what the monitor shows at one time.
type screenText struct {
	seed  uint64
	lines [17]textLine
	tree  [17]textLine
	first int64 // number of the topmost line
	glyph [64]uint16
}

// newScreenText writes the text for the time now (ms since the epoch).
func newScreenText(seed uint64, now int64) *screenText {
	t := &screenText{seed: hash(seed, 0x74657874)}
	for i := range t.glyph {
		// Fifteen random dots; both edges used, so that words look even.
		t.glyph[i] = uint16(mix(uint64(i)+991)) & 0x7fff & ^uint16(mix(uint64(i)+17)&mix(uint64(i)+5)&0x7fff)
	}
	page, in := floorDiv(now, scrollMs)
	h := hash(t.seed, page)
	t.first = page*5 + int64(h%6)
	cursor := 6 + int(h>>8%7)
	for i := range t.lines {
		n := t.first + int64(i)
		t.write(&t.lines[i], n)
		if i == cursor {
			t.typeUpTo(&t.lines[i], int(in/keyMs), now)
		}
		t.write(&t.tree[i], int64(i%9)-40)
	}
	return t
}

// write fills l with line n of the document.
func (t *screenText) write(l *textLine, n int64) {
	h := hash(t.seed, n)
	if h%9 < 2 {
		return // an empty line
	}
	block, _ := floorDiv(n, 7)
	col := int(hash(t.seed, block, 3)%3)*2 + int(h>>8%2)*2
	end := min(col+6+int(h>>16%34), maxColumns)
	comment := h>>24%7 == 0
	for word := int64(0); col < end; word++ {
		w := hash(t.seed, n, word)
		luma := [...]uint8{104, 122, 158, 92}[w>>40%4]
		if comment {
			luma = 72
		}
		for i := range 1 + int(w%8) {
			if col < end {
				l.glyph[col] = 1 + uint8(mix(w+uint64(i))%63)
				l.luma[col] = luma
				col++
			}
		}
		col++
	}
}

// typeUpTo cuts l after n characters and puts a blinking cursor there.
func (t *screenText) typeUpTo(l *textLine, n int, now int64) {
	last := 0
	for i, g := range l.glyph {
		if g != 0 {
			last = i + 1
		}
	}
	n = min(n, last, maxColumns-1)
	clear(l.glyph[n:])
	if now/500%2 == 0 {
		l.glyph[n], l.luma[n] = 255, 220
	}
}

// dot returns the brightness of l at (x, y) from its upper left corner, or
// under where nothing is drawn.
func (t *screenText) dot(l *textLine, x, y, under int32) int32 {
	col := x / cellWidth
	if x < 0 || col >= maxColumns || l.glyph[col] == 0 {
		return under
	}
	x %= cellWidth
	dx, dy := x/unit, (y-unit)/unit // 3 x 5 dots of one pixel
	if l.glyph[col] == 255 {
		if x < 2*unit {
			return int32(l.luma[col])
		}
		return under
	}
	if y < unit || dx > 2 || dy > 4 || t.glyph[l.glyph[col]&63]>>(dy*3+dx)&1 == 0 {
		return under
	}
	return int32(l.luma[col])
}

// at returns the brightness at (x, y), 1/64 pixel from the screen's corner.
func (t *screenText) at(x, y int32) int32 {
	row, inRow := y/cellHeight, y%cellHeight
	switch {
	case y >= statusTop:
		return 92
	case x < gutterLeft-3*unit: // the tree of files
		if row == 4 {
			return t.dot(&t.tree[row], x-4*unit, inRow, 66)
		}
		if x < 4*unit || x > 36*unit {
			return 40
		}
		return t.dot(&t.tree[row], x-4*unit, inRow, 40) * 7 / 8
	case x < textLeft-2*unit:
		return 30
	}
	return t.dot(&t.lines[row], x-textLeft, inRow, 30)
}

// drawScreen puts the picture of the monitor into the frame.
func (p *painter) drawScreen(t *screenText) {
	left, top := px(screenArea[0], screenArea[1]).x, px(screenArea[0], screenArea[1]).y
	gain := 236 + p.light.lamp/12
	p.fill(rect(screenArea[0], screenArea[1], screenArea[2], screenArea[3]), func(q point) int32 {
		x, y := clamp(q.x-left, 0, 264*unit-1), clamp(q.y-top, 0, 158*unit-1)
		v := t.at(x, y) * lumaOne * gain >> 8
		// Daylight on the glass, strongest in the upper left corner.
		return v + (300*unit-x-y)*p.light.day>>12
	})
}
