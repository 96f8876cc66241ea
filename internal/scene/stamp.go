package scene

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/draw"
	"time"
)

// Stamp is what the picture stamp says: which frame this is and when it was
// taken. It is part of the picture, so it survives every re-encoding and
// container, and the age and order of frames can be measured at the far end.
type Stamp struct {
	Seq      uint64    // frame number; the strip carries the low 32 bits
	Captured time.Time // milliseconds, UTC; the strip carries 48 bits of them
}

// ErrNoStamp says that a picture has no stamp where one belongs. Cameras other
// than simulated ones never have.
var ErrNoStamp = errors.New("no picture stamp")

// ErrStampDamaged says that there is a stamp but its check does not fit.
var ErrStampDamaged = errors.New("damaged picture stamp")

// The strip: 128 cells of 8x8 pixels, black or white, in the bottom left
// corner, aligned to the 8x8 grid of JPEG blocks (so that no block has an edge
// inside it). Cells run left to right, top to bottom; how many stand in a row
// depends on the width of the picture alone:
//
//	width >= 512   64 cells x 2 rows   512x16 pixels
//	width >= 256   32 cells x 4 rows   256x32 pixels
//	else           16 cells x 8 rows   128x64 pixels
//
//	cells   0..7    finder 1 0 1 1 0 0 1 0
//	cells   8..119  14 bytes, most significant bit first, whitened by XOR:
//	                Seq uint32, Captured uint48 (Unix ms), CRC-32 (IEEE) of the
//	                10 bytes before it; all big-endian
//	cells 120..127  finder 0 1 0 0 1 1 0 1
//
// The finder gives the levels of black and white, whatever became of them on
// the way. Whitening keeps long runs of one colour out of the strip.
const (
	stampCells   = 128
	cellSide     = 8
	stampBlack   = 16 // inside the studio range, so that no conversion clips it
	stampWhite   = 235
	stampBytes   = 14
	stampChecked = 10 // bytes under the CRC
	finderHead   = 0b10110010
	finderTail   = 0b01001101
	// minContrast is the least difference between the darkest white and the
	// lightest black cell of the finder.
	minContrast = 48
)

const stampWhitening = "\xa6\x5c\x93\x1d\xe8\x4b\x72\x35\xd9\x8e\x27\xb4\x69\xc2"

// bytes returns the 16 bytes of the strip, finders included.
func (s Stamp) bytes() (b [stampCells / 8]byte) {
	b[0], b[stampCells/8-1] = finderHead, finderTail
	p := b[1 : 1+stampBytes]
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(s.Captured.UnixMilli()))
	binary.BigEndian.PutUint32(p, uint32(s.Seq))
	copy(p[4:], ms[2:])
	binary.BigEndian.PutUint32(p[stampChecked:], crc32.ChecksumIEEE(p[:stampChecked]))
	for i := range p {
		p[i] ^= stampWhitening[i]
	}
	return b
}

func parseStamp(b [stampCells / 8]byte) (Stamp, error) {
	if b[0] != finderHead || b[stampCells/8-1] != finderTail {
		return Stamp{}, ErrNoStamp
	}
	p := b[1 : 1+stampBytes]
	for i := range p {
		p[i] ^= stampWhitening[i]
	}
	if crc32.ChecksumIEEE(p[:stampChecked]) != binary.BigEndian.Uint32(p[stampChecked:]) {
		return Stamp{}, ErrStampDamaged
	}
	ms := int64(binary.BigEndian.Uint16(p[4:]))<<32 | int64(binary.BigEndian.Uint32(p[6:]))
	return Stamp{uint64(binary.BigEndian.Uint32(p)), time.UnixMilli(ms).UTC()}, nil
}

// strip is a place where the stamp may be: corner and cell size in pixels of
// the picture at hand, relative to its corner.
type strip struct{ y, cell, perRow int }

// stampStrip returns where the stamp of a picture of w x h pixels stands. It
// does not fit below 128x64.
func stampStrip(w, h int) (strip, bool) {
	perRow := 16
	switch {
	case w >= 64*cellSide:
		perRow = 64
	case w >= 32*cellSide:
		perRow = 32
	}
	rows := stampCells / perRow
	if w < perRow*cellSide || h < rows*cellSide {
		return strip{}, false
	}
	return strip{(h/cellSide - rows) * cellSide, cellSide, perRow}, true
}

