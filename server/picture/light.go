package picture

import "image"

// light tells how much brighter a picture is than the mean of those before, and
// takes that out before anybody asks what moved: a camera's automatic exposure
// that drifts by a percent, and the light and dark bands that a lamp on the
// mains leaves in a picture read out row by row, change every block of it and
// are nothing that happened.
//
// What is taken out is one factor for the whole picture and up to two waves down
// its rows, see [findWaves]: nothing that is in one part of the picture only can
// hide in them. Both are measured on blocks against the mean, and only while
// most of the picture agrees. An eighth at most is believed; a lamp switched on
// is more, or is not everywhere the same, and is shown at once.
//
// The picture's brightness is held, not lost. A fraction of every difference
// stays in, so that the mean follows within some minutes what lasts; a factor
// beyond holdMost is a step of the light, and the mean follows at once, as a
// whole, without becoming noisy.
//
// All factors are excesses in 1/65536: 655 is a picture brighter by 1 %.
type light struct {
	width, height int
	across, down  int      // whole blocks
	mean, now     []int32  // levels of each block's 64 pixels, of the mean and of the picture
	rows          []rowFit // of each row of blocks
	excess        []int32  // of each row of pixels
}

const (
	lightOne = 1 << 16
	// lightMost is how far two pictures may differ as a whole and still be taken
	// for the same in other light.
	lightMost = lightOne / 8
	// holdMost is how far the brightness shown may be from the camera's.
	holdMost = lightOne / 50
	// holdLeast is what the mean follows by itself; less is within the error.
	holdLeast = lightOne / 1000
	// Of every difference 1/4 stays in the picture, stayMost at most, which is
	// far within what a block at rest may differ by. The mean over maxAge pictures
	// makes up for it in a hundred.
	stayShift = 2
	stayMost  = lightOne / 200
	// lightAgree is how near the rows must be that agree.
	lightAgree = lightOne / 100
	// leastBlocks of a row, and leastRows of a picture, are fewer than can be
	// asked.
	leastBlocks = 8
	leastRows   = 6
)

// Blocks are asked between these levels: what is darker has hardly anything to
// tell, what is brighter may be saturated. Masks are darker whatever the gain,
// which is gainMost at most.
const askedFrom, askedTo = 64, 208

// toneWeight is how much of a correction a pixel gets, in 1/256: none where
// masks are, and none where the sensor is saturated, with nothing between that
// anybody could see. With lightMost neither passes white or another level by.
func toneWeight(v int) int {
	const dark, bright = maskLevel * gainMost / gainOne, 255
	return min(256, max(0, (v-dark)*256/16), (bright-v)*256/40)
}

var toneWeights = func() (t [256]int32) {
	for v := range t {
		t[v] = int32(v * toneWeight(v))
	}
	return t
}()

// rowFit is what one row of blocks says.
type rowFit struct {
	excess int32
	weight int32 // blocks that say so, 0 for none
}

// reset prepares for pictures of a size.
func (l *light) reset(w, h int) {
	l.width, l.height = w, h
	l.across, l.down = w/8, h/8
	n := l.across * l.down
	l.mean, l.now = make([]int32, n), make([]int32, n)
	l.rows = make([]rowFit, l.down)
	l.excess = make([]int32, h)
}

// measure compares g with the mean, which is in 1/256 levels, and sets excess.
// cut is how far a block may be from its row, in 1/64 level, for one that does
// not move. The step is by how much the mean should be brightened as a whole
// before; excess counts from there.
func (l *light) measure(g *image.Gray, mean []int32, cut int32) (step int32) {
	clear(l.excess)
	l.sums(g, mean)
	asked := 0
	for y := range l.down {
		l.rows[y] = fitRow(l.mean[y*l.across:][:l.across], l.now[y*l.across:][:l.across], cut)
		if l.rows[y].weight > 0 {
			asked++
		}
	}
	if asked < leastRows {
		return 0
	}
	waves := findWaves(l.rows)
	all, ok := agreed(l.rows, waves)
	if !ok {
		return 0
	}
	if all > holdMost || all < -holdMost {
		step, all = all, 0
	} else if all > -holdLeast && all < holdLeast {
		all = 0
	}
	if all == 0 && len(waves) == 0 {
		return step
	}
	for y := range l.excess {
		e := all
		for _, w := range waves {
			e += w.at(y)
		}
		e = min(max(e, -lightMost), lightMost)
		e -= min(max(e>>stayShift, -stayMost), stayMost)
		l.excess[y] = e * lightOne / (lightOne + e) // of the picture, not of the mean
	}
	return step
}

