package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"porthole/internal/cli"
	"porthole/loadtest"
)

// outputFlags say where the reports of a load test go.
type outputFlags struct {
	JSON    string `name:"json" placeholder:"FILE" help:"Also write the report as JSON, for rig load compare; - writes it to standard output instead of the text."`
	HTML    string `name:"html" placeholder:"FILE" help:"Also write it as one HTML page with plots."`
	JUnit   string `name:"junit" placeholder:"FILE" help:"Also write it as JUnit XML."`
	Summary string `env:"RIG_SUMMARY,GITHUB_STEP_SUMMARY" placeholder:"FILE" help:"Also append it as Markdown; in a GitHub job this is its summary page."`
	Samples string `placeholder:"FILE" help:"Also write every second as a JSON line, the report last: rig tui --load FILE follows it."`
	Results string `placeholder:"FILE" help:"Also write every poll in Vegeta's format, for vegeta report."`
}

// output writes what a load test prints.
type output struct {
	flags    outputFlags
	text     io.Writer // for people
	out      io.Writer
	polls    *os.File // nil without --results
	buffer   *bufio.Writer
	samples  *samplesFile // does nothing without --samples
	exporter *loadtest.Exporter
	quiet    bool
}

// open opens what is written during the run, and sees to it that what is
// written after it can be: a report that cannot be written is noticed in time.
func (f *outputFlags) open(std cli.IO) (*output, error) {
	o := &output{flags: *f, text: std.Out, out: std.Out}
	if f.JSON == "-" {
		o.text = std.Err
	}
	for _, path := range []string{f.JSON, f.HTML, f.JUnit} {
		if path == "" || path == "-" {
			continue
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			return nil, fmt.Errorf("write report: %w", err)
		}
	}
	if f.Summary != "" {
		s, err := openSummary(f.Summary)
		if err != nil {
			return nil, err
		}
		if err := s.Close(); err != nil {
			return nil, fmt.Errorf("write summary: %w", err)
		}
	}
	var err error
	if o.samples, err = openSamples(f.Samples); err != nil {
		return nil, err
	}
	if f.Results != "" {
		if o.polls, err = os.Create(f.Results); err != nil {
			return nil, fmt.Errorf("write results: %w", err)
		}
		o.buffer = bufio.NewWriterSize(o.polls, 64<<10)
	}
	return o, nil
}

func openSummary(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("write summary: %w", err)
	}
	return f, nil
}

// results is where polls go, nil for nowhere.
func (o *output) results() io.Writer {
	if o.buffer == nil {
		return nil
	}
	return o.buffer
}

func (o *output) close() {
	if o.polls != nil {
		o.polls.Close()
	}
}

// emit prints a second of a run.
func (o *output) emit(s loadtest.Sample) {
	o.samples.add(s)
	if o.exporter != nil {
		o.exporter.Observe(s)
	}
	if o.quiet || s.Final {
		return
	}
	changes := ""
	if s.Refetches+s.Gaps+s.Mismatches > 0 { // of viewers who decode changes
		changes = fmt.Sprintf("  %d keys again  %d gaps  %d wrong", s.Refetches, s.Gaps, s.Mismatches)
	}
	fmt.Fprintf(o.text, "%4.0f s  %d viewers  %d polls  %d new  %d unchanged  %d errors  age p50 %v p99 %v%s\n", time.Duration(s.At).Seconds(),
		s.Viewers, s.Polls, s.New, s.Unchanged, s.Errors, s.AgeP50, s.AgeP99, changes)
}

// write writes the reports. The feed, if there is one, is stopped first: what it
// has used is known then.
func (o *output) write(report *loadtest.Report, feed *loadFeed) error {
	if feed != nil {
		feed.stop()
		report.SetServer(feed.server.usage())
		if how := feed.server.death(); how != "" {
			report.Notes = append(report.Notes, "the server ended by itself: "+how)
		}
	}
	errs := []error{o.samples.finish(report)}
	if o.flags.JSON == "-" {
		errs = append(errs, report.WriteJSON(o.out))
	} else {
		fmt.Fprintln(o.text)
		errs = append(errs, report.WriteText(o.text))
	}
	if o.buffer != nil {
		errs = append(errs, o.buffer.Flush(), o.polls.Sync())
	}
	write := func(path string, to func(io.Writer) error) {
		if path == "" || path == "-" {
			return
		}
		f, err := os.Create(path)
		if err != nil {
			errs = append(errs, err)
			return
		}
		errs = append(errs, to(f), f.Close())
	}
	write(o.flags.JSON, report.WriteJSON)
	write(o.flags.HTML, report.WriteHTML)
	write(o.flags.JUnit, report.WriteJUnit)
	if o.flags.Summary != "" {
		s, err := openSummary(o.flags.Summary)
		if err != nil {
			errs = append(errs, err)
		} else {
			errs = append(errs, report.WriteSummary(s), s.Close())
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// export serves the figures of a run.
func (c *loadRunCmd) export(e *loadtest.Exporter) (stop func(), err error) {
	ln, err := cli.Listen(c.Metrics, "--metrics")
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", e)
	srv := &http.Server{Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 8 << 10}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(ln) // until it is closed
	}()
	return func() { srv.Close(); <-done }, nil
}
