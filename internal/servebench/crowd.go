package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"
)

// crowd is many viewers on one server process, idle ones and polling ones from
// two other processes: each may have 20,000 descriptors on the machine that this
// was written for.
type crowd struct {
	idle, pollers int
	secure        bool
	window        time.Duration
	limitMB       int
	target        int
}

func (c *crowd) flags(fs *flag.FlagSet) {
	fs.IntVar(&c.idle, "idle", 14_000, "idle viewers")
	fs.IntVar(&c.pollers, "pollers", 4_500, "viewers who poll every two seconds")
	fs.BoolVar(&c.secure, "tls", true, "by TLS")
	fs.DurationVar(&c.window, "window", 10*time.Second, "measured time")
	fs.IntVar(&c.limitMB, "limit", 2048, "most that the server may ever have used, in MB")
	fs.IntVar(&c.target, "target", 30_000, "viewers to extrapolate to")
}

func (c *crowd) run(ctx context.Context, out io.Writer) error {
	b, err := newBench(ctx)
	if err != nil {
		return err
	}
	defer b.close()
	p, err := b.start(ctx, serverOptions{kind: ours, tls: c.secure, period: 2 * time.Second, admin: true})
	if err != nil {
		return err
	}
	defer p.stop()
	base, err := p.state()
	if err != nil {
		return err
	}
	empty, err := p.memory("VmRSS")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "no viewer: %d kB resident, %d goroutines\n", empty, base.Goroutines)
	// The slope, in two steps.
	half := c.idle / 2
	type point struct{ conns, rss int }
	points := []point{{0, empty}}
	for _, n := range []int{half, c.idle - half} {
		leave, err := b.idle(ctx, p, c.secure, n)
		if err != nil {
			return err
		}
		defer leave()
		rss, err := p.memory("VmRSS")
		if err != nil {
			return err
		}
		points = append(points, point{points[len(points)-1].conns + n, rss})
		last := points[len(points)-1]
		fmt.Fprintf(out, "%d idle: %d kB resident\n", last.conns, last.rss)
	}
	f, err := b.load(ctx, p, load{conns: c.pollers, rate: 0.5, tls: c.secure, warmup: time.Second, window: c.window})
	if err != nil {
		return err
	}
	peak, err := p.memory("VmHWM")
	if err != nil {
		return err
	}
	with, err := p.memory("VmRSS")
	if err != nil {
		return err
	}
	after, err := p.state() // after a collection
	if err != nil {
		return err
	}
	settled, err := p.memory("VmRSS")
	if err != nil {
		return err
	}
	slope := float64(points[2].rss-points[1].rss) / float64(points[2].conns-points[1].conns)
	calm := float64(settled-empty) / float64(after.Stats.Connections)
	fmt.Fprintf(out, "%d idle and %d polling: %.0f answers/s, p50 %.0f µs, p99 %.0f µs, %.1f %% of a processor (%.1f µs/answer), %d skipped\n",
		c.idle, c.pollers, f.rate(), f.P50, f.P99, 100*f.CPUSeconds/f.Seconds, f.micros(), f.Skipped)
	fmt.Fprintf(out, "resident %d kB, at most ever %d kB; after a collection, with %d connections left, %d kB\n", with, peak, after.Stats.Connections, settled)
	fmt.Fprintf(out, "slope %.2f kB per connection while connecting, %.2f kB settled; by it %d viewers would need %.0f MB, %.0f MB settled (extrapolated, not measured)\n",
		slope, calm, c.target, (float64(points[2].rss)+slope*float64(c.target-points[2].conns))/1024, (float64(empty)+calm*float64(c.target))/1024)
	if n := after.Stats.Connections; n < int64(c.idle) {
		return fmt.Errorf("%d of %d idle viewers are left: connecting took longer than an idle connection may last", n, c.idle)
	}
	if after.Stats.Refused > 0 {
		return fmt.Errorf("%d connections were refused", after.Stats.Refused)
	}
	if peak > c.limitMB<<10 {
		return fmt.Errorf("%w: %d MB at most ever used, at most %d", errGate, peak>>10, c.limitMB)
	}
	if f.Requests == 0 {
		return errors.New("nothing was answered")
	}
	return nil
}
