package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"time"

	"porthole/internal/cli"
	"porthole/internal/event"
	"porthole/internal/remote"
	"porthole/loadtest"
)

type loadCmd struct {
	URL        string        `name:"url" placeholder:"URL" help:"Picture to poll, https://host:port/latest (default: a server and camera of its own, in this process)."`
	Admin      string        `placeholder:"URL" help:"Private side of --url, http://host:port: tells live from loop, so that recorded pictures do not count as old."`
	AdminToken string        `placeholder:"TOKEN" help:"Token of the private side, if it asks for one. Better in the environment."`
	CA         string        `name:"ca" placeholder:"FILE" help:"Root certificate (PEM) for --url (default: the system's)."`
	Viewers    int           `default:"150" help:"Viewers, each with a connection and a phase of its own."`
	Duration   time.Duration `default:"20s" help:"Watch time."`
	Period     time.Duration `default:"2s" help:"Time between two polls of a viewer."`
	Ramp       time.Duration `help:"Spread the joins over this time (default: two periods, at most a quarter of the duration)."`
	Think      string        `default:"interval" enum:"interval,after" help:"Poll at a fixed interval, or a period after each answer."`
	ETag       bool          `name:"etag" default:"true" negatable:"" help:"Poll with If-None-Match, as browsers do."`
	Objective  string        `default:"errors == 0, age.p99 < 4.5s" placeholder:"LIST" help:"What must hold, separated by commas (default: ${default}). A missed objective ends with exit code 3."`
	JSON       string        `name:"json" placeholder:"FILE" help:"Also write the report as JSON; - writes it to standard output instead of the text."`
	Samples    string        `placeholder:"FILE" help:"Also write every second as a JSON line, the report last: rig tui --load FILE follows it."`
	Results    string        `placeholder:"FILE" help:"Also write every poll in Vegeta's format, for vegeta report."`
	Seed       uint64        `placeholder:"N" help:"Seed of phases and of the simulated room; 0 draws one and prints it."`
	Quiet      bool          `short:"q" help:"No line per second."`
}

func (c *loadCmd) Run(ctx context.Context, std cli.IO) error {
	if c.Seed == 0 {
		c.Seed = rand.Uint64()>>1 | 1
	}
	if c.Viewers < 1 || c.Duration <= 0 || c.Period <= 0 {
		return cli.Usage(fmt.Errorf("--viewers %d, --duration %v, --period %v: want at least 1 and times above 0", c.Viewers, c.Duration, c.Period))
	}
	if c.JSON != "" && c.JSON != "-" {
		// Before the run: a report that cannot be written is noticed in time.
		if err := os.WriteFile(c.JSON, nil, 0o644); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
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
	if err := c.probe(ctx, text, &cfg); err != nil {
		return err
	}
	if c.Admin == "" {
		return c.measure(ctx, std, text, cfg)
	}
	dialling, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	admin, err := remote.Dial(dialling, remote.Config{Admin: c.Admin, Token: c.AdminToken, Roots: roots})
	if err != nil {
		return err
	}
	log := new(modeLog)
	if snap := admin.Snapshot(); snap.Mode != "" {
		log.add(snap.ModeSince, snap.Mode)
	}
	following, stop := context.WithCancel(ctx)
	var reading sync.WaitGroup
	reading.Go(func() { log.follow(following, admin) })
	defer func() { stop(); admin.Close(); reading.Wait() }()
	cfg.Truth = log
	return c.measure(ctx, std, text, cfg)
}

// probe asks for the picture once, so that a wrong address is an error and not
// the verdict of a run, and drops the default expectation of age where pictures
// carry no stamp to tell it by.
func (c *loadCmd) probe(ctx context.Context, text io.Writer, cfg *loadtest.Config) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", cfg.TargetURL, nil)
	if err != nil {
		return cli.Usage(cli.Hint(fmt.Errorf("--url %q is not an address", c.URL), "for example https://127.0.0.1:8443/latest"))
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: cfg.TLS}}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return cli.Hint(fmt.Errorf("ask for the picture: %w", err), "name the server's root certificate with --ca FILE")
	}
	if err != nil {
		return cli.Hint(fmt.Errorf("ask for the picture: %w", err), "is the server running, and is --url its picture?")
	}
	defer resp.Body.Close()
	picture, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	if err != nil {
		return fmt.Errorf("ask for the picture: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return cli.Hint(fmt.Errorf("ask for the picture: answered %s", resp.Status), "--url is the address of the picture, https://host:port/latest")
	}
	if _, err := loadtest.ReadPicture(picture); err != nil && c.Objective == loadtest.DefaultObjectives {
		fmt.Fprintf(text, "the pictures carry no stamp (%v): their age is not measured, only that there are no errors\n", err)
		if cfg.Objectives, err = loadtest.ParseObjectives("errors == 0"); err != nil {
			return err
		}
	}
	return nil
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
	samples, err := openSamples(c.Samples)
	if err != nil {
		return err
	}
	emit := func(s loadtest.Sample) {
		samples.add(s)
		if c.Quiet || s.Final {
			return
		}
		fmt.Fprintf(text, "%4.0f s  %d viewers  %d polls  %d new  %d unchanged  %d errors  age p50 %v p99 %v\n", time.Duration(s.At).Seconds(),
			s.Viewers, s.Polls, s.New, s.Unchanged, s.Errors, s.AgeP50, s.AgeP99)
	}
	report, err := loadtest.Run(ctx, cfg, emit)
	if err := samples.finish(report); err != nil {
		return err
	}
	if report == nil {
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
