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
}

// book puts the watch time until then into t.
func (s *screen) book(t *tally, until time.Time) {
	if !s.arriving.IsZero() && s.arriving.Before(until) {
		until = s.arriving
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
