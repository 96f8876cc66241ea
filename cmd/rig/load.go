package main

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"porthole/internal/cli"
	"porthole/internal/remote"
	"porthole/loadtest"
)

type loadCmd struct {
	Run     loadRunCmd     `cmd:"" default:"withargs" help:"Let viewers watch a feed and judge what they saw."`
	Compare loadCompareCmd `cmd:"" help:"Compare the reports of two runs."`
	FindMax loadFindMaxCmd `cmd:"" name:"find-max" help:"Find the largest crowd that passes."`
	Agent   loadAgentCmd   `cmd:"" help:"Play a part of the viewers for rig load --agents on another machine."`
	Server  loadServerCmd  `cmd:"" hidden:"" help:"The feed of rig load, in a process of its own."`
}

// Help is the long text of rig load --help.
func (loadCmd) Help() string {
	return `rig load without a command is rig load run: see rig load run --help for its flags.

  rig load                                     150 viewers, a feed of its own, 20 s
  rig load --url https://cam.example.org/latest --viewers 500 --html report.html
  rig load --profile loads/front-page.txt`
}

// crowdFlags say who watches what, and how. What is not given is the profile's,
// and after that the usual.
type crowdFlags struct {
	URL        string `name:"url" placeholder:"URL" help:"Picture to poll, https://host:port/latest (default: a server and a camera of its own)."`
	Admin      string `placeholder:"URL" help:"Private side of --url, http://host:port: tells live from loop, so that recorded pictures do not count as old."`
	AdminToken string `placeholder:"TOKEN" help:"Token of the private side, if it asks for one. Better in the environment."`
	CA         string `name:"ca" placeholder:"FILE" help:"Root certificate (PEM) for --url (default: the system's)."`

	Profile  string        `placeholder:"FILE" help:"Text file with all of the below, stages, faults and expectations; loads/*.txt are shipped. Flags win."`
	Arrivals string        `placeholder:"PATTERN" help:"How they come: steady, ramp, steps, spike, poisson, blog-replay, hug-of-death or soak (default: steady)."`
	Viewers  int           `placeholder:"N" help:"Viewers at the peak, each with a connection and a phase of its own (default: 150, or the pattern's)."`
	Duration time.Duration `placeholder:"TIME" help:"Watch time (default: 20s, or the pattern's)."`
	Stay     time.Duration `placeholder:"TIME" help:"How long a visitor stays on average, where visitors come and go."`
	Ramp     time.Duration `placeholder:"TIME" help:"Spread the joins over this time (default: two periods, at most a quarter of the duration)."`
	Period   time.Duration `placeholder:"TIME" help:"Time between two polls of a viewer (default: 2s)."`
	Think    string        `placeholder:"KIND" help:"How they poll: interval; after (a period after each answer); longpoll (the server answers when there is a new picture); events (it announces new ones) (default: interval)."`
	Wait     time.Duration `placeholder:"TIME" help:"How long a long poll asks the server to wait (default: 25s)."`
	Protocol string        `placeholder:"NAME" help:"h1 or h2: pictures over HTTP/1.1 or HTTP/2; stream: changes that the server pushes, decoded here; delta: changes that each poll fetches by their names (default: h1)."`

	Engine string `placeholder:"NAME" help:"vegeta, or raw: no HTTP client in between, less CPU and memory, for more than ten thousand viewers (default: vegeta)."`

	NoETag      bool          `name:"no-etag" help:"Poll without If-None-Match, unlike browsers."`
	Reconnect   bool          `help:"A connection of its own for each poll."`
	Resume      bool          `help:"Resume TLS sessions when connecting again."`
	Timeout     time.Duration `placeholder:"TIME" help:"Give a poll up after this time (default: 10s)."`
	FreezeAfter time.Duration `placeholder:"TIME" help:"A picture older than this counts as frozen (default: two periods)."`
	Seed        uint64        `placeholder:"N" help:"Seed of the crowd and of the simulated room; 0 draws one and prints it."`
	AllowRun    bool          `help:"Let steps of the profile run programs."`
	Objective   []string      `sep:"none" placeholder:"LIST" help:"What must hold, separated by commas or given again (default: errors == 0, age.p99 < 4.5s). A missed objective ends with exit code 3."`
}

