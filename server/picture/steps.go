package picture

import "porthole/internal/dct"

// Steps are the quantisation steps of a picture's luma, in natural order.
type Steps [64]uint16

// ReadSteps returns the steps that a JPEG was quantised with: the table that
// its frame header gives the first component. ok is false if it has none; a
// frame that [frame.Inspect] accepted has one. Only the header is read.
func ReadSteps(jpeg []byte) (_ Steps, ok bool) {
	var (
		tables  [4]Steps
		defined [4]bool
		luma    = -1
	)
	for b := jpeg[min(2, len(jpeg)):]; ; {
		for len(b) > 1 && b[0] == 0xFF && b[1] == 0xFF { // fill
			b = b[1:]
		}
		if len(b) < 4 || b[0] != 0xFF {
			return Steps{}, false
		}
		n := 2 + int(b[2])<<8 + int(b[3])
		if n < 4 || n > len(b) {
			return Steps{}, false
		}
		body := b[4:n]
		switch b[1] {
		case 0xC0, 0xC2: // SOF: precision, height, width, components, then id, sampling, table
			if len(body) < 9 {
				return Steps{}, false
			}
			luma = int(body[8])
		case 0xDB: // DQT: one or more of precision and number, then 64 steps
			for len(body) > 0 {
				id, wide := int(body[0]&15), int(body[0]>>4)&1
				if size := 1 + 64*(1+wide); id > 3 || size > len(body) {
					return Steps{}, false
				}
				for k, z := range dct.Zigzag {
					if wide == 1 {
						tables[id][z] = uint16(body[1+2*k])<<8 | uint16(body[2+2*k])
					} else {
						tables[id][z] = uint16(body[1+k])
					}
				}
				defined[id] = true
				body = body[1+64*(1+wide):]
			}
		case 0xDA: // SOS
			if luma < 0 || luma > 3 || !defined[luma] {
				return Steps{}, false
			}
			return tables[luma], true
		}
		b = b[n:]
	}
}