// sums adds up the blocks of the picture and of the mean.
func (l *light) sums(g *image.Gray, mean []int32) {
	for y := range l.down {
		now, then := l.now[y*l.across:][:l.across], l.mean[y*l.across:][:l.across]
		clear(now)
		clear(then)
		for v := 8 * y; v < 8*y+8; v++ {
			row, before := g.Pix[v*g.Stride:][:8*l.across], mean[v*l.width:][:8*l.across]
			for x := range now {
				p, q := row[8*x:][:8], before[8*x:][:8]
				now[x] += int32(p[0]) + int32(p[1]) + int32(p[2]) + int32(p[3]) + int32(p[4]) + int32(p[5]) + int32(p[6]) + int32(p[7])
				then[x] += q[0] + q[1] + q[2] + q[3] + q[4] + q[5] + q[6] + q[7]
			}
		}
		for x := range then {
			then[x] >>= stateBits
		}
	}
}

// fitRow is the factor between two rows of blocks: a mean over those that are no
// further from it than cut. A median would not do. Where the noise is small
// against the camera's quantiser, a change of the light is a flip in a few of
// the blocks and nothing in most.
func fitRow(mean, now []int32, cut int32) rowFit {
	const bins, binShift = 256, 8 // half a picture's light to either side
	var count [bins]int32
	asked := int32(0)
	askable := func(i int) bool {
		return mean[i] >= 64*askedFrom && mean[i] < 64*askedTo && now[i] >= 64*askedFrom && now[i] < 64*askedTo
	}
	for i := range mean {
		if askable(i) {
			ratio := (now[i] - mean[i]) << 14 / mean[i] << 2
			count[min(max(ratio>>binShift+bins/2, 0), bins-1)]++
			asked++
		}
	}
	if asked < leastBlocks {
		return rowFit{}
	}
	bin, below := int32(0), int32(0)
	for 2*(below+count[bin]) < asked {
		below += count[bin]
		bin++
	}
	fit := rowFit{excess: (bin-bins/2)<<binShift + 1<<(binShift-1)}
	for range 3 {
		var change, sum int64
		fit.weight = 0
		for i := range mean {
			if !askable(i) {
				continue
			}
			d := now[i] - mean[i]
			if off := int64(d) - int64(fit.excess)*int64(mean[i])>>16; off <= int64(cut) && off >= -int64(cut) {
				change += int64(d)
				sum += int64(mean[i])
				fit.weight++
			}
		}
		if 2*fit.weight < asked {
			return rowFit{}
		}
		fit.excess = int32(change << 16 / sum)
	}
	if fit.excess > lightMost || fit.excess < -lightMost {
		return rowFit{}
	}
	return fit
}

// agreed is the factor that most rows have in common, apart from the waves. ok
// is false if there is none.
func agreed(rows []rowFit, waves []wave) (all int32, ok bool) {
	const bins, binShift = 2048, 7
	var count [bins]int32
	total := int32(0)
	rest := func(y int) int32 {
		e := rows[y].excess
		for _, w := range waves {
			e -= w.inBlocks(y)
		}
		return e
	}
	for y, r := range rows {
		count[min(max(rest(y)>>binShift+bins/2, 0), bins-1)] += r.weight
		total += r.weight
	}
	bin, below := int32(0), int32(0)
	for 2*(below+count[bin]) < total {
		below += count[bin]
		bin++
	}
	all = (bin-bins/2)<<binShift + 1<<(binShift-1)
	sum, near := int64(0), int32(0)
	for y, r := range rows {
		if e := rest(y); e-all <= lightAgree && all-e <= lightAgree {
			sum += int64(e) * int64(r.weight)
			near += r.weight
		}
	}
	if 3*near < 2*total || near == 0 {
		return 0, false
	}
	all = int32(sum / int64(near))
	return all, all <= lightMost && all >= -lightMost
}

// corrections are what the light adds to each level in a row of pixels, in
// 1/256 levels.
func (l *light) corrections(y int, to *[256]int32) {
	e := l.excess[y]
	if e == 0 {
		clear(to[:])
		return
	}
	for v, w := range toneWeights {
		to[v] = int32((int64(w)*int64(e) + 1<<15) >> 16)
	}
}

// brighten changes a mean as a step of the light does.
func brighten(mean []int32, step int32) {
	var weight [256]int64
	for v := range weight {
		weight[v] = int64(toneWeight(v)) * int64(step)
	}
	for i, v := range mean {
		// In parts of the mean's own 1/256 levels; a pixel cannot be beyond white.
		mean[i] = min(v+int32(int64(v)*weight[min(v>>stateBits, 255)]>>24), 255<<stateBits)
	}
}
