package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

// scenario is one way to load all servers.
type scenario struct {
	name    string
	servers []string
	options serverOptions
	load    load
	rounds  int     // share of the comparison's: 1 all of them, 2 every second
	gate    float64 // most that ours may cost, as a share of nginx; 0 for none
	h2load  bool
	idle    int // connections whose memory is measured; 0 for a load
}

// comparison runs all servers through all scenarios.
type comparison struct {
	rounds   int
	window   time.Duration
	only     string
	smoke    bool
	gates    bool
	seed     uint64
	pollers  int
	idleSize int
}

func (c *comparison) flags(fs *flag.FlagSet) {
	fs.IntVar(&c.rounds, "rounds", 5, "how often each server runs each scenario")
	fs.DurationVar(&c.window, "window", 1200*time.Millisecond, "measured time of a saturated run")
	fs.StringVar(&c.only, "only", "", "scenarios to run, as a regular expression")
	fs.BoolVar(&c.smoke, "smoke", false, "only show that everything works: one round, short and small")
	fs.BoolVar(&c.gates, "gates", true, "fail with exit code 3 where ours costs more than it may")
	fs.Uint64Var(&c.seed, "seed", 1, "of the order in which servers run")
	fs.IntVar(&c.pollers, "pollers", 5000, "viewers who poll every two seconds")
	fs.IntVar(&c.idleSize, "idle", 5000, "idle connections whose memory is measured")
}

func (c *comparison) scenarios() []scenario {
	all := []string{nginx, ours, netHTTP, first}
	modern := []string{nginx, ours, netHTTP}
	closed := func(conns int, tls, conditional bool) load {
		return load{conns: conns, tls: tls, conditional: conditional, busy: true, warmup: 300 * time.Millisecond, window: c.window, cpu: "1"}
	}
	open := func(tls, conditional bool) load {
		return load{conns: c.pollers, rate: 0.5, tls: tls, conditional: conditional, busy: true, warmup: time.Second, window: 4 * time.Second, cpu: "1"}
	}
	pinned := serverOptions{cpu: "0", period: time.Hour}
	pinnedTLS := serverOptions{cpu: "0", period: time.Hour, tls: true}
	pinnedH2 := serverOptions{cpu: "0", period: time.Hour, tls: true, http2: true}
	fresh, freshTLS := pinned, pinnedTLS
	fresh.period, freshTLS.period = 2*time.Second, 2*time.Second
	return []scenario{
		{name: "plain, 64 connections", servers: all, options: pinned, load: closed(64, false, false), rounds: 1, gate: 0.95},
		{name: "plain, 1000 connections", servers: modern, options: pinned, load: closed(1000, false, false), rounds: 1},
		{name: "TLS, 64 connections", servers: modern, options: pinnedTLS, load: closed(64, true, false), rounds: 1, gate: 0.65},
		{name: "TLS, 1000 connections", servers: []string{nginx, ours}, options: pinnedTLS, load: closed(1000, true, false), rounds: 2},
		{name: "304, 64 connections", servers: modern, options: pinned, load: closed(64, false, true), rounds: 1, gate: 0.95},
		{name: "HTTP/2, 64 connections", servers: modern, options: pinnedH2, load: load{conns: 64, cpu: "1"}, rounds: 2, h2load: true},
		{name: "plain, pollers at 0.5/s", servers: []string{nginx, ours}, options: fresh, load: open(false, false), rounds: 2},
		{name: "TLS, pollers at 0.5/s", servers: modern, options: freshTLS, load: open(true, false), rounds: 2},
		{name: "plain, memory of idle connections", servers: modern, options: pinned, rounds: 5, idle: c.idleSize},
		{name: "TLS, memory of idle connections", servers: modern, options: pinnedTLS, rounds: 5, idle: c.idleSize},
	}
}

// sample is one run of one server in one scenario.
type sample struct {
	figures
	kb float64 // of a connection
}

