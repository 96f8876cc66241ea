package picture

import (
	"errors"
	"image"
	"math/bits"

	"porthole/internal/dct"
)

// Layout of every JPEG that leaves the server. It is the same for all pictures
// whatever their source; only the two Huffman tables fit the picture, which is
// a tenth of its size, and they tell nothing that the coefficients do not:
//
//	 0  SOI
//	 2  DQT   table 0, 8 bits, zigzag
//	71  SOF0  8 bits, height, width, one component: 1, 1x1, table 0
//	84  DHT   DC 0, optimal for the picture
//	 …  DHT   AC 0, optimal for the picture
//	 …  SOS   component 1, tables 0 and 0
//	 …  entropy-coded data, no restart intervals, then EOI
//
// There is no APPn segment: no density, no thumbnail, no metadata.

// annexK is the luma quantisation table of T.81 K.1 in natural order.
var annexK = [64]uint8{
	16, 11, 10, 16, 24, 40, 51, 61,
	12, 12, 14, 19, 26, 58, 60, 55,
	14, 13, 16, 24, 40, 57, 69, 56,
	14, 17, 22, 29, 51, 87, 80, 62,
	18, 22, 37, 56, 68, 109, 103, 77,
	24, 35, 55, 64, 81, 104, 113, 92,
	49, 64, 78, 87, 103, 121, 120, 101,
	72, 92, 95, 98, 112, 100, 103, 99,
}

// quantTable returns the table of a quality number in natural order: Annex K
// times quality/16, rounded half up, 1 to 255, as the sensor does it
// (esp32-wire 4.4).
func quantTable(quality int) (q [64]uint8) {
	quality = min(max(quality, 1), MaxQuality)
	for i, std := range annexK {
		q[i] = uint8(min(max((int(std)*quality+8)>>4, 1), 255))
	}
	return q
}

// Encoder writes gray JPEGs with one set of quantisation steps. It keeps its
// working memory between pictures; one goroutine may use it at a time.
type Encoder struct {
	table  [64]uint8
	recip  [64]uint32 // 2^31 / divisor, rounded up, in file order
	half   [64]uint32 // half of the divisor, in file order
	tokens []token
	dc, ac codeBook
	lone   bool // keep lone coefficients, see loneRun
}

// NewEncoder returns an encoder for a quality number, see [Config].
func NewEncoder(quality int) *Encoder { return newEncoder(quantTable(quality)) }

// newEncoder takes the steps themselves, in natural order, none of them 0.
func newEncoder(table [64]uint8) *Encoder {
	e := &Encoder{table: table}
	// The divisor d is dct.Scale times the step. With m = ceil(2^31/d) the
	// product n*m/2^31 is at most n/2^31 above n/d; n = |c|+d/2 stays below
	// 2^14 and d below 2^11, so the error is below 2^-17 and cannot reach the
	// next multiple of 1/d: the division is exact.
	for k, z := range dct.Zigzag {
		d := uint32(e.table[z]) * dct.Scale
		e.recip[k] = (1<<quantShift + d - 1) / d
		e.half[k] = d / 2
	}
	return e
}

const quantShift = 31

var errSides = errors.New("encode picture: sides must be 1 to 65535 pixels")

// Encode returns g as a JPEG in memory of its own. Sides that are no multiple
// of 8 are filled up with the edge pixels.
func (e *Encoder) Encode(g *image.Gray) ([]byte, error) {
	w, h := g.Rect.Dx(), g.Rect.Dy()
	if w < 1 || h < 1 || w > maxSide || h > maxSide {
		return nil, errSides
	}
	// First all tokens, counted, then the codes that fit them.
	e.tokens = e.tokens[:0]
	var dcFreq, acFreq [symbols]uint32
	pred := int32(0)
	for y := 0; y < h; y += dct.Size {
		for x := 0; x < w; x += dct.Size {
			var b dct.Block
			load(&b, g, x, y)
			b.Forward()
			pred = e.block(&b, pred, &dcFreq, &acFreq)
		}
	}
	e.dc.build(&dcFreq)
	e.ac.build(&acFreq)

	bits := 0
	for s := range symbols {
		bits += int(dcFreq[s])*(int(e.dc.codes[s].len)+s&15) + int(acFreq[s])*(int(e.ac.codes[s].len)+s&15)
	}
	out := bitWriter{out: make([]byte, 0, 220+len(e.ac.symbols)+len(e.dc.symbols)+bits/8+bits/256)}
	out.out = e.header(out.out, w, h)
	for _, t := range e.tokens {
		if t&isDC != 0 {
			out.putToken(t&^isDC, &e.dc)
		} else {
			out.putToken(t, &e.ac)
		}
	}
	out.flush()
	return append(out.out, 0xff, 0xd9), nil
}

