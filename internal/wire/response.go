package wire

import (
	"strconv"
	"strings"
)

// What SketchResponse keeps of a response. The sketch keeps all of it in heap
// strings; a simulated board must not.
const (
	maxStatusLine = 128
	maxSketchBody = 1024
)

// SketchResponse is the sketch's response reader, fed byte by byte
// (esp32-wire 1.5). A carriage return does not count towards a line. A line
// feed on an empty line switches the body on and is its first byte; the sketch
// leaves its loop at the end of the poll in which that happened, so the body is
// often that one byte. It never looks at the status: StatusLine and Status are
// for our own console and no part of the sketch.
//
// The zero value is ready. Memory is bounded whatever is fed.
type SketchResponse struct {
	lineUsed   bool // the current line holds something beside carriage returns
	inBody     bool
	statusDone bool
	status     []byte
	body       []byte
	bodyLen    int
}

// Feed takes the next byte and reports whether the sketch would stop waiting
// now. Bytes that arrived in the same poll may still be fed.
func (s *SketchResponse) Feed(b byte) (done bool) {
	switch {
	case b == '\n':
		if !s.lineUsed {
			s.inBody = true
		}
		s.lineUsed = false
		s.statusDone = true
	case b != '\r':
		s.lineUsed = true
		if !s.statusDone && len(s.status) < maxStatusLine {
			s.status = append(s.status, printable(b))
		}
	}
	if s.inBody {
		s.bodyLen++
		if len(s.body) < maxSketchBody {
			s.body = append(s.body, b)
		}
	}
	return s.inBody
}

// Done reports whether the empty line was seen.
func (s *SketchResponse) Done() bool { return s.inBody }

// StatusLine is the first line, at most 128 bytes of it, with everything but
// printable ASCII replaced by a question mark: safe on a terminal.
func (s *SketchResponse) StatusLine() string { return string(s.status) }

// Status is the code in the status line, 0 when there is none.
func (s *SketchResponse) Status() int {
	version, rest, _ := strings.Cut(string(s.status), " ")
	code, _, _ := strings.Cut(rest, " ")
	if !strings.HasPrefix(version, "HTTP/") || len(code) != 3 {
		return 0
	}
	n, err := strconv.ParseUint(code, 10, 16)
	if err != nil || n < 100 {
		return 0
	}
	return int(n)
}

// Body is what the sketch collected, at most 1024 bytes of it, raw: the line
// feed of the empty line, carriage returns and chunk framing included. It is
// nil when the wait ended in silence, which is how the sketch tells a timeout.
func (s *SketchResponse) Body() []byte { return s.body }

// BodyLen counts the bytes that the sketch collected, kept or not.
func (s *SketchResponse) BodyLen() int { return s.bodyLen }

// printable replaces what a terminal could take for a command.
func printable(b byte) byte {
	if b < ' ' || b > '~' {
		return '?'
	}
	return b
}
