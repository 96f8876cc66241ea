package scene

import (
	"image"
	"time"
)

// digits is a 5x7 font of 0..9 and the colon, a row per byte, the left dot in
// bit 4.
var digits = [11][7]uint8{
	{0x0e, 0x11, 0x13, 0x15, 0x19, 0x11, 0x0e},
	{0x04, 0x0c, 0x04, 0x04, 0x04, 0x04, 0x0e},
	{0x0e, 0x11, 0x01, 0x02, 0x04, 0x08, 0x1f},
	{0x1f, 0x02, 0x04, 0x02, 0x01, 0x11, 0x0e},
	{0x02, 0x06, 0x0a, 0x12, 0x1f, 0x02, 0x02},
	{0x1f, 0x10, 0x1e, 0x01, 0x01, 0x11, 0x0e},
	{0x06, 0x08, 0x10, 0x1e, 0x11, 0x11, 0x0e},
	{0x1f, 0x01, 0x02, 0x04, 0x08, 0x08, 0x08},
	{0x0e, 0x11, 0x11, 0x0e, 0x11, 0x11, 0x0e},
	{0x0e, 0x11, 0x11, 0x0f, 0x01, 0x02, 0x0c},
	{0x00, 0x04, 0x04, 0x00, 0x04, 0x04, 0x00},
}

const clockMargin = 6 // dots from the corner

// drawClock writes the time of day (UTC) as HH:MM:SS into the top left corner,
// white over a soft shadow. A dot is one pixel per 400 of the width.
func drawClock(g *image.Gray, t time.Time) {
	dot := max(g.Rect.Dx()/400, 1)
	text := t.UTC().Format(time.TimeOnly)
	for pass := range 2 {
		x := clockMargin * dot
		for i := range len(text) {
			glyph := digits[10]
			if text[i] != ':' {
				glyph = digits[text[i]-'0']
			}
			for row, bits := range glyph {
				for col := range 5 {
					if bits>>(4-col)&1 == 0 {
						continue
					}
					left, top := x+col*dot, (clockMargin+row)*dot
					if pass == 0 {
						fadeBox(g, left-dot/2, top-dot/2, 2*dot, 2*dot)
					} else {
						fillBox(g, left, top, dot, dot, 228)
					}
				}
			}
			x += 6 * dot
		}
	}
}

// fillBox and fadeBox draw inside of g only; every picture of a scene has room
// for the clock.
func fillBox(g *image.Gray, x, y, w, h int, luma uint8) {
	for r := y; r < y+h; r++ {
		row := g.Pix[r*g.Stride+x:][:w]
		for i := range row {
			row[i] = luma
		}
	}
}

// fadeBox takes three eighths of the light away.
func fadeBox(g *image.Gray, x, y, w, h int) {
	for r := y; r < y+h; r++ {
		row := g.Pix[r*g.Stride+x:][:w]
		for i, v := range row {
			row[i] = v - v>>2 - v>>3
		}
	}
}
