package scene

import (
	"image"
	"math/bits"
	"sync"
)

// Layout of a JPEG of the OV2640 (esp32-wire 4.3). Every table has a segment
// of its own, the frame header comes after the Huffman tables, there is no
// restart interval:
//
//	  0  SOI
//	  2  APP0  JFIF 1.1, density 0x0 in dots per inch, no thumbnail
//	 20  DQT   table 0, luma
//	 89  DQT   table 1, chroma
//	158  DHT   DC 0        191  DHT  AC 0
//	374  DHT   DC 1        407  DHT  AC 1
//	590  SOF0  8 bits, height, width, Y 2x1 (4:2:2), Cb and Cr 1x1
//	609  SOS
//	623  entropy-coded data, then EOI
const headerLen = 623

// maxSide is the largest width or height that SOF0 can say.
const maxSide = 1<<16 - 1

// zigzag maps the coefficient's place in the file to its place in the block.
var zigzag = [64]uint8{
	0, 1, 8, 16, 9, 2, 3, 10,
	17, 24, 32, 25, 18, 11, 4, 5,
	12, 19, 26, 33, 40, 48, 41, 34,
	27, 20, 13, 6, 7, 14, 21, 28,
	35, 42, 49, 56, 57, 50, 43, 36,
	29, 22, 15, 23, 30, 37, 44, 51,
	58, 59, 52, 45, 38, 31, 39, 46,
	53, 60, 61, 54, 47, 55, 62, 63,
}

// annexK are the quantisation tables of T.81 K.1 in natural order: luma,
// chroma.
var annexK = [2][64]uint8{
	{
		16, 11, 10, 16, 24, 40, 51, 61,
		12, 12, 14, 19, 26, 58, 60, 55,
		14, 13, 16, 24, 40, 57, 69, 56,
		14, 17, 22, 29, 51, 87, 80, 62,
		18, 22, 37, 56, 68, 109, 103, 77,
		24, 35, 55, 64, 81, 104, 113, 92,
		49, 64, 78, 87, 103, 121, 120, 101,
		72, 92, 95, 98, 112, 100, 103, 99,
	},
	{
		17, 18, 24, 47, 99, 99, 99, 99,
		18, 21, 26, 66, 99, 99, 99, 99,
		24, 26, 56, 99, 99, 99, 99, 99,
		47, 66, 99, 99, 99, 99, 99, 99,
		99, 99, 99, 99, 99, 99, 99, 99,
		99, 99, 99, 99, 99, 99, 99, 99,
		99, 99, 99, 99, 99, 99, 99, 99,
		99, 99, 99, 99, 99, 99, 99, 99,
	},
}

// MaxQuality is the coarsest value of the sensor's quality register.
const MaxQuality = 63

// quantTable returns table t for the sensor's quality number, in natural
// order: Annex K times quality/16, rounded half up, 1 to 255 (esp32-wire 4.4).
func quantTable(t, quality int) (q [64]uint8) {
	quality = min(max(quality, 0), MaxQuality)
	for i, std := range annexK[t] {
		q[i] = uint8(min(max((int(std)*quality+8)>>4, 1), 255))
	}
	return q
}

// codeTables builds the two code tables the luma needs, once.
var codeTables = sync.OnceValue(func() (t [2]*huffTable) {
	return [2]*huffTable{huffSpecs[dcLuma].table(), huffSpecs[acLuma].table()}
})

// EncodeOV2640 writes gray as the camera would with special effect 2
// (grayscale) on: three components, 4:2:2, both colour components constant
// 128, the sensor's marker layout and tables. The quality is that of the
// sensor, 0 (finest) to 63, and is clamped to it as the driver does. Sides that
// are no multiple of the 16x8 coding unit are filled up with the edge pixels.
// The result is nil if a side is 0 or above 65535, which JPEG cannot express.
func EncodeOV2640(gray *image.Gray, quality int) []byte {
	return encodeTables(gray, quantTable(0, quality), quantTable(1, quality), tint{})
}

// EncodeColor is [EncodeOV2640] as the camera is before special effect 2 is set:
// in colour, of which a simulated room has one all over. cb and cr are the distance
// from gray in steps of the chroma table.
func EncodeColor(gray *image.Gray, quality int, cb, cr int8) []byte {
	return encodeTables(gray, quantTable(0, quality), quantTable(1, quality), tint{int32(cb), int32(cr)})
}

// tint is the DC of all blocks of Cb and Cr.
type tint [2]int32

// EncodeScaled is [EncodeOV2640] with Annex K times percent/100, the scale of
// other cameras and of the usual 1..100 quality, which is finer.
func EncodeScaled(gray *image.Gray, percent int) []byte {
	var q [2][64]uint8
	for t := range q {
		for i, std := range annexK[t] {
			q[t][i] = uint8(min(max((int(std)*percent+50)/100, 1), 255))
		}
	}
	return encodeTables(gray, q[0], q[1], tint{})
}

