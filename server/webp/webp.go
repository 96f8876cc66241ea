// Package webp writes gray pictures as lossy WebP: one key frame of VP8
// (RFC 6386) in a RIFF container. It writes luma only; the colour planes are
// flat and cost two bits of a macroblock.
//
// It exists because a server that is one static file cannot link libwebp, and
// needs a small part of it only. All of it is integer arithmetic: one picture
// gives one file on every platform.
package webp

import (
	"encoding/binary"
	"errors"
	"image"
)

// MaxSide is the largest width and height that the format knows.
const MaxSide = 1<<14 - 1

// MaxIndex is the coarsest quantiser.
const MaxIndex = 127

var errSize = errors.New("encode webp: sides must be 1 to 16383 pixels")

// Encoder writes pictures with one quantiser. It keeps its working memory
// between pictures, about three times that of one; one goroutine may use it at a
// time.
type Encoder struct {
	index      int
	sharp      bool // without the loop filter; for tests
	y1, y2     quantiser
	lambda     int64 // squared error that one bit is worth, times 256
	across     int   // macroblocks in a row
	down       int
	source     plane
	rebuilt    plane // as a decoder has it before its loop filter
	units      []macroblock
	aboveModes []uint8 // of the 4x4 blocks above the current row
	aboveSet   []uint8 // whether they have coefficients
	aboveDC    []uint8 // whether the macroblocks above have DCs of their own
	coster     coster
	first      []byte
	second     []byte
}

// NewEncoder returns an encoder for a quantiser index from 0 (finest) to
// MaxIndex.
func NewEncoder(index int) *Encoder {
	index = min(max(index, 0), MaxIndex)
	dc, ac := int32(stepsDC[index]), int32(stepsAC[index])
	return &Encoder{
		index:  index,
		y1:     quantiser{dc, ac},
		y2:     quantiser{2 * dc, max(ac*155/100, 8)},
		coster: coster{probs: &defaultProbs},
		lambda: int64(ac) * int64(ac) * lambdaScale,
	}
}

// Visible is the least change of the brightness of a whole macroblock, 16x16
// pixels on a grid from the corner, that survives the quantiser.
func (e *Encoder) Visible() int {
	// Its DC is 64 times its mean.
	level := int(e.y2.dc*(256-biasDC)>>8)/64 + 1
	return (level*255 + 218) / 219
}

// studio is the luma of a gray level: the format has that of BT.601, 16 to 235.
var studio = func() (t [256]uint8) {
	for v := range t {
		t[v] = uint8((v*219+127)/255 + 16)
	}
	return t
}()

// lambdaScale was found on the simulated room: the fewest bytes at one error.
const lambdaScale = 8

// plane is a picture in whole macroblocks, with a border of one pixel above and
// left, and four pixels on the right, for prediction.
type plane struct {
	pix    []uint8
	stride int
}

func (p *plane) at(x, y int) int { return (y+1)*p.stride + x + 1 }

// macroblock is 16x16 pixels, decided.
type macroblock struct {
	large  bool // predicted as a whole
	coded  bool // has coefficients
	mode   uint8
	modes  [16]uint8
	dcs    [16]int16 // levels of the DCs, where large
	levels [16][16]int16
}

// Encode returns g as a file in memory of its own.
func (e *Encoder) Encode(g *image.Gray) ([]byte, error) {
	w, h := g.Rect.Dx(), g.Rect.Dy()
	if w < 1 || h < 1 || w > MaxSide || h > MaxSide {
		return nil, errSize
	}
	e.load(g, w, h)
	for y := range e.down {
		e.encodeRow(y)
	}
	first, second := e.write(w, h)

	frame := 10 + len(first) + len(second)
	padded := frame + frame&1
	out := make([]byte, 0, 20+padded)
	out = append(out, "RIFF"...)
	out = binary.LittleEndian.AppendUint32(out, uint32(12+padded))
	out = append(out, "WEBPVP8 "...)
	out = binary.LittleEndian.AppendUint32(out, uint32(frame))
	// A key frame of version 0, shown; then the length of the first partition.
	tag := uint32(1<<4 | len(first)<<5)
	out = append(out, byte(tag), byte(tag>>8), byte(tag>>16), 0x9d, 0x01, 0x2a)
	out = binary.LittleEndian.AppendUint16(out, uint16(w))
	out = binary.LittleEndian.AppendUint16(out, uint16(h))
	out = append(append(out, first...), second...)
	return append(out, make([]byte, frame&1)...), nil
}

