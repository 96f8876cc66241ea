package monitor

import (
	"bytes"
	"fmt"
	"iter"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"porthole/internal/console"
)

// Line is a line of the console.
type Line struct {
	At time.Time // when its first byte was read
	// Raw is what came, without the end of line.
	Raw []byte
	// Text is the same, safe for a terminal: without colours, with everything
	// else that is not text escaped.
	Text string
	// Cut says that the line was longer than the limit, or that the board fell
	// silent in it: the rest comes as the next line.
	Cut bool

	// What a log line says, if it is one.
	Level console.Level // 0 if it is none
	Tag   string        // or the file, in a line of the Arduino core
	Board time.Duration // since the board's start
	Timed bool          // Board is set
}

func newLine(at time.Time, raw []byte, cut bool) Line {
	l := Line{At: at, Raw: bytes.Clone(raw), Cut: cut}
	plain := withoutColors(raw)
	l.Text = printable(plain)
	if log, ok := console.ParseLog(string(plain)); ok {
		l.Level, l.Tag, l.Board, l.Timed = log.Level, printable([]byte(log.Tag)), log.At, !log.Untimed
	} else if core, ok := console.ParseCore(string(plain)); ok {
		l.Level, l.Tag, l.Board, l.Timed = core.Level, printable([]byte(core.File)), core.At, true
	}
	return l
}

// splitter makes lines of a stream. An end of line is LF, CR LF, any number of
// CRs before LF, or a CR alone, as progress bars have it.
type splitter struct {
	max  int
	at   time.Time // of the first byte of buf
	buf  []byte
	cr   bool // the last byte was a CR: an LF right behind it belongs to it
	tail bool // the line before was cut, this is its rest
}

// lines gives the lines that data completes.
func (s *splitter) lines(at time.Time, data []byte) iter.Seq[Line] {
	return func(yield func(Line) bool) {
		for len(data) > 0 {
			if s.cr {
				s.cr = false
				switch data[0] {
				case '\n':
					data = data[1:]
					continue
				case '\r':
					s.cr, data = true, data[1:]
					continue
				}
			}
			if len(s.buf) == 0 {
				s.at = at
			}
			n := bytes.IndexAny(data, "\r\n")
			take := n
			if n < 0 {
				take = len(data)
			}
			if take > s.max-len(s.buf) { // longer than a line may be
				take = s.max - len(s.buf)
				s.buf = append(s.buf, data[:take]...)
				data = data[take:]
				if !yield(s.take(true)) {
					return
				}
				continue
			}
			s.buf = append(s.buf, data[:take]...)
			data = data[take:]
			if n < 0 {
				return
			}
			s.cr = data[0] == '\r'
			data = data[1:]
			if len(s.buf) == 0 && s.tail {
				s.tail = false // the end of a line that was shown in full
				continue
			}
			if !yield(s.take(false)) {
				return
			}
		}
	}
}

// rest gives an unfinished line.
func (s *splitter) rest() (Line, bool) {
	if len(s.buf) == 0 {
		return Line{}, false
	}
	return s.take(true), true
}

// reset forgets what came before a gap. Nothing is unfinished.
func (s *splitter) reset() { s.cr, s.tail = false, false }

func (s *splitter) take(cut bool) Line {
	l := newLine(s.at, s.buf, cut)
	s.buf, s.tail = s.buf[:0], cut
	return l
}

// withoutColors removes the escape sequences that set colours. No other is taken
// for harmless.
func withoutColors(raw []byte) []byte {
	if bytes.IndexByte(raw, 0x1B) < 0 {
		return raw
	}
	out := make([]byte, 0, len(raw))
	for len(raw) > 0 {
		if n := colorLen(raw); n > 0 {
			raw = raw[n:]
			continue
		}
		out, raw = append(out, raw[0]), raw[1:]
	}
	return out
}

// colorLen is the length of the sequence ESC [ digits and semicolons m at the
// front, or 0.
func colorLen(b []byte) int {
	if len(b) < 3 || b[0] != 0x1B || b[1] != '[' {
		return 0
	}
	for i, c := range b[2:] {
		if c == 'm' {
			return i + 3
		}
		if c != ';' && (c < '0' || c > '9') {
			return 0
		}
	}
	return 0
}

// tabWidth is what terminals have.
const tabWidth = 8

// printable shows bytes as text that cannot steer a terminal: tabs as spaces,
// bytes that are no text as \xNN, characters without a picture as \uNNNN.
func printable(raw []byte) string {
	if plainText(raw) {
		return string(raw)
	}
	var b strings.Builder
	column := 0
	for len(raw) > 0 {
		r, n := utf8.DecodeRune(raw)
		piece := string(raw[:n])
		switch {
		case r == '\t':
			piece = strings.Repeat(" ", tabWidth-column%tabWidth)
		case r == utf8.RuneError && n == 1, r < 0x20, r == 0x7F:
			piece = fmt.Sprintf(`\x%02x`, raw[0])
		case r != ' ' && !unicode.IsGraphic(r):
			if piece = fmt.Sprintf(`\u%04x`, r); r > 0xFFFF {
				piece = fmt.Sprintf(`\U%08x`, r)
			}
		}
		b.WriteString(piece)
		column += utf8.RuneCountInString(piece)
		raw = raw[n:]
	}
	return b.String()
}

// plainText says that bytes need no change.
func plainText(raw []byte) bool {
	for _, c := range raw {
		if c < 0x20 || c > 0x7E {
			return false
		}
	}
	return true
}
