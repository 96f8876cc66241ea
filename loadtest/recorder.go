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
	phase  *tally // of the phase under way; nil where a run has none
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

// count adds to the counts of changes of v.
func (r *recorder) count(v *viewer, c *changes) {
	v.shard.mu.Lock()
	defer v.shard.mu.Unlock()
	v.shard.tally.counts.changes.add(c)
}

// begin starts a phase: what was so far goes to the one before, which is
// returned, and whoever is there has yet to see a picture taken since.
func (r *recorder) begin(now time.Time) (before *tally) {
	r.collect(now)
	before, r.phase = r.phase, newTally()
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		for _, v := range s.viewers {
			if before != nil {
				v.screen.giveUp(before, now)
			}
			if v.screen.there(now) {
				v.screen.recovering = now
			}
		}
		s.mu.Unlock()
	}
	return before
}

// end ends the last phase, after the last roll, and returns it.
func (r *recorder) end(at time.Time) (last *tally) {
	last, r.phase = r.phase, nil
	if last == nil {
		return nil
	}
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		for _, v := range s.viewers {
			v.screen.giveUp(last, at)
		}
		s.mu.Unlock()
	}
	return last
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

// collect takes what the shards have, and returns how many viewers are there.
func (r *recorder) collect(now time.Time) (there int) {
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		for _, v := range s.viewers {
			v.screen.bookFreeze(s.tally, now, r.freezeAfter)
			if v.screen.there(now) {
				there++
			}
		}
		r.second.add(s.tally)
		if r.phase != nil {
			r.phase.add(s.tally)
		}
		s.tally.reset()
		s.mu.Unlock()
	}
	return there
}

// roll returns the sample of the time since the last roll.
func (r *recorder) roll(now time.Time, at time.Duration) Sample {
	there := r.collect(now)
	defer r.second.reset()
	r.total.add(r.second)
	t, c := r.second, &r.second.counts
	return Sample{
		At: Seconds(at), Viewers: there,
		Polls: c.due, New: c.fresh, Unchanged: c.unchanged, Errors: c.failed, Skipped: c.skipped, Late: c.late,
		Bytes:  c.bytes,
		AgeP50: Seconds(t.ages.quantile(0.50)), AgeP99: Seconds(t.ages.quantile(0.99)),
		LatencyP99: Seconds(t.planned.quantile(0.99)),
		Keys:       c.changes.keys, Refetches: c.changes.refetches, Gaps: c.changes.gaps, Mismatches: c.changes.mismatches,
	}
}

// unseen records the viewers who never saw a picture, as having waited until
// they left or the watch time ended, and returns how many they are. Those who
// never came are not among them.
func (r *recorder) unseen(end time.Time) (n int) {
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		for _, v := range s.viewers {
			if v.screen.picture != nil || v.screen.joined.After(end) {
				continue
			}
			n++
			until := end
			if !v.screen.leaves.IsZero() && v.screen.leaves.Before(end) {
				until = v.screen.leaves
			}
			r.total.first.record(until.Sub(v.screen.joined))
		}
		s.mu.Unlock()
	}
	return n
}
