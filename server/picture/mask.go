package picture

import "image"

// unitWidth and unitHeight are the camera's coding unit: two luma blocks side
// by side (4:2:2, esp32-wire 4.3).
const (
	unitWidth  = 16
	unitHeight = 8
)

// maskLevel is what a mask looks like. Being black it cannot be taken for the
// grey of a cut picture.
const maskLevel = 16

// Masks is the set of coding units that are painted over. The zero value covers
// nothing.
type Masks struct {
	across int    // coding units in a row
	cell   []bool // per coding unit, row by row
}

// NewMasks returns the masks for a picture of the given size. Every rectangle
// is grown to whole coding units; parts outside of the picture are ignored.
func NewMasks(size image.Point, rects []image.Rectangle) Masks {
	if len(rects) == 0 {
		return Masks{}
	}
	m := Masks{across: (size.X + unitWidth - 1) / unitWidth}
	m.cell = make([]bool, m.across*((size.Y+unitHeight-1)/unitHeight))
	for _, r := range rects {
		r = r.Intersect(image.Rectangle{Max: size})
		if r.Empty() {
			continue
		}
		for y := r.Min.Y / unitHeight; y <= (r.Max.Y-1)/unitHeight; y++ {
			for x := r.Min.X / unitWidth; x <= (r.Max.X-1)/unitWidth; x++ {
				m.cell[y*m.across+x] = true
			}
		}
	}
	return m
}

// covers reports whether the pixel is masked; x and y count from the picture's
// corner.
func (m Masks) covers(x, y int) bool {
	return m.cell != nil && m.cell[y/unitHeight*m.across+x/unitWidth]
}

// Burn paints the masks over g, which must have the size they were made for.
func (m Masks) Burn(g *image.Gray) {
	w := g.Rect.Dx()
	for i, masked := range m.cell {
		if !masked {
			continue
		}
		x, y := i%m.across*unitWidth, i/m.across*unitHeight
		for ; y < min((i/m.across+1)*unitHeight, g.Rect.Dy()); y++ {
			row := g.Pix[y*g.Stride+x:][:min(unitWidth, w-x)]
			for j := range row {
				row[j] = maskLevel
			}
		}
	}
}
