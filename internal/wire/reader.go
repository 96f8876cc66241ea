package wire

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"mime"
	"strings"
)

// Default read limits. curl and browsers send two or three header lines per
// part, well under 1 kB each, and no preamble.
const (
	DefaultMaxFile        = 1_000_000
	DefaultMaxParts       = 8
	DefaultMaxHeaderLines = 8
	DefaultMaxHeaderLine  = 1024
	DefaultMaxPreamble    = 1024
)

// Bounds that no configuration raises.
const (
	maxBoundary    = 70  // RFC 2046 5.1.1
	maxContentType = 512 // bytes of the request's Content-Type
	readBuffer     = 4096
	maxEmptyReads  = 100 // in a row, before io.ErrNoProgress
)

// ReadLimits bounds a form. Fields that are not positive mean the defaults. Whatever the form
// claims, a Reader holds one buffer of 4 kB, or MaxHeaderLine if that is more.
type ReadLimits struct {
	MaxFile        int // bytes of one part
	MaxParts       int
	MaxHeaderLines int // per part
	MaxHeaderLine  int // bytes, line end and transport padding included
	MaxPreamble    int // bytes before the first delimiter
}

func (l ReadLimits) withDefaults() ReadLimits {
	l.MaxFile = cmp.Or(max(l.MaxFile, 0), DefaultMaxFile)
	l.MaxParts = cmp.Or(max(l.MaxParts, 0), DefaultMaxParts)
	l.MaxHeaderLines = cmp.Or(max(l.MaxHeaderLines, 0), DefaultMaxHeaderLines)
	l.MaxHeaderLine = cmp.Or(max(l.MaxHeaderLine, 0), DefaultMaxHeaderLine)
	l.MaxPreamble = cmp.Or(max(l.MaxPreamble, 0), DefaultMaxPreamble)
	return l
}

// Reader reads a multipart/form-data body part by part, streaming and bounded.
//
// It reads from its source only while what it has does not decide the next
// step, and never again once it has the two hyphens of the close-delimiter:
// a body that is shorter than its Content-Length (the sketch's defect) is
// answered at once instead of being waited for. What follows the
// close-delimiter is not looked at.
//
// It is stricter than RFC 2046 readers have to be: lines end in CRLF and
// nothing else, header lines are not folded, and content transfer encodings
// that would need decoding are refused. Errors are sticky.
type Reader struct {
	src    io.Reader
	limits ReadLimits
	delim  []byte // CRLF "--" boundary

	buf    []byte
	lo, hi int   // buf[lo:hi] is unread
	srcErr error // what the source ended with, told once the buffer is used up

	safe   int  // bytes from lo on known to be content
	start  bool // content begins here: a delimiter needs no CRLF of its own
	inBody bool // content is being read, its delimiter not met yet
	size   int  // content bytes of the current part, or of the preamble, so far

	parts int
	part  *Part
	err   error // sticky; io.EOF after the close-delimiter
}

// NewReader checks contentType and prepares to read; r is not read yet.
func NewReader(r io.Reader, contentType string, l ReadLimits) (*Reader, error) {
	boundary, err := formBoundary(contentType)
	if err != nil {
		return nil, err
	}
	l = l.withDefaults()
	return &Reader{
		src:    r,
		limits: l,
		delim:  []byte(crlf + "--" + boundary),
		buf:    make([]byte, max(readBuffer, l.MaxHeaderLine)),
	}, nil
}

