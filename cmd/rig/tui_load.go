package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"porthole/internal/cli"
	"porthole/internal/event"
	"porthole/loadtest"
)

// loadRunner runs viewers against the server of this process, at most one run at
// a time, as the commands load.start and load.stop ask.
type loadRunner struct {
	bus  *event.Bus
	feed *feed
	undo []func()

	mu   sync.Mutex
	stop context.CancelFunc // of the run, nil for none
	runs sync.WaitGroup
	log  *modeLog
	sub  *event.Subscription
}

// Bounds of a run that is started from the dashboard.
const (
	runnerViewers  = 150
	runnerMost     = 5000
	runnerDuration = 10 * time.Minute
)

func newLoadRunner(bus *event.Bus, f *feed) *loadRunner {
	r := &loadRunner{bus: bus, feed: f, log: new(modeLog), sub: bus.Subscribe(1024)}
	r.runs.Go(func() { r.log.read(r.sub, nil) })
	r.undo = []func(){bus.Handle("load.start", r.start), bus.Handle("load.stop", r.end)}
	return r
}

// start implements the command load.start; viewers=N and for=DURATION choose.
func (r *loadRunner) start(_ context.Context, c event.Command) (event.Reply, error) {
	viewers, duration := runnerViewers, runnerDuration
	if v := c.Args["viewers"]; v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > runnerMost {
			return event.Reply{}, fmt.Errorf("viewers=%q is no number from 1 to %d", v, runnerMost)
		}
		viewers = n
	}
	if v := c.Args["for"]; v != "" {
		d, err := time.ParseDuration(v)
		if err != nil || d < time.Second || d > time.Hour {
			return event.Reply{}, fmt.Errorf("for=%q is no time from 1s to 1h", v)
		}
		duration = d
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stop != nil {
		return event.Reply{}, errors.New("a load run is under way: stop it first")
	}
	cfg := loadtest.Config{
		TargetURL: "https://" + r.feed.https.Addr().String() + "/latest", TLS: trusting(r.feed.roots), Truth: r.log,
		Viewers: viewers, Duration: duration, Conditional: true, Seed: 1, InProcess: true,
	}
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	r.runs.Go(func() { r.run(ctx, cfg) })
	return event.Reply{Text: fmt.Sprintf("%d viewers for %v", viewers, duration)}, nil
}

func (r *loadRunner) run(ctx context.Context, cfg loadtest.Config) {
	var last event.LoadFigure
	_, err := loadtest.Run(ctx, cfg, func(s loadtest.Sample) {
		last = event.LoadFigure{
			At: time.Duration(s.At), Viewers: s.Viewers, Polls: s.Polls, Errors: s.Errors, Skipped: s.Skipped, Bytes: s.Bytes,
			AgeP50: time.Duration(s.AgeP50), AgeP99: time.Duration(s.AgeP99), DoneP99: time.Duration(s.LatencyP99), Finished: s.Final,
		}
		r.bus.Publish(event.Event{Source: event.Load, Kind: event.LoadSample, Load: last})
	})
	if !last.Finished {
		last.Finished = true
		r.bus.Publish(event.Event{Source: event.Load, Kind: event.LoadSample, Load: last})
	}
	if err != nil && ctx.Err() == nil {
		r.bus.Publish(event.Event{Source: event.Load, Kind: event.Note, Text: "the load run failed: " + cli.Printable(err.Error())})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stop()
	r.stop = nil
}

// end implements the command load.stop.
func (r *loadRunner) end(context.Context, event.Command) (event.Reply, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stop == nil {
		return event.Reply{}, errors.New("no load run is under way")
	}
	r.stop()
	return event.Reply{Text: "the viewers leave"}, nil
}

func (r *loadRunner) close() {
	for _, undo := range r.undo {
		undo()
	}
	r.mu.Lock()
	if r.stop != nil {
		r.stop()
	}
	r.mu.Unlock()
	r.sub.Close()
	r.runs.Wait()
}
