package wire

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// ReplyType is the content type that the firmware asks for and notices have.
const ReplyType = "application/json"

// Reply is what the server says to a board that asked for JSON. Old sketches
// get the word Success instead and look at neither.
type Reply struct {
	// Sequence numbers the accepted frames of this camera.
	Sequence uint64 `json:"sequence"`
	// Waves is how many people waved since the last reply.
	Waves uint32 `json:"waves"`
	// IntervalMS is the time to the next frame, start to start, in
	// milliseconds; 0 leaves the board's own.
	IntervalMS uint32 `json:"interval_ms"`
}

// What Answer holds of a response, whatever is sent.
const (
	maxAnswerLine = 128      // of each header line; the rest is skipped
	maxAnswerHead = 8 << 10  // of all header lines; more is malformed
	maxAnswerBody = 512      // kept of the body
	maxAnswerWait = 64 << 10 // of body that is read to keep the connection
	maxRetryAfter = time.Hour
)

// Answer is the firmware's response reader, fed with bytes as they come. It
// understands what decides the next step and nothing else: status, length,
// whether the connection lives on, Retry-After, and a JSON Reply. The C++ core
// has the same reader, held against the same vectors.
//
// The zero value is ready for one response; memory is bounded whatever is fed.
type Answer struct {
	Status     int           // 0 until there is one
	Close      bool          // the connection must not be used again
	RetryAfter time.Duration // 0 where not given in seconds
	Malformed  bool          // not HTTP; Close is set too

	state  answerState
	first  string
	line   []byte
	head   int
	length int // of the body, -1 where not given
	got    int
	body   []byte
	coded  bool // the body has a transfer coding
}

type answerState uint8

const (
	answerStatusLine answerState = iota
	answerHeader
	answerBody
	answerDone
)

// Feed takes the next bytes and returns how many of them belong to this
// response. The rest was not asked for.
func (a *Answer) Feed(b []byte) (n int) {
	for n < len(b) && a.state != answerDone {
		if a.state == answerBody {
			take := min(a.length-a.got, len(b)-n)
			a.body = append(a.body, b[n:n+min(take, max(0, maxAnswerBody-len(a.body)))]...)
			a.got += take
			n += take
			if a.got == a.length {
				a.state = answerDone
			}
			continue
		}
		a.headerByte(b[n])
		n++
	}
	return n
}

// Done reports whether nothing more is to be read.
func (a *Answer) Done() bool { return a.state == answerDone }

func (a *Answer) headerByte(c byte) {
	if a.head++; a.head > maxAnswerHead {
		a.malformed()
		return
	}
	if c != '\n' {
		if len(a.line) < maxAnswerLine {
			a.line = append(a.line, c)
		}
		return
	}
	line := strings.TrimSuffix(string(a.line), "\r")
	a.line = a.line[:0]
	switch {
	case a.state == answerStatusLine:
		a.statusLine(line)
	case line == "":
		a.headerEnd()
	default:
		a.headerLine(line)
	}
}

func (a *Answer) malformed() {
	a.Status, a.Malformed, a.Close, a.state = 0, true, true, answerDone
}

func (a *Answer) statusLine(line string) {
	version, rest, _ := strings.Cut(line, " ")
	code, _, _ := strings.Cut(rest, " ")
	if (version != "HTTP/1.1" && version != "HTTP/1.0") || len(code) != 3 || !digits(code) || code[0] == '0' {
		a.malformed()
		return
	}
	a.Status, _ = strconv.Atoi(code)
	a.first = line
	a.Close = version == "HTTP/1.0"
	a.length, a.RetryAfter = -1, 0
	a.state = answerHeader
}

func (a *Answer) headerLine(line string) {
	name, value, _ := strings.Cut(line, ":")
	value = strings.Trim(value, " \t")
	switch strings.ToLower(name) {
	case "content-length":
		n, err := strconv.Atoi(value)
		if !digits(value) || len(value) > 9 || err != nil || a.length >= 0 && a.length != n {
			a.malformed()
			return
		}
		a.length = n
	case "transfer-encoding":
		a.Close = true // not worth a second parser; the body is left unread
		a.coded = true
	case "connection":
		if strings.EqualFold(value, "close") {
			a.Close = true
		}
	case "retry-after":
		if digits(value) && len(value) <= 9 {
			n, _ := strconv.Atoi(value)
			a.RetryAfter = min(time.Duration(n)*time.Second, maxRetryAfter)
		}
	}
}

// headerEnd decides whether a body is read.
func (a *Answer) headerEnd() {
	switch {
	case a.Status < 200: // 100 and 103 announce the real one
		a.Status, a.state = 0, answerStatusLine
	case a.Status == 204 || a.Status == 304:
		a.state = answerDone
	case a.coded || a.length < 0 || a.length > maxAnswerWait:
		a.Close, a.state = true, answerDone
	case a.length == 0:
		a.state = answerDone
	default:
		a.state = answerBody
	}
}

// StatusLine is the first line, at most 128 bytes of it, with everything but
// printable ASCII replaced by a question mark: safe on a terminal.
func (a *Answer) StatusLine() string {
	b := []byte(a.first)
	for i, c := range b {
		b[i] = printable(c)
	}
	return string(b)
}

// Reply returns the JSON of the body; false where there is none of that shape.
func (a *Answer) Reply() (Reply, bool) {
	var r Reply
	if len(a.body) == 0 || a.got > maxAnswerBody || a.body[0] != '{' || json.Unmarshal(a.body, &r) != nil {
		return Reply{}, false
	}
	return r, true
}

// digits reports decimal digits and at least one.
func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
