package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"porthole/internal/cli"
	"porthole/internal/event"
	"porthole/loadtest"
)

// maxLoadFile bounds what is read of one load test. A sample has 250 bytes.
const maxLoadFile = 64 << 20

// loadFollower follows the figures of a load test of another process: a report, or
// the samples that rig load writes while it runs.
type loadFollower struct {
	stop  context.CancelFunc
	parts sync.WaitGroup
}

const loadHint = "rig load --json FILE writes a report, rig load --samples FILE a line a second as it runs"

// followLoad opens the file at once and reads it until its report has come.
func followLoad(bus *event.Bus, path string) (*loadFollower, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, cli.Hint(fmt.Errorf("read load figures: %w", err), loadHint)
	}
	ctx, stop := context.WithCancel(context.Background())
	l := &loadFollower{stop: stop}
	l.parts.Go(func() {
		defer f.Close()
		if err := readLoad(ctx, bus, &growing{ctx: ctx, f: f}); err != nil && ctx.Err() == nil {
			bus.Publish(event.Event{Source: event.Load, Kind: event.Note, Text: fmt.Sprintf("%s: %v; %s", cli.Printable(path), err, loadHint)})
		}
	})
	return l, nil
}

func (l *loadFollower) close() {
	l.stop()
	l.parts.Wait()
}

// readLoad reads JSON values: any number of samples, and a report at the end.
// Fields that it does not know are none of its business.
func readLoad(ctx context.Context, bus *event.Bus, r io.Reader) error {
	values := json.NewDecoder(io.LimitReader(r, maxLoadFile))
	for {
		var raw json.RawMessage
		if err := values.Decode(&raw); err != nil {
			return fmt.Errorf("read load figures: %w", err)
		}
		var head struct {
			Schema string `json:"schema"`
		}
		if err := json.Unmarshal(raw, &head); err != nil {
			return errors.New("read load figures: this is no figure of a load test")
		}
		if head.Schema == "" {
			var s loadtest.Sample
			if err := json.Unmarshal(raw, &s); err != nil {
				return fmt.Errorf("read load figures: %w", err)
			}
			bus.Publish(event.Event{Source: event.Load, Kind: event.LoadSample, Load: sampleFigure(s)})
			continue
		}
		if head.Schema != loadtest.Schema {
			return fmt.Errorf("read load figures: %q is not %q", head.Schema, loadtest.Schema)
		}
		var report loadtest.Report
		if err := json.Unmarshal(raw, &report); err != nil {
			return fmt.Errorf("read load figures: %w", err)
		}
		publishReport(bus, &report)
		return nil
	}
}

func sampleFigure(s loadtest.Sample) event.LoadFigure {
	return event.LoadFigure{
		At: time.Duration(s.At), Viewers: s.Viewers, Polls: s.Polls, Errors: s.Errors, Skipped: s.Skipped, Bytes: s.Bytes,
		AgeP50: time.Duration(s.AgeP50), AgeP99: time.Duration(s.AgeP99), DoneP99: time.Duration(s.LatencyP99),
		Keys: s.Keys, Refetches: s.Refetches, Gaps: s.Gaps, Mismatches: s.Mismatches, Finished: s.Final,
	}
}

// publishReport shows a report alone as its run's only figure; after samples of
// the run it says the verdict only.
func publishReport(bus *event.Bus, r *loadtest.Report) {
	if bus.Snapshot().Load == (event.LoadFigure{}) {
		l := event.LoadFigure{
			At: time.Duration(r.Ran), Viewers: r.Scenario.Viewers, Polls: r.Polls.Due, Errors: r.Polls.Errors, Skipped: r.Polls.Skipped, Bytes: r.Traffic.Body,
			AgeP50: time.Duration(r.Age.P50), AgeP99: time.Duration(r.Age.P99), DoneP99: time.Duration(r.Latency.P99), Finished: true,
		}
		if c := r.Changes; c != nil {
			l.Keys, l.Refetches, l.Gaps, l.Mismatches = c.Keys, c.Refetches, c.Gaps, c.Mismatches
		}
		bus.Publish(event.Event{Source: event.Load, Kind: event.LoadSample, Load: l})
	}
	bus.Publish(event.Event{Source: event.Load, Kind: event.Note, Text: cli.Printable(reportWords(r))})
}

// growing is a file that is still being written: its end is only where ctx ends.
type growing struct {
	ctx context.Context
	f   *os.File
}

// askEvery is how often a file is asked for more.
const askEvery = 250 * time.Millisecond

// Read implements io.Reader.
func (t *growing) Read(p []byte) (int, error) {
	for {
		n, err := t.f.Read(p)
		if n > 0 || err != nil && err != io.EOF {
			return n, err
		}
		if err := pause(t.ctx, askEvery); err != nil {
			return 0, err
		}
	}
}
