package delta

import "bytes"

// prob is the adaptive probability that a binary decision is 0, as the mean of
// a quick and a slow estimate in 1/65536. Neither reaches 0 or 1.
type prob struct{ quick, slow uint16 }

const (
	quickShift = 4
	slowShift  = 7
	rangeTop   = 1 << 24
)

func (p *prob) mean() uint32 { return (uint32(p.quick) + uint32(p.slow)) >> 1 }

func (p *prob) adapt(bit int) {
	if bit == 0 {
		p.quick += uint16((1<<16 - uint32(p.quick)) >> quickShift)
		p.slow += uint16((1<<16 - uint32(p.slow)) >> slowShift)
	} else {
		p.quick -= p.quick >> quickShift
		p.slow -= p.slow >> slowShift
	}
}

// rangeEncoder is a binary range coder that carries by counting bytes of 0xff,
// as that of LZMA does. It is ready after reset.
type rangeEncoder struct {
	low     uint64
	size    uint32
	held    byte // the last byte that may still carry …
	pending int  // … and how many of 0xff are behind it
	started bool // the first byte held is always 0 and not written
	out     []byte
}

// reset makes the encoder append to out.
func (e *rangeEncoder) reset(out []byte) { *e = rangeEncoder{size: 1<<32 - 1, out: out} }

func (e *rangeEncoder) shift() {
	if uint32(e.low) < 0xff000000 || e.low>>32 != 0 {
		carry := byte(e.low >> 32)
		if e.started {
			e.out = append(e.out, e.held+carry)
		}
		e.started = true
		for ; e.pending > 0; e.pending-- {
			e.out = append(e.out, 0xff+carry)
		}
		e.held = byte(e.low >> 24)
	} else {
		e.pending++
	}
	e.low = e.low & 0x00ffffff << 8
}

func (e *rangeEncoder) bit(p *prob, bit int) {
	bound := e.size >> 16 * p.mean()
	if bit == 0 {
		e.size = bound
	} else {
		e.low += uint64(bound)
		e.size -= bound
	}
	p.adapt(bit)
	for e.size < rangeTop {
		e.size <<= 8
		e.shift()
	}
}

// raw writes a bit that is 0 or 1 with equal probability.
func (e *rangeEncoder) raw(bit int) {
	e.size >>= 1
	if bit != 0 {
		e.low += uint64(e.size)
	}
	for e.size < rangeTop {
		e.size <<= 8
		e.shift()
	}
}

// finish returns everything written. Zeros at the end are left out: the decoder
// reads zeros behind the end.
func (e *rangeEncoder) finish() []byte {
	for range 5 {
		e.shift()
	}
	return bytes.TrimRight(e.out, "\x00")
}

// rangeDecoder is the other end. It never fails: any bytes are some decisions.
type rangeDecoder struct {
	size, code uint32
	in         []byte
}

func newRangeDecoder(in []byte) *rangeDecoder {
	d := &rangeDecoder{size: 1<<32 - 1, in: in}
	for range 4 {
		d.code = d.code<<8 | uint32(d.next())
	}
	return d
}

func (d *rangeDecoder) next() byte {
	if len(d.in) == 0 {
		return 0
	}
	b := d.in[0]
	d.in = d.in[1:]
	return b
}

func (d *rangeDecoder) normalise() {
	for d.size < rangeTop {
		d.size <<= 8
		d.code = d.code<<8 | uint32(d.next())
	}
}

func (d *rangeDecoder) bit(p *prob) int {
	bound := d.size >> 16 * p.mean()
	bit := 0
	if d.code < bound {
		d.size = bound
	} else {
		d.code -= bound
		d.size -= bound
		bit = 1
	}
	p.adapt(bit)
	d.normalise()
	return bit
}

func (d *rangeDecoder) raw() int {
	d.size >>= 1
	bit := 0
	if d.code >= d.size {
		d.code -= d.size
		bit = 1
	}
	d.normalise()
	return bit
}
