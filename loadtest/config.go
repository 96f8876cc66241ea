package loadtest

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"time"

	"porthole/internal/cli"
)

// Think says what a viewer does between two polls. Both kinds exist in real
// pages.
type Think string

const (
	// Interval polls at a fixed phase (setInterval). A poll that falls due while
	// the one before is in flight is skipped.
	Interval Think = "interval"
	// After waits for the answer and then for the period (await, then sleep).
	After Think = "after"
	// LongPoll asks with the ETag of the picture it has, and the server answers as
	// soon as there is another; the next question follows at once. After a failure
	// it waits for the period.
	LongPoll Think = "longpoll"
	// Events keeps a stream of server-sent events open and fetches the picture
	// when one says that there is a new one. A stream that ends is opened again
	// after the period.
	Events Think = "events"
)

// Protocol is how the viewers speak to the server.
type Protocol string

const (
	// H1 is HTTP/1.1, with TLS where the target says https.
	H1 Protocol = "h1"
	// H2 is HTTP/2: over TLS for https, in the clear with prior knowledge for http.
	// Each viewer has a connection of its own, as each browser has.
	H2 Protocol = "h2"
	// Stream is HTTP/1.1 with changes that the server pushes: each viewer keeps
	// GET /stream open, decodes what comes and takes a stream that broke up again.
	Stream Protocol = "stream"
	// Delta is HTTP/1.1 with changes that are fetched: each poll asks GET /head
	// for what is newest, fetches the changes until there by their names, and
	// decodes them.
	Delta Protocol = "delta"
)

// Decodes reports whether viewers get changes instead of pictures.
func (p Protocol) Decodes() bool { return p == Stream || p == Delta }

// Bounds of a configuration. They catch slips of a digit; what this machine can
// bear is found out by the preflight.
const (
	maxViewers = 100_000
	minPeriod  = 10 * time.Millisecond
	maxRun     = 30 * 24 * time.Hour
	maxWait    = 5 * time.Minute
)

// Config describes one load test. Only TargetURL has no default.
type Config struct {
	// Name is what reports call the test; may be empty.
	Name string
	// TargetURL is the picture that the viewers poll, https://host:port/latest.
	TargetURL string
	// Host replaces the Host header and the name the certificate is checked
	// against. Empty = as in TargetURL.
	Host string
	// TLS is used for https targets; nil = the system's roots. It is cloned.
	TLS *tls.Config
	// Dial connects to the target; nil = TCP. It gets the address in TargetURL.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	Viewers  int           // default 150
	Duration time.Duration // watch time, default 20 s
	Period   time.Duration // of a viewer's polls, default 2 s
	// Ramp spreads the joins. Default: two periods, but no more than a quarter of
	// Duration. Negative = all at once, which is a connect storm.
	Ramp  time.Duration
	Think Think // default Interval
	// Crowd says who is there when; the zero value is Viewers who join over Ramp
	// and stay. Stages replace Viewers and Duration.
	Crowd Crowd
	// Stay is how long a visitor stays on average, where the crowd is a pattern of
	// visits; zero is the pattern's own.
	Stay time.Duration
	// Steps are what happens during the run, in any order.
	Steps []Step
	// Faults does what the viewers cannot: stop the camera, restart the server.
	// Nil makes such steps an error.
	Faults Faults

	Engine   Engine   // default Vegeta
	Protocol Protocol // default H1
	// Reconnect has each poll open a connection of its own.
	Reconnect bool
	// Resume lets viewers resume their TLS sessions when they connect again.
	Resume bool
	// Wait is how long a long poll asks the server to wait. Default 25 s.
	Wait time.Duration
	// EventsURL is the stream of server-sent events that viewers of [Events] read;
	// empty is /events of the target.
	EventsURL string
	// Conditional polls with If-None-Match, as browsers do.
	Conditional bool
	// Timeout of one poll, connect and body included. Default 10 s.
	Timeout time.Duration
	// FreezeAfter is the age from which a picture counts as frozen. Default: two
	// periods.
	FreezeAfter time.Duration
	// MaxPicture is the largest body that is read. Default 4 MB.
	MaxPicture int
	// Seed of phases and joins.
	Seed uint64
	// Part lets this process play a share of the viewers only: of Part.Of shares
	// the one with the number Part.Index. The zero value is all.
	Part Part

	// Objectives are what the report is judged by.
	Objectives []Objective
	// Truth tells live from loop; nil = unknown.
	Truth Truth
	// Stamper reads the stamp of a picture; nil = [ReadPicture].
	Stamper Stamper

	// InProcess says that the server under test runs in this process, so that it
	// shares the descriptor limit and the CPU figures.
	InProcess bool
	// MaxMbit refuses a run that is expected to need more megabits per second.
	// Zero = no limit for a loopback target or an own Dial, else 1000.
	MaxMbit int

	// Results, when set, gets the polls in Vegeta's own format, which `vegeta
	// report` reads. Skipped polls are not in it.
	Results io.Writer
	// Logger gets one line for the first error of each class; nil = discard.
	Logger *slog.Logger
}

