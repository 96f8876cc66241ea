// Package dct is the forward 8x8 cosine transform in integers: the same result
// to the last bit on every platform, which a picture codec whose two ends
// compute the same needs, and a floating-point transform does not give.
//
// It is the row-column algorithm of Loeffler, Ligtenberg and Moschytz (ICASSP
// 1989) with 12 multiplications a pass, in 13-bit fixed point.
package dct

// Scale is how many times larger than those of the orthonormal transform the
// coefficients of [Block.Forward] are. A quantiser divides it away.
const Scale = 8

// Size is the side of a block.
const Size = 8

// Block is 8x8 samples or coefficients, row by row.
type Block [Size * Size]int32

// Zigzag maps a coefficient's place in a JPEG file to its place in a Block
// (ITU-T T.81 figure A.6).
var Zigzag = [Size * Size]uint8{
	0, 1, 8, 16, 9, 2, 3, 10,
	17, 24, 32, 25, 18, 11, 4, 5,
	12, 19, 26, 33, 40, 48, 41, 34,
	27, 20, 13, 6, 7, 14, 21, 28,
	35, 42, 49, 56, 57, 50, 43, 36,
	29, 22, 15, 23, 30, 37, 44, 51,
	58, 59, 52, 45, 38, 31, 39, 46,
	53, 60, 61, 54, 47, 55, 62, 63,
}

const (
	fixBits  = 13 // fraction bits of the constants
	keepBits = 2  // extra precision carried from the first pass to the second

	c0298 = 2446 // 0.298631336 << 13, and so on
	c0390 = 3196
	c0541 = 4433
	c0765 = 6270
	c0899 = 7373
	c1175 = 9633
	c1501 = 12299
	c1847 = 15137
	c1961 = 16069
	c2053 = 16819
	c2562 = 20995
	c3072 = 25172
)

// Forward transforms b in place. Samples are -255..255, so that it takes
// level-shifted pixels and differences of pixels alike: a coefficient is then
// below 2^15, and no intermediate value leaves 32 bits. Errors stay below 3,
// which is 3/[Scale] of a grey level.
func (b *Block) Forward() {
	for i := 0; i < len(b); i += Size {
		r := b[i : i+8 : i+8]
		b.pass(r[0]+r[7], r[1]+r[6], r[2]+r[5], r[3]+r[4],
			r[3]-r[4], r[2]-r[5], r[1]-r[6], r[0]-r[7],
			i, 1, keepBits, fixBits-keepBits)
	}
	for i := range Size {
		b.pass(b[i]+b[i+56], b[i+8]+b[i+48], b[i+16]+b[i+40], b[i+24]+b[i+32],
			b[i+24]-b[i+32], b[i+16]-b[i+40], b[i+8]-b[i+48], b[i]-b[i+56],
			i, Size, -keepBits, fixBits+keepBits)
	}
}

// pass finishes one row or column from its butterflies: s are the sums, d the
// differences. Even outputs 0 and 4 are shifted left by up (right if
// negative), all others right by down.
func (b *Block) pass(s0, s1, s2, s3, d4, d5, d6, d7 int32, at, stride, up int, down uint) {
	e0, e3 := s0+s3, s0-s3
	e1, e2 := s1+s2, s1-s2
	if up > 0 {
		b[at] = (e0 + e1) << up
		b[at+4*stride] = (e0 - e1) << up
	} else {
		half := int32(1) << (-up - 1)
		b[at] = (e0 + e1 + half) >> -up
		b[at+4*stride] = (e0 - e1 + half) >> -up
	}
	half := int32(1) << (down - 1)
	z := (e2 + e3) * c0541
	b[at+2*stride] = (z + e3*c0765 + half) >> down
	b[at+6*stride] = (z - e2*c1847 + half) >> down

	z1, z2, z3, z4 := d4+d7, d5+d6, d4+d6, d5+d7
	z5 := (z3 + z4) * c1175
	z1, z2 = -z1*c0899, -z2*c2562
	z3, z4 = z5-z3*c1961, z5-z4*c0390
	b[at+7*stride] = (d4*c0298 + z1 + z3 + half) >> down
	b[at+5*stride] = (d5*c2053 + z2 + z4 + half) >> down
	b[at+3*stride] = (d6*c3072 + z2 + z3 + half) >> down
	b[at+stride] = (d7*c1501 + z1 + z4 + half) >> down
}
