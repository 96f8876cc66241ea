package delta

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Version of the format that this package speaks.
const Version = 1

// Kinds of frames.
const (
	kindDelta = 0
	kindKey   = 1
)

// Lengths of the headers, see docs/delta-format.md.
const (
	deltaHeader = 12
	keyHeader   = 15
)

// MaxFrame bounds a frame in bytes: no picture of legal size needs more, and
// whoever receives one may refuse more.
const MaxFrame = 1 << 20

// Errors of a frame that cannot be decoded. The decoder's picture stays what it
// was; a key repairs all of them.
var (
	ErrVersion = errors.New("decode frame: another version of the format")
	ErrFormat  = errors.New("decode frame: malformed")
	ErrBase    = errors.New("decode frame: made for another picture")
	ErrSum     = errors.New("decode frame: wrong checksum of the picture")
)

// Header is what every frame begins with.
type Header struct {
	// Key frames stand for themselves; all others change the picture Base.
	Key bool
	// Seq numbers pictures, modulo 2^32.
	Seq, Base uint32
	// Sum is the CRC-32 (IEEE) of the picture's pixels after this frame.
	Sum uint32
	// Coarse and Fine are the quantiser's base steps.
	Coarse, Fine uint8
	// Width and Height in pixels, of a key.
	Width, Height int
}

// append writes the header.
func (h *Header) append(b []byte) []byte {
	kind := byte(kindDelta)
	if h.Key {
		kind = kindKey
	}
	b = append(b, Version<<4|kind)
	b = binary.BigEndian.AppendUint32(b, h.Seq)
	if h.Key {
		b = binary.BigEndian.AppendUint16(b, uint16(h.Width))
		b = binary.BigEndian.AppendUint16(b, uint16(h.Height))
	} else {
		b = append(b, byte(h.Seq-h.Base))
	}
	b = binary.BigEndian.AppendUint32(b, h.Sum)
	return append(b, h.Coarse, h.Fine)
}

// ReadHeader returns the header of a frame and its body, which is a part of
// frame.
func ReadHeader(frame []byte) (h Header, body []byte, err error) {
	if len(frame) == 0 {
		return h, nil, ErrFormat
	}
	if frame[0]>>4 != Version {
		return h, nil, ErrVersion
	}
	n := deltaHeader
	switch frame[0] & 15 {
	case kindDelta:
	case kindKey:
		h.Key, n = true, keyHeader
	default:
		return h, nil, ErrFormat
	}
	if len(frame) < n || len(frame) > MaxFrame {
		return h, nil, ErrFormat
	}
	h.Seq = binary.BigEndian.Uint32(frame[1:])
	if h.Key {
		h.Base = h.Seq
		h.Width, h.Height = int(binary.BigEndian.Uint16(frame[5:])), int(binary.BigEndian.Uint16(frame[7:]))
		if checkSize(h.Width, h.Height) != nil {
			return h, nil, ErrFormat
		}
	} else {
		h.Base = h.Seq - uint32(frame[5])
	}
	h.Sum = binary.BigEndian.Uint32(frame[n-6:])
	h.Coarse, h.Fine = frame[n-2], frame[n-1]
	if h.Coarse == 0 || h.Fine == 0 {
		return h, nil, ErrFormat
	}
	return h, frame[n:], nil
}

func checkSize(w, h int) error {
	if w < 1 || h < 1 || w > MaxSide || h > MaxSide || w*h > MaxPixels {
		return fmt.Errorf("encode picture: %d x %d pixels, at most %d on a side and %d in all", w, h, MaxSide, MaxPixels)
	}
	return nil
}
