package wire

import "fmt"

// Kind says why an upload body was refused, as far as a caller branches on it.
type Kind uint8

const (
	// NotMultipart: the content type is missing or not multipart/form-data.
	NotMultipart Kind = iota + 1
	// BadBoundary: no boundary parameter, or one that RFC 2046 does not allow.
	BadBoundary
	// Malformed: delimiters or part headers that no client should send.
	Malformed
	// NoField: the form ended without the wanted field.
	NoField
	// TwoFields: the wanted field came twice.
	TwoFields
	// TooLarge: a part with more bytes than ReadLimits.MaxFile.
	TooLarge
	// Cut: the body ended before the close-delimiter.
	Cut
	// TooManyParts: more than ReadLimits.MaxParts.
	TooManyParts
	// HeaderTooLong: more or longer part header lines than the limits.
	HeaderTooLong
)

// kindNames are the words of the error texts, indexed by Kind.
var kindNames = [...]string{
	NotMultipart:  "not a multipart form",
	BadBoundary:   "bad boundary",
	Malformed:     "malformed",
	NoField:       "field missing",
	TwoFields:     "field sent twice",
	TooLarge:      "file too large",
	Cut:           "cut",
	TooManyParts:  "too many parts",
	HeaderTooLong: "part header too long",
}

func (k Kind) String() string {
	if k == 0 || int(k) >= len(kindNames) {
		return fmt.Sprintf("Kind(%d)", uint8(k))
	}
	return kindNames[k]
}

// Error is what Reader reports about the body itself. Failures of the
// underlying reader other than its end are not of this type: they are wrapped,
// so that errors.Is and errors.AsType still find a deadline or a size limit.
type Error struct {
	Kind   Kind
	Detail string // outside bytes appear quoted only
	Err    error  // the cause, or nil; io.ErrUnexpectedEOF when Cut
}

func (e *Error) Error() string {
	return "read upload: " + e.Kind.String() + ": " + e.Detail
}

func (e *Error) Unwrap() error { return e.Err }

// fail makes an Error without a cause.
func fail(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Detail: fmt.Sprintf(format, args...)}
}
