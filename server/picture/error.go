package picture

import "fmt"

// Kind says why a picture was refused, as far as a caller branches on it.
type Kind uint8

const (
	// Truncated: the picture's lower part is missing. Its entropy-coded data
	// ended before its last block, or somebody decoded such a picture before
	// and the rest is the grey that decoders put there (esp32-wire 4.7).
	Truncated Kind = iota + 1
	// Corrupt: the decoder found an error in the entropy-coded data.
	Corrupt
	// Size: not of the size that Config.Camera announces, or not of the size
	// that the frame's inspection reported.
	Size
	// Unsupported: a kind of JPEG that the decoder does not read, or one for
	// which masks cannot hold.
	Unsupported
)

// kindNames are the words of the error texts, indexed by Kind.
var kindNames = [...]string{
	Truncated:   "cut",
	Corrupt:     "corrupt",
	Size:        "wrong size",
	Unsupported: "unsupported",
}

func (k Kind) String() string {
	if k == 0 || int(k) >= len(kindNames) {
		return fmt.Sprintf("Kind(%d)", uint8(k))
	}
	return kindNames[k]
}

// Error is the only type of error about an uploaded picture. Detail holds
// numbers and fixed words, never bytes of the picture.
type Error struct {
	Kind   Kind
	Detail string
}

func (e *Error) Error() string { return "decode picture: " + e.Kind.String() + ": " + e.Detail }

// fail makes an Error.
func fail(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Detail: fmt.Sprintf(format, args...)}
}
