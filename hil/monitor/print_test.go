package monitor

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"porthole/hil/backtrace"
)

func TestPrinter(t *testing.T) {
	start := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	at := start.Add(90*time.Second + 5*time.Millisecond)
	line := func(raw string) Item { l := newLine(at, []byte(raw), false); return Item{At: at, Line: &l} }
	for _, c := range []struct {
		name string
		p    Printer
		item Item
		want string
	}{
		{"plain", Printer{}, line("\x1b[0;32mI (29) boot: x\x1b[0m"), "I (29) boot: x\n"},
		{"wall", Printer{Stamp: WallStamp}, line("x"), "12:01:30.005 x\n"},
		{"mono", Printer{Stamp: MonoStamp}, line("x"), "   +90.005 x\n"},
		{"both", Printer{Stamp: BothStamp}, line("x"), "12:01:30.005    +90.005 x\n"},
		{"none", Printer{Stamp: NoStamp}, line("x"), "x\n"},
		{"colour by level", Printer{Color: true}, line("\x1b[0;32mE (29) boot: x\x1b[0m"[7:]), "\x1b[31mE (29) boot: x\x1b[0m\n"},
		{"no level, no colour", Printer{Color: true}, line("hello"), "hello\n"},
		{"escape in a coloured line", Printer{Color: true}, line("W (1) a: \x1b[2J"), "\x1b[33mW (1) a: \\x1b[2J\x1b[0m\n"},
		{"filter keeps", Printer{Filter: regexp.MustCompile("wifi")}, line("I (1) wifi: up"), "I (1) wifi: up\n"},
		{"filter drops", Printer{Filter: regexp.MustCompile("wifi")}, line("I (1) boot: up"), ""},
		{"inverse filter drops", Printer{Exclude: regexp.MustCompile("wifi")}, line("I (1) wifi: up"), ""},
		{"inverse filter keeps", Printer{Exclude: regexp.MustCompile("wifi")}, line("I (1) boot: up"), "I (1) boot: up\n"},
		{"filter and exclude", Printer{Filter: regexp.MustCompile("wifi"), Exclude: regexp.MustCompile("up")}, line("I (1) wifi: up"), ""},
		{"notes pass the filter", Printer{Filter: regexp.MustCompile("wifi")}, Item{At: at, Note: &Note{Op: Gone, Text: "the port is gone: \x1b"}}, "-- the port is gone: \\x1b\n"},
		{"highlight", Printer{Highlight: regexp.MustCompile("up")}, line("up and up"), "> up and up\n"},
		{"highlight, no match", Printer{Highlight: regexp.MustCompile("up")}, line("down"), "  down\n"},
		{"highlight in colour", Printer{Highlight: regexp.MustCompile("up"), Color: true}, line("I (1) a: up!"), "\x1b[32mI (1) a: \x1b[0m\x1b[7mup\x1b[0m\x1b[32m!\x1b[0m\n"},
		{"highlight of nothing", Printer{Highlight: regexp.MustCompile("x*"), Color: true}, line("ab"), "ab\n"},
		{"loop", Printer{}, Item{At: at, Loop: &Loop{Cause: PowerOn, Resets: 3, Within: 2 * time.Second, Reset: "POWERON_RESET"}},
			"-- reset loop: 3 starts in 2s, cause power (POWERON_RESET)\n--   power or the reset line comes and goes: check supply, cable and what else uses the port\n"},
		{"crash without a program", Printer{Stamp: MonoStamp}, Item{At: at, Crash: &Crash{Trace: backtrace.Trace{Reason: "abort", Core: 0, Calls: make([]backtrace.Location, 4)}}},
			"   +90.005 -- crash on core 0: abort\n   +90.005 --   4 addresses; give --elf for their names\n"},
	} {
		var out bytes.Buffer
		c.p.W, c.p.Start = &out, start
		if err := c.p.Print(c.item); err != nil {
			t.Fatal(err)
		}
		if out.String() != c.want {
			t.Errorf("%s: %q, want %q", c.name, out.String(), c.want)
		}
	}
	full := errors.New("pipe")
	p := Printer{W: writerFunc(func([]byte) (int, error) { return 0, full })}
	if err := p.Print(line("x")); !errors.Is(err, full) {
		t.Errorf("broken output: %v", err)
	}
}

func TestPrinterJSON(t *testing.T) {
	start := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	var out bytes.Buffer
	p := Printer{W: &out, Start: start, JSON: true, Stamp: WallStamp, Color: true}
	l := newLine(start, []byte("\x1b[0;33mW (1834) wifi: \xff late\x1b[0m"), true)
	for _, i := range []Item{
		{At: start.Add(time.Millisecond), Line: &l},
		{At: start, Note: &Note{Op: Lost, Lost: 12, Text: "12 bytes lost"}},
		{At: start, Note: &Note{Text: "hm"}},
		{At: start, Loop: &Loop{Cause: Panic, Resets: 3}},
		{At: start, Crash: &Crash{Trace: backtrace.Trace{Reason: "abort", Calls: []backtrace.Location{{Addr: 16, Region: backtrace.ROM}}, Mismatch: errors.New("another")}}},
	} {
		if err := p.Print(i); err != nil {
			t.Fatal(err)
		}
	}
	want := `{"time":"2026-05-01T12:00:00.001Z","mono":0.001,"kind":"line","text":"W (1834) wifi: \\xff late","level":"W","tag":"wifi","board_ms":1834,"cut":true}
{"time":"2026-05-01T12:00:00Z","mono":0,"kind":"lost","text":"12 bytes lost","lost":12}
{"time":"2026-05-01T12:00:00Z","mono":0,"kind":"note","text":"hm"}
{"time":"2026-05-01T12:00:00Z","mono":0,"kind":"loop","text":"reset loop: 3 starts in 0s, cause panic ()","cause":"panic","resets":3}
{"time":"2026-05-01T12:00:00Z","mono":0,"kind":"crash","text":"another","crash":{"reason":"abort","core":0,"calls":[{"addr":16,"region":"ROM"}],"checked":false}}
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
	for line := range strings.Lines(out.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
}
