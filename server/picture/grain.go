package picture

import (
	"image"
	"math/rand/v2"

	"porthole/internal/dct"
)

// Of grain: one block in grainShare is lifted or lowered, at least grainLeast.
const (
	grainShare = 128
	grainLeast = 24
)

// sprinkle lifts or lowers a few blocks by a small step, so that no two encodings
// are equal, also of a room that is dark and still or of a loop that comes
// round. The step is half of one of the quantiser, 1 level of 256 at the
// default quality: it is enough to turn the rounding of a block's mean, and too
// little to be seen. It costs less than 1 % of the bytes.
func sprinkle(g *image.Gray, rnd *rand.Rand, dcStep int) {
	lift(g, rnd, dct.Size, max(1, (dcStep+dct.Size)/(2*dct.Size)))
}

// lift moves a few squares of the given side up or down by level.
func lift(g *image.Gray, rnd *rand.Rand, side, level int) {
	w, h := g.Rect.Dx(), g.Rect.Dy()
	across, down := (w+side-1)/side, (h+side-1)/side
	for range max(grainLeast, across*down/grainShare) {
		x, y := rnd.IntN(across)*side, rnd.IntN(down)*side
		d := level
		if rnd.IntN(2) == 0 {
			d = -d
		}
		for v := y; v < min(y+side, h); v++ {
			row := g.Pix[v*g.Stride:][:w]
			for u := x; u < min(x+side, w); u++ {
				row[u] = uint8(min(max(int(row[u])+d, 0), 255))
			}
		}
	}
}
