package delta

import (
	"hash/crc32"
	"image"
)

// Limits of a picture.
const (
	MaxSide   = 1600
	MaxPixels = 1600 * 1200
)

// mbSize is the side of a macroblock.
const mbSize = 16

// plane is a picture whose sides are filled up to whole macroblocks. What is
// beyond the picture's edge is part of the prediction but not of the picture.
type plane struct {
	w, h   int // of the picture
	pw, ph int // of the plane
	pix    []uint8
}

func newPlane(w, h int) *plane {
	p := &plane{w: w, h: h, pw: (w + mbSize - 1) &^ (mbSize - 1), ph: (h + mbSize - 1) &^ (mbSize - 1)}
	p.pix = make([]uint8, p.pw*p.ph)
	return p
}

// load copies a picture of the plane's size and repeats its edge pixels.
func (p *plane) load(g *image.Gray) {
	for y := range p.ph {
		src := g.Pix[min(y, p.h-1)*g.Stride:][:p.w]
		dst := p.pix[y*p.pw:][:p.pw]
		copy(dst, src)
		for x := p.w; x < p.pw; x++ {
			dst[x] = src[p.w-1]
		}
	}
}

// gray copies the picture out.
func (p *plane) gray() *image.Gray {
	g := image.NewGray(image.Rect(0, 0, p.w, p.h))
	for y := range p.h {
		copy(g.Pix[y*g.Stride:][:p.w], p.pix[y*p.pw:])
	}
	return g
}

// sum is the CRC-32 (IEEE) of the picture's pixels, row by row.
func (p *plane) sum() uint32 {
	if p.w == p.pw {
		return crc32.ChecksumIEEE(p.pix[:p.w*p.h])
	}
	var sum uint32
	for y := range p.h {
		sum = crc32.Update(sum, crc32.IEEETable, p.pix[y*p.pw:][:p.w])
	}
	return sum
}

func clip(v int32) uint8 {
	if uint32(v) > 255 {
		return uint8(^(v >> 31))
	}
	return uint8(v)
}

// patch is the prediction or the pixels of a macroblock, row by row.
type patch [mbSize * mbSize]uint8

// inter predicts the macroblock at pixel (x, y) from the picture before, moved
// by (dx, dy) half pixels. Between pixels their mean counts, outside of the
// plane its edge pixels.
func (p *plane) inter(x, y, dx, dy int, out *patch) {
	hx, hy := dx&1, dy&1
	x, y = x+dx>>1, y+dy>>1
	if x < 0 || y < 0 || x+mbSize+hx > p.pw || y+mbSize+hy > p.ph {
		p.interEdge(x, y, hx, hy, out)
		return
	}
	for r := range mbSize {
		a := p.pix[(y+r)*p.pw+x:][:mbSize+hx]
		b := p.pix[(y+r+hy)*p.pw+x:][:mbSize+hx]
		dst := out[mbSize*r:][:mbSize]
		switch {
		case hx == 0 && hy == 0:
			copy(dst, a)
		case hx == 0 || hy == 0:
			for c := range dst {
				dst[c] = uint8((int(a[c]) + int(b[c+hx]) + 1) >> 1)
			}
		default:
			for c := range dst {
				dst[c] = uint8((int(a[c]) + int(a[c+1]) + int(b[c]) + int(b[c+1]) + 2) >> 2)
			}
		}
	}
}

// interEdge is inter where the plane ends.
func (p *plane) interEdge(x, y, hx, hy int, out *patch) {
	at := func(u, v int) int {
		return int(p.pix[min(max(v, 0), p.ph-1)*p.pw+min(max(u, 0), p.pw-1)])
	}
	for r := range mbSize {
		for c := range mbSize {
			u, v := x+c, y+r
			// Twice the same pixel where there is nothing between two: the
			// rounding is that of inter.
			out[mbSize*r+c] = uint8((at(u, v) + at(u+hx, v) + at(u, v+hy) + at(u+hx, v+hy) + 2) >> 2)
		}
	}
}

// Modes of intra prediction.
const (
	intraMean = iota
	intraDown
	intraRight
	intraPlane
	intraModes
)

// intra predicts the macroblock at pixel (x, y) from the row above and the
// column left of it, in the picture being made.
func (p *plane) intra(x, y, mode int, out *patch) {
	var top, left [mbSize]int32
	for i := range mbSize {
		top[i], left[i] = 128, 128
		if y > 0 {
			top[i] = int32(p.pix[(y-1)*p.pw+x+i])
		}
		if x > 0 {
			left[i] = int32(p.pix[(y+i)*p.pw+x-1])
		}
	}
	for i := range mbSize {
		if y == 0 && x > 0 {
			top[i] = left[0]
		}
		if x == 0 && y > 0 {
			left[i] = top[0]
		}
	}
	switch mode {
	case intraMean:
		sum := int32(mbSize)
		for i := range mbSize {
			sum += top[i] + left[i]
		}
		for i := range out {
			out[i] = uint8(sum / (2 * mbSize))
		}
	case intraDown:
		for i := range out {
			out[i] = uint8(top[i%mbSize])
		}
	case intraRight:
		for i := range out {
			out[i] = uint8(left[i/mbSize])
		}
	default:
		for r := range int32(mbSize) {
			for c := range int32(mbSize) {
				out[mbSize*r+c] = uint8(((15-c)*left[r] + (c+1)*top[15] + (15-r)*top[c] + (r+1)*left[15] + 16) >> 5)
			}
		}
	}
}

// put writes a prediction and the residuals on top of it into the plane.
func (p *plane) put(x, y int, pred *patch, coded int, res *[4]*residual) {
	for b := range 4 {
		ox, oy := b&1*8, b>>1*8
		for r := range 8 {
			src := pred[mbSize*(oy+r)+ox:][:8]
			dst := p.pix[(y+oy+r)*p.pw+x+ox:][:8]
			if coded>>b&1 == 0 {
				copy(dst, src)
				continue
			}
			add := res[b][8*r:][:8]
			for c := range dst {
				dst[c] = clip(int32(src[c]) + int32(add[c]))
			}
		}
	}
}
