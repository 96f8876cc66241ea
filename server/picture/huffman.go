package picture

import (
	"cmp"
	"math/bits"
	"slices"
)

const (
	maxCodeLen = 16
	symbols    = 256
)

// code is one Huffman code: its bits, right-aligned, and how many they are. A
// length of zero means that the symbol does not occur.
type code struct {
	bits uint16
	len  uint8
}

// codeBook is an optimal Huffman code for given symbol counts.
type codeBook struct {
	counts  [maxCodeLen]uint8 // of codes of length 1..16, as DHT says
	symbols []uint8           // in order of their codes, as DHT says
	codes   [symbols]code
}

// build makes the code for how often each symbol occurs (ITU-T T.81 K.2). At
// least one must. The result depends on freq alone.
func (b *codeBook) build(freq *[symbols]uint32) {
	// A symbol of its own, the rarest, takes the code of all ones, which a JPEG
	// must not use (T.81 C).
	var (
		weight [symbols + 1]uint64 // of a tree; 0 once joined to another
		size   [symbols + 1]int    // code length so far
		next   [symbols + 1]int    // chains the symbols of a tree
		live   []int               // roots of trees
	)
	for i := range next {
		next[i] = -1
	}
	live = make([]int, 0, len(weight))
	for i, n := range freq {
		if n > 0 {
			weight[i] = uint64(n)
			live = append(live, i)
		}
	}
	weight[symbols] = 1
	live = append(live, symbols)
	for len(live) > 1 {
		// The two lightest trees; among equals the later symbol, so that the
		// reserved one ends up deepest.
		a := lightest(live, &weight)
		v1 := live[a]
		live = append(live[:a], live[a+1:]...)
		c := lightest(live, &weight)
		v2 := live[c]
		weight[v2] += weight[v1]
		// Join v1 to v2: everything in both gets one bit longer.
		end := v2
		for i := v2; i >= 0; i = next[i] {
			size[i]++
			end = i
		}
		next[end] = v1
		for i := v1; i >= 0; i = next[i] {
			size[i]++
		}
	}
	b.assign(freq, &size)
}

// lightest returns the index in live of the root with the least weight.
func lightest(live []int, weight *[symbols + 1]uint64) int {
	at := 0
	for i, v := range live {
		if weight[v] < weight[live[at]] || weight[v] == weight[live[at]] && v > live[at] {
			at = i
		}
	}
	return at
}

// assign bounds the lengths to 16 bits (T.81 figure K.3) and hands out codes in
// the canonical order.
func (b *codeBook) assign(freq *[symbols]uint32, size *[symbols + 1]int) {
	var count [symbols + 2]int // of codes of each length
	for i, n := range size {
		if n > 0 && (i == symbols || freq[i] > 0) {
			count[n]++
		}
	}
	for i := len(count) - 1; i > maxCodeLen; i-- {
		for count[i] > 0 {
			// Two codes of length i become one of i-1, and a shorter one makes
			// room for the other.
			j := i - 2
			for count[j] == 0 {
				j--
			}
			count[i] -= 2
			count[i-1]++
			count[j+1] += 2
			count[j]--
		}
	}
	// The reserved symbol is one of the longest.
	for i := maxCodeLen; i > 0; i-- {
		if count[i] > 0 {
			count[i]--
			break
		}
	}
	// Rarer symbols get longer codes. The order of the unbounded lengths is that
	// of the frequencies; among equals the bound may have made a difference.
	b.symbols = b.symbols[:0]
	for s, n := range freq {
		if n > 0 {
			b.symbols = append(b.symbols, uint8(s))
		}
	}
	slices.SortFunc(b.symbols, func(x, y uint8) int {
		return cmp.Or(cmp.Compare(freq[y], freq[x]), cmp.Compare(x, y))
	})
	b.codes = [symbols]code{}
	next, k := uint16(0), 0
	for n := 1; n <= maxCodeLen; n++ {
		b.counts[n-1] = uint8(count[n])
		for range count[n] {
			b.codes[b.symbols[k]] = code{next, uint8(n)}
			next++
			k++
		}
		next <<= 1
	}
}

// bitWriter packs codes into entropy-coded bytes, each FF followed by the
// stuffing 00. acc holds n bits, right-aligned; put leaves n below 32.
type bitWriter struct {
	out []byte
	acc uint64
	n   uint
}

// put appends the low count bits of v; count is at most 32, bits above are 0.
func (w *bitWriter) put(v uint32, count uint) {
	w.acc = w.acc<<count | uint64(v)
	w.n += count
	if w.n < 32 {
		return
	}
	w.n -= 32
	word := uint32(w.acc >> w.n)
	// A byte of FF in word is a zero byte in its complement.
	if c := ^word; (c-0x01010101)&^c&0x80808080 == 0 {
		w.out = append(w.out, byte(word>>24), byte(word>>16), byte(word>>8), byte(word))
		return
	}
	for shift := 24; shift >= 0; shift -= 8 {
		w.byte(byte(word >> shift))
	}
}

func (w *bitWriter) byte(b byte) {
	w.out = append(w.out, b)
	if b == 0xff {
		w.out = append(w.out, 0)
	}
}

// flush pads the last byte with ones, as T.81 F.1.2.3 wants.
func (w *bitWriter) flush() {
	for w.n >= 8 {
		w.n -= 8
		w.byte(byte(w.acc >> w.n))
	}
	if w.n > 0 {
		w.byte(byte(w.acc<<(8-w.n)) | byte(1<<(8-w.n)-1))
		w.n = 0
	}
}

// token is a symbol with the bits that follow its code: symbol<<16 | bits. The
// low four bits of the symbol say how many they are (T.81 F.1.2); for the DC
// symbols 0..11 too.
type token uint32

// valueToken is the token of v after run zeros. Negative values are in one's
// complement.
func valueToken(run int, v int32) token {
	mag, low := v, v
	if v < 0 {
		mag, low = -v, v-1
	}
	size := bits.Len32(uint32(mag))
	return token(run<<4|size)<<16 | token(uint32(low)&(1<<size-1))
}

// putToken writes the code of a token, then its bits.
func (w *bitWriter) putToken(t token, b *codeBook) {
	size := uint(t>>16) & 15
	c := b.codes[t>>16&0xff]
	w.put(uint32(c.bits)<<size|uint32(t&0xffff), uint(c.len)+size)
}
