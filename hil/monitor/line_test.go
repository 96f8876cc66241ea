package monitor

import (
	"slices"
	"strings"
	"testing"
	"time"

	"porthole/internal/console"
)

// split feeds pieces to a splitter and gives the texts of the lines, cut ones
// with a trailing …
func split(limit int, pieces ...string) []string {
	s := splitter{max: limit}
	var got []string
	for _, p := range pieces {
		for l := range s.lines(time.Time{}, []byte(p)) {
			got = append(got, mark(l))
		}
	}
	if l, ok := s.rest(); ok {
		got = append(got, mark(l))
	}
	return got
}

func mark(l Line) string {
	if l.Cut {
		return l.Text + "…"
	}
	return l.Text
}

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		name   string
		pieces []string
		want   []string
	}{
		{"nothing", []string{""}, nil},
		{"LF", []string{"a\nb\n"}, []string{"a", "b"}},
		{"CR LF", []string{"a\r\nb\r\n"}, []string{"a", "b"}},
		{"CR and LF apart", []string{"a\r", "\nb"}, []string{"a", "b…"}},
		{"CR CR LF, as from two translations", []string{"a\r\r\nb\n"}, []string{"a", "b"}},
		{"CR alone, as progress", []string{"10%\r20%\rdone\n"}, []string{"10%", "20%", "done"}},
		{"empty lines", []string{"\r\n\r\n\n"}, []string{"", "", ""}},
		{"LF CR, which nobody should send", []string{"a\n\rb\n"}, []string{"a", "", "b"}},
		{"unfinished", []string{"a\nprompt> "}, []string{"a", "prompt> …"}},
		{"just the limit", []string{"12345678\nx\n"}, []string{"12345678", "x"}},
		{"one above", []string{"123456789\nx\n"}, []string{"12345678…", "9", "x"}},
		{"twice the limit", []string{"1234567812345678\nx\n"}, []string{"12345678…", "12345678", "x"}},
		{"limit, end of line in another piece", []string{"12345678", "\r", "\n", "x\n"}, []string{"12345678", "x"}},
	} {
		if got := split(8, c.pieces...); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		// One byte at a time is the same.
		var bytewise []string
		for _, p := range c.pieces {
			bytewise = append(bytewise, strings.Split(p, "")...)
		}
		if got := split(8, bytewise...); !slices.Equal(got, c.want) {
			t.Errorf("%s, by bytes: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestSilenceInALine: a line that was shown half does not end in an empty one.
func TestSilenceInALine(t *testing.T) {
	s := splitter{max: 100}
	var got []string
	feed := func(text string) {
		for l := range s.lines(time.Time{}, []byte(text)) {
			got = append(got, mark(l))
		}
	}
	feed("prompt> ")
	if l, ok := s.rest(); ok {
		got = append(got, mark(l))
	}
	feed("\r\nnext\n")
	feed("\n")
	if want := []string{"prompt> …", "next", ""}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestPrintable(t *testing.T) {
	for _, c := range []struct{ name, raw, want string }{
		{"text", "plain text", "plain text"},
		{"UTF-8", "Grüße, 日本", "Grüße, 日本"},
		{"colours of a log line", "\x1b[0;32mI (29) boot: x\x1b[0m", "I (29) boot: x"},
		{"colour without a number", "\x1b[mx", "x"},
		{"clear screen", "\x1b[2Jx", `\x1b[2Jx`},
		{"window title", "\x1b]0;evil\a", `\x1b]0;evil\x07`},
		{"colour, not finished", "\x1b[0;32", `\x1b[0;32`},
		{"colour with an intermediate byte", "\x1b[?1m", `\x1b[?1m`},
		{"nested", "\x1b\x1b[0m[2J", `\x1b[2J`},
		{"tab", "a\tb", "a       b"},
		{"tab in column 8", "12345678\tb", "12345678        b"},
		{"noise", "\xff\xfe\x00\x80", `\xff\xfe\x00\x80`},
		{"C1 control as UTF-8", "\u009b2J", `\u009b2J`},
		{"right to left override", "a\u202eb", `a\u202eb`},
		{"line separator", "a\u2028b", `a\u2028b`},
		{"replacement character itself", "\ufffd", "\ufffd"},
		{"tag character", "\U000e0041", `\U000e0041`},
		{"delete", "\x7f", `\x7f`},
	} {
		if got := newLine(time.Time{}, []byte(c.raw), false).Text; got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestLevels(t *testing.T) {
	for _, c := range []struct {
		raw   string
		level console.Level
		tag   string
		board time.Duration
		timed bool
	}{
		{"I (29) boot: ESP-IDF v5.1", 'I', "boot", 29 * time.Millisecond, true},
		{"\x1b[0;33mW (1834) wifi: late\x1b[0m", 'W', "wifi", 1834 * time.Millisecond, true},
		{"E BOD: Brownout detector was triggered", 'E', "BOD", 0, false},
		{"[  8123][E][ssl_client.cpp:37] _handle_error(): x", 'E', "ssl_client.cpp", 8123 * time.Millisecond, true},
		{"I (312) porthole: camera on", 'I', "porthole", 312 * time.Millisecond, true},
		{"rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)", 0, "", 0, false},
		{"I am no log line", 0, "", 0, false},
	} {
		l := newLine(time.Time{}, []byte(c.raw), false)
		if l.Level != c.level || l.Tag != c.tag || l.Board != c.board || l.Timed != c.timed {
			t.Errorf("%q: level %q, tag %q, at %v %v", c.raw, l.Level, l.Tag, l.Board, l.Timed)
		}
	}
}

// FuzzLine: whatever bytes come, in whatever pieces, no line is longer than it
// may be, no byte of text is lost, and nothing reaches a terminal raw.
func FuzzLine(f *testing.F) {
	f.Add([]byte("I (29) boot: x\r\n\x1b[2J\xff\tend"), uint8(3))
	f.Fuzz(func(t *testing.T, data []byte, size uint8) {
		const limit = 16
		s := splitter{max: limit}
		var all []byte
		take := func(l Line) {
			if len(l.Raw) > limit {
				t.Errorf("line of %d bytes", len(l.Raw))
			}
			for _, r := range l.Text {
				if r < ' ' || r == 0x7F || r >= 0x80 && r < 0xA0 || r >= 0x202A && r <= 0x202E {
					t.Errorf("%q has %q", l.Text, r)
				}
			}
			all = append(all, l.Raw...)
		}
		for piece := range slices.Chunk(data, int(size)+1) {
			for l := range s.lines(time.Time{}, piece) {
				take(l)
			}
		}
		if l, ok := s.rest(); ok {
			take(l)
		}
		want := strings.NewReplacer("\r", "", "\n", "").Replace(string(data))
		if string(all) != want {
			t.Errorf("lines hold %q, want %q", all, want)
		}
	})
}
