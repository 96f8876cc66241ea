package loadtest

import (
	"runtime"
	"sync"
	"time"
)

// lateAfter is how far behind its plan a poll may be sent before it counts as
// late.
const lateAfter = 100 * time.Millisecond

// shard is a part of the crowd with its own lock.
type shard struct {
	mu      sync.Mutex
	tally   *tally // since the last roll
	viewers []*viewer
}

// recorder adds up what the viewers report. Every second it rolls: the tallies
// of the shards become one sample and go into the total.
type recorder struct {
	freezeAfter time.Duration
	shards      []shard

	// For the goroutine that rolls.
	second *tally
	total  *tally
}

func newRecorder(viewers []viewer, freezeAfter time.Duration) *recorder {
	n := min(2*runtime.GOMAXPROCS(0), 16, len(viewers))
	r := &recorder{freezeAfter: freezeAfter, shards: make([]shard, n), second: newTally(), total: newTally()}
	for i := range r.shards {
		r.shards[i].tally = newTally()
	}
	for i := range viewers {
		v := &viewers[i]
		v.shard = &r.shards[i%n]
		v.shard.viewers = append(v.shard.viewers, v)
	}
	return r
}

// due records a poll that fell due at planned and is looked at now.
func (r *recorder) due(v *viewer, planned, now time.Time, skipped bool) {
	v.shard.mu.Lock()
	defer v.shard.mu.Unlock()
	c := &v.shard.tally.counts
	c.due++
	if now.Sub(planned) > lateAfter {
		c.late++
	}
	if skipped {
		c.skipped++
	} else {
		c.sent++
	}
}

// arrive says that a picture for v is complete but not decoded yet.
func (r *recorder) arrive(v *viewer, at time.Time) {
	v.shard.mu.Lock()
	defer v.shard.mu.Unlock()
	v.screen.arriving = at
}

// done records the end of a poll at an instant: with a picture, with neither
// picture nor failure (unchanged), or with a failure.
func (r *recorder) done(v *viewer, p *poll, pic *picture, at time.Time) {
	v.shard.mu.Lock()
	defer v.shard.mu.Unlock()
	t := v.shard.tally
	t.planned.record(at.Sub(p.planned))
	t.sent.record(at.Sub(p.sent))
	t.counts.bytes += uint64(p.bytes)
	v.screen.arriving = time.Time{}
	switch {
	case p.failure == unfinished:
		t.counts.unfinished++
		t.failed[unfinished]++
	case p.failure != none:
		t.counts.failed++
		t.failed[p.failure]++
	case pic == nil:
		t.counts.unchanged++
	default:
		t.counts.fresh++
		v.screen.bookFreeze(t, at, r.freezeAfter)
		v.screen.show(t, pic, at)
	}
}

// closeScreens ends the watch time: what arrives later is counted but changes
// no age and no watch time.
func (r *recorder) closeScreens(at time.Time) {
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		for _, v := range s.viewers {
			v.screen.bookFreeze(s.tally, at, r.freezeAfter)
			v.screen.closed = true
		}
		s.mu.Unlock()
	}
}

// roll returns the sample of the time since the last roll.
func (r *recorder) roll(now time.Time, at time.Duration) Sample {
	r.second.reset()
	joined := 0
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		for _, v := range s.viewers {
			v.screen.bookFreeze(s.tally, now, r.freezeAfter)
			if !v.screen.joined.After(now) {
				joined++
			}
		}
		r.second.add(s.tally)
		s.tally.reset()
		s.mu.Unlock()
	}
	r.total.add(r.second)
	t, c := r.second, &r.second.counts
	return Sample{
		At: Seconds(at), Viewers: joined,
		Polls: c.due, New: c.fresh, Unchanged: c.unchanged, Errors: c.failed, Skipped: c.skipped, Late: c.late,
		Bytes:  c.bytes,
		AgeP50: Seconds(t.ages.quantile(0.50)), AgeP99: Seconds(t.ages.quantile(0.99)),
		LatencyP99: Seconds(t.planned.quantile(0.99)),
	}
}

// unseen records the viewers who never saw a picture, as having waited until
// the end of the watch time, and returns how many they are.
func (r *recorder) unseen(end time.Time) (n int) {
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		for _, v := range s.viewers {
			if v.screen.picture == nil {
				n++
				r.total.first.record(end.Sub(v.screen.joined))
			}
		}
		s.mu.Unlock()
	}
	return n
}