// formBoundary takes the boundary out of a Content-Type.
func formBoundary(contentType string) (string, error) {
	if len(contentType) > maxContentType {
		return "", fail(NotMultipart, "content type of %d bytes, at most %d", len(contentType), maxContentType)
	}
	mediaType, params, err := mime.ParseMediaType(contentType)
	if mediaType == "" {
		// A parameter that breaks the whole value: name what was meant.
		mediaType, _, _ = strings.Cut(contentType, ";")
		mediaType = strings.ToLower(strings.TrimSpace(mediaType))
	}
	if mediaType != "multipart/form-data" {
		return "", fail(NotMultipart, "content type %q", contentType)
	}
	if err != nil {
		return "", &Error{Kind: BadBoundary, Detail: fmt.Sprintf("content type %q", contentType), Err: err}
	}
	b, ok := params["boundary"]
	if !ok || b == "" {
		return "", fail(BadBoundary, "no boundary in content type %q", contentType)
	}
	if len(b) > maxBoundary {
		return "", fail(BadBoundary, "boundary of %d characters, at most %d", len(b), maxBoundary)
	}
	for i := range len(b) {
		if !boundaryChar(b[i]) || b[i] == ' ' && i == len(b)-1 {
			return "", fail(BadBoundary, "character %q in boundary %q", b[i], b)
		}
	}
	return b, nil
}

// boundaryChar reports RFC 2046's bchars.
func boundaryChar(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' ||
		strings.IndexByte("'()+_,-./:=? ", c) >= 0
}

// stop makes err the answer to every further call.
func (r *Reader) stop(err error) error {
	r.err = err
	return err
}

// NextPart skips what is left of the current part and returns the next one. It
// returns io.EOF after the close-delimiter.
func (r *Reader) NextPart() (*Part, error) {
	if r.err != nil {
		return nil, r.err
	}
	if r.part == nil {
		if err := r.preamble(); err != nil {
			return nil, r.stop(err)
		}
	}
	for r.inBody {
		if _, err := r.content(len(r.buf)); err != nil {
			return nil, r.stop(err)
		}
	}
	closed, err := r.delimiter()
	if err != nil {
		return nil, r.stop(err)
	}
	if closed {
		return nil, r.stop(io.EOF)
	}
	if r.parts++; r.parts > r.limits.MaxParts {
		return nil, r.stop(fail(TooManyParts, "more than %d", r.limits.MaxParts))
	}
	p, err := r.header()
	if err != nil {
		return nil, r.stop(err)
	}
	r.part = p
	r.inBody, r.start, r.safe, r.size = true, true, 0, 0
	return p, nil
}

// fill reads from the source once, moving what is unread to the front first.
// Its callers never let the buffer be full.
func (r *Reader) fill() error {
	if r.srcErr == nil {
		if r.lo > 0 {
			r.hi = copy(r.buf, r.buf[r.lo:r.hi])
			r.lo = 0
		}
		for range maxEmptyReads {
			n, err := r.src.Read(r.buf[r.hi:])
			r.hi += n
			r.srcErr = err
			if n > 0 {
				return nil
			}
			if err != nil {
				break
			}
		}
		r.srcErr = cmp.Or(r.srcErr, io.ErrNoProgress)
	}
	if r.srcErr == io.EOF || errors.Is(r.srcErr, io.ErrUnexpectedEOF) {
		return &Error{Kind: Cut, Detail: "no close-delimiter before the end of the body", Err: io.ErrUnexpectedEOF}
	}
	return fmt.Errorf("read upload: %w", r.srcErr)
}

// content returns the next stretch of content, of 1 to most bytes, a view into
// the buffer that is valid until the next call. At the delimiter it returns nothing and clears
// inBody; the delimiter itself is then used up, except what follows the
// boundary.
func (r *Reader) content(most int) ([]byte, error) {
	for {
		if r.safe > 0 {
			return r.take(min(r.safe, most))
		}
		b := r.buf[r.lo:r.hi]
		if r.start {
			if done, err := r.firstDelimiter(b); done || err != nil {
				return nil, err
			}
			if r.start {
				continue // more bytes are needed, and were read
			}
		}
		i := bytes.Index(b, r.delim)
		switch {
		case i > 0:
			r.safe = i
		case i == 0:
			switch after(b[len(r.delim):]) {
			case isDelimiter:
				r.lo += len(r.delim)
				r.inBody = false
				return nil, nil
			case isContent:
				r.safe = len(r.delim)
			case undecided:
				if err := r.fill(); err != nil {
					return nil, err
				}
			}
		default:
			// All of it is content but the start of a delimiter at the end.
			r.safe = len(b)
			if j := bytes.LastIndexByte(b, '\r'); j >= 0 && bytes.HasPrefix(r.delim, b[j:]) {
				r.safe = j
			}
			if r.safe == 0 {
				if err := r.fill(); err != nil {
					return nil, err
				}
			}
		}
	}
}

