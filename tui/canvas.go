package tui

import (
	"strconv"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// style is how a cell looks. Colours are indices of the terminal's palette plus
// one; 0 is the terminal's own, so that light and dark themes both work. Only
// the first 16, which themes define, carry meaning; pictures use the grays.
type style struct {
	fg, bg int16
	attr   attr
}

type attr uint8

const (
	bold attr = 1 << iota
	faint
	reverse
	underline
)

// The styles of the screen. Each colour comes with a word or a sign.
var (
	normal  = style{}
	quiet   = style{attr: faint}
	strong  = style{attr: bold}
	good    = style{fg: 1 + 2}             // green
	bad     = style{fg: 1 + 1, attr: bold} // red
	warn    = style{fg: 1 + 3}             // yellow
	accent  = style{fg: 1 + 6}             // cyan
	chosen  = style{attr: reverse}
	keyName = style{fg: 1 + 6, attr: bold}
)

// rect is a part of the screen, in cells.
type rect struct{ x, y, w, h int }

// cell is one character position; the right half of a wide character has r 0.
type cell struct {
	r  rune
	st style
}

// canvas is a grid of cells that becomes the content of the screen.
type canvas struct {
	w, h  int
	cells []cell
}

func newCanvas(w, h int) *canvas {
	c := &canvas{w: w, h: h, cells: make([]cell, w*h)}
	for i := range c.cells {
		c.cells[i].r = ' '
	}
	return c
}

// set draws one character; outside the canvas it does nothing.
func (c *canvas) set(x, y int, r rune, st style) {
	if x >= 0 && x < c.w && y >= 0 && y < c.h {
		c.cells[y*c.w+x] = cell{r, st}
	}
}

// put writes s at x, y in at most w cells and returns the cells it took. What
// does not fit is cut with an ellipsis.
func (c *canvas) put(x, y, w int, s string, st style) int {
	if w <= 0 {
		return 0
	}
	if !plainASCII(s) {
		s = ansi.Truncate(s, w, "…")
	} else if len(s) > w {
		s = s[:w-1] + "…"
	}
	at := x
	for _, r := range s {
		width := 1
		if r > 0x2ff {
			width = ansi.StringWidth(string(r))
		}
		if width == 0 || at+width > x+w {
			continue
		}
		c.set(at, y, r, st)
		if width == 2 {
			c.set(at+1, y, 0, st)
		}
		at += width
	}
	return at - x
}

// fill clears a rectangle.
func (c *canvas) fill(r rect, st style) {
	for y := r.y; y < r.y+r.h; y++ {
		for x := r.x; x < r.x+r.w; x++ {
			c.set(x, y, ' ', st)
		}
	}
}

// box draws a frame with a title and returns the rectangle inside.
func (c *canvas) box(r rect, title string, st style) rect {
	if r.w < 2 || r.h < 2 {
		return rect{r.x, r.y, 0, 0}
	}
	right, bottom := r.x+r.w-1, r.y+r.h-1
	for x := r.x + 1; x < right; x++ {
		c.set(x, r.y, '─', st)
		c.set(x, bottom, '─', st)
	}
	for y := r.y + 1; y < bottom; y++ {
		c.set(r.x, y, '│', st)
		c.set(right, y, '│', st)
	}
	c.set(r.x, r.y, '╭', st)
	c.set(right, r.y, '╮', st)
	c.set(r.x, bottom, '╰', st)
	c.set(right, bottom, '╯', st)
	if title != "" {
		c.put(r.x+2, r.y, r.w-4, " "+title+" ", st)
	}
	return rect{r.x + 1, r.y + 1, r.w - 2, r.h - 2}
}

// String gives the screen: rows joined by newlines, each with as few style
// changes as its cells need.
func (c *canvas) String() string {
	var b strings.Builder
	b.Grow(len(c.cells) * 2)
	for y := range c.h {
		if y > 0 {
			b.WriteByte('\n')
		}
		var st style
		for _, cl := range c.cells[y*c.w : (y+1)*c.w] {
			if cl.r == 0 {
				continue
			}
			if cl.st != st {
				st = cl.st
				st.write(&b)
			}
			writeCell(&b, cl.r)
		}
		if st != normal {
			normal.write(&b)
		}
	}
	return b.String()
}

// write selects the style, whatever was selected before.
func (s style) write(b *strings.Builder) {
	b.WriteString("\x1b[0")
	for i, code := range [...]string{";1", ";2", ";7", ";4"} {
		if s.attr&(1<<i) != 0 {
			b.WriteString(code)
		}
	}
	for _, layer := range [...]struct {
		color int16
		base  int
	}{{s.fg, 30}, {s.bg, 40}} {
		switch n := int(layer.color) - 1; {
		case n < 0:
		case n < 8:
			b.WriteByte(';')
			b.WriteString(strconv.Itoa(layer.base + n))
		case n < 16:
			b.WriteByte(';')
			b.WriteString(strconv.Itoa(layer.base + 60 + n - 8))
		default:
			b.WriteByte(';')
			b.WriteString(strconv.Itoa(layer.base + 8))
			b.WriteString(";5;")
			b.WriteString(strconv.Itoa(n))
		}
	}
	b.WriteByte('m')
}
