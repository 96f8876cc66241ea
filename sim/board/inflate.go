package board

import (
	"encoding/binary"
	"errors"
	"hash"
	"hash/adler32"
)

// An inflater decompresses a zlib stream (RFC 1950, 1951) that arrives in pieces,
// giving out all that each piece allows: a loader has written every byte of a
// block when it acknowledges it. The standard library pulls its input and keeps up
// to 32 KB of output back, so it cannot stand in here.
//
// Memory is the 32 KB window, one piece of input and one of output, whatever the
// stream claims.
type inflater struct {
	in    []byte // not yet consumed
	bits  uint64
	nbits uint

	state  inflateState
	last   bool // the current block is the last one
	stored int  // bytes left of a stored block
	lit    huffman
	dist   huffman

	window [windowSize]byte
	total  uint64
	sum    hash.Hash32
	out    []byte
}

type inflateState uint8

const (
	inHeader inflateState = iota
	inBlock
	inStored
	inSymbols
	inTrailer
	inflated
	inflateFailed
)

const (
	windowSize = 32 << 10
	outChunk   = SectorSize // next stops at this many bytes, give or take one match
	maxMatch   = 258
)

// Failures of a stream. A stream that is only incomplete has none.
var (
	errDeflate = errors.New("broken deflate stream")
	errAdler   = errors.New("wrong Adler-32 checksum")
	errShort   = errors.New("need more input") // internal to inflater
)

func newInflater() *inflater {
	return &inflater{sum: adler32.New(), out: make([]byte, 0, outChunk+maxMatch)}
}

// feed adds input.
func (z *inflater) feed(p []byte) { z.in = append(append([]byte(nil), z.in...), p...) }

// done reports whether the stream is complete and its checksum right.
func (z *inflater) done() bool { return z.state == inflated }

// next returns the next piece of output, valid until the next call, or nothing
// when the input is used up or the stream is complete. Errors are final.
func (z *inflater) next() ([]byte, error) {
	if z.state == inflateFailed {
		return nil, errDeflate
	}
	z.out = z.out[:0]
	for len(z.out) < outChunk && z.state != inflated {
		bits, nbits, in := z.bits, z.nbits, z.in
		err := z.step()
		if errors.Is(err, errShort) {
			z.bits, z.nbits, z.in = bits, nbits, in // the step starts over with more
			break
		}
		if err != nil {
			z.state = inflateFailed
			return nil, err
		}
	}
	z.sum.Write(z.out)
	if z.state == inTrailer { // the checksum covers what was just given out
		if err := z.trailer(); err != nil && !errors.Is(err, errShort) {
			z.state = inflateFailed
			return nil, err
		}
	}
	return z.out, nil
}

// step does the next thing that needs its input at once.
func (z *inflater) step() error {
	switch z.state {
	case inHeader:
		h, err := z.take(16)
		if err != nil {
			return err
		}
		cmf, flg := h&0xFF, h>>8
		if (cmf<<8|flg)%31 != 0 || cmf&15 != 8 || cmf>>4 > 7 || flg&0x20 != 0 {
			return errDeflate
		}
		z.state = inBlock
	case inBlock:
		return z.block()
	case inStored:
		if z.stored == 0 {
			z.endBlock()
			return nil
		}
		c, err := z.take(8)
		if err != nil {
			return err
		}
		z.put(byte(c))
		z.stored--
	case inSymbols:
		return z.symbol()
	default: // inTrailer, with output pending: next must hash it first
		return errShort
	}
	return nil
}

func (z *inflater) endBlock() {
	z.state = inBlock
	if z.last {
		z.state = inTrailer
	}
}

func (z *inflater) trailer() error {
	bits, nbits, in := z.bits, z.nbits, z.in
	z.align()
	sum, err := z.take(32)
	if err != nil {
		z.bits, z.nbits, z.in = bits, nbits, in
		return err
	}
	var be [4]byte
	binary.LittleEndian.PutUint32(be[:], sum)
	if binary.BigEndian.Uint32(be[:]) != z.sum.Sum32() {
		return errAdler
	}
	z.state = inflated
	return nil
}

// take consumes n bits, at most 32.
func (z *inflater) take(n uint) (uint32, error) {
	for z.nbits < n {
		if len(z.in) == 0 {
			return 0, errShort
		}
		z.bits |= uint64(z.in[0]) << z.nbits
		z.in = z.in[1:]
		z.nbits += 8
	}
	v := uint32(z.bits & (1<<n - 1))
	z.bits >>= n
	z.nbits -= n
	return v, nil
}

