package flash

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"porthole/hil"
	"porthole/internal/esprom"
	"porthole/internal/slip"
)

// deaf is a port that says what it was given, in pieces of a size, and ends.
type deaf struct {
	rest []byte
	step int
}

var _ hil.Port = (*deaf)(nil)

func (d *deaf) Read(p []byte) (int, error) {
	if len(d.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), d.step)], d.rest)
	d.rest = d.rest[n:]
	return n, nil
}

func (d *deaf) Write(p []byte) (int, error)   { return len(p), nil }
func (*deaf) SetReadDeadline(time.Time) error { return nil }
func (*deaf) SetLines(bool, bool) error       { return nil }
func (*deaf) SetBaud(int) error               { return nil }
func (*deaf) Discard() error                  { return nil }
func (*deaf) Close() error                    { return nil }

// questions are what a flasher asks; each ends when the bytes do.
var questions = map[string]func(context.Context, *link) error{
	"sync":     func(ctx context.Context, l *link) error { _, err := l.sync(ctx); return err },
	"identify": func(ctx context.Context, l *link) error { _, err := l.identify(ctx); return err },
	"digest":   func(ctx context.Context, l *link) error { _, err := l.digest(ctx, 0, 4096); return err },
	"read":     func(ctx context.Context, l *link) error { return l.readSlow(ctx, 0, make([]byte, 64)) },
	"id":       func(ctx context.Context, l *link) error { _, err := l.flashID(ctx); return err },
	"clock":    func(ctx context.Context, l *link) error { _, _, err := l.clock(ctx); return err },
	"quiet":    func(ctx context.Context, l *link) error { return l.quiet(ctx, time.Millisecond, time.Second) },
}

// FuzzAnswers lets a board say anything: nothing panics, nothing is kept without
// bound, and what is no trouble is no error.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte(nil), uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, step uint8) {
		for name, ask := range questions {
			l := newLink(&deaf{data, int(step) + 1}, new(evidence))
			err := ask(t.Context(), l)
			if err != nil && !trouble(err) {
				t.Errorf("%s: %v is no trouble that can be healed", name, err)
			}
			if len(l.frames) > maxFrames || len(l.log.tail) > tailChunk || len(l.log.line) > maxLogLine {
				t.Errorf("%s keeps %d frames, %d bytes of log, a line of %d", name, len(l.frames), len(l.log.tail), len(l.log.line))
			}
			if len(l.log.text()) > maxLogTail {
				t.Errorf("%s: %d bytes of evidence", name, len(l.log.text()))
			}
			l.log.verdict(true)
		}
	})
}

// FuzzBanner: what parses is a banner that could be printed.
func FuzzBanner(f *testing.F) {
	f.Add([]byte("rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r"))
	f.Fuzz(func(t *testing.T, line []byte) {
		b, ok := ParseBanner(line)
		if !ok && b != (Banner{}) {
			t.Errorf("%q: %+v without ok", line, b)
		}
		if ok && !(bytes.Contains(line, []byte("rst:0x")) && bytes.Contains(line, []byte("boot:0x"))) {
			t.Errorf("%q is no banner", line)
		}
	})
}

func FuzzPlace(f *testing.F) {
	f.Add("0x10000")
	f.Fuzz(func(t *testing.T, text string) {
		off, label, err := ParsePlace(text)
		if err != nil {
			return
		}
		if off < 0 || off > 1<<32-1 || len(label) > maxLabel || label != "" && off != 0 || strings.Contains(label, "\x00") {
			t.Errorf("%q is 0x%x, %q", text, off, label)
		}
	})
}

func TestParseBanner(t *testing.T) {
	for _, tt := range []struct {
		line     string
		want     Banner
		ok       bool
		download bool
	}{
		{"rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r", Banner{1, 0x13}, true, false},
		{"rst:0x10 (RTCWDT_RTC_RESET),boot:0x3 (DOWNLOAD_BOOT(UART0/UART1/SDIO_REI_REO_V2))", Banner{0x10, 3}, true, true},
		{"\xff\xc0\x01rst:0xf (RTCWDT_BROWN_OUT_RESET),boot:0x33 (SPI_FAST_FLASH_BOOT)", Banner{0xF, 0x33}, true, false},
		{"rst:0x1 (POWERON_RESET),boot:0x1b (HSPI_FLASH_BOOT)", Banner{1, 0x1B}, true, false},
		{"rst:0x1 (POWERON_RESET),boot:0x", Banner{}, false, false},
		{"rst:0x (POWERON_RESET),boot:0x13 (", Banner{}, false, false},
		{"rst:0x123 (X),boot:0x13 (Y)", Banner{}, false, false},
		{"rst:0x1,boot:0x13 (Y)", Banner{}, false, false},
		{"first: 0x1", Banner{}, false, false},
		{"", Banner{}, false, false},
	} {
		b, ok := ParseBanner([]byte(tt.line))
		if ok != tt.ok || ok && (b != tt.want || b.Download() != tt.download) {
			t.Errorf("%q: %+v, %v", tt.line, b, ok)
		}
	}
}

// TestStaleAnswer checks what no trouble hides: an answer to an older question
// is not taken for one to this.
func TestStaleAnswer(t *testing.T) {
	reply := func(op esprom.Op, value uint32) []byte {
		return slip.Append(nil, esprom.Response{Op: op, Value: value, Data: make([]byte, 4)}.Append(nil))
	}
	// Eight words, one of them answered twice, SYNC, and eight words again.
	w1, w2 := esprom.MAC{1, 2, 3, 4, 5, 6}.Words()
	words := []uint32{0, w1, w2, 0xA200, 0x333, 0x01100000, 4, 0x96042000}
	pass := func(twice int) (b []byte) {
		for i, w := range words {
			b = append(b, reply(esprom.ReadRegOp, w)...)
			if i == twice {
				b = append(b, reply(esprom.ReadRegOp, w)...)
			}
		}
		return b
	}
	sync := bytes.Repeat(reply(esprom.SyncOp, 7), 8)
	if _, err := newLink(&deaf{slices.Concat(pass(-1), sync, pass(-1)), 1}, new(evidence)).identify(t.Context()); err != nil {
		t.Fatalf("without a stale answer: %v", err)
	}
	all := slices.Concat(pass(3), sync, pass(-1))
	// One byte per read, so that the second answer comes after the first was
	// taken.
	l := newLink(&deaf{all, 1}, new(evidence))
	if c, err := l.identify(t.Context()); err == nil {
		t.Errorf("identified %+v", c)
	}
}

// TestBannerEndsWait checks that a chip that restarts is noticed at once, also
// where its banner stands in a broken frame, and not where flash content says
// the same.
func TestBannerEndsWait(t *testing.T) {
	banner := "rst:0x10 (RTCWDT_RTC_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n"
	for _, tt := range []struct {
		name, bytes string
		ask         string
		reset       bool
	}{
		{"plain", banner, "digest", true},
		{"after a stray frame mark", "\xc0\x01" + banner, "digest", true},
		{"in what is read", "\xc0" + banner, "read", false},
		{"beside what is read", banner, "read", true},
	} {
		l := newLink(&deaf{[]byte(tt.bytes), 100}, new(evidence))
		err := questions[tt.ask](t.Context(), l)
		if err == nil || strings.Contains(err.Error(), errReset.Error()) != tt.reset {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
