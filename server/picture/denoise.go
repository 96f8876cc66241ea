package picture

import (
	"image"
	"slices"

	"porthole/internal/dct"
)

// Denoiser averages over time what does not move. A picture costs less and
// looks better for it, and the sensor's noise, which tells one camera and one
// recording from another, gets weaker.
//
// A test of pixel differences would take the camera's own quantiser for
// motion: where a coefficient lies between two steps, noise flips it, and a
// flip of the DC alone lifts 64 pixels by more than two levels. So motion is
// judged on the transform of the difference, block by block, against the step
// of each coefficient: what stays within a flip and the noise on top of it is
// rest. A block at rest approaches its mean; a block that moves is taken as it
// is. Blocks with less change next to one that moves count as moving too, so
// that the edge of a mover leaves no trail.
//
// Before that, what is different in all of the picture is taken out, as a camera
// and the mains do to the light. The picture that comes out is in the light of
// the mean.
//
// The zero value is ready. One goroutine may use a Denoiser at a time.
type Denoiser struct {
	width, height int
	across        int       // blocks in a row
	steps         Steps     // that dead was made for
	state         []int32   // pixels in 1/256 levels
	age           []uint8   // pictures in the mean of each block
	change        []uint8   // of each block: rest, weak, strong
	dead          dct.Block // change that is still rest, in units of the transform
	light         light
	lit           [dct.Size][256]int32 // of a row of blocks: what light adds to each row's levels
}

// Classes of change.
const (
	rest = iota
	weak
	strong
)

const (
	stateBits = 8
	// maxAge bounds the mean: daylight must not be held back.
	maxAge = 24
	// unsettledAge is for blocks in which many coefficients change a little.
	unsettledAge = 4
	// manyFlips of half a dead zone make a block unsettled.
	manyFlips = 6
)

// clone returns a copy that shares nothing that changes.
func (d *Denoiser) clone() *Denoiser {
	c := *d
	c.state, c.age, c.change = slices.Clone(d.state), slices.Clone(d.age), slices.Clone(d.change)
	c.light.reset(d.width, d.height) // it keeps nothing from picture to picture
	return &c
}

// setSteps makes the dead zone for a camera's quantisation steps.
func (d *Denoiser) setSteps(steps Steps) {
	if d.steps == steps {
		return
	}
	d.steps = steps
	for i, step := range steps {
		// A flip is one step; 1.1 of it, and the noise that the sensor adds
		// independently of the quantiser. Steps above 255 are none of a camera's.
		d.dead[i] = int32(min(step, 255))*dct.Scale*11/10 + noiseMargin
	}
}

// noiseMargin is the change of a coefficient by sensor noise alone: twice a
// standard deviation of 2.5 levels. Without it half of the blocks of a resting
// room count as moving; with three times, slow changes are held back.
const noiseMargin = 5 * dct.Scale

// Apply replaces g by its denoised version, in place, and returns the share of
// blocks that moved in permille. The steps are those the camera quantised g
// with, see [ReadSteps]. A picture of another size than the one before starts
// anew.
func (d *Denoiser) Apply(g *image.Gray, steps Steps) (moving int) {
	d.setSteps(steps)
	w, h := g.Rect.Dx(), g.Rect.Dy()
	if w != d.width || h != d.height {
		d.reset(g)
		return 1000
	}
	if step := d.light.measure(g, d.state, min(d.dead[0], mostFlip)); step != 0 {
		brighten(d.state, step)
	}
	for y := 0; y < h; y += dct.Size {
		d.relight(y)
		for x := 0; x < w; x += dct.Size {
			d.classify(g, x, y)
		}
	}
	moved := 0
	for i := range d.change {
		x, y := i%d.across, i/d.across
		if x == 0 {
			d.relight(y * dct.Size)
		}
		if d.change[i] == strong || d.change[i] == weak && d.nearStrong(x, y) {
			d.age[i] = 1
			moved++
		}
		d.blend(g, x*dct.Size, y*dct.Size, int32(d.age[i]))
	}
	return moved * 1000 / len(d.change)
}

// mostFlip bounds how far the mean of a block at rest may be off, in 1/64 level:
// the flips of a coarser quantiser tell nothing about the light.
const mostFlip = 6 * 64

// relight prepares the corrections for the row of blocks at y.
func (d *Denoiser) relight(y int) {
	for r := range d.lit {
		d.light.corrections(min(y+r, d.height-1), &d.lit[r])
	}
}

func (d *Denoiser) reset(g *image.Gray) {
	d.width, d.height = g.Rect.Dx(), g.Rect.Dy()
	d.across = (d.width + dct.Size - 1) / dct.Size
	blocks := d.across * ((d.height + dct.Size - 1) / dct.Size)
	d.state = make([]int32, d.width*d.height)
	d.age, d.change = make([]uint8, blocks), make([]uint8, blocks)
	d.light.reset(d.width, d.height)
	for y := range d.height {
		for x, v := range g.Pix[y*g.Stride:][:d.width] {
			d.state[y*d.width+x] = int32(v) << stateBits
		}
	}
	for i := range d.age {
		d.age[i] = 1
	}
}

// classify judges the block at (x, y) and sets its age for rest.
func (d *Denoiser) classify(g *image.Gray, x, y int) {
	var b dct.Block
	for r := range dct.Size {
		v := min(y+r, d.height-1)
		row, mean, lit := g.Pix[v*g.Stride:][:d.width], d.state[v*d.width:][:d.width], &d.lit[r]
		for c := range dct.Size {
			u := min(x+c, d.width-1)
			b[dct.Size*r+c] = int32(row[u]) - (mean[u]+lit[row[u]]+1<<(stateBits-1))>>stateBits
		}
	}
	b.Forward()
	class, flips := uint8(rest), 0
	for k, c := range b {
		c = max(c, -c)
		dead := d.dead[k]
		switch {
		case c > dead:
			class = strong
		case 2*c > dead:
			flips++
			if 4*c > 3*dead {
				class = max(class, weak)
			}
		}
	}
	i := y/dct.Size*d.across + x/dct.Size
	d.change[i] = class
	d.age[i] = min(d.age[i]+1, maxAge)
	if flips >= manyFlips {
		d.age[i] = min(d.age[i], unsettledAge)
	}
}

// nearStrong reports whether one of the eight blocks around moves.
func (d *Denoiser) nearStrong(x, y int) bool {
	down := len(d.change) / d.across
	for v := max(y-1, 0); v <= min(y+1, down-1); v++ {
		for u := max(x-1, 0); u <= min(x+1, d.across-1); u++ {
			if d.change[v*d.across+u] == strong {
				return true
			}
		}
	}
	return false
}

// blend moves the mean of a block 1/age of the way to g and writes it back.
func (d *Denoiser) blend(g *image.Gray, x, y int, age int32) {
	for v := y; v < min(y+dct.Size, d.height); v++ {
		row := g.Pix[v*g.Stride:][:d.width]
		mean, lit := d.state[v*d.width:][:d.width], &d.lit[v-y]
		for u := x; u < min(x+dct.Size, d.width); u++ {
			mean[u] += (int32(row[u])<<stateBits - lit[row[u]] - mean[u]) / age
			row[u] = uint8((mean[u] + 1<<(stateBits-1)) >> stateBits)
		}
	}
}
