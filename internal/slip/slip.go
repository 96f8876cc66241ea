// Package slip frames the packets of the ESP32 serial loaders: RFC 1055 with a
// delimiter on both sides of every frame.
//
//	wire   C0  body, escaped                  C0
//	       ^   C0 in the body travels as DB DC  ^
//	       |   DB in the body travels as DB DD  |
//	     opens; bytes before it are not ours    closes
//
// What real lines do and this package tolerates (esp32-serial 1.1, 12):
//   - boot logs and noise before an opening C0: they are handed to Decoder.Outside
//     or dropped;
//   - C0 C0, an empty frame: skipped silently. This is also what resynchronises a
//     receiver that took a closing C0 for an opening one;
//   - frames back to back.
//
// What it does not: a byte other than DC or DD after DB, and a body above the
// limit. Both lose that one frame, reported as a *FrameError, and never the
// following one.
package slip

import "fmt"

// The four special bytes.
const (
	End    = 0xC0 // opens and closes a frame
	Esc    = 0xDB // escapes the next byte
	EscEnd = 0xDC // after Esc: a C0 of the body
	EscEsc = 0xDD // after Esc: a DB of the body
)

// MaxBody is the default limit of a body in bytes: the largest data block of the
// loaders (0x4000) with its headers. The stub loaders drop longer frames too.
const MaxBody = 0x4000 + 64

// Append appends body to dst as one frame and returns the extended slice.
// An empty body is the empty frame C0 C0.
func Append(dst, body []byte) []byte {
	dst = append(dst, End)
	for _, b := range body {
		switch b {
		case End:
			dst = append(dst, Esc, EscEnd)
		case Esc:
			dst = append(dst, Esc, EscEsc)
		default:
			dst = append(dst, b)
		}
	}
	return append(dst, End)
}

// Len returns the number of bytes Append adds for body: between len+2 and 2*len+2.
func Len(body []byte) int {
	n := len(body) + 2
	for _, b := range body {
		if b == End || b == Esc {
			n++
		}
	}
	return n
}

// A Problem says why a frame was dropped.
type Problem uint8

// The two ways in which a frame can be bad.
const (
	BadEscape Problem = iota + 1 // DB was followed by neither DC nor DD
	TooLong                      // the body exceeds the limit
)

func (p Problem) String() string {
	switch p {
	case BadEscape:
		return "bad escape"
	case TooLong:
		return "frame too long"
	}
	return fmt.Sprintf("problem %d", uint8(p))
}

// A FrameError reports one dropped frame. The stream goes on: the next frame
// decodes.
type FrameError struct {
	Problem Problem
	Byte    byte // BadEscape: the byte after DB
	Limit   int  // TooLong: the limit that was exceeded
}

func (e *FrameError) Error() string {
	if e.Problem == BadEscape {
		return fmt.Sprintf("decode frame: bad escape 0x%02x", e.Byte)
	}
	return fmt.Sprintf("decode frame: body above %d bytes", e.Limit)
}