// isDC marks the first token of a block.
const isDC token = 1 << 31

// loneRun zeros before a coefficient of one step make it lone: its code is seven
// bits and more, and most of these coefficients are noise that rounded up. They
// are left out. On the simulated room that is 6 % of the bytes for 0.15 to 0.3
// dB against the room without noise, where a coarser quantiser costs more; and
// a picture that was encoded so stays as it is when it is encoded again.
const loneRun = 5

// Symbols of the AC table without a value.
const (
	endOfBlock = 0x00
	zeros16    = 0xf0
)

// block quantises b and appends its tokens. pred is the DC of the block before;
// the result is that of this one.
func (e *Encoder) block(b *dct.Block, pred int32, dcFreq, acFreq *[symbols]uint32) int32 {
	var q [64]int32
	var set uint64 // places of coefficients that are not zero
	for k := range q {
		c := b[dct.Zigzag[k]&63]
		sign := c >> 31
		n := uint64(uint32((c^sign)-sign) + e.half[k])
		v := int32(n * uint64(e.recip[k]) >> quantShift)
		q[k] = (v ^ sign) - sign
		set |= uint64(uint32(-v)>>31) << k
	}
	t := valueToken(0, q[0]-pred)
	dcFreq[t>>16&0xff]++
	e.tokens = append(e.tokens, t|isDC)
	set &^= 1
	last := 0
	for set != 0 {
		k := bits.TrailingZeros64(set)
		set &= set - 1
		run := k - last - 1
		if run >= loneRun && !e.lone && (q[k] == 1 || q[k] == -1) {
			continue
		}
		for ; run > 15; run -= 16 {
			acFreq[zeros16]++
			e.tokens = append(e.tokens, zeros16<<16)
		}
		t := valueToken(run, q[k])
		acFreq[t>>16&0xff]++
		e.tokens = append(e.tokens, t)
		last = k
	}
	if last != 63 {
		acFreq[endOfBlock]++
		e.tokens = append(e.tokens, endOfBlock<<16)
	}
	return q[0]
}

func (e *Encoder) header(out []byte, w, h int) []byte {
	out = append(out, 0xff, 0xd8, 0xff, 0xdb, 0, 67, 0)
	for _, z := range dct.Zigzag {
		out = append(out, e.table[z])
	}
	out = append(out, 0xff, 0xc0, 0, 11, 8, byte(h>>8), byte(h), byte(w>>8), byte(w), 1, 1, 0x11, 0)
	for class, b := range [2]*codeBook{&e.dc, &e.ac} {
		n := 19 + len(b.symbols)
		out = append(out, 0xff, 0xc4, byte(n>>8), byte(n), byte(class<<4))
		out = append(out, b.counts[:]...)
		out = append(out, b.symbols...)
	}
	return append(out, 0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0)
}

// load copies the 8x8 pixels at (x, y), counted from the picture's corner,
// minus 128. Outside of the picture the nearest pixel counts.
func load(b *dct.Block, g *image.Gray, x, y int) {
	w, h := g.Rect.Dx(), g.Rect.Dy()
	if x+dct.Size <= w && y+dct.Size <= h {
		for r := range dct.Size {
			src := g.Pix[(y+r)*g.Stride+x:][:dct.Size]
			dst := b[dct.Size*r:][:dct.Size]
			for c, v := range src {
				dst[c] = int32(v) - 128
			}
		}
		return
	}
	for r := range dct.Size {
		row := g.Pix[min(y+r, h-1)*g.Stride:]
		for c := range dct.Size {
			b[dct.Size*r+c] = int32(row[min(x+c, w-1)]) - 128
		}
	}
}
