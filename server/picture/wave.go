package picture

import "slices"

// wave is a sine down the rows of a picture: the bands of a lamp that flickers
// with the mains, as a sensor sees them that reads row by row. Where they lie
// differs from picture to picture, how far they are apart does not, but neither
// is needed to be known before.
type wave struct {
	turn     uint32 // turns per row of pixels, in 1/2^32
	cos, sin int32  // amplitudes
}

// at is the wave's excess in a row of pixels.
func (w wave) at(y int) int32 { return w.between(2 * y) }

// inBlocks is the wave's excess in the middle of a row of blocks.
func (w wave) inBlocks(y int) int32 { return w.between(16*y + 7) }

// between takes rows in halves, because the middle of eight is none of them.
func (w wave) between(halves int) int32 {
	c, s := w.parts(halves)
	return int32((int64(w.cos)*int64(c) + int64(w.sin)*int64(s)) >> 14)
}

// parts are cosine and sine, in 1/16384.
func (w wave) parts(halves int) (c, s int32) {
	a := uint32(uint64(w.turn) * uint64(halves) >> 1)
	return sine(a + 1<<30), sine(a)
}

const (
	// mostWaves: the ripple of a lamp and its first harmonic.
	mostWaves = 2
	// leastWaves are the quarters of a wave that a picture must have of one:
	// what is slower may as well be a shadow.
	leastWaves = 6
	// waveRows of blocks must have something to say.
	waveRows = 16
	// waveOdds is how much more a wave must explain than it would of noise, with
	// as many to choose from as there are.
	waveOdds = 20
	// waveLeast is the weakest amplitude that is worth it.
	waveLeast = lightOne / 1000
)

// findWaves returns the waves that explain most of what rows of blocks differ
// by, each at least half of what is left by those before.
func findWaves(rows []rowFit) (waves []wave) {
	if asked := len(rows) - count(rows, 0); asked < waveRows {
		return nil
	}
	left := slices.Clone(rows)
	for range mostWaves {
		// Quarters of a wave over the picture, then finer and finer.
		var best wave
		var share int64
		step := uint32(1 << 27 / len(rows))
		for k := uint32(leastWaves); k <= uint32(len(rows)); k++ {
			if w, s := fitWave(left, k*step); s > share {
				best, share = w, s
			}
		}
		for range 3 {
			step /= 4
			from := best.turn
			for k := uint32(1); k <= 3 && share > 0; k++ {
				for _, turn := range [2]uint32{from - k*step, from + k*step} {
					if w, s := fitWave(left, turn); s > share {
						best, share = w, s
					}
				}
			}
		}
		if share == 0 {
			break
		}
		waves = append(waves, best)
		for y := range left {
			left[y].excess -= best.inBlocks(y)
		}
	}
	return waves
}

func count(rows []rowFit, weight int32) (n int) {
	for _, r := range rows {
		if r.weight == weight {
			n++
		}
	}
	return n
}

// fitWave returns the wave of a frequency that is nearest to the rows, and how
// much of their deviation it explains, in 1/65536: 0 if that is too little to be
// believed.
func fitWave(rows []rowFit, turn uint32) (wave, int64) {
	w := wave{turn: turn}
	// Weighted sums; cosines and sines are in 1/16384, and so are their products.
	var n, sr, sc, ss, rr, cr, ir, cc, ii, ci int64
	asked := int64(0)
	for y, row := range rows {
		if row.weight == 0 {
			continue
		}
		asked++
		weight, r := int64(row.weight), int64(row.excess)
		c32, s32 := w.parts(16*y + 7)
		c, s := int64(c32), int64(s32)
		n += weight
		sr += weight * r
		sc += weight * c
		ss += weight * s
		rr += weight * r * r
		cr += weight * c * r >> 14
		ir += weight * s * r >> 14
		cc += weight * c * c >> 14
		ii += weight * s * s >> 14
		ci += weight * c * s >> 14
	}
	// Without what all have in common.
	rr -= sr * sr / n
	cr -= sc * sr / n >> 14
	ir -= ss * sr / n >> 14
	cc -= sc * sc / n >> 14
	ii -= ss * ss / n >> 14
	ci -= sc * ss / n >> 14
	det := (cc*ii - ci*ci) >> 14
	if det <= 0 || rr <= 0 {
		return w, 0
	}
	w.cos, w.sin = int32((cr*ii-ir*ci)/det), int32((ir*cc-cr*ci)/det)
	most := int64(w.cos)*int64(w.cos) + int64(w.sin)*int64(w.sin)
	explained := min((int64(w.cos)*cr + int64(w.sin)*ir), rr)
	if most < waveLeast*waveLeast || most > lightMost*lightMost || 2*explained < rr ||
		explained*(asked-5) < 2*waveOdds*(rr-explained) {
		return w, 0
	}
	return w, explained / max(rr>>16, 1)
}

// sine of an angle in 1/2^32 turns, in 1/16384. It is a table, because
// math.Sin need not be the same on all machines to the last bit.
func sine(turn uint32) int32 {
	at, part := turn>>24&63, int32(turn>>16&255)
	lo, hi := quarterSine[at], quarterSine[at+1]
	if turn>>30&1 != 0 {
		lo, hi = quarterSine[64-at], quarterSine[63-at]
	}
	v := lo + (hi-lo)*part>>8
	if turn>>31 != 0 {
		return -v
	}
	return v
}

var quarterSine = [65]int32{
	0, 402, 804, 1205, 1606, 2006, 2404, 2801, 3196, 3590, 3981, 4370, 4756,
	5139, 5520, 5897, 6270, 6639, 7005, 7366, 7723, 8076, 8423, 8765, 9102, 9434,
	9760, 10080, 10394, 10702, 11003, 11297, 11585, 11866, 12140, 12406, 12665,
	12916, 13160, 13395, 13623, 13842, 14053, 14256, 14449, 14635, 14811, 14978,
	15137, 15286, 15426, 15557, 15679, 15791, 15893, 15986, 16069, 16143, 16207,
	16261, 16305, 16340, 16364, 16379, 16384,
}
