package loadtest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestChanges: viewers of scripted feeds for 20 s. Picture n is taken at 2n s and
// public at 2n + 0.1 s; expectations are computed by hand.
func TestChanges(t *testing.T) {
	const s, ms = time.Second, time.Millisecond
	alone := []stay{{}}
	for _, tt := range []struct {
		name     string
		script   func(*changing)
		config   Config
		stays    []stay
		polls    Polls
		failures map[string]uint64
		changes  Changes // without bytes
		streams  *Streams
		missed   uint64
		age      time.Duration // the highest
		first    time.Duration // picture, the longest
	}{
		{name: "a stream", config: Config{Protocol: Stream}, stays: []stay{{}, {join: 500 * ms}},
			// Pictures 0 to 9 each.
			polls:   Polls{New: 20},
			changes: Changes{Keys: 2, Deltas: 18}, streams: &Streams{Opened: 2}, age: 2100 * ms},
		{name: "a stream, joined in the middle of a line", config: Config{Protocol: Stream}, stays: []stay{{}, {join: 6500 * ms}},
			// The second viewer gets key 0 and changes 1 to 3 at once, and shows 3.
			polls:   Polls{New: 10 + 7},
			changes: Changes{Keys: 2, Deltas: 18}, streams: &Streams{Opened: 2}, age: 2100 * ms},
		{name: "a stream, left early", config: Config{Protocol: Stream}, stays: []stay{{}, {500 * ms, 9 * s}},
			polls:   Polls{New: 10 + 5},
			changes: Changes{Keys: 2, Deltas: 13}, streams: &Streams{Opened: 2}, age: 2100 * ms},
		{name: "a lost change", script: only(lose, 5), config: Config{Protocol: Stream}, stays: alone,
			// 5 is missing when 6 comes, at 12.1 s: 4 is on the screen until then.
			polls: Polls{New: 9, Errors: 1}, failures: map[string]uint64{"gap": 1},
			changes: Changes{Keys: 2, Refetches: 1, Deltas: 4 + 3, Gaps: 1, Lost: 1},
			streams: &Streams{Opened: 2, Ended: 1}, missed: 1, age: 4100 * ms},
		{name: "a wrong checksum", script: only(spoil, 5), config: Config{Protocol: Stream}, stays: alone,
			// Mended at once.
			polls: Polls{New: 10, Errors: 1}, failures: map[string]uint64{"checksum": 1},
			changes: Changes{Keys: 2, Refetches: 1, Deltas: 4 + 4, Mismatches: 1},
			streams: &Streams{Opened: 2, Ended: 1}, age: 2100 * ms},
		{name: "a stream that ends", script: only(end, 5), config: Config{Protocol: Stream}, stays: alone,
			// At 10.1 s; taken up at 12.1 s, with the change that comes just then.
			polls: Polls{New: 10, Errors: 1}, failures: map[string]uint64{"closed": 1},
			changes: Changes{Keys: 1, Deltas: 9},
			streams: &Streams{Opened: 2, Ended: 1, Resumed: 1}, age: 2100 * ms},
		{name: "a stream that ends and is taken up late", script: only(end, 5), config: Config{Protocol: Stream, Period: 3 * s}, stays: alone,
			// Taken up at 13.1 s, with picture 6, which is 1.1 s old; 5 was there until
			// then.
			polls: Polls{New: 10, Errors: 1}, failures: map[string]uint64{"closed": 1},
			changes: Changes{Keys: 1, Deltas: 9},
			streams: &Streams{Opened: 2, Ended: 1, Resumed: 1}, age: 3100 * ms},
		{name: "a server that starts anew", script: func(c *changing) { c.restart = 6 }, config: Config{Protocol: Stream, Period: time.Second}, stays: alone,
			// The stream ends at 12.1 s; at 13.1 s comes key 6 of the new numbers.
			polls: Polls{New: 10, Errors: 1}, failures: map[string]uint64{"closed": 1},
			changes: Changes{Keys: 2, Refetches: 1, Deltas: 5 + 3},
			streams: &Streams{Opened: 2, Ended: 1}, age: 3100 * ms},
		{name: "a key for nothing", script: only(rekey, 5), config: Config{Protocol: Stream}, stays: alone,
			polls:   Polls{New: 10},
			changes: Changes{Keys: 2, Refetches: 1, Deltas: 4 + 4}, streams: &Streams{Opened: 1}, age: 2100 * ms},
		{name: "a server that drops to a key", script: func(c *changing) {
			c.do = func(_, n int) deed { return map[int]deed{3: lose, 4: lose, 5: lose, 6: rekey}[n] }
		}, config: Config{Protocol: Stream}, stays: alone,
			// 2 is on the screen until key 6 at 12.1 s.
			polls:   Polls{New: 3 + 4},
			changes: Changes{Keys: 2, Refetches: 1, Deltas: 2 + 3, Gaps: 1, Lost: 3}, streams: &Streams{Opened: 1}, missed: 3, age: 8100 * ms},
		{name: "pictures of another size", script: func(c *changing) { c.resize = 5 }, config: Config{Protocol: Stream}, stays: alone,
			polls:   Polls{New: 10},
			changes: Changes{Keys: 2, Planned: 1, Deltas: 4 + 4}, streams: &Streams{Opened: 1}, age: 2100 * ms},

		{name: "fetched", config: Config{Protocol: Delta, Conditional: true}, stays: []stay{{}, {join: 500 * ms}},
			// The first polls at 0, 2, …: 0, nothing, 1, … 8. The second at 0.5, 2.5, …:
			// 0 to 9.
			polls:   Polls{New: 9 + 10, Unchanged: 1},
			changes: Changes{Keys: 2, Deltas: 8 + 9}, age: 4 * s},
		{name: "fetched without ETags", config: Config{Protocol: Delta}, stays: alone,
			polls:   Polls{New: 9, Unchanged: 1},
			changes: Changes{Keys: 1, Deltas: 8}, age: 4 * s},
		{name: "fetched in long polls", config: Config{Protocol: Delta, Think: LongPoll}, stays: alone,
			polls:   Polls{New: 10, Unfinished: 1},
			changes: Changes{Keys: 1, Deltas: 9}, age: 2100 * ms},
		{name: "fetched a period after the answer", config: Config{Protocol: Delta, Think: After}, stays: alone,
			polls:   Polls{New: 9, Unchanged: 1},
			changes: Changes{Keys: 1, Deltas: 8}, age: 4 * s},
		{name: "a frame that is gone", script: only(rekey, 5), config: Config{Protocol: Delta}, stays: alone,
			// The poll at 12 s: key 4 of a younger line, and 5.
			polls:   Polls{New: 9, Unchanged: 1},
			changes: Changes{Keys: 2, Refetches: 1, Deltas: 8}, age: 4 * s},
		{name: "a frame with a wrong checksum", script: only(spoil, 5), config: Config{Protocol: Delta}, stays: alone,
			// The poll at 12 s fails; that at 14 s takes key 4, 5 and 6.
			polls: Polls{New: 8, Unchanged: 1, Errors: 1}, failures: map[string]uint64{"checksum": 1},
			changes: Changes{Keys: 2, Refetches: 1, Deltas: 4 + 4, Mismatches: 1}, missed: 1, age: 6 * s},
		{name: "polls far apart", config: Config{Protocol: Delta, Period: 6 * s, FreezeAfter: 4 * s}, stays: alone,
			// At 0, 6, 12 and 18 s: pictures 0, 2, 5, 8; what is between is decoded and
			// not shown.
			polls:   Polls{New: 4},
			changes: Changes{Keys: 1, Deltas: 8}, missed: 1 + 2 + 2, age: 8 * s},
		{name: "pictures of another size, fetched", script: func(c *changing) { c.resize = 5 }, config: Config{Protocol: Delta}, stays: alone,
			polls:   Polls{New: 9, Unchanged: 1},
			changes: Changes{Keys: 2, Planned: 1, Deltas: 4 + 3}, age: 4 * s},
		{name: "a server that starts anew, fetched", script: func(c *changing) { c.restart = 6 }, config: Config{Protocol: Delta}, stays: alone,
			polls:   Polls{New: 9, Unchanged: 1},
			changes: Changes{Keys: 2, Refetches: 1, Deltas: 5 + 2}, age: 4 * s},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newChanging(2 * s)
				if tt.script != nil {
					tt.script(f)
				}
				r := playChanges(t, f, tt.config, tt.stays)
				want := tt.polls
				want.Sent = want.New + want.Unchanged + want.Errors + want.Unfinished
				want.Due = want.Sent
				if r.Polls != want {
					t.Errorf("polls %+v, want %+v", r.Polls, want)
				}
				if fmt.Sprint(r.Failures) != fmt.Sprint(tt.failures) {
					t.Errorf("failures %v, want %v", r.Failures, tt.failures)
				}
				got := *r.Changes
				got.KeyBytes, got.DeltaBytes = 0, 0
				if got != tt.changes {
					t.Errorf("changes %+v, want %+v", got, tt.changes)
				}
				if (r.Streams == nil) != (tt.streams == nil) || r.Streams != nil && *r.Streams != *tt.streams {
					t.Errorf("streams %+v, want %+v", r.Streams, tt.streams)
				}
				if r.Pictures.Missed != tt.missed || r.Pictures.Duplicates+r.Pictures.Backward+r.Pictures.Restarts != 0 {
					t.Errorf("pictures %+v, want %d missed", r.Pictures, tt.missed)
				}
				near(t, "age max", r.Age.Max, tt.age, 0)
				near(t, "first frame", r.FirstFrame.Max, tt.first, 0)
				if r.Traffic.Body != uint64(f.bytes) {
					t.Errorf("%d bytes of bodies, the server sent %d", r.Traffic.Body, f.bytes)
				}
			})
		})
	}
}