// load copies the picture and fills its last macroblocks up with the edge, and
// sets the borders that prediction starts from (12.2, 12.3).
func (e *Encoder) load(g *image.Gray, w, h int) {
	across, down := (w+15)/16, (h+15)/16
	if across != e.across || down != e.down {
		e.across, e.down = across, down
		size := (16*across + 5) * (16*down + 1)
		e.source = plane{make([]uint8, size), 16*across + 5}
		e.rebuilt = plane{make([]uint8, size), 16*across + 5}
		e.units = make([]macroblock, across*down)
		e.aboveModes, e.aboveSet, e.aboveDC = make([]uint8, 4*across), make([]uint8, 4*across), make([]uint8, across)
	}
	for y := range 16 * down {
		src := g.Pix[min(y, h-1)*g.Stride:][:w]
		dst := e.source.pix[e.source.at(0, y):][:16*across]
		for x := range dst {
			dst[x] = studio[src[min(x, w-1)]]
		}
	}
	for i := range e.rebuilt.stride {
		e.rebuilt.pix[i] = 127
	}
	for y := range 16 * down {
		e.rebuilt.pix[e.rebuilt.at(-1, y)] = 129
	}
	clear(e.aboveModes)
	clear(e.aboveSet)
	clear(e.aboveDC)
}

// write returns the two partitions of the frame (9.2 to 9.11).
func (e *Encoder) write(w, h int) (first, second []byte) {
	count := new(counter)
	e.putCoefficients(count)
	probs := count.best()

	coded := 0
	for i := range e.units {
		if e.units[i].coded {
			coded++
		}
	}
	skipProb := uint8(min(max(coded*256/len(e.units), 1), 255))

	b := newWriter(e.first, &probs)
	b.bits(0, 2) // colour space, clamping
	b.bits(0, 1) // no segments
	b.bits(0, 1) // the normal loop filter
	b.bits(e.filter(), 6)
	b.bits(0, 3) // its sharpness
	b.bits(0, 1) // the same for all macroblocks
	b.bits(0, 2) // one partition of coefficients
	b.bits(uint32(e.index), 7)
	b.bits(0, 5) // all quantisers by this index
	b.bits(0, 1) // the probabilities are for this frame only
	for i := range probs {
		for j := range probs[i] {
			for k := range probs[i][j] {
				for l, p := range probs[i][j][k] {
					changed := p != defaultProbs[i][j][k][l]
					b.raw(updateProbs[i][j][k][l], changed)
					if changed {
						b.bits(uint32(p), 8)
					}
				}
			}
		}
	}
	b.bits(1, 1) // macroblocks say whether they have coefficients
	b.bits(uint32(skipProb), 8)
	e.putModes(b, skipProb)
	e.first = b.end()

	c := newWriter(e.second, &probs)
	e.putCoefficients(c)
	e.second = c.end()
	return e.first, e.second
}

// filter is the strength of the decoder's loop filter, which smooths the edges
// of blocks: in proportion to the step that they come from.
func (e *Encoder) filter() uint32 {
	if e.sharp {
		return 0
	}
	return uint32(min(int(stepsAC[e.index])*300>>10, 63))
}

// putModes writes how each macroblock is predicted.
func (e *Encoder) putModes(b *writer, skipProb uint8) {
	clear(e.aboveModes)
	for y := range e.down {
		var left [4]uint8
		for x := range e.across {
			u := &e.units[y*e.across+x]
			above := e.aboveModes[4*x : 4*x+4]
			b.raw(skipProb, !u.coded)
			b.raw(145, u.large)
			if u.large {
				putLargeMode(b, u.mode)
			}
			for i, mode := range u.modes {
				if !u.large {
					putBlockMode(b, mode, above[i&3], left[i>>2])
				}
				above[i&3], left[i>>2] = mode, mode
			}
			b.raw(142, false) // colour: the mean of what is around
		}
	}
}

// putCoefficients writes those of all macroblocks.
func (e *Encoder) putCoefficients(s bitSink) {
	clear(e.aboveSet)
	clear(e.aboveDC)
	for y := range e.down {
		var left neighbours
		for x := range e.across {
			above := neighbours{set: [4]uint8(e.aboveSet[4*x:]), dc: e.aboveDC[x]}
			e.units[y*e.across+x].put(s, &above, &left)
			copy(e.aboveSet[4*x:], above.set[:])
			e.aboveDC[x] = above.dc
		}
	}
}

// neighbours says which blocks on one side of a macroblock have coefficients.
type neighbours struct {
	set [4]uint8
	dc  uint8
}

// put writes the coefficients of a macroblock and updates its neighbours' view.
func (u *macroblock) put(s bitSink, above, left *neighbours) {
	if !u.coded {
		above.set, left.set = [4]uint8{}, [4]uint8{}
		if u.large {
			above.dc, left.dc = 0, 0
		}
		return
	}
	plane, first := planeY1, 0
	if u.large {
		plane, first = planeY1AfterY2, 1
		n := bit(putTokens(s, &u.dcs, planeY2, int(above.dc+left.dc), 0))
		above.dc, left.dc = n, n
	}
	for i := range u.levels {
		x, y := i&3, i>>2
		n := bit(putTokens(s, &u.levels[i], plane, int(above.set[x]+left.set[y]), first))
		above.set[x], left.set[y] = n, n
	}
	// No block of colour has coefficients.
	for range 8 {
		s.token(planeUV, 0, 0, 0, false)
	}
}

func bit(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}
