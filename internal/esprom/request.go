package esprom

import (
	"encoding/binary"
	"fmt"
)

// HeaderSize is the length of the fixed part of requests and responses in bytes.
const HeaderSize = 8

// Direction bytes.
const (
	dirRequest  = 0
	dirResponse = 1
)

// A Request is a command as it stands in a frame. Typed commands (Begin, Data, …)
// convert to and from it.
type Request struct {
	Op    Op
	Check uint32 // block checksum in the low byte; else 0
	Data  []byte
	// Size is the length field as received. The ROM ignores it; a stub refuses a
	// request where it differs from len(Data). Append ignores it.
	Size int
}

// Append appends the unframed request to dst.
func (r Request) Append(dst []byte) []byte {
	dst = append(dst, dirRequest, byte(r.Op))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(r.Data)))
	dst = binary.LittleEndian.AppendUint32(dst, r.Check)
	return append(dst, r.Data...)
}

// A HeaderError says why a frame is no request, or no response.
type HeaderError struct {
	Len       int  // length of the body in bytes
	Direction byte // its first byte, if there is one
}

func (e *HeaderError) Error() string {
	if e.Len < HeaderSize {
		return fmt.Sprintf("parse packet: %d bytes, need %d", e.Len, HeaderSize)
	}
	return fmt.Sprintf("parse packet: direction byte 0x%02x", e.Direction)
}

// ParseRequest splits a frame body. Data aliases body.
func ParseRequest(body []byte) (Request, error) {
	if err := checkHeader(body, dirRequest); err != nil {
		return Request{}, err
	}
	return Request{
		Op:    Op(body[1]),
		Size:  int(binary.LittleEndian.Uint16(body[2:])),
		Check: binary.LittleEndian.Uint32(body[4:]),
		Data:  body[HeaderSize:],
	}, nil
}

func checkHeader(body []byte, direction byte) error {
	if len(body) < HeaderSize {
		return &HeaderError{Len: len(body)}
	}
	if body[0] != direction {
		return &HeaderError{Len: len(body), Direction: body[0]}
	}
	return nil
}

// A LengthError says that the data of a command has the wrong length.
type LengthError struct {
	Op        Op
	Got, Want int // bytes; Want is the shortest that would do
}

func (e *LengthError) Error() string {
	return fmt.Sprintf("parse %v: %d data bytes, want %d", e.Op, e.Got, e.Want)
}

// words reads n little-endian words from the start of data.
func words(op Op, data []byte, n int) ([]uint32, error) {
	if len(data) < 4*n {
		return nil, &LengthError{Op: op, Got: len(data), Want: 4 * n}
	}
	w := make([]uint32, n)
	for i := range w {
		w[i] = binary.LittleEndian.Uint32(data[4*i:])
	}
	return w, nil
}

func appendWords(dst []byte, w ...uint32) []byte {
	for _, v := range w {
		dst = binary.LittleEndian.AppendUint32(dst, v)
	}
	return dst
}
