package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"porthole/internal/cli"
	"porthole/internal/event"
	"porthole/loadtest"
)

// loadRunner runs viewers against the public side that a dashboard looks at, as
// the commands load.start, load.more, load.less and load.stop ask. Viewers come
// in groups, each a load test of its own: the first one is the run, those that
// are added join it. It starts and stops what it is asked for and nothing else.
type loadRunner struct {
	bus  *event.Bus
	cfg  loadtest.Config // of every group, without viewers and duration
	undo []func()

	mu     sync.Mutex
	groups []*loadGroup // that run, the oldest first
	begun  time.Time    // of the run
	until  time.Time
	last   event.LoadFigure
	runs   sync.WaitGroup
}

// loadGroup is one load test of a run.
type loadGroup struct {
	viewers int
	stop    context.CancelFunc
	sample  loadtest.Sample // the newest; its counts are those since the last figure
}

// Bounds of a run that is started from the dashboard.
const (
	runnerViewers  = 150
	runnerStep     = 50
	runnerMost     = 5000
	runnerDuration = 10 * time.Minute
)

func newLoadRunner(bus *event.Bus, cfg loadtest.Config) *loadRunner {
	r := &loadRunner{bus: bus, cfg: cfg}
	r.undo = []func(){
		bus.Handle("load.start", r.start), bus.Handle("load.stop", r.end), bus.Handle("load.more", r.more), bus.Handle("load.less", r.less),
	}
	return r
}