type loadRunCmd struct {
	crowdFlags  `embed:""`
	outputFlags `embed:""`

	Agents     []string `placeholder:"HOST:PORT" help:"Machines that play the viewers, each with rig load agent."`
	AgentToken string   `placeholder:"TOKEN" help:"What the agents printed. Better in the environment."`
	Metrics    string   `placeholder:"HOST:PORT" help:"Serve the figures of the run to Prometheus, at /metrics."`
	Quiet      bool     `short:"q" help:"No line per second."`
}

// Help is the long text of rig load --help.
func (c *loadRunCmd) Help() string {
	return `Exit codes: 0 passed, 1 failed, 2 wrong usage, 3 an objective was missed, 4 the
generator or the bench was at fault and nothing was learnt about the server.

  rig load --viewers 500 --duration 1m
  rig load --url https://cam.example.org/latest --arrivals spike --html report.html
  rig load --profile loads/front-page.txt --junit load.xml

docs/loadtest.md has the language of profiles and objectives.`
}

// Run plays the viewers.
func (c *loadRunCmd) Run(ctx context.Context, std cli.IO) error {
	cfg, err := c.config()
	if err != nil {
		return err
	}
	out, err := c.outputFlags.open(std)
	if err != nil {
		return err
	}
	defer out.close()
	cfg.Results = out.results()
	if c.Metrics != "" {
		exporter := new(loadtest.Exporter)
		stop, err := c.export(exporter)
		if err != nil {
			return err
		}
		defer stop()
		out.exporter = exporter
	}
	out.quiet = c.Quiet
	fmt.Fprintf(out.text, "%s, --seed %d\n", announce(cfg), cfg.Seed)
	return c.crowdFlags.against(ctx, std, out.text, cfg, func(ctx context.Context, cfg loadtest.Config, feed *loadFeed) (*loadtest.Report, error) {
		return c.play(ctx, cfg, feed, out)
	})
}

// announce says what is about to be played.
func announce(cfg loadtest.Config) string {
	name := ""
	if cfg.Name != "" {
		name = cli.Printable(cfg.Name) + ": "
	}
	pattern := ""
	if cfg.Crowd.Pattern != "" {
		pattern = " (" + cfg.Crowd.Pattern + ")"
	}
	viewers, duration := cfg.Size()
	return fmt.Sprintf("%s%d viewers for %v%s", name, viewers, duration, pattern)
}

// play plays one run and writes its reports.
func (c *loadRunCmd) play(ctx context.Context, cfg loadtest.Config, feed *loadFeed, out *output) (*loadtest.Report, error) {
	run := loadtest.Run
	if len(c.Agents) > 0 {
		agents := loadtest.Agents{Addresses: c.Agents, Token: c.AgentToken}
		if feed != nil {
			agents.RootPEM = feed.server.ca.RootPEM
		} else if c.CA != "" {
			var err error
			if agents.RootPEM, err = os.ReadFile(c.CA); err != nil {
				return nil, fmt.Errorf("read root certificate: %w", err)
			}
		}
		if cfg.Results != nil {
			return nil, cli.Usage(errors.New("--results does not go with --agents: the polls stay with them"))
		}
		run = agents.Run
	}
	report, err := run(ctx, cfg, out.emit)
	if report == nil {
		return nil, err
	}
	return report, errors.Join(err, out.write(report, feed))
}

