package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"porthole/hil"
	"porthole/hil/backtrace"
	"porthole/hil/monitor"
	"porthole/hil/serial"
	"porthole/internal/cli"
)

type monitorCmd struct {
	Port string `arg:"" placeholder:"PORT" help:"Serial port, see rig ports; or replay:FILE[?speed=2], ?speed=max."`
	ELF  string `name:"elf" placeholder:"FILE" help:"Name the functions and lines of crashes with the ELF file of the board's program."`
	Baud int    `default:"115200" placeholder:"RATE" help:"Speed of the console (default: ${default})."`

	Filter     string `placeholder:"REGEXP" help:"Show only lines that match."`
	Exclude    string `placeholder:"REGEXP" help:"Show only lines that do not match."`
	Highlight  string `placeholder:"REGEXP" help:"Mark what matches: in colour, or with > before the line."`
	Timestamps string `enum:"none,wall,mono,both" default:"wall" placeholder:"KIND" help:"Time before each line: none, wall, mono (since the start, whatever the clock does) or both (default: ${default})."`
	Color      string `enum:"auto,always,never" default:"auto" placeholder:"WHEN" help:"Colours by level: auto, always or never (default: ${default}). The board's own never reach the terminal."`
	JSON       bool   `name:"json" help:"One JSON object a line, for programs."`

	Record string `placeholder:"FILE" help:"Keep everything in a new file that replay:FILE plays again. Passwords and tokens are masked."`

	Until  string        `placeholder:"REGEXP" help:"End with success when a line matches."`
	Within time.Duration `placeholder:"TIME" help:"With --until: end with exit code 3 when none does for that long, such as 10s."`
	Once   bool          `help:"End when the port vanishes, instead of waiting for it."`
}

// Help implements kong's interface.
func (monitorCmd) Help() string {
	return `Only listens: no line is touched, so the board is not reset, and no terminal is needed. When the board is unplugged, the monitor waits until it is back, under whatever name. Flashers may take the port meanwhile: rig flash asks for it and gives it back.

Resets in a loop are reported with their cause. Lines that begin with -- are the monitor's own.

Exit codes: 0 done or interrupted, 1 failed, 2 wrong usage, 3 --until did not come.`
}

func (c *monitorCmd) Run(ctx context.Context, std cli.IO) (err error) {
	cfg, printer, err := c.config(std)
	if err != nil {
		return err
	}
	notes := make(chan monitor.Note, 16)
	cfg.Notes = notes
	open := func(ctx context.Context) (hil.Port, error) { return c.open(ctx, notes) }
	if cfg.Port, err = open(ctx); err != nil {
		return err
	}
	if !c.Once && !strings.HasPrefix(c.Port, "replay:") && !strings.HasPrefix(c.Port, "sim:") {
		cfg.Reopen = open
		cfg.Watch = monitor.DeviceDirs()
		if strings.HasPrefix(c.Port, "/") {
			cfg.Watch = append(cfg.Watch, filepath.Dir(c.Port))
		}
	}
	if c.Record != "" {
		finish, err := c.record(&cfg)
		if err != nil {
			return errors.Join(err, cfg.Port.Close())
		}
		defer func() { err = errors.Join(err, finish()) }()
	}
	printer.Start = time.Now()
	cfg.Emit = printer.Print
	_, err = monitor.Run(ctx, cfg)
	if _, ok := errors.AsType[*monitor.NotSeenError](err); ok {
		return cli.WithCode(cli.Hint(err, "rig monitor without --until and --filter shows what the board says instead"), cli.ExitObjective)
	}
	return err
}

// config checks the flags before anything is opened.
func (c *monitorCmd) config(std cli.IO) (monitor.Config, *monitor.Printer, error) {
	p := &monitor.Printer{
		W: std.Out, Stamp: monitor.Stamp(c.Timestamps), JSON: c.JSON,
		Color: c.Color == "always" || c.Color == "auto" && isTerminal(std.Out) && os.Getenv("NO_COLOR") == "",
	}
	cfg := monitor.Config{Within: c.Within}
	for _, f := range []struct {
		flag, text string
		re         **regexp.Regexp
	}{{"--filter", c.Filter, &p.Filter}, {"--exclude", c.Exclude, &p.Exclude}, {"--highlight", c.Highlight, &p.Highlight}, {"--until", c.Until, &cfg.Until}} {
		if f.text == "" {
			continue
		}
		re, err := regexp.Compile(f.text)
		if err != nil {
			return cfg, nil, cli.Usage(cli.Hint(fmt.Errorf("%s %q: %w", f.flag, f.text, err), `it is a regular expression: \. is a dot, .* anything`))
		}
		*f.re = re
	}
	if c.Within != 0 && (c.Until == "" || c.Within < 0) {
		return cfg, nil, cli.Usage(cli.Hint(fmt.Errorf("--within %v has nothing to bound", c.Within), "for example --until 'wifi joined' --within 10s"))
	}
	if c.Baud <= 0 {
		return cfg, nil, cli.Usage(cli.Hint(fmt.Errorf("--baud %d is no speed", c.Baud), baudHint))
	}
	if c.ELF != "" {
		program, err := backtrace.Open(c.ELF)
		if err != nil {
			return cfg, nil, cli.Hint(fmt.Errorf("--elf: %w", err), "the ELF file is what the linker writes, firmware.elf in the build folder; the .bin file has no names")
		}
		cfg.Program = program
	}
	return cfg, p, nil
}

const baudHint = "the console of a board runs at 115200 unless its program says otherwise"

// open opens the port so that flashers can have it for a while, which is noted.
func (c *monitorCmd) open(ctx context.Context, notes chan<- monitor.Note) (hil.Port, error) {
	port, err := openShared(ctx, c.Port, c.Baud, func(h serial.Handover) {
		n := monitor.Note{Text: "the port is lent to " + h.To}
		if h.Back {
			n.Text = "the port is ours again"
		}
		select {
		case notes <- n:
		default: // it is news, not data
		}
	})
	if _, refused := errors.AsType[*serial.BaudError](err); refused {
		return nil, cli.Hint(fmt.Errorf("--baud: %w", err), baudHint)
	}
	if err != nil {
		return nil, err
	}
	return port, nil
}

// record begins a recording in a new file. finish ends it.
func (c *monitorCmd) record(cfg *monitor.Config) (finish func() error, err error) {
	f, err := os.OpenFile(c.Record, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, cli.Hint(fmt.Errorf("--record: %w", err), "the file must not exist yet: a recording is never overwritten")
	}
	// What this machine knows as a secret is masked wherever a board says it.
	var secrets []string
	for _, name := range []string{"RIG_TOKEN", "RIG_WIFI_PASSWORD", "RIG_SHARE_TOKEN"} {
		secrets = append(secrets, os.Getenv(name))
	}
	redact := monitor.Redact(secrets...)
	port := []byte(c.Port)
	redact(port)
	rec, err := monitor.NewRecorder(f, string(port), redact)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	rec.Add(time.Now(), monitor.Record{Op: monitor.Baud, Baud: c.Baud})
	cfg.Recorder = rec
	return func() error { return errors.Join(rec.Close(), f.Close()) }, nil
}
