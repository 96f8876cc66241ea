package monitor

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"porthole/hil/backtrace"
	"porthole/internal/cli"
	"porthole/internal/console"
)

// Stamp says which time stands before a line.
type Stamp string

// The kinds of time stamp.
const (
	NoStamp   Stamp = "none"
	WallStamp Stamp = "wall" // of day, in the host's zone
	MonoStamp Stamp = "mono" // since the start, unmoved by clock corrections
	BothStamp Stamp = "both"
)

// Printer writes items for people, or for programs as JSON lines.
type Printer struct {
	W     io.Writer
	Start time.Time // what MonoStamp counts from
	Stamp Stamp
	Color bool
	JSON  bool
	// Filter keeps only lines that match, Exclude only those that do not. Crashes,
	// loops and notes are always shown. Nil keeps all.
	Filter, Exclude *regexp.Regexp
	// Highlight marks what matches: reversed in colour, else with "> " before the
	// line.
	Highlight *regexp.Regexp
}

// Print writes one item. It is an Emit of [Config].
func (p *Printer) Print(i Item) error {
	if i.Line != nil && !p.shows(i.Line.Text) {
		return nil
	}
	var out []byte
	if p.JSON {
		var err error
		if out, err = json.Marshal(p.object(i)); err != nil {
			return fmt.Errorf("print item: %w", err)
		}
		out = append(out, '\n')
	} else {
		out = []byte(p.text(i))
	}
	if _, err := p.W.Write(out); err != nil {
		return fmt.Errorf("print item: %w", err)
	}
	return nil
}

func (p *Printer) shows(line string) bool {
	return (p.Filter == nil || p.Filter.MatchString(line)) && (p.Exclude == nil || !p.Exclude.MatchString(line))
}

// object is an item for programs. Names stay; new ones may be added.
type object struct {
	Time   time.Time `json:"time"`
	Mono   float64   `json:"mono"` // seconds since the start
	Kind   string    `json:"kind"` // line, crash, loop, gone, back, lost or note
	Text   string    `json:"text,omitempty"`
	Level  string    `json:"level,omitempty"`
	Tag    string    `json:"tag,omitempty"`
	Board  *int64    `json:"board_ms,omitempty"` // since the board's start
	Cut    bool      `json:"cut,omitempty"`
	Lost   uint64    `json:"lost,omitempty"`
	Cause  Cause     `json:"cause,omitempty"`
	Resets int       `json:"resets,omitempty"`

	Crash *backtrace.Trace `json:"crash,omitempty"`
}

func (p *Printer) object(i Item) object {
	o := object{Time: i.At.Round(0), Mono: i.At.Sub(p.Start).Round(time.Microsecond).Seconds(), Kind: "note"}
	switch {
	case i.Line != nil:
		l := i.Line
		o.Kind, o.Text, o.Tag, o.Cut = "line", l.Text, l.Tag, l.Cut
		if l.Level != 0 {
			o.Level = string(rune(l.Level))
		}
		if l.Timed {
			o.Board = new(l.Board.Milliseconds())
		}
	case i.Crash != nil:
		o.Kind, o.Crash = "crash", &i.Crash.Trace
		if i.Crash.Mismatch != nil {
			o.Text = i.Crash.Mismatch.Error()
		}
	case i.Loop != nil:
		o.Kind, o.Text, o.Cause, o.Resets = "loop", i.Loop.String(), i.Loop.Cause, i.Loop.Resets
	case i.Note != nil:
		o.Kind, o.Text, o.Lost = cmp.Or(string(i.Note.Op), "note"), i.Note.Text, i.Note.Lost
	}
	return o
}

func (p *Printer) text(i Item) string {
	stamp := p.stamp(i.At)
	switch {
	case i.Line != nil:
		return stamp + p.line(i.Line) + "\n"
	case i.Crash != nil:
		return p.block(stamp, "31", crashText(i.Crash))
	case i.Loop != nil:
		return p.block(stamp, "31", i.Loop.String()+"\n  "+i.Loop.Advice()+"\n")
	}
	return p.block(stamp, "35", cli.Printable(i.Note.Text)+"\n")
}

func crashText(c *Crash) string {
	if c.Decoded || len(c.Calls) == 0 {
		return c.Trace.String()
	}
	reason, _, _ := strings.Cut(c.Trace.String(), "\n")
	return fmt.Sprintf("%s\n  %d addresses; give --elf for their names\n", reason, len(c.Calls))
}

// block prints the monitor's own lines, marked to be told from the board's, each
// with the stamp.
func (p *Printer) block(stamp, color, text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(stamp + p.paint(color, "-- "+strings.TrimRight(line, "\n")) + "\n")
	}
	return b.String()
}

func (p *Printer) stamp(at time.Time) string {
	wall := at.Format("15:04:05.000 ")
	mono := fmt.Sprintf("%+10.3f ", at.Sub(p.Start).Seconds())
	switch p.Stamp {
	case WallStamp:
		return wall
	case MonoStamp:
		return mono
	case BothStamp:
		return wall + mono
	}
	return ""
}

// colors are made anew from the level: what the board sends never reaches the
// terminal.
var colors = map[console.Level]string{console.Error: "31", console.Warning: "33", console.Info: "32", console.Debug: "2", console.Verbose: "2"}

func (p *Printer) line(l *Line) string {
	if p.Highlight == nil {
		return p.paint(colors[l.Level], l.Text)
	}
	found := p.Highlight.FindAllStringIndex(l.Text, -1)
	if !p.Color {
		if len(found) > 0 {
			return "> " + l.Text
		}
		return "  " + l.Text
	}
	var b strings.Builder
	at := 0
	for _, f := range found {
		b.WriteString(p.paint(colors[l.Level], l.Text[at:f[0]]))
		b.WriteString(p.paint("7", l.Text[f[0]:f[1]]))
		at = f[1]
	}
	b.WriteString(p.paint(colors[l.Level], l.Text[at:]))
	return b.String()
}

func (p *Printer) paint(color, text string) string {
	if !p.Color || color == "" || text == "" {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}
