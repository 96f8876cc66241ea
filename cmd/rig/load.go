package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"os"
	"sync"
	"time"

	"porthole/internal/cli"
	"porthole/internal/event"
	"porthole/loadtest"
)

type loadCmd struct {
	URL       string        `name:"url" placeholder:"URL" help:"Picture to poll, https://host:port/latest (default: a server and camera of its own, in this process)."`
	Admin     string        `placeholder:"URL" help:"Private side of --url, http://host:port: tells live from loop, so that recorded pictures do not count as old."`
	CA        string        `name:"ca" placeholder:"FILE" help:"Root certificate (PEM) for --url (default: the system's)."`
	Viewers   int           `default:"150" help:"Viewers, each with a connection and a phase of its own."`
	Duration  time.Duration `default:"20s" help:"Watch time."`
	Period    time.Duration `default:"2s" help:"Time between two polls of a viewer."`
	Ramp      time.Duration `help:"Spread the joins over this time (default: two periods, at most a quarter of the duration)."`
	Think     string        `default:"interval" enum:"interval,after" help:"Poll at a fixed interval, or a period after each answer."`
	ETag      bool          `name:"etag" default:"true" negatable:"" help:"Poll with If-None-Match, as browsers do."`
	Objective string        `default:"errors == 0, age.p99 < 4.5s" placeholder:"LIST" help:"What must hold, separated by commas (default: ${default}). A missed objective ends with exit code 3."`
	JSON      string        `name:"json" placeholder:"FILE" help:"Also write the report as JSON; - writes it to standard output instead of the text."`
	Results   string        `placeholder:"FILE" help:"Also write every poll in Vegeta's format, for vegeta report."`
	Seed      uint64        `placeholder:"N" help:"Seed of phases and of the simulated room; 0 draws one and prints it."`
	Quiet     bool          `short:"q" help:"No line per second."`
}

func (c *loadCmd) Run(ctx context.Context, std cli.IO) error {
	if c.Seed == 0 {
		c.Seed = rand.Uint64()>>1 | 1
	}
	objectives, err := loadtest.ParseObjectives(c.Objective)
	if err != nil {
		return cli.Usage(err)
	}
	cfg := loadtest.Config{
		TargetURL: c.URL, Viewers: c.Viewers, Duration: c.Duration, Period: c.Period, Ramp: c.Ramp,
		Think: loadtest.Think(c.Think), Conditional: c.ETag, Seed: c.Seed, Objectives: objectives,
	}
	if c.Results != "" {
		f, err := os.Create(c.Results)
		if err != nil {
			return fmt.Errorf("write results: %w", err)
		}
		defer f.Close()
		cfg.Results = f
	}
	text := std.Out
	if c.JSON == "-" {
		text = std.Err
	}
	fmt.Fprintf(text, "%d viewers for %v, --seed %d\n", c.Viewers, c.Duration, c.Seed)
	if c.URL == "" {
		return c.own(ctx, std, text, cfg)
	}
	roots, err := loadRoots(c.CA)
	if err != nil {
		return err
	}
	cfg.TLS = trusting(roots)
	if c.Admin != "" {
		if _, err := url.ParseRequestURI(c.Admin); err != nil {
			return cli.Usage(cli.Hint(fmt.Errorf("--admin %q is not an address", c.Admin), "for example http://127.0.0.1:9100"))
		}
		log := new(modeLog)
		ctx, stop := context.WithCancel(ctx)
		var asking sync.WaitGroup
		defer asking.Wait()
		defer stop()
		if err := log.ask(ctx, c.Admin); err != nil {
			return cli.Hint(err, "--admin is the private side of the server, http://host:port")
		}
		asking.Go(func() { log.follow(ctx, c.Admin) })
		cfg.Truth = log
		return c.measure(ctx, std, text, cfg)
	}
	return c.measure(ctx, std, text, cfg)
}

// own runs the load against a feed in this process.
func (c *loadCmd) own(ctx context.Context, std cli.IO, text io.Writer, cfg loadtest.Config) error {
	if c.Admin != "" || c.CA != "" {
		return cli.Usage(errors.New("--admin and --ca go with --url"))
	}
	src, err := (&sourceFlags{Source: "scene", Order: "loop", Interval: 2 * time.Second, Seed: c.Seed, Stamp: true, Clock: true}).open(ctx, std)
	if err != nil {
		return err
	}
	defer src.close()
	bus := new(event.Bus)
	log := new(modeLog)
	sub := bus.Subscribe(1024)
	f, err := newFeed(feedConfig{https: "127.0.0.1:0", admin: "", interval: 2 * time.Second, seed: c.Seed, source: src, bus: bus})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	live := make(chan struct{})
	var parts sync.WaitGroup
	var feedErr error
	parts.Go(func() { defer stop(); feedErr = f.run(ctx) })
	parts.Go(func() { log.read(sub, live) })
	defer parts.Wait()
	defer sub.Close()
	defer stop()

	select {
	case <-live:
	case <-ctx.Done():
		stop()
		return errors.Join(feedErr, ctx.Err())
	case <-time.After(30 * time.Second):
		return cli.WithCode(cli.Hint(errors.New("the simulated camera did not get a frame through in 30 s"), "see what happens with: rig sim"), cli.ExitBench)
	}
	cfg.TargetURL = "https://" + f.https.Addr().String() + "/latest"
	cfg.TLS = trusting(f.roots)
	cfg.Truth = log
	cfg.InProcess = true
	return c.measure(ctx, std, text, cfg)
}

// measure runs the load and writes the reports.
func (c *loadCmd) measure(ctx context.Context, std cli.IO, text io.Writer, cfg loadtest.Config) error {
	emit := func(s loadtest.Sample) {
		if c.Quiet || s.Final {
			return
		}
		fmt.Fprintf(text, "%4.0f s  %d viewers  %d polls  %d new  %d unchanged  %d errors  age p50 %v p99 %v\n", time.Duration(s.At).Seconds(),
			s.Viewers, s.Polls, s.New, s.Unchanged, s.Errors, s.AgeP50, s.AgeP99)
	}
	report, err := loadtest.Run(ctx, cfg, emit)
	if report == nil {
		var unknown x509.UnknownAuthorityError
		if errors.As(err, &unknown) {
			err = cli.Hint(err, "name the server's root with --ca FILE")
		}
		return err
	}
	if c.JSON == "-" {
		if err := report.WriteJSON(std.Out); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
	} else {
		fmt.Fprintln(text)
		if err := report.WriteText(text); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
		if c.JSON != "" {
			if err := writeReport(c.JSON, report); err != nil {
				return err
			}
		}
	}
	if err != nil {
		return err
	}
	switch report.Verdict {
	case loadtest.Pass:
		return nil
	case loadtest.Breach:
		err = cli.Hint(errors.New("an objective was missed"), "the report above says which, and by how much")
	default:
		err = cli.Hint(errors.New("the run is inconclusive"), "the report above says why; give it a quieter machine or fewer viewers")
	}
	return cli.WithCode(err, report.Verdict.ExitCode())
}

func writeReport(path string, report *loadtest.Report) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if err := errors.Join(report.WriteJSON(f), f.Close()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}