// playChanges runs viewers with known stays against f for 20 s, in a bubble.
func playChanges(t *testing.T, f *changing, c Config, stays []stay) *Report {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { f.run(ctx) })
	defer running.Wait()
	defer cancel()
	setDefault(&c.Duration, 20*time.Second)
	c.TargetURL = "http://feed.example/latest"
	c = c.withDefaults()
	c.Viewers = len(stays)
	r := playStays(t, f, c, stays).report(c)
	balance(t, r)
	return r
}

// TestBrokenChanges: a server whose changes are all wrong shows its keys and
// nothing else, and gets a question a period, not a storm.
func TestBrokenChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newChanging(2 * time.Second)
		f.do = func(int, int) deed { return spoil }
		r := playChanges(t, f, Config{Protocol: Stream, Period: 1300 * time.Millisecond}, []stay{{}})
		c := r.Changes
		if n := r.Streams.Opened; n < 12 || n > 14 || c.Keys != n || c.Refetches != n-1 || c.Mismatches != r.Polls.Errors || r.Streams.Ended != c.Mismatches || c.Deltas != 0 {
			t.Errorf("%+v, changes %+v, polls %+v", r.Streams, c, r.Polls)
		}
		if r.Failures["checksum"] != r.Polls.Errors {
			t.Errorf("failures %v", r.Failures)
		}
	})
}

// TestPlannedKeys: a line lives for 128 pictures. A key in place of picture 128
// is nobody's fault, one a picture sooner repairs something.
func TestPlannedKeys(t *testing.T) {
	for at, want := range map[int]Changes{127: {Keys: 2, Refetches: 1, Deltas: 138}, 128: {Keys: 2, Planned: 1, Deltas: 138}} {
		synctest.Test(t, func(t *testing.T) {
			const ms = time.Millisecond
			f := newChanging(100 * ms)
			f.lag, f.still = 30*ms, true
			only(rekey, at)(f)
			r := playChanges(t, f, Config{Protocol: Stream, Period: 100 * ms, Duration: 14 * time.Second}, []stay{{join: 50 * ms}})
			c := *r.Changes
			c.KeyBytes, c.DeltaBytes = 0, 0
			if c != want || r.Polls.Errors != 0 || r.Pictures.Missed != 0 || r.Polls.New != 140 {
				t.Errorf("at %d: changes %+v, want %+v; polls %+v, pictures %+v", at, c, want, r.Polls, r.Pictures)
			}
		})
	}
}