// DrawStamp draws s into the bottom left corner of g. A picture below 128x64
// pixels has no room and is left alone.
func DrawStamp(g *image.Gray, s Stamp) {
	at, ok := stampStrip(g.Rect.Dx(), g.Rect.Dy())
	if !ok {
		return
	}
	code := s.bytes()
	for i := range stampCells {
		level := byte(stampBlack)
		if code[i/8]&(0x80>>(i%8)) != 0 {
			level = stampWhite
		}
		x, y := i%at.perRow*cellSide, at.y+i/at.perRow*cellSide
		for r := range cellSide {
			row := g.Pix[(y+r)*g.Stride+x:][:cellSide]
			for c := range row {
				row[c] = level
			}
		}
	}
}

// ReadStamp reads the stamp of a picture: one of the size it was drawn in, or
// scaled to exactly half (odd sides rounded down) or double of it. It returns
// ErrNoStamp or ErrStampDamaged if it cannot. Grey and YCbCr pictures, which is
// what JPEG and WebP decode to, are read directly; others by conversion of the
// corner.
func ReadStamp(m image.Image) (Stamp, error) {
	b := m.Bounds()
	w, h := b.Dx(), b.Dy()
	err := ErrNoStamp
	tries := [...]struct{ w, h, cell int }{
		{w, h, cellSide},
		{2 * w, 2 * h, cellSide / 2},
		{w / 2, h / 2, cellSide * 2},
	}
	for _, t := range tries {
		at, ok := stampStrip(t.w, t.h)
		if !ok {
			continue
		}
		at.y, at.cell = at.y*t.cell/cellSide, t.cell
		s, e := readStrip(m, at)
		if e == nil {
			return s, nil
		}
		if e == ErrStampDamaged {
			err = e
		}
	}
	return Stamp{}, err
}

// readStrip reads the stamp at one place, which lies inside of m.
func readStrip(m image.Image, at strip) (Stamp, error) {
	corner := m.Bounds().Min
	var l luma
	switch m := m.(type) {
	case *image.Gray:
		l = luma{m.Pix[at.y*m.Stride:], m.Stride}
	case *image.YCbCr:
		l = luma{m.Y[at.y*m.YStride:], m.YStride}
	default:
		area := image.Rect(0, 0, at.perRow*at.cell, stampCells/at.perRow*at.cell)
		g := image.NewGray(area)
		draw.Draw(g, area, m, corner.Add(image.Pt(0, at.y)), draw.Src)
		l = luma{g.Pix, g.Stride}
	}
	read := func(i int) int {
		return l.cell(i%at.perRow*at.cell, i/at.perRow*at.cell, at.cell)
	}
	// The finder first: it turns away most pictures without a stamp after a
	// handful of cells.
	black, white := 0, 255
	finder := func(from int, pattern byte) bool {
		for i := range 8 {
			v := read(from + i)
			if pattern&(0x80>>i) != 0 {
				white = min(white, v)
			} else {
				black = max(black, v)
			}
			if white-black < minContrast {
				return false
			}
		}
		return true
	}
	if !finder(0, finderHead) || !finder(stampCells-8, finderTail) {
		return Stamp{}, ErrNoStamp
	}
	code := [stampCells / 8]byte{finderHead, stampCells/8 - 1: finderTail}
	for i := 8; i < stampCells-8; i++ {
		if 2*read(i) > black+white {
			code[i/8] |= 0x80 >> (i % 8)
		}
	}
	return parseStamp(code)
}

// luma is a plane of brightness, starting at the first row of the strip.
type luma struct {
	pix    []uint8
	stride int
}

// cell returns the mean of the inner half of the cell at (x, y): the outer
// pixels carry the ringing of coders and the blur of scalers.
func (l luma) cell(x, y, side int) int {
	inner := side / 2
	x, y = x+side/4, y+side/4
	sum := 0
	for r := range inner {
		for _, v := range l.pix[(y+r)*l.stride+x:][:inner] {
			sum += int(v)
		}
	}
	return sum / (inner * inner)
}
