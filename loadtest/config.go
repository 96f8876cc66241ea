package loadtest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
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
)

// Bounds of a configuration. They catch slips of a digit; what this machine can
// bear is found out by the preflight.
const (
	maxViewers = 100_000
	minPeriod  = 10 * time.Millisecond
	maxRun     = 30 * 24 * time.Hour
)

// Config describes one load test. Only TargetURL has no default.
type Config struct {
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

func (c Config) withDefaults() Config {
	setDefault(&c.Viewers, 150)
	setDefault(&c.Duration, 20*time.Second)
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
	case c.Think != Interval && c.Think != After:
		return wrong("think %q: want %q or %q", c.Think, Interval, After)
	case c.Timeout < 0 || c.FreezeAfter < 0 || c.MaxPicture < 0 || c.MaxMbit < 0:
		return wrong("a timeout or limit is negative")
	}
	u.Fragment = ""
	return u, nil
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