// count reads viewers=N.
func (r *loadRunner) count(c event.Command, usual int) (int, error) {
	v := c.Args["viewers"]
	if v == "" {
		return usual, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > runnerMost {
		return 0, fmt.Errorf("viewers=%q is no number from 1 to %d", v, runnerMost)
	}
	return n, nil
}

// start implements load.start; viewers=N and for=DURATION choose.
func (r *loadRunner) start(ctx context.Context, c event.Command) (event.Reply, error) {
	viewers, err := r.count(c, runnerViewers)
	if err != nil {
		return event.Reply{}, err
	}
	duration := runnerDuration
	if v := c.Args["for"]; v != "" {
		d, err := time.ParseDuration(v)
		if err != nil || d < time.Second || d > time.Hour {
			return event.Reply{}, fmt.Errorf("for=%q is no time from 1s to 1h", v)
		}
		duration = d
	}
	// A wrong address is an error of the command and not the verdict of a run.
	probed := r.cfg
	if err := (&crowdFlags{URL: probed.TargetURL}).probe(ctx, io.Discard, &probed); err != nil {
		return event.Reply{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.groups) > 0 {
		return event.Reply{}, errors.New("a load run is under way: stop it first, or add viewers to it")
	}
	r.cfg = probed
	r.begun, r.last = time.Now(), event.LoadFigure{}
	r.until = r.begun.Add(duration)
	r.join(viewers)
	return event.Reply{Text: fmt.Sprintf("%d viewers for %v", viewers, duration)}, nil
}

// more implements load.more: viewers=N join the run.
func (r *loadRunner) more(_ context.Context, c event.Command) (event.Reply, error) {
	n, err := r.count(c, runnerStep)
	if err != nil {
		return event.Reply{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch all := r.viewers() + n; {
	case len(r.groups) == 0:
		return event.Reply{}, errors.New("no load run is under way: start one first")
	case time.Until(r.until) < time.Second:
		return event.Reply{}, errors.New("the run is about to end")
	case all > runnerMost:
		return event.Reply{}, fmt.Errorf("%d viewers would be more than %d", all, runnerMost)
	}
	r.join(n)
	return event.Reply{Text: fmt.Sprintf("%d more join, %d in all", n, r.viewers())}, nil
}

// less implements load.less: the group that came last leaves.
func (r *loadRunner) less(context.Context, event.Command) (event.Reply, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch len(r.groups) {
	case 0:
		return event.Reply{}, errors.New("no load run is under way")
	case 1:
		return event.Reply{}, fmt.Errorf("these %d came first: stop the run to let them go", r.viewers())
	}
	g := r.groups[len(r.groups)-1]
	g.stop()
	return event.Reply{Text: fmt.Sprintf("%d leave", g.viewers)}, nil
}

// end implements load.stop.
func (r *loadRunner) end(context.Context, event.Command) (event.Reply, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.groups) == 0 {
		return event.Reply{}, errors.New("no load run is under way")
	}
	r.stopAll()
	return event.Reply{Text: "the viewers leave"}, nil
}

func (r *loadRunner) stopAll() {
	for _, g := range r.groups {
		g.stop()
	}
}

func (r *loadRunner) viewers() (n int) {
	for _, g := range r.groups {
		n += g.viewers
	}
	return n
}

// join starts a group. The caller holds the lock.
func (r *loadRunner) join(viewers int) {
	cfg := r.cfg
	cfg.Viewers, cfg.Duration, cfg.Conditional, cfg.Seed = viewers, time.Until(r.until), true, uint64(len(r.groups)+1)
	ctx, stop := context.WithCancel(context.Background())
	g := &loadGroup{viewers: viewers, stop: stop}
	r.groups = append(r.groups, g)
	r.runs.Go(func() {
		defer stop()
		report, err := loadtest.Run(ctx, cfg, func(s loadtest.Sample) { r.took(g, s) })
		r.left(g, report, err, ctx.Err() != nil)
	})
}

// took adds a group's second, and publishes the run's second with that of the
// oldest group. Ages and latencies of several groups cannot be merged: the worst
// group's stand for all, which never flatters.
func (r *loadRunner) took(g *loadGroup, s loadtest.Sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := g.sample
	g.sample = s
	g.sample.Polls += old.Polls
	g.sample.Errors += old.Errors
	g.sample.Skipped += old.Skipped
	g.sample.Bytes += old.Bytes
	if len(r.groups) > 0 && r.groups[0] == g {
		r.publish(false)
	}
}

func (r *loadRunner) publish(finished bool) {
	l := event.LoadFigure{At: time.Since(r.begun), Finished: finished}
	for _, g := range r.groups {
		l.Viewers += g.sample.Viewers
		l.Polls += g.sample.Polls
		l.Errors += g.sample.Errors
		l.Skipped += g.sample.Skipped
		l.Bytes += g.sample.Bytes
		l.AgeP50 = max(l.AgeP50, time.Duration(g.sample.AgeP50))
		l.AgeP99 = max(l.AgeP99, time.Duration(g.sample.AgeP99))
		l.DoneP99 = max(l.DoneP99, time.Duration(g.sample.LatencyP99))
		g.sample.Polls, g.sample.Errors, g.sample.Skipped, g.sample.Bytes = 0, 0, 0, 0
	}
	if finished {
		l.Viewers, l.AgeP50, l.AgeP99 = r.last.Viewers, r.last.AgeP50, r.last.AgeP99
	}
	r.last = l
	r.bus.Publish(event.Event{Source: event.Load, Kind: event.LoadSample, Load: l})
}

// left takes a group out and says what it found.
func (r *loadRunner) left(g *loadGroup, report *loadtest.Report, err error, stopped bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.groups) == 1 {
		r.publish(true)
	}
	r.groups = slices.DeleteFunc(r.groups, func(o *loadGroup) bool { return o == g })
	text := ""
	switch {
	case report != nil:
		text = reportWords(report)
	case err != nil && !stopped:
		text = "the load run failed: " + err.Error()
	default:
		return
	}
	r.bus.Publish(event.Event{Source: event.Load, Kind: event.Note, Text: cli.Printable(text)})
}

// reportWords is a report in one sentence.
func reportWords(r *loadtest.Report) string {
	text := fmt.Sprintf("report of %d viewers: %s, age p50 %v p99 %v, %d errors in %d polls", r.Scenario.Viewers, r.Verdict, r.Age.P50, r.Age.P99, r.Polls.Errors, r.Polls.Due)
	if len(r.Reasons) > 0 {
		text += "; " + strings.Join(r.Reasons, "; ")
	}
	return text
}

func (r *loadRunner) close() {
	for _, undo := range r.undo {
		undo()
	}
	r.mu.Lock()
	r.stopAll()
	r.mu.Unlock()
	r.runs.Wait()
}