func (c *comparison) run(ctx context.Context, out io.Writer) error {
	if c.smoke {
		c.rounds, c.window, c.pollers, c.idleSize, c.gates = 1, 100*time.Millisecond, 50, 50, false
	}
	only, err := regexp.Compile(c.only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	b, err := newBench(ctx)
	if err != nil {
		return err
	}
	defer b.close()
	shot, err := os.Stat(b.dir + "/latest")
	if err != nil {
		return err
	}
	began := time.Now()
	fmt.Fprintf(out, "picture of %d bytes, %d rounds in random order (-seed %d), server and client on a processor each\n\n", shot.Size(), c.rounds, c.seed)
	random := rand.New(rand.NewPCG(c.seed, 0))
	samples := make(map[string][]sample)
	scenarios := c.scenarios()
	for round := range c.rounds {
		type turn struct {
			scenario
			server string
		}
		var turns []turn
		for _, s := range scenarios {
			if !only.MatchString(s.name) || round%s.rounds != 0 {
				continue
			}
			for _, server := range s.servers {
				turns = append(turns, turn{s, server})
			}
		}
		random.Shuffle(len(turns), func(i, j int) { turns[i], turns[j] = turns[j], turns[i] })
		for _, t := range turns {
			got, err := c.turn(ctx, b, t.scenario, t.server)
			for tries := 0; errors.Is(err, errNothing) && tries < 3; tries++ { // the machine was busy elsewhere
				got, err = c.turn(ctx, b, t.scenario, t.server)
			}
			if err != nil {
				return fmt.Errorf("%s, %s: %w", t.name, t.server, err)
			}
			key := t.name + "\x00" + t.server
			samples[key] = append(samples[key], got)
		}
	}
	missed := c.report(out, scenarios, samples)
	fmt.Fprintf(out, "\ntook %v\n", time.Since(began).Round(time.Second))
	if len(missed) > 0 && c.gates {
		return fmt.Errorf("%w: %s", errGate, strings.Join(missed, "; "))
	}
	return nil
}

// turn measures one server in one scenario, in a process of its own.
func (c *comparison) turn(ctx context.Context, b *bench, s scenario, server string) (sample, error) {
	o := s.options
	o.kind = server
	if c.smoke {
		s.load.warmup, s.load.window = 50*time.Millisecond, 200*time.Millisecond
		s.load.conns = min(s.load.conns, 50)
	}
	p, err := b.start(ctx, o)
	if err != nil {
		return sample{}, err
	}
	defer p.stop()
	switch {
	case s.idle > 0:
		return memoryOf(ctx, b, p, o.tls, s.idle)
	case s.h2load:
		return c.http2(ctx, p)
	}
	f, err := b.load(ctx, p, s.load)
	return sample{figures: f}, err
}

// memoryOf returns what a connection costs that has asked once and is idle.
func memoryOf(ctx context.Context, b *bench, p *process, secure bool, n int) (sample, error) {
	before, err := p.memory("VmRSS")
	if err != nil {
		return sample{}, err
	}
	leave, err := b.idle(ctx, p, secure, n)
	if err != nil {
		return sample{}, err
	}
	defer leave()
	after, err := p.memory("VmRSS")
	return sample{kb: float64(after-before) / float64(n)}, err
}

// http2 loads a server over HTTP/2, a stream at a time on each connection.
func (c *comparison) http2(ctx context.Context, p *process) (s sample, err error) {
	requests := 20_000
	if c.smoke {
		requests = 500
	}
	before, err := cpuOf(p.pids)
	if err != nil {
		return s, err
	}
	began := time.Now()
	out, err := pin(ctx, "1", "h2load", "-t1", "-c64", "-m1", "-n", strconv.Itoa(requests), fmt.Sprintf("https://127.0.0.1:%d/latest", p.port)).CombinedOutput()
	if err != nil {
		return s, fmt.Errorf("h2load: %w: %s", err, out)
	}
	took := time.Since(began)
	after, err := cpuOf(p.pids)
	if err != nil {
		return s, err
	}
	if !strings.Contains(string(out), fmt.Sprintf("%d succeeded", requests)) || !strings.Contains(string(out), "Application protocol: h2") {
		return s, fmt.Errorf("h2load: %s", out)
	}
	s.Requests, s.Seconds, s.CPUSeconds = uint64(requests), took.Seconds(), (after - before).Seconds()
	return s, nil
}

// report prints medians and ratios, and returns the gates that were missed.
func (c *comparison) report(out io.Writer, scenarios []scenario, samples map[string][]sample) (missed []string) {
	w := tabwriter.NewWriter(out, 0, 0, 1, ' ', 0)
	for _, s := range scenarios {
		base := samples[s.name+"\x00"+nginx]
		if len(base) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n%s\n", s.name)
		if s.idle > 0 {
			fmt.Fprintln(w, "| server\t| kB/connection\t| min-max\t|\n|---\t|---\t|---\t|")
		} else {
			fmt.Fprintln(w, "| server\t| CPU µs/request\t| min-max\t| of nginx\t| answers/s\t| p50 µs\t| p99 µs\t|\n|---\t|---\t|---\t|---\t|---\t|---\t|---\t|")
		}
		for _, server := range s.servers {
			got := samples[s.name+"\x00"+server]
			if s.idle > 0 {
				lo, mid, hi := spread(got, func(s sample) float64 { return s.kb })
				fmt.Fprintf(w, "| %s\t| %.1f\t| %.1f-%.1f\t|\n", server, mid, lo, hi)
				continue
			}
			lo, mid, hi := spread(got, func(s sample) float64 { return s.micros() })
			ratio := ratioOf(got, base)
			fmt.Fprintf(w, "| %s\t| %.2f\t| %.2f-%.2f\t| %.2f\t| %.0f\t| %s\t| %s\t|\n", server, mid, lo, hi, ratio,
				median(got, func(s sample) float64 { return s.rate() }), micros(median(got, func(s sample) float64 { return s.P50 })), micros(median(got, func(s sample) float64 { return s.P99 })))
			if server == ours && s.gate > 0 && ratio > s.gate {
				missed = append(missed, fmt.Sprintf("%s: %.2f of nginx, at most %.2f", s.name, ratio, s.gate))
			}
		}
	}
	w.Flush()
	return missed
}

// ratioOf is the median of the ratios within the rounds: what slowed one round
// slowed both.
func ratioOf(got, base []sample) float64 {
	var r []float64
	for i := range min(len(got), len(base)) {
		r = append(r, got[i].micros()/base[i].micros())
	}
	slices.Sort(r)
	return middle(r)
}

func spread(s []sample, of func(sample) float64) (lo, mid, hi float64) {
	var v []float64
	for _, x := range s {
		v = append(v, of(x))
	}
	slices.Sort(v)
	return v[0], middle(v), v[len(v)-1]
}

func median(s []sample, of func(sample) float64) float64 {
	_, mid, _ := spread(s, of)
	return mid
}

func middle(sorted []float64) float64 {
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func micros(us float64) string {
	if us == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f", us)
}

// cpuOf returns the CPU time of processes, with all their threads.
func cpuOf(pids []int) (sum time.Duration, err error) {
	for _, pid := range pids {
		var ts unix.Timespec
		// The CPU clock of a process has its number in its own (clock_getcpuclockid).
		if err := unix.ClockGettime(int32(^pid<<3|2), &ts); err != nil {
			return 0, fmt.Errorf("read the CPU clock of process %d: %w", pid, err)
		}
		sum += time.Duration(ts.Nano())
	}
	return sum, nil
}