// align drops the bits up to the next byte.
func (z *inflater) align() {
	drop := z.nbits % 8
	z.bits >>= drop
	z.nbits -= drop
}

func (z *inflater) put(c byte) {
	z.window[z.total%windowSize] = c
	z.total++
	z.out = append(z.out, c)
}

// block reads a block header with everything that belongs to it.
func (z *inflater) block() error {
	h, err := z.take(3)
	if err != nil {
		return err
	}
	switch h >> 1 {
	case 0:
		z.align()
		n, err := z.take(32)
		if err != nil {
			return err
		}
		if n&0xFFFF != ^n>>16 {
			return errDeflate
		}
		z.stored, z.state = int(n&0xFFFF), inStored
	case 1:
		var lengths [288 + 30]uint8
		for i := range lengths {
			switch {
			case i < 144:
				lengths[i] = 8
			case i < 256:
				lengths[i] = 9
			case i < 280:
				lengths[i] = 7
			case i < 288:
				lengths[i] = 8
			default:
				lengths[i] = 5
			}
		}
		z.lit.build(lengths[:288])
		z.dist.build(lengths[288:])
		z.state = inSymbols
	case 2:
		if err := z.dynamic(); err != nil {
			return err
		}
		z.state = inSymbols
	default:
		return errDeflate
	}
	z.last = h&1 != 0
	return nil
}

// codeOrder is the order in which the lengths of the code length code come.
var codeOrder = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// dynamic reads the two codes of a block.
func (z *inflater) dynamic() error {
	h, err := z.take(14)
	if err != nil {
		return err
	}
	nlit, ndist, ncode := int(h&31)+257, int(h>>5&31)+1, int(h>>10)+4
	if nlit > 286 || ndist > 30 {
		return errDeflate
	}
	var lengths [286 + 30]uint8
	for _, i := range codeOrder[:ncode] {
		n, err := z.take(3)
		if err != nil {
			return err
		}
		lengths[i] = uint8(n)
	}
	var code huffman
	if !code.build(lengths[:19]) {
		return errDeflate
	}
	clear(lengths[:19])
	for i := 0; i < nlit+ndist; {
		sym, err := z.decode(&code)
		if err != nil {
			return err
		}
		if sym < 16 {
			lengths[i] = uint8(sym)
			i++
			continue
		}
		var value uint8
		bits, base := uint(2), 3
		switch sym {
		case 16:
			if i == 0 {
				return errDeflate
			}
			value = lengths[i-1]
		case 17:
			bits = 3
		case 18:
			bits, base = 7, 11
		}
		n, err := z.take(bits)
		if err != nil {
			return err
		}
		end := i + base + int(n)
		if end > nlit+ndist {
			return errDeflate
		}
		for ; i < end; i++ {
			lengths[i] = value
		}
	}
	if lengths[256] == 0 || !z.lit.build(lengths[:nlit]) || !z.dist.build(lengths[nlit:nlit+ndist]) {
		return errDeflate
	}
	return nil
}

// Base values and extra bits of the length symbols from 257 and of the distances.
var (
	lengthBase = [29]uint16{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258}
	lengthBits = [29]uint8{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	distBase   = [30]uint16{1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577}
	distBits   = [30]uint8{0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13}
)

// symbol decodes one literal, match or end of block.
func (z *inflater) symbol() error {
	sym, err := z.decode(&z.lit)
	if err != nil {
		return err
	}
	if sym < 256 {
		z.put(byte(sym))
		return nil
	}
	if sym == 256 {
		z.endBlock()
		return nil
	}
	if sym -= 257; int(sym) >= len(lengthBase) {
		return errDeflate
	}
	extra, err := z.take(uint(lengthBits[sym]))
	if err != nil {
		return err
	}
	length := int(lengthBase[sym]) + int(extra)
	d, err := z.decode(&z.dist)
	if err != nil {
		return err
	}
	if int(d) >= len(distBase) {
		return errDeflate
	}
	if extra, err = z.take(uint(distBits[d])); err != nil {
		return err
	}
	distance := uint64(distBase[d]) + uint64(extra)
	if distance > z.total {
		return errDeflate
	}
	for range length {
		z.put(z.window[(z.total-distance)%windowSize])
	}
	return nil
}
