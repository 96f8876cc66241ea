package webp

import "math/bits"

// bitSink takes the bits of a stream, each with the probability that it is 0, in
// 1/256.
type bitSink interface {
	raw(prob uint8, bit bool)
	// token is raw with one of the probabilities of the token tree.
	token(plane, band, context, branch int, bit bool)
}

// writer is the arithmetic coder of RFC 6386, section 7.
type writer struct {
	out    []byte
	probs  *tokenProbs
	rang   uint32
	bottom uint32
	left   int // bits until the next byte is complete
}

func newWriter(out []byte, probs *tokenProbs) *writer {
	return &writer{out: out[:0], probs: probs, rang: 255, left: 24}
}

func (w *writer) raw(prob uint8, bit bool) {
	split := 1 + (w.rang-1)*uint32(prob)>>8
	if bit {
		w.bottom += split
		w.rang -= split
	} else {
		w.rang = split
	}
	for w.rang < 128 {
		w.rang <<= 1
		if w.bottom&(1<<31) != 0 {
			w.carry()
		}
		w.bottom <<= 1
		if w.left--; w.left == 0 {
			w.out = append(w.out, byte(w.bottom>>24))
			w.bottom &= 1<<24 - 1
			w.left = 8
		}
	}
}

func (w *writer) token(plane, band, context, branch int, bit bool) {
	w.raw(w.probs[plane][band][context][branch], bit)
}

// carry adds one to what is written.
func (w *writer) carry() {
	i := len(w.out) - 1
	for ; w.out[i] == 255; i-- {
		w.out[i] = 0
	}
	w.out[i]++
}

// bits writes the low n bits of v, the highest first, each as likely as not.
func (w *writer) bits(v uint32, n int) {
	for n--; n >= 0; n-- {
		w.raw(128, v>>n&1 == 1)
	}
}

// end writes what is left and returns everything. The decoder in browsers reads
// one byte ahead and takes the end of the data for a cut, so there is one more.
func (w *writer) end() []byte {
	c, v := w.left, w.bottom
	if v&(1<<(32-c)) != 0 {
		w.carry()
	}
	v <<= c & 7
	for c >>= 3; c > 0; c-- {
		v <<= 8
	}
	return append(w.out, byte(v>>24), byte(v>>16), byte(v>>8), byte(v), 0)
}

// costs is the length of a bit by its probability, in 1/256 bit: costs[p] of a 0
// whose probability is p/256. It is made without floating point, so that it is
// the same everywhere.
var costs = func() (c [257]int32) {
	for p := 1; p < 256; p++ {
		// -log2(p/256): whole bits, then by squaring the rest eight times.
		n := bits.Len(uint(p)) - 1
		x := uint64(p) << (31 - n) // 1 to 2, as 2^31
		cost := int32(8-n) << 8
		for i := 7; i >= 0; i-- {
			if x = x * x >> 31; x >= 1<<32 {
				x >>= 1
				cost -= 1 << i
			}
		}
		c[p] = cost
	}
	c[0] = 8 << 8
	return c
}()

func costOf(prob uint8, bit bool) int32 {
	if bit {
		return costs[256-int(prob)]
	}
	return costs[prob]
}

// coster adds up what bits would cost.
type coster struct {
	probs *tokenProbs
	cost  int32
}

func (c *coster) raw(prob uint8, bit bool) { c.cost += costOf(prob, bit) }
func (c *coster) token(plane, band, context, branch int, bit bool) {
	c.cost += costOf(c.probs[plane][band][context][branch], bit)
}

// nothing takes bits that nobody wants.
type nothing struct{}

func (nothing) raw(uint8, bool)              {}
func (nothing) token(_, _, _, _ int, _ bool) {}

// counter counts the bits of the token tree.
type counter [planes][bands][contexts][branches][2]uint32

func (c *counter) raw(uint8, bool) {}
func (c *counter) token(plane, band, context, branch int, bit bool) {
	n := 0
	if bit {
		n = 1
	}
	c[plane][band][context][branch][n]++
}

// best returns the probabilities that fit what was counted, where it pays to
// send them.
func (c *counter) best() tokenProbs {
	p := defaultProbs
	for i := range c {
		for j := range c[i] {
			for k := range c[i][j] {
				for l, n := range c[i][j][k] {
					if n[0]+n[1] == 0 {
						continue
					}
					old := p[i][j][k][l]
					fit := uint8(min(max((n[0]*256+(n[0]+n[1])/2)/(n[0]+n[1]), 1), 255))
					length := func(prob uint8) int64 {
						return int64(n[0])*int64(costOf(prob, false)) + int64(n[1])*int64(costOf(prob, true))
					}
					flag := updateProbs[i][j][k][l]
					if length(fit)+8<<8+int64(costOf(flag, true)) < length(old)+int64(costOf(flag, false)) {
						p[i][j][k][l] = fit
					}
				}
			}
		}
	}
	return p
}

// putTokens writes the quantised coefficients of a block from place first on, in
// zigzag order (13.2), and reports whether there are any.
func putTokens(s bitSink, levels *[16]int16, plane, context, first int) bool {
	last := 15
	for last >= first && levels[last] == 0 {
		last--
	}
	n, band := first, int(bandOf[first])
	s.token(plane, band, context, 0, last >= first)
	if last < first {
		return false
	}
	for {
		v := int(levels[n])
		n++
		if v == 0 {
			s.token(plane, band, context, 1, false)
			band, context = int(bandOf[n]), 0
			continue
		}
		s.token(plane, band, context, 1, true)
		context = putLevel(s, max(v, -v), plane, band, context)
		s.raw(128, v < 0)
		if band = int(bandOf[n]); n == 16 {
			return true
		}
		s.token(plane, band, context, 0, n <= last)
		if n > last {
			return true
		}
	}
}

// putLevel writes a level, 1 to maxLevel, and returns the context of the next.
func putLevel(s bitSink, v, plane, band, context int) int {
	branch := func(i int, bit bool) { s.token(plane, band, context, i, bit) }
	branch(2, v > 1)
	if v == 1 {
		return 1
	}
	branch(3, v > 4)
	if v <= 4 {
		branch(4, v > 2)
		if v > 2 {
			branch(5, v == 4)
		}
		return 2
	}
	category := 0
	for category < 5 && v >= categories[category+1].base {
		category++
	}
	branch(6, category > 1)
	if category < 2 {
		branch(7, category == 1)
	} else {
		high := category / 4
		branch(8, high == 1)
		branch(9+high, category&1 == 1)
	}
	c := categories[category]
	for i, prob := range c.probs {
		s.raw(prob, (v-c.base)>>(len(c.probs)-1-i)&1 == 1)
	}
	return 2
}

// maxLevel is the largest that can be written.
const maxLevel = 67 + 1<<11 - 1