// config puts flags over the profile over what is usual.
func (f *crowdFlags) config() (loadtest.Config, error) {
	cfg := loadtest.Config{TargetURL: f.URL, Conditional: true}
	arrivals := ""
	if f.Profile != "" {
		p, err := loadtest.OpenProfile(f.Profile)
		if err != nil {
			return cfg, cli.Usage(err)
		}
		if err := p.Apply(&cfg); err != nil {
			return cfg, err
		}
		arrivals = p.Arrivals
		if len(p.Stages) > 0 && (f.Viewers != 0 || f.Duration != 0 || f.Arrivals != "") {
			return cfg, cli.Usage(cli.Hint(errors.New("--viewers, --duration and --arrivals do not go with a profile that has stages"), "change the stages"))
		}
	}
	if f.Viewers < 0 || f.Duration < 0 || f.Period < 0 || f.Stay < 0 || f.Timeout < 0 || f.Wait < 0 || f.FreezeAfter < 0 {
		return cfg, cli.Usage(errors.New("a number or time below 0"))
	}
	override(&cfg.Viewers, f.Viewers)
	override(&cfg.Duration, f.Duration)
	override(&cfg.Period, f.Period)
	override(&cfg.Stay, f.Stay)
	override(&cfg.Ramp, f.Ramp)
	override(&cfg.Think, loadtest.Think(f.Think))
	override(&cfg.Wait, f.Wait)
	override(&cfg.Engine, loadtest.Engine(f.Engine))
	override(&cfg.Protocol, loadtest.Protocol(f.Protocol))
	override(&cfg.Timeout, f.Timeout)
	override(&cfg.FreezeAfter, f.FreezeAfter)
	override(&cfg.Seed, f.Seed)
	cfg.Seed = cmp.Or(cfg.Seed, rand.Uint64()>>1|1)
	cfg.Conditional = cfg.Conditional && !f.NoETag
	cfg.Reconnect = cfg.Reconnect || f.Reconnect
	cfg.Resume = cfg.Resume || f.Resume
	if all := strings.Join(f.Objective, ","); all != "" {
		var err error
		if cfg.Objectives, err = loadtest.ParseObjectives(all); err != nil {
			return cfg, cli.Usage(err)
		}
	}
	if arrivals = cmp.Or(f.Arrivals, arrivals); arrivals != "" {
		if err := cfg.SetArrivals(arrivals); err != nil {
			return cfg, cli.Usage(cli.Hint(err, "--arrivals takes "+patternNames()))
		}
	} else if cfg.Stay != 0 {
		return cfg, cli.Usage(cli.Hint(errors.New("--stay without visitors who come and go"), "add --arrivals poisson"))
	}
	return cfg, nil
}

func override[T comparable](field *T, flag T) {
	var zero T
	if flag != zero {
		*field = flag
	}
}

func patternNames() string {
	var names []string
	for _, p := range loadtest.Patterns {
		names = append(names, p.Name)
	}
	return strings.Join(names, ", ")
}

// against finds or starts what is to be watched and calls play with it. feed is
// nil where the server is somebody else's.
func (f *crowdFlags) against(ctx context.Context, std cli.IO, text io.Writer, cfg loadtest.Config,
	play func(context.Context, loadtest.Config, *loadFeed) (*loadtest.Report, error)) (err error) {
	var report *loadtest.Report
	switch {
	case f.URL == "":
		if f.Admin != "" || f.CA != "" {
			return cli.Usage(errors.New("--admin and --ca go with --url"))
		}
		f.objectives(&cfg)
		cfg.Faults = (*loadFeed)(nil)
		if err := cfg.Check("https://127.0.0.1:1/latest"); err != nil { // before anything is started
			return err
		}
		feed, stop, err := startLoadFeed(ctx, std, cfg.Seed, cfg.Protocol)
		if err != nil {
			return err
		}
		cfg.TargetURL, cfg.TLS, cfg.Truth, cfg.Faults = feed.server.url(), trusting(feed.server.ca.Pool()), feed.log, feed
		var once sync.Once
		var stopErr error
		feed.stop = func() { once.Do(func() { stopErr = stop() }) }
		report, err = play(ctx, cfg, feed)
		feed.stop()
		if err = errors.Join(err, stopErr); err != nil {
			return err
		}
	default:
		roots, err := loadRoots(f.CA)
		if err != nil {
			return err
		}
		cfg.TLS = trusting(roots)
		cfg.Faults = commandFaults{f.AllowRun, text}
		if err := cfg.Check(f.URL); err != nil {
			return err
		}
		if err := f.probe(ctx, text, &cfg); err != nil {
			return err
		}
		f.objectives(&cfg)
		truth, stop, err := f.truth(ctx, roots)
		if err != nil {
			return err
		}
		defer stop()
		if truth != nil {
			cfg.Truth = truth
		}
		if report, err = play(ctx, cfg, nil); err != nil {
			return err
		}
	}
	return verdictError(report)
}

