package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"porthole/hil"
	"porthole/hil/flash"
	"porthole/internal/cli"
)

// flasherFlags are what the commands share that work through the chip's loader.
type flasherFlags struct {
	Baud    int  `default:"921600" placeholder:"RATE" help:"Highest rate to try; lower ones follow when the line is bad (default: ${default})."`
	JSON    bool `name:"json" help:"Print JSON, one object a line, instead of text and a progress bar."`
	Verbose bool `short:"v" help:"Tell every trouble on the line and how it was healed."`
}

// flasher gives a flasher on a port, and what shows its progress.
func (c *flasherFlags) flasher(port string, std cli.IO) (*flash.Flasher, *display, error) {
	d := &display{out: std.Out, err: std.Err, json: c.JSON, bar: !c.JSON && isTerminal(std.Err)}
	cfg := flash.Config{
		Open: func(ctx context.Context) (hil.Port, error) { return openPort(ctx, port) },
		Baud: c.Baud, Progress: d.progress,
	}
	if c.Verbose {
		cfg.Log = slog.New(slog.NewTextHandler(std.Err, &slog.HandlerOptions{Level: slog.LevelDebug}))
		d.bar = false
	}
	f, err := flash.New(cfg)
	if err != nil {
		return nil, nil, cli.Usage(fmt.Errorf("--baud %d: want 115200 to 3000000", c.Baud))
	}
	return f, d, nil
}

// isTerminal says whether w is something on which a line can be overwritten.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// display shows how far a flasher is: as a bar on a terminal, as JSON lines, or
// as one line per phase.
type display struct {
	out, err io.Writer
	json     bool
	bar      bool
	phase    flash.Phase
	file     string
	last     time.Time
	shown    bool // a bar is on the current line
}

// Intervals between two updates: a bar moves, a log file stays short.
const (
	barEvery  = 100 * time.Millisecond
	lineEvery = 500 * time.Millisecond
)

func (d *display) progress(p flash.Progress) {
	every := lineEvery
	if d.bar {
		every = barEvery
	}
	fresh := p.Phase != d.phase || p.File != d.file || p.Note != "" || p.Total > 0 && p.Done == p.Total
	if !fresh && time.Since(d.last) < every {
		return
	}
	switch {
	case d.json:
		d.line(progressLine{"progress", p.Phase, p.File, p.Done, p.Total, int64(p.Rate), p.ETA.Milliseconds(), p.Note})
	case p.Note != "":
		d.clear()
		fmt.Fprintf(d.err, "note        %s\n", cli.Printable(p.Note))
	case d.bar:
		fmt.Fprintf(d.err, "\r\x1b[K%s", barText(p))
		d.shown = true
	case p.Phase != d.phase:
		fmt.Fprintf(d.err, "%s …\n", phaseText[p.Phase])
	}
	d.phase, d.file, d.last = p.Phase, p.File, time.Now()
}

// progressLine is a line of --json while work goes on.
type progressLine struct {
	Event string      `json:"event"`
	Phase flash.Phase `json:"phase"`
	File  string      `json:"file,omitempty"`
	Done  int64       `json:"done"`
	Total int64       `json:"total"`
	Rate  int64       `json:"bytes_per_second,omitempty"`
	ETA   int64       `json:"eta_ms,omitempty"`
	Note  string      `json:"note,omitempty"`
}

var phaseText = map[flash.Phase]string{
	flash.Connecting: "connecting", flash.Comparing: "comparing", flash.Writing: "writing", flash.Verifying: "verifying",
	flash.Erasing: "erasing", flash.Reading: "reading", flash.Restarting: "restarting",
}

// barWidth is in characters: a line fits into 80 columns.
const barWidth = 24

func barText(p flash.Progress) string {
	if p.Total <= 0 {
		return phaseText[p.Phase] + " …"
	}
	full := int(barWidth * p.Done / p.Total)
	text := fmt.Sprintf("%-10s [%s%s] %3d %%", phaseText[p.Phase], strings.Repeat("=", full), strings.Repeat(" ", barWidth-full), 100*p.Done/p.Total)
	if p.Rate > 0 {
		text += fmt.Sprintf("  %.0f kB/s", p.Rate/1000)
	}
	if p.ETA > 0 {
		text += fmt.Sprintf("  %v left", p.ETA.Round(time.Second))
	}
	return text
}