// Part is a share of the viewers of a run.
type Part struct{ Index, Of int }

// part returns the stays of this process's share.
func (c Config) part(all []stay) (own []stay) {
	if c.Part.Of < 2 {
		return all
	}
	for i := c.Part.Index; i < len(all); i += c.Part.Of {
		own = append(own, all[i])
	}
	return own
}

func (c Config) withDefaults() Config {
	setDefault(&c.Viewers, 150)
	if sum := c.Crowd.length(); sum > 0 {
		c.Duration = sum
	}
	setDefault(&c.Duration, 20*time.Second)
	setDefault(&c.Protocol, H1)
	if c.Protocol.Decodes() {
		setDefault(&c.Engine, Decoder)
	}
	setDefault(&c.Engine, Vegeta)
	setDefault(&c.Wait, 25*time.Second)
	setDefault(&c.Period, 2*time.Second)
	setDefault(&c.Ramp, min(2*c.Period, c.Duration/4))
	c.Ramp = max(c.Ramp, 0)
	setDefault(&c.Think, Interval)
	setDefault(&c.Timeout, 10*time.Second)
	setDefault(&c.FreezeAfter, 2*c.Period)
	setDefault(&c.MaxPicture, 4<<20)
	if c.Stamper == nil {
		c.Stamper = ReadPicture
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// check returns the parsed target, or a usage error that names the wrong value.
func (c Config) check() (*url.URL, error) {
	u, err := url.Parse(c.TargetURL)
	if err != nil {
		return nil, cli.Usage(fmt.Errorf("parse target: %w", err))
	}
	wrong := func(format string, a ...any) (*url.URL, error) {
		return nil, cli.Usage(fmt.Errorf(format, a...))
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return wrong("target %q is neither http nor https", c.TargetURL)
	case u.Hostname() == "":
		return wrong("target %q has no host", c.TargetURL)
	case u.User != nil:
		return wrong("target %q carries a password: viewers have none", u.Redacted())
	case c.Viewers < 1 || c.Viewers > maxViewers:
		return wrong("viewers %d: want 1 to %d", c.Viewers, maxViewers)
	case c.Period < minPeriod:
		return wrong("period %v: want at least %v", c.Period, minPeriod)
	case c.Duration < c.Period || c.Duration > maxRun:
		return wrong("duration %v: want one period (%v) to %v", c.Duration, c.Period, maxRun)
	case c.Ramp >= c.Duration:
		return wrong("ramp %v: want less than the duration %v", c.Ramp, c.Duration)
	case !slices.Contains([]Think{Interval, After, LongPoll, Events}, c.Think):
		return wrong("think %q: want %q, %q, %q or %q", c.Think, Interval, After, LongPoll, Events)
	case !slices.Contains([]Protocol{H1, H2, Stream, Delta}, c.Protocol):
		return wrong("protocol %q: want %q, %q, %q or %q", c.Protocol, H1, H2, Stream, Delta)
	case c.Protocol.Decodes():
		if err := c.checkDecoding(); err != nil {
			return nil, cli.Usage(err)
		}
	case c.Engine != Vegeta && c.Engine != Raw:
		return wrong("engine %q: want %q or %q", c.Engine, Vegeta, Raw)
	case c.Engine == Raw && (c.Protocol == H2 || c.Think == Events || c.Results != nil):
		return wrong("engine %q speaks HTTP/1.1, reads no events and has no results in Vegeta's format", Raw)
	case c.Reconnect && c.Protocol == H2:
		return wrong("protocol %q with a connection for each poll: that is for %q", H2, H1)
	case c.Reconnect && c.Think == Events:
		return wrong("think %q keeps its stream open: it cannot connect for each poll", Events)
	case c.Wait < time.Second || c.Wait > maxWait:
		return wrong("wait %v: want 1s to %v", c.Wait, maxWait)
	case c.Stay < 0:
		return wrong("stay %v is negative", c.Stay)
	case c.Timeout < 0 || c.FreezeAfter < 0 || c.MaxPicture < 0 || c.MaxMbit < 0:
		return wrong("a timeout or limit is negative")
	}
	if e, err := url.Parse(c.EventsURL); c.EventsURL != "" && (err != nil || e.Scheme != u.Scheme || e.Host != u.Host) {
		return wrong("events %q: want an address at the same server as the target", c.EventsURL)
	}
	if c.Part.Of < 0 || c.Part.Index < 0 || c.Part.Of > 0 && c.Part.Index >= c.Part.Of {
		return wrong("part %d of %d", c.Part.Index, c.Part.Of)
	}
	if err := c.Crowd.check(); err != nil {
		return nil, cli.Usage(err)
	}
	if err := c.checkSteps(); err != nil {
		return nil, cli.Usage(err)
	}
	if err := c.checkObjectives(); err != nil {
		return nil, cli.Usage(err)
	}
	u.Fragment = ""
	return u, nil
}

// SetArrivals makes the crowd one of the [Patterns], of the size and length that
// c has, or the pattern's own.
func (c *Config) SetArrivals(pattern string) error {
	p, ok := FindPattern(pattern)
	if !ok {
		return fmt.Errorf("unknown arrivals %q", clip(pattern))
	}
	setDefault(&c.Viewers, p.Viewers)
	setDefault(&c.Duration, p.Duration)
	crowd, err := NewCrowd(pattern, c.Viewers, c.Duration, c.Stay)
	if err != nil {
		return err
	}
	c.Crowd = crowd
	return nil
}

// Size returns how many viewers there are at the peak, or on average where they
// come and go, and for how long.
func (c Config) Size() (viewers int, duration time.Duration) {
	c = c.withDefaults()
	for _, s := range c.Crowd.Stages {
		viewers = max(viewers, s.To)
	}
	return cmp.Or(viewers, c.Viewers), c.Duration
}

// Check says what is wrong with c against a target, without a run.
func (c Config) Check(target string) error {
	c = c.withDefaults()
	c.TargetURL = target
	_, err := c.check()
	return err
}

// patience is how long one poll may take.
func (c Config) patience() time.Duration {
	if c.Think == LongPoll {
		return c.Timeout + c.Wait
	}
	return c.Timeout
}

// checkDecoding says what does not go with viewers who decode changes.
func (c Config) checkDecoding() error {
	wrong := func(hint, format string, a ...any) error { return cli.Hint(fmt.Errorf(format, a...), hint) }
	switch {
	case c.Engine != Decoder:
		return wrong("leave the engine out", "protocol %q has viewers of its own, which decode: it does not go with engine %q", c.Protocol, c.Engine)
	case c.Reconnect:
		return wrong("leave --reconnect out, or use protocol h1", "protocol %q keeps each viewer's connection: it does not go with a connection for each poll", c.Protocol)
	case c.Results != nil:
		return wrong("--json has every figure", "protocol %q is not played by Vegeta: it has no results in Vegeta's format", c.Protocol)
	case c.Protocol == Stream && c.Think != Interval:
		return wrong("leave --think out, or use protocol delta", "protocol %q does not poll: it does not go with think %q", c.Protocol, c.Think)
	case c.Think == Events:
		return wrong("use protocol stream, or think longpoll", "protocol %q asks /head for what is new: it does not go with think %q", c.Protocol, c.Think)
	}
	return nil
}

// checkObjectives refuses objectives that the protocol has no figures for.
func (c Config) checkObjectives() error {
	if c.Protocol.Decodes() {
		return nil
	}
	all := c.Objectives
	for _, s := range c.Steps {
		all = append(all[:len(all):len(all)], s.Expect...)
	}
	for _, o := range all {
		if slices.Contains(ofChanges, o.metric) {
			return cli.Hint(fmt.Errorf("objective %q is about changes, which protocol %q has none of", o, c.Protocol), "add --protocol stream or --protocol delta")
		}
	}
	return nil
}

// address returns host:port of a target.
func address(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// errRunOver ends what is in flight when the run is over.
var errRunOver = errors.New("the run is over")