// take hands out n safe bytes and counts them.
func (r *Reader) take(n int) ([]byte, error) {
	r.size += n
	switch {
	case r.part == nil && r.size > r.limits.MaxPreamble:
		return nil, fail(Malformed, "more than %d bytes before the first delimiter", r.limits.MaxPreamble)
	case r.part != nil && r.size > r.limits.MaxFile:
		return nil, fail(TooLarge, "more than %d bytes", r.limits.MaxFile)
	}
	b := r.buf[r.lo : r.lo+n]
	r.lo += n
	r.safe -= n
	return b, nil
}

// firstDelimiter looks for a delimiter whose CRLF is the end of what came
// before the content. It clears start once that is decided.
func (r *Reader) firstDelimiter(b []byte) (done bool, err error) {
	dash := r.delim[len(crlf):]
	if len(b) < len(dash) && bytes.HasPrefix(dash, b) {
		return false, r.fill()
	}
	if bytes.HasPrefix(b, dash) {
		switch after(b[len(dash):]) {
		case undecided:
			return false, r.fill()
		case isDelimiter:
			r.lo += len(dash)
			r.start, r.inBody = false, false
			return true, nil
		}
	}
	r.start = false
	return false, nil
}

// verdict on the bytes behind a boundary.
type verdict uint8

const (
	undecided verdict = iota
	isContent
	isDelimiter
)

// after judges by what follows the boundary. Two hyphens close the form, blanks
// and line ends make a delimiter line that has to be well formed, and anything
// else only began like the boundary.
func after(b []byte) verdict {
	switch {
	case len(b) == 0, len(b) == 1 && b[0] == '-':
		return undecided
	case b[0] == ' ', b[0] == '\t', b[0] == '\r', b[0] == '\n', b[0] == '-' && b[1] == '-':
		return isDelimiter
	}
	return isContent
}

// delimiter reads the rest of a delimiter line: two hyphens, or padding and
// CRLF.
func (r *Reader) delimiter() (closed bool, err error) {
	if r.buf[r.lo] == '-' {
		r.lo += 2
		return true, nil
	}
	line, err := r.line()
	if err != nil {
		return false, err
	}
	if len(bytes.Trim(line, " \t")) > 0 {
		return false, fail(Malformed, "%q behind a delimiter", line)
	}
	return false, nil
}

// line reads up to CRLF and returns what is before it, a view into the buffer
// that is valid until the next call. Control characters other than tabs are
// refused, so a line cannot end in anything else by accident.
func (r *Reader) line() ([]byte, error) {
	seen := 0
	for {
		b := r.buf[r.lo:r.hi]
		for seen < len(b) && (b[seen] >= ' ' && b[seen] != 0x7F || b[seen] == '\t') {
			seen++
		}
		if seen+len(crlf) > r.limits.MaxHeaderLine {
			return nil, fail(HeaderTooLong, "line of more than %d bytes", r.limits.MaxHeaderLine)
		}
		switch {
		case bytes.HasPrefix(b[seen:], []byte(crlf)):
			r.lo += seen + len(crlf)
			return b[:seen], nil
		case seen < len(b) && b[seen] != '\r', seen+1 < len(b):
			return nil, fail(Malformed, "character 0x%02X in a header or delimiter line", b[seen])
		}
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
}

// preamble skips what is before the first delimiter: whole lines, CRLF only.
// A reader that also takes lone line feeds would find parts there that this
// one does not.
func (r *Reader) preamble() error {
	r.inBody, r.start = true, true
	var last byte
	for r.inBody {
		b, err := r.content(len(r.buf))
		if err != nil {
			return err
		}
		for _, c := range b {
			if (last == '\r') != (c == '\n') {
				return fail(Malformed, "line end other than CRLF before the first delimiter")
			}
			last = c
		}
	}
	if last == '\r' {
		return fail(Malformed, "line end other than CRLF before the first delimiter")
	}
	return nil
}
