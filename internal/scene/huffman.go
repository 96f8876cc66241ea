package scene

import "math/bits"

// Huffman tables of ITU-T T.81 Annex K.3, as the DHT segment carries them: how
// many codes there are of each length 1..16, then the symbols in code order.
// The camera sends exactly these four, unoptimised (esp32-wire 4.3).
type huffSpec struct {
	counts  [16]byte
	symbols string
}

const (
	dcLuma = iota
	acLuma
	dcChroma
	acChroma
)

var huffSpecs = [4]huffSpec{
	dcLuma: {
		[16]byte{0, 1, 5, 1, 1, 1, 1, 1, 1},
		"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b",
	},
	acLuma: {
		[16]byte{0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125},
		"\x01\x02\x03\x00\x04\x11\x05\x12\x21\x31\x41\x06\x13\x51\x61\x07" +
			"\x22\x71\x14\x32\x81\x91\xa1\x08\x23\x42\xb1\xc1\x15\x52\xd1\xf0" +
			"\x24\x33\x62\x72\x82\x09\x0a\x16\x17\x18\x19\x1a\x25\x26\x27\x28" +
			"\x29\x2a\x34\x35\x36\x37\x38\x39\x3a\x43\x44\x45\x46\x47\x48\x49" +
			"\x4a\x53\x54\x55\x56\x57\x58\x59\x5a\x63\x64\x65\x66\x67\x68\x69" +
			"\x6a\x73\x74\x75\x76\x77\x78\x79\x7a\x83\x84\x85\x86\x87\x88\x89" +
			"\x8a\x92\x93\x94\x95\x96\x97\x98\x99\x9a\xa2\xa3\xa4\xa5\xa6\xa7" +
			"\xa8\xa9\xaa\xb2\xb3\xb4\xb5\xb6\xb7\xb8\xb9\xba\xc2\xc3\xc4\xc5" +
			"\xc6\xc7\xc8\xc9\xca\xd2\xd3\xd4\xd5\xd6\xd7\xd8\xd9\xda\xe1\xe2" +
			"\xe3\xe4\xe5\xe6\xe7\xe8\xe9\xea\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8" +
			"\xf9\xfa",
	},
	dcChroma: {
		[16]byte{0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1},
		"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b",
	},
	acChroma: {
		[16]byte{0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119},
		"\x00\x01\x02\x03\x11\x04\x05\x21\x31\x06\x12\x41\x51\x07\x61\x71" +
			"\x13\x22\x32\x81\x08\x14\x42\x91\xa1\xb1\xc1\x09\x23\x33\x52\xf0" +
			"\x15\x62\x72\xd1\x0a\x16\x24\x34\xe1\x25\xf1\x17\x18\x19\x1a\x26" +
			"\x27\x28\x29\x2a\x35\x36\x37\x38\x39\x3a\x43\x44\x45\x46\x47\x48" +
			"\x49\x4a\x53\x54\x55\x56\x57\x58\x59\x5a\x63\x64\x65\x66\x67\x68" +
			"\x69\x6a\x73\x74\x75\x76\x77\x78\x79\x7a\x82\x83\x84\x85\x86\x87" +
			"\x88\x89\x8a\x92\x93\x94\x95\x96\x97\x98\x99\x9a\xa2\xa3\xa4\xa5" +
			"\xa6\xa7\xa8\xa9\xaa\xb2\xb3\xb4\xb5\xb6\xb7\xb8\xb9\xba\xc2\xc3" +
			"\xc4\xc5\xc6\xc7\xc8\xc9\xca\xd2\xd3\xd4\xd5\xd6\xd7\xd8\xd9\xda" +
			"\xe2\xe3\xe4\xe5\xe6\xe7\xe8\xe9\xea\xf2\xf3\xf4\xf5\xf6\xf7\xf8" +
			"\xf9\xfa",
	},
}

// huffCode is one code: its bits, right-aligned, and how many they are. A
// length of zero means that the table has no code for the symbol.
type huffCode struct {
	bits uint16
	len  uint8
}

// huffTable maps a symbol to its code.
type huffTable [256]huffCode

// table assigns canonical codes: symbols of one length count upwards, and each
// step to the next length doubles.
func (s *huffSpec) table() *huffTable {
	var t huffTable
	code, k := uint16(0), 0
	for i, n := range s.counts {
		for range n {
			t[s.symbols[k]] = huffCode{code, uint8(i + 1)}
			code++
			k++
		}
		code <<= 1
	}
	return &t
}

// bitWriter packs codes into entropy-coded bytes, each FF followed by the
// stuffing 00. acc holds n bits, right-aligned; put leaves n below 32.
type bitWriter struct {
	out []byte
	acc uint64
	n   uint
}

// put appends the low count bits of v; count is at most 32.
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

// value writes the code of run and the size of v in one go, then the bits of v
// (negative ones in one's complement: T.81 F.1.2.1).
func (w *bitWriter) value(t *huffTable, run, v int32) {
	mag := v
	if v < 0 {
		mag = -v
		v--
	}
	size := uint(bits.Len32(uint32(mag)))
	c := t[uint32(run)<<4|uint32(size)]
	w.put(uint32(c.bits)<<size|uint32(v)&(1<<size-1), uint(c.len)+size)
}
