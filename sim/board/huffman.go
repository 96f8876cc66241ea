package board

import "math/bits"

// A huffman is a canonical code, kept as the number of codes of each length and
// the symbols in the order of their codes, with a table for the short codes.
type huffman struct {
	count  [16]uint16
	symbol [288]uint16
	fast   [1 << fastBits]uint16 // by the next bits: symbol<<4 | length; 0: a longer code
}

// fastBits is the length up to which codes are looked up.
const fastBits = 9

// build makes the code from the length of each symbol's code, 0 for none. It
// reports whether that is a code: not over-subscribed, and complete unless it has
// a single code of one bit, or none, which encoders use when there are no matches.
func (h *huffman) build(lengths []uint8) bool {
	h.count = [16]uint16{}
	for _, n := range lengths {
		h.count[n]++
	}
	used := len(lengths) - int(h.count[0])
	h.count[0] = 0
	left := 1
	for _, n := range h.count[1:] {
		left = left<<1 - int(n)
		if left < 0 {
			return false
		}
	}
	var offset [16]uint16
	for n := 1; n < 15; n++ {
		offset[n+1] = offset[n] + h.count[n]
	}
	for sym, n := range lengths {
		if n != 0 {
			h.symbol[offset[n]] = uint16(sym)
			offset[n]++
		}
	}
	h.index()
	return left == 0 || used == 0 || used == 1 && h.count[1] == 1
}

// index fills the table. Codes are sent from their highest bit on, so they stand
// reversed in the stream.
func (h *huffman) index() {
	clear(h.fast[:])
	code, i := 0, 0
	for n := 1; n <= fastBits; n++ {
		for range h.count[n] {
			reversed := int(bits.Reverse16(uint16(code)) >> (16 - n))
			for at := reversed; at < len(h.fast); at += 1 << n {
				h.fast[at] = h.symbol[i]<<4 | uint16(n)
			}
			code++
			i++
		}
		code <<= 1
	}
}

// decode reads one symbol.
func (z *inflater) decode(h *huffman) (uint16, error) {
	for z.nbits <= 56 && len(z.in) > 0 {
		z.bits |= uint64(z.in[0]) << z.nbits
		z.in = z.in[1:]
		z.nbits += 8
	}
	if e := h.fast[z.bits&(1<<fastBits-1)]; e != 0 && uint(e&15) <= z.nbits {
		z.bits >>= e & 15
		z.nbits -= uint(e & 15)
		return e >> 4, nil
	}
	return z.decodeSlow(h)
}

// decodeSlow reads a symbol bit by bit: codes of one length are consecutive numbers.
func (z *inflater) decodeSlow(h *huffman) (uint16, error) {
	code, first, index := 0, 0, 0
	for n := 1; n < len(h.count); n++ {
		b, err := z.take(1)
		if err != nil {
			return 0, err
		}
		code |= int(b)
		count := int(h.count[n])
		if code-first < count {
			return h.symbol[index+code-first], nil
		}
		index += count
		first = (first + count) << 1
		code <<= 1
	}
	return 0, errDeflate
}
