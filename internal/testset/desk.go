package testset

import (
	"math"
	"sync"
)

// The room: a wall with a shelf, a monitor and a poster, a desk with keyboard,
// pad and mug, a lamp that glows. Everything in it is drawn once.
var room = sync.OnceValue(func() *field {
	d := newDrawing(120)
	d.rect(0, 0, 800, 380, 150)
	d.rect(0, 380, 800, 600, 95)
	d.rect(560, 40, 770, 50, 80)
	d.rect(560, 140, 770, 150, 80)
	r := newSource(3)
	for x := 565; x < 760; {
		w, h, level := r.between(8, 20), r.between(55, 85), r.between(40, 210)
		d.rect(float64(x), float64(140-h), float64(x+w), 140, uint8(level))
		if r.float64() < 0.6 {
			d.rect(float64(x+w/3), float64(140-h+10), float64(x+2*w/3), float64(140-h+30), uint8(r.between(60, 240)))
		}
		x += w + 1
	}
	d.rect(120, 120, 430, 320, 30)
	d.rect(128, 128, 422, 312, 70)
	d.rect(255, 320, 295, 370, 40)
	d.rect(215, 368, 335, 382, 45)
	d.rect(150, 430, 420, 500, 60)
	for i := range 18 {
		for j := range 4 {
			x, y := 154+float64(i)*14.6, float64(434+j*16)
			d.rect(x, y, x+12, y+13, 110)
		}
	}
	d.rect(470, 440, 510, 490, 55)
	d.ellipse(478, 448, 502, 482, 30)
	d.ellipse(60, 420, 115, 440, 200)
	d.rect(60, 430, 115, 500, 190)
	d.ellipse(60, 490, 115, 510, 180)
	d.line(700, 380, 660, 260, 6, 35)
	d.line(660, 260, 610, 240, 6, 35)
	d.polygon(40, 590, 230, 620, 230, 640, 270, 570, 270)
	d.rect(30, 30, 100, 110, 215)
	for k := range 14 {
		right, level := 36+r.between(20, 58), r.between(60, 140)
		d.rect(36, float64(36+k*5), float64(right), float64(38+k*5), uint8(level))
	}
	a := d.picture()

	wall, paint := smooth(wallEnd, Width, 3, 3, 11), smooth(wallEnd, Width, 1.2, 1.2, 12)
	wood, grain := smooth(Height-wallEnd, Width/8, 1.2, 3, 13).zoom(1, 8), smooth(Height-wallEnd, Width, 0.8, 4, 14)
	for y := range Height {
		row := a.row(y)
		fy := float64(y)
		for x := range row {
			fx := float64(x)
			row[x] += 35 * math.Exp(-(sq(fx-610)+sq(fy-330))/(2*140*140))  // the lamp's glow
			row[x] -= 22 * (sq(fx-400) + sq(fy-300)) / (400*400 + 300*300) // vignetting
			if y < wallEnd {
				row[x] += 1.8*wall.row(y)[x] + 1.0*paint.row(y)[x]
			} else {
				row[x] += 5*wood.row(y - wallEnd)[x] + 1.5*grain.row(y - wallEnd)[x]
			}
		}
	}
	return a
})

const wallEnd = 380 // the row at which the desk begins

func sq(v float64) float64 { return v * v }

// screen writes sixteen lines of text on the monitor; they move up two lines
// with each page.
func screen(a *field, page int) {
	for l := range 16 {
		r := newSource(uint32(1000 + l + page*2))
		n := r.between(60, 270) / 3
		for i := range n {
			v := r.float64()
			if x := 134 + i*3; v > 0.35 && x+2 < 418 {
				for y := 134 + l*11; y < 134+l*11+5; y++ {
					a.row(y)[x], a.row(y)[x+1] = 70+110*v, 70+110*v
				}
			}
		}
	}
}

var cloth = sync.OnceValue(func() *field {
	f, fine := smooth(260, 260, 4, 4, 21), smooth(260, 260, 1.5, 1.5, 22)
	for i := range f.v {
		f.v[i] = 7*f.v[i] + 3*fine.v[i]
	}
	return f
})

// person paints head and shoulders at an offset. Each pose bends them another
// way, so that no block is a copy of one before.
func person(a *field, px, py float64, pose int) {
	r := newSource(uint32(5000 + pose))
	bend := func() *field {
		f := r.normals(50, 38).gauss(2.2, 2.2).zoom(16, 16)
		return f.scale(1 / f.std(Width, Height))
	}
	bx, by := bend(), bend()
	tex := cloth()
	cx, cy := 520+px, 250+py
	soft := func(v float64) float64 { return min(max(v*20+0.5, 0), 1) }
	wrap := func(v float64) float64 {
		v = math.Mod(v, 259)
		if v < 0 {
			v += 259
		}
		return v
	}
	for y := range Height {
		row := a.row(y)
		for x := range row {
			shade := 3 * bx.row(y)[x]
			xx, yy := float64(x)+4*bx.row(y)[x], float64(y)+3*by.row(y)[x]
			shoulders := soft(1 - math.Hypot((xx-cx-4)/100, (yy-(cy+150))/95))
			if y >= 430 {
				shoulders = 0
			}
			head := soft(1 - math.Hypot((xx-cx)/44, (yy-cy)/56))
			if shoulders == 0 && head == 0 {
				continue
			}
			t := tex.at(wrap(xx-cx+130), wrap(yy-cy+130))
			row[x] = row[x]*(1-shoulders) + shoulders*(70+t+shade)
			hair := 0.0
			if yy-cy < -22 {
				hair = 25
			}
			row[x] = row[x]*(1-head) + head*(155+0.7*t+shade-hair)
		}
	}
}

func hand(a *field, hx, hy float64) {
	for y := range Height {
		row := a.row(y)
		for x := range row {
			if m := min(max((1-math.Hypot((float64(x)-hx)/20, (float64(y)-hy)/13))*12+0.5, 0), 1); m > 0 {
				row[x] = row[x]*(1-m) + m*160
			}
		}
	}
}
