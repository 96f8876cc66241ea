package loadtest

import "time"

// maxGap bounds what one jump of the picture number counts as missed, so that a
// camera that changes its numbering does not drown the figure.
const maxGap = 1 << 20

// screen is what one viewer shows, from the join to the end of the watch time.
// It books every nanosecond of that time exactly once. Guarded by the mutex of
// its shard.
type screen struct {
	joined time.Time
	leaves time.Time // zero: stays to the end
	end    time.Time // of the watch time, however late it is noticed; zero: none
	booked time.Time // everything before is in the tally
	// arriving is set while a picture that is already complete is being decoded:
	// from then on the time is not the old picture's.
	arriving time.Time
	closed   bool
	picture  *picture // on the screen; nil = blank

	last   Stamp // of the newest dated picture, once hasLast
	has    bool
	looped bool // the loop was shown since

	frozen bool
	freeze time.Duration // length of the freeze under way

	// recovering is the beginning of the phase in which this viewer has not yet
	// seen a picture taken since; zero for one who has, or came later.
	recovering time.Time
}

// there reports whether the viewer is there at an instant.
func (s *screen) there(at time.Time) bool {
	return !s.joined.After(at) && (s.leaves.IsZero() || s.leaves.After(at))
}

// recover ends a viewer's recovering with a picture taken since.
func (s *screen) recover(t *tally, p *picture, at time.Time) {
	if !s.recovering.IsZero() && p.dated() && p.stamp.Captured.After(s.recovering) {
		t.recovery.record(at.Sub(s.recovering))
		s.recovering = time.Time{}
	}
}

// giveUp ends it without one: until then is a lower bound.
func (s *screen) giveUp(t *tally, at time.Time) {
	if s.recovering.IsZero() {
		return
	}
	if !s.leaves.IsZero() && s.leaves.Before(at) {
		at = s.leaves
	}
	t.recovery.record(at.Sub(s.recovering))
	t.counts.unrecovered++
	s.recovering = time.Time{}
}

// book puts the watch time until then into t.
func (s *screen) book(t *tally, until time.Time) {
	if !s.arriving.IsZero() && s.arriving.Before(until) {
		until = s.arriving
	}
	if !s.leaves.IsZero() && s.leaves.Before(until) {
		until = s.leaves
	}
	if !s.end.IsZero() && s.end.Before(until) {
		until = s.end
	}
	d := until.Sub(s.booked)
	if s.closed || d <= 0 {
		return
	}
	from := s.booked
	s.booked = until
	if s.picture == nil {
		t.blank += d
		return
	}
	t.watched[s.picture.source] += d
	if s.picture.dated() {
		t.ages.sweep(from.Sub(s.picture.stamp.Captured), d)
	}
}

// bookFreeze is book with freezes: the part of the time in which the picture is
// older than after.
func (s *screen) bookFreeze(t *tally, until time.Time, after time.Duration) {
	before := s.booked
	s.book(t, until)
	d := s.booked.Sub(before)
	if s.picture == nil || !s.picture.dated() || d <= 0 {
		return
	}
	part := min(d, s.booked.Sub(s.picture.stamp.Captured)-after)
	if part <= 0 {
		return
	}
	if !s.frozen {
		s.frozen = true
		t.counts.freezes++
	}
	s.freeze += part
	t.frozen += part
	t.longest = max(t.longest, s.freeze)
}

// show puts p on the screen at an instant up to which everything is booked.
func (s *screen) show(t *tally, p *picture, at time.Time) {
	if s.picture == nil {
		t.first.record(at.Sub(s.joined))
	}
	old := s.picture
	if old == p || old != nil && old.stamped && p.stamped && old.source == p.source && old.stamp == p.stamp {
		t.counts.duplicates++
		return
	}
	s.picture = p
	s.recover(t, p, at)
	t.counts.shown++
	s.frozen, s.freeze = false, 0
	if p.source == Loop {
		s.looped = true
	}
	if p.dated() {
		s.order(t, p.stamp)
	}
}

// order compares the number of a picture with that of the dated one before.
// Pictures that the public was not shown because the loop ran are not missed.
func (s *screen) order(t *tally, now Stamp) {
	last, looped := s.last, s.looped
	known := s.has
	s.last, s.has, s.looped = now, true, false
	switch {
	case !known:
	case now.Seq > last.Seq:
		if !looped {
			t.counts.missed += min(now.Seq-last.Seq-1, maxGap)
		}
	case now.Seq < last.Seq && now.Captured.After(last.Captured):
		t.counts.restarts++
	case now.Seq < last.Seq:
		t.counts.backward++
	}
}
