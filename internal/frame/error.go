package frame

import "fmt"

// Kind says what is wrong with a frame, as far as a caller branches on it.
type Kind uint8

const (
	// NotJPEG: no SOI at the start.
	NotJPEG Kind = iota + 1
	// Cut: the frame starts well and ends too early: no EOI, a segment that
	// runs over the end, or a scan with fewer bits than blocks. This is what a
	// lost connection and the sketch's multiple-of-1024 defect produce
	// (esp32-wire 1.4).
	Cut
	// TooLarge: more bytes than Limits.MaxBytes.
	TooLarge
	// TooBig: wider or higher than the limits, whatever the byte size.
	TooBig
	// Progressive: a progressive frame where the limits ask for baseline.
	Progressive
	// Unsupported: a legal JPEG of a kind that is not accepted: arithmetic,
	// lossless, hierarchical or extended coding, 12 or 16 bits, CMYK.
	Unsupported
	// Malformed: a marker sequence that no encoder should write.
	Malformed
)

// kindNames are the words of the error texts, indexed by Kind.
var kindNames = [...]string{
	NotJPEG:     "not a jpeg",
	Cut:         "cut",
	TooLarge:    "too many bytes",
	TooBig:      "dimensions over the limit",
	Progressive: "progressive",
	Unsupported: "unsupported",
	Malformed:   "malformed",
}

func (k Kind) String() string {
	if k == 0 || int(k) >= len(kindNames) {
		return fmt.Sprintf("Kind(%d)", uint8(k))
	}
	return kindNames[k]
}

// Error is the only error type of this package. Detail holds numbers and fixed
// words, never bytes of the frame, so it is safe to log and to send back.
type Error struct {
	Kind   Kind
	Detail string
}

func (e *Error) Error() string {
	return "inspect jpeg: " + e.Kind.String() + ": " + e.Detail
}

// fail makes an Error.
func fail(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Detail: fmt.Sprintf(format, args...)}
}