func encodeTables(gray *image.Gray, luma, chroma [64]uint8, color tint) []byte {
	w, h := gray.Rect.Dx(), gray.Rect.Dy()
	if w <= 0 || h <= 0 || w > maxSide || h > maxSide {
		return nil
	}
	e := encoder{quant: newQuantiser(&luma)}
	tables := codeTables()
	e.dc, e.ac = tables[0], tables[1]
	e.out = make([]byte, 0, headerLen+w*h/16+64)
	e.header(w, h, &luma, &chroma)
	var b [2]block
	for y := 0; y < h; y += 8 {
		for x := 0; x < w; x += 16 {
			loadBlock(&b[0], gray, x, y)
			loadBlock(&b[1], gray, x+8, y)
			e.luma(&b[0])
			e.luma(&b[1])
			if x == 0 && y == 0 && color != (tint{}) {
				e.tint(color)
				continue
			}
			// Cb and Cr: the level-shifted value is 0, so the DC difference is
			// 0 and the block ends; Annex K spells each of the four as 00.
			e.put(0, 8)
		}
	}
	e.flush()
	return append(e.out, 0xff, 0xd9)
}

type encoder struct {
	bitWriter
	quant  quantiser
	dc, ac *huffTable
	pred   int32 // DC of the block before
}

func (e *encoder) header(w, h int, luma, chroma *[64]uint8) {
	e.out = append(e.out, 0xff, 0xd8,
		0xff, 0xe0, 0, 16, 'J', 'F', 'I', 'F', 0, 1, 1, 1, 0, 0, 0, 0, 0, 0)
	for id, q := range [2]*[64]uint8{luma, chroma} {
		e.out = append(e.out, 0xff, 0xdb, 0, 67, byte(id))
		for _, z := range zigzag {
			e.out = append(e.out, q[z])
		}
	}
	for i, class := range [4]byte{dcLuma: 0x00, acLuma: 0x10, dcChroma: 0x01, acChroma: 0x11} {
		s := &huffSpecs[i]
		e.out = append(e.out, 0xff, 0xc4, 0, byte(19+len(s.symbols)), class)
		e.out = append(e.out, s.counts[:]...)
		e.out = append(e.out, s.symbols...)
	}
	e.out = append(e.out, 0xff, 0xc0, 0, 17, 8, byte(h>>8), byte(h), byte(w>>8), byte(w), 3,
		1, 0x21, 0, 2, 0x11, 1, 3, 0x11, 1)
	e.out = append(e.out, 0xff, 0xda, 0, 12, 3, 1, 0x00, 2, 0x11, 3, 0x11, 0, 63, 0)
}

// tint writes the first block of Cb and of Cr: a DC and nothing else. All later
// ones are the same, so their difference is 0.
func (e *encoder) tint(color tint) {
	dc := huffSpecs[dcChroma].table()
	for _, v := range color {
		e.value(dc, 0, v)
		e.put(0, 2) // end of block, as Annex K spells it for chroma
	}
}

// luma transforms, quantises and writes one block of Y.
func (e *encoder) luma(b *block) {
	b.fdct()
	var q [64]int32
	set := e.quant.apply(b, &q)
	e.value(e.dc, 0, q[0]-e.pred)
	e.pred = q[0]
	set &^= 1
	last := 0
	for set != 0 {
		k := bits.TrailingZeros64(set)
		set &= set - 1
		run := int32(k - last - 1)
		for ; run > 15; run -= 16 {
			zrl := e.ac[0xf0]
			e.put(uint32(zrl.bits), uint(zrl.len))
		}
		e.value(e.ac, run, q[k])
		last = k
	}
	if last != 63 {
		eob := e.ac[0x00]
		e.put(uint32(eob.bits), uint(eob.len))
	}
}

// loadBlock copies the 8x8 pixels at (x, y), relative to the picture's corner,
// minus 128. Outside of the picture the nearest pixel counts.
func loadBlock(b *block, g *image.Gray, x, y int) {
	w, h := g.Rect.Dx(), g.Rect.Dy()
	if x+8 <= w && y+8 <= h {
		for r := range 8 {
			src := g.Pix[(y+r)*g.Stride+x:][:8]
			dst := b[8*r:][:8]
			for c, v := range src {
				dst[c] = int32(v) - 128
			}
		}
		return
	}
	for r := range 8 {
		row := g.Pix[min(y+r, h-1)*g.Stride:]
		for c := range 8 {
			b[8*r+c] = int32(row[min(x+c, w-1)]) - 128
		}
	}
}

// quantiser divides coefficients by their table entry, rounding to the nearest,
// with a multiplication instead of a division. Entries are in file order.
type quantiser struct {
	recip [64]uint32 // 2^31 / divisor, rounded up
	half  [64]int32  // half of the divisor
}

// newQuantiser takes a table in natural order. The divisor is d = 8 times the
// entry because of the scale of fdct. Exactness: with m = ceil(2^31/d) the
// product n*m/2^31 is at most n/2^31 above n/d; n = |c|+d/2 stays below 2^14
// and d below 2^11, so that error is below 2^-17 and cannot reach the next
// multiple of 1/d.
func newQuantiser(table *[64]uint8) (q quantiser) {
	for k, z := range zigzag {
		d := uint32(table[z]) * 8
		q.recip[k] = (1<<quantShift + d - 1) / d
		q.half[k] = int32(d / 2)
	}
	return q
}

const quantShift = 31

// apply writes the quantised coefficients in file order and returns the set of
// those that are not zero.
func (q *quantiser) apply(b *block, out *[64]int32) (set uint64) {
	for k := range out {
		c := b[zigzag[k]&63]
		sign := c >> 31
		n := uint64(uint32((c^sign)-sign) + uint32(q.half[k]))
		v := int32(n * uint64(q.recip[k]) >> quantShift)
		out[k] = (v ^ sign) - sign
		set |= uint64(uint32(-v)>>31) << k
	}
	return set
}