// clear takes the bar away.
func (d *display) clear() {
	if d.shown {
		fmt.Fprint(d.err, "\r\x1b[K")
		d.shown = false
	}
}

// line prints one object of --json.
func (d *display) line(v any) {
	b, err := json.Marshal(v)
	if err != nil {
		fmt.Fprintf(d.err, "error: %v\n", err)
		return
	}
	fmt.Fprintf(d.out, "%s\n", b)
}

// evidenceLines is how much of what the chip printed is shown with a failure.
const evidenceLines = 6

// failed turns an error of the flasher into one for people: with the hint, and
// with the end of what the chip printed.
func (d *display) failed(err error) error {
	d.clear()
	if err == nil {
		return nil
	}
	hint := flash.HintOf(err)
	if d.json {
		line := failureLine{Event: "failed", Error: err.Error(), Hint: hint}
		if e, ok := errors.AsType[*flash.Error](cause(err)); ok {
			line.Verdict = e.Verdict.String()
		}
		d.line(line)
	}
	if e, ok := errors.AsType[*flash.Error](cause(err)); ok && !d.json {
		lines := strings.FieldsFunc(e.Log, func(r rune) bool { return r == '\n' || r == '\r' })
		if len(lines) > 0 {
			fmt.Fprintln(d.err, "the chip printed at last:")
		}
		for _, line := range lines[max(0, len(lines)-evidenceLines):] {
			fmt.Fprintf(d.err, "  | %s\n", cli.Printable(line))
		}
	}
	if hint != "" {
		return cli.Hint(err, hint)
	}
	return err
}

// cause looks through an interruption: what went wrong is told even where the
// work ended because of it.
func cause(err error) error {
	if e, ok := errors.AsType[*flash.InterruptedError](err); ok {
		return e.Cause
	}
	return err
}

// failureLine is the last line of --json when the work failed.
type failureLine struct {
	Event   string `json:"event"`
	Error   string `json:"error"`
	Verdict string `json:"verdict,omitempty"`
	Hint    string `json:"hint,omitempty"`
}

// reportLine is the last line of --json when the flash is as wanted.
type reportLine struct {
	Event    string          `json:"event"`
	Chip     string          `json:"chip"`
	MAC      string          `json:"mac"`
	Baud     int             `json:"baud"`
	Size     int64           `json:"size"`
	Written  int64           `json:"written"`
	Troubles int             `json:"troubles_healed"`
	Stray    bool            `json:"stray_write_possible,omitempty"`
	Millis   int64           `json:"ms"`
	Boot     flash.BootState `json:"boot"`
}

// report prints what was done.
func (d *display) report(did string, r flash.Report) {
	d.clear()
	if d.json {
		d.line(reportLine{"done", r.Chip.Name(), r.Chip.MAC.String(), r.Baud, r.Size, r.Written, r.Troubles, r.Stray, r.Took.Milliseconds(), r.Boot.State})
		return
	}
	fmt.Fprintf(d.out, "chip        %v\n", r.Chip)
	if r.Written == 0 {
		fmt.Fprintf(d.out, "unchanged   the flash was so already (%.1f s at %d baud)\n", r.Took.Seconds(), r.Baud)
	} else {
		fmt.Fprintf(d.out, "%-11s %d of %d bytes in %.1f s at %d baud, compared with the chip's own digest\n", did, r.Written, r.Size, r.Took.Seconds(), r.Baud)
	}
	if r.Troubles > 0 {
		fmt.Fprintf(d.out, "healed      %d troubles on the line\n", r.Troubles)
	}
	if r.Stray {
		fmt.Fprintln(d.out, "caution     a write did not arrive at first: it may have gone to a place outside of these files")
	}
	fmt.Fprintf(d.out, "started     %s\n", bootText[r.Boot.State])
}

var bootText = map[flash.BootState]string{
	flash.BootConfirmed: "yes, the chip boots from flash",
	flash.BootSilent:    "probably: the chip printed nothing (GPIO15 low silences it)",
	flash.BootNoLines:   "by command: the port has no reset lines; press EN if the board does nothing",
}