// objectives sets the usual ones where there are none.
func (f *crowdFlags) objectives(cfg *loadtest.Config) {
	if cfg.Objectives == nil {
		cfg.Objectives, _ = loadtest.ParseObjectives(loadtest.DefaultObjectives)
	}
}

// verdictError is the verdict as the process's end.
func verdictError(report *loadtest.Report) (err error) {
	switch {
	case report == nil || report.Verdict == loadtest.Pass:
		return nil
	case report.Verdict == loadtest.Breach:
		err = cli.Hint(errors.New("an objective was missed"), "the report above says which, and by how much")
	default:
		err = cli.Hint(errors.New("the run is inconclusive"), "the report above says why; give it a quieter machine or fewer viewers")
	}
	return cli.WithCode(err, report.Verdict.ExitCode())
}

// truth follows the private side of --url, if it is known.
func (f *crowdFlags) truth(ctx context.Context, roots *x509.CertPool) (loadtest.Truth, func(), error) {
	if f.Admin == "" {
		return nil, func() {}, nil
	}
	dialling, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	admin, err := remote.Dial(dialling, remote.Config{Admin: f.Admin, Token: f.AdminToken, Roots: roots})
	if err != nil {
		return nil, nil, err
	}
	log := new(modeLog)
	if snap := admin.Snapshot(); snap.Mode != "" {
		log.add(snap.ModeSince, snap.Mode)
	}
	following, stop := context.WithCancel(ctx)
	var reading sync.WaitGroup
	reading.Go(func() { log.follow(following, admin) })
	return log, func() { stop(); admin.Close(); reading.Wait() }, nil
}

// probe asks for the picture once, so that a wrong address is an error and not
// the verdict of a run, and drops the usual expectation of age where pictures
// carry no stamp to tell it by.
func (f *crowdFlags) probe(ctx context.Context, text io.Writer, cfg *loadtest.Config) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", cfg.TargetURL, nil)
	if err != nil {
		return cli.Usage(cli.Hint(fmt.Errorf("--url %q is not an address", f.URL), "for example https://127.0.0.1:8443/latest"))
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(cfg.Protocol != loadtest.H2)
	protocols.SetHTTP2(cfg.Protocol == loadtest.H2)
	protocols.SetUnencryptedHTTP2(cfg.Protocol == loadtest.H2)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: cfg.TLS, Protocols: protocols}}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return cli.Hint(fmt.Errorf("ask for the picture: %w", err), "name the server's root certificate with --ca FILE")
	}
	if err != nil && cfg.Protocol == loadtest.H2 && strings.Contains(err.Error(), "no application protocol") {
		return cli.Hint(fmt.Errorf("ask for the picture by HTTP/2: %w", err), "start the server with --http2, or leave --protocol h2 out")
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
	if err := f.probeChanges(ctx, client, cfg); err != nil {
		return err
	}
	if _, err := loadtest.ReadPicture(picture); err != nil && cfg.Objectives == nil {
		fmt.Fprintf(text, "the pictures carry no stamp (%v): their age is not measured, only that there are no errors\n", err)
		if cfg.Objectives, err = loadtest.ParseObjectives("errors == 0"); err != nil {
			return err
		}
	}
	return nil
}

// probeChanges asks whether the server has changes, where they are what viewers
// want.
func (f *crowdFlags) probeChanges(ctx context.Context, client *http.Client, cfg *loadtest.Config) error {
	if !cfg.Protocol.Decodes() {
		return nil
	}
	target, err := url.Parse(cfg.TargetURL)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, "GET", target.ResolveReference(&url.URL{Path: "head"}).String(), nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("ask for changes: %w", err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return cli.Hint(fmt.Errorf("ask for changes: %s answered %s", req.URL, resp.Status), "start the server with --deltas strict, or leave --protocol "+string(cfg.Protocol)+" out")
	}
	return nil
}
