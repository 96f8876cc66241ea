package loadtest

import (
	"testing"
	"time"
)

// TestScreen shows pictures by the second to one viewer who joined at 0 and
// watches until 60; a picture older than 10 s is frozen.
func TestScreen(t *testing.T) {
	const s = time.Second
	epoch := time.Unix(1_800_000_000, 0)
	at := func(sec int) time.Time { return epoch.Add(time.Duration(sec) * s) }
	live := func(seq uint64, captured int) *picture {
		return &picture{stamp: Stamp{seq, at(captured)}, stamped: true, source: Live}
	}
	loop := func(seq uint64, captured int) *picture {
		return &picture{stamp: Stamp{seq, at(captured)}, stamped: true, source: Loop}
	}
	bare := func() *picture { return &picture{} }
	one, again := live(1, 1), live(1, 1) // the same frame under two ETags
	type show struct {
		at int
		p  *picture
	}
	for _, tt := range []struct {
		name                                                   string
		shows                                                  []show
		shown, duplicates, missed, backward, restarts, freezes uint64
		blank, live, loop, unknown, frozen, longest            int // seconds
		maxAge                                                 int
	}{
		{name: "nothing", blank: 60},
		{name: "one", shows: []show{{5, live(9, 3)}}, shown: 1, blank: 5, live: 55,
			freezes: 1, frozen: 47, longest: 47, maxAge: 57},
		{name: "in order", shows: []show{{2, live(1, 1)}, {4, live(2, 3)}, {52, live(3, 51)}}, shown: 3, blank: 2, live: 58,
			freezes: 1, frozen: 39, longest: 39, maxAge: 49},
		{name: "gaps", shows: []show{{50, live(1, 49)}, {52, live(2, 51)}, {54, live(5, 53)}, {56, live(7, 55)}}, shown: 4, missed: 3,
			blank: 50, live: 10, maxAge: 5},
		{name: "sent twice", shows: []show{{52, one}, {54, one}, {56, again}}, shown: 1, duplicates: 2, blank: 52, live: 8,
			frozen: 8, maxAge: 59, freezes: 1, longest: 8}, // old already when it comes
		{name: "backward and on", shows: []show{{50, live(5, 49)}, {52, live(4, 47)}, {54, live(6, 53)}}, shown: 3, backward: 1, missed: 1,
			blank: 50, live: 10, maxAge: 7},
		{name: "the camera begins anew", shows: []show{{50, live(500, 49)}, {52, live(0, 51)}, {54, live(1, 53)}}, shown: 3, restarts: 1,
			blank: 50, live: 10, maxAge: 7},
		{name: "an absurd jump is bounded", shows: []show{{50, live(1, 49)}, {52, live(1<<32-1, 51)}}, shown: 2, missed: maxGap,
			blank: 50, live: 10, maxAge: 9},
		{name: "the loop is neither age nor order", shows: []show{{50, live(7, 49)}, {52, loop(2, -900)}, {54, loop(3, -898)}, {56, live(11, 55)}},
			shown: 4, blank: 50, live: 6, loop: 4, maxAge: 5},
		{name: "backward across the loop", shows: []show{{50, live(7, 49)}, {52, loop(2, -900)}, {54, live(6, 47)}},
			shown: 3, backward: 1, blank: 50, live: 8, loop: 2, maxAge: 13, freezes: 1, frozen: 3, longest: 3},
		{name: "live number equal to the loop's", shows: []show{{50, loop(2, -900)}, {52, live(2, 51)}}, shown: 2, blank: 50, loop: 2, live: 8, maxAge: 9},
		{name: "no stamps", shows: []show{{50, bare()}, {52, bare()}}, shown: 2, blank: 50, unknown: 10},
		{name: "two freezes", shows: []show{{20, live(1, 19)}, {31, live(2, 30)}, {43, live(3, 42)}, {52, live(4, 51)}}, shown: 4, blank: 20, live: 40,
			freezes: 2, frozen: 2 + 3, longest: 3, maxAge: 13},
		{name: "replaced by another frozen one", shows: []show{{20, live(1, 0)}, {25, live(2, 1)}, {30, live(3, 30)}, {39, live(4, 39)}, {48, live(5, 48)}, {56, live(6, 56)}},
			shown: 6, blank: 20, live: 40, freezes: 2, frozen: 10, longest: 5, maxAge: 29},
	} {
		for _, every := range []int{1, 7, 60} { // how often the watch time is booked
			tally := newTally()
			sc := screen{joined: epoch, booked: epoch}
			next := 0
			for sec := 0; sec <= 60; sec++ {
				if sec%every == 0 {
					sc.bookFreeze(tally, at(sec), 10*s)
				}
				for next < len(tt.shows) && tt.shows[next].at == sec {
					sc.bookFreeze(tally, at(sec), 10*s)
					sc.show(tally, tt.shows[next].p, at(sec))
					next++
				}
			}
			sc.bookFreeze(tally, at(60), 10*s)
			n := tally.counts
			for _, f := range []struct {
				what      string
				got, want uint64
			}{
				{"shown", n.shown, tt.shown},
				{"duplicates", n.duplicates, tt.duplicates},
				{"missed", n.missed, tt.missed},
				{"backward", n.backward, tt.backward},
				{"restarts", n.restarts, tt.restarts},
				{"freezes", n.freezes, tt.freezes},
			} {
				if f.got != f.want {
					t.Errorf("%s, booked every %d s: %s %d, want %d", tt.name, every, f.what, f.got, f.want)
				}
			}
			for _, f := range []struct {
				what string
				got  time.Duration
				want int
			}{
				{"blank", tally.blank, tt.blank},
				{"live", tally.watched[Live], tt.live},
				{"loop", tally.watched[Loop], tt.loop},
				{"unknown", tally.watched[Unknown], tt.unknown},
				{"frozen", tally.frozen, tt.frozen},
				{"longest", tally.longest, tt.longest},
				{"highest age", tally.ages.max, tt.maxAge},
				{"watch time", tally.watch(), 60},
			} {
				if f.got != time.Duration(f.want)*s {
					t.Errorf("%s, booked every %d s: %s %v, want %d s", tt.name, every, f.what, f.got, f.want)
				}
			}
		}
	}
}

// TestScreenWhileDecoding: from the arrival of a picture on the time is its own,
// although it is shown only when its stamp has been read.
func TestScreenWhileDecoding(t *testing.T) {
	epoch := time.Unix(1_800_000_000, 0)
	at := func(ms int) time.Time { return epoch.Add(time.Duration(ms) * time.Millisecond) }
	tally := newTally()
	s := screen{joined: epoch, booked: epoch}
	s.arriving = at(100)
	s.book(tally, at(400)) // a second rolls over meanwhile
	if tally.blank != 100*time.Millisecond {
		t.Errorf("blank for %v while decoding, want 100ms", tally.blank)
	}
	s.arriving = time.Time{}
	s.book(tally, at(100))
	s.show(tally, &picture{stamp: Stamp{1, at(50)}, stamped: true}, at(100))
	s.book(tally, at(500))
	if tally.ages.total != 400*time.Millisecond || tally.ages.max != 450*time.Millisecond || tally.blank != 100*time.Millisecond {
		t.Errorf("ages of %v up to %v, blank %v", tally.ages.total, tally.ages.max, tally.blank)
	}
}
