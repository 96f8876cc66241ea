package loadtest

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// poll times are durations since the start of the run: the schedule is plain
// arithmetic, it neither sleeps nor reads a clock.

// plan is one poll that is going to fall due.
type plan struct {
	due    time.Duration
	viewer int32
}

func (p plan) before(o plan) bool {
	return p.due < o.due || p.due == o.due && p.viewer < o.viewer
}

// state says what next found.
type state int

const (
	ready   state = iota // a poll is due and was taken
	leaving              // a viewer's time is over
	waiting              // nothing is due yet
	over                 // nothing falls due any more
)

// schedule knows when which viewer polls next: a min-heap with at most one plan
// per viewer. In [Interval] the next plan follows from the one before, in
// [After] from the end of the poll, and of an event-driven viewer from the event.
// Safe for concurrent use.
type schedule struct {
	think  Think
	period time.Duration
	until  time.Duration   // polls due at or after this are not made
	leaves []time.Duration // by viewer: no poll of theirs at or after it; nil = all stay
	exits  []plan          // leaves to come, sorted; exit is the next one
	exit   int

	mu      sync.Mutex
	heap    []plan
	lapsed  uint64
	changed chan struct{} // holds a token when an earlier plan may have come in
}

func newSchedule(think Think, period, until time.Duration) *schedule {
	return &schedule{think: think, period: period, until: until, changed: make(chan struct{}, 1)}
}

// setLeaves says when each viewer goes. Those who go after the end stay.
func (s *schedule) setLeaves(leaves []time.Duration) {
	s.leaves = leaves
	for i, at := range leaves {
		if at < s.until {
			s.exits = append(s.exits, plan{at, int32(i)})
		}
	}
	slices.SortFunc(s.exits, func(a, b plan) int { return cmp.Or(cmp.Compare(a.due, b.due), cmp.Compare(a.viewer, b.viewer)) })
}

// gone reports whether a viewer has left at an instant.
func (s *schedule) gone(viewer int32, at time.Duration) bool {
	return s.leaves != nil && at >= s.leaves[viewer]
}

// next takes the earliest plan if it is due at elapsed. Otherwise it says how
// long to wait before asking again; a change to the schedule may make that
// shorter.
//
// A generator that was stalled for more than a period does not make up for lost
// polls in a burst, as no browser does: they have lapsed and are counted.
func (s *schedule) next(elapsed time.Duration) (p plan, wait time.Duration, st state) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.heap) > 0 && s.gone(s.heap[0].viewer, s.heap[0].due) {
		s.pop()
	}
	exit := s.until
	if s.exit < len(s.exits) {
		exit = s.exits[s.exit].due
	}
	if exit <= elapsed && exit < s.until && (len(s.heap) == 0 || exit <= s.heap[0].due) {
		p = s.exits[s.exit]
		s.exit++
		return p, 0, leaving
	}
	if len(s.heap) == 0 || s.heap[0].due >= s.until {
		// In the other modes polls in flight and events may still bring plans.
		if elapsed >= s.until || s.think == Interval && exit == s.until {
			return plan{}, 0, over
		}
		return plan{}, exit - elapsed, waiting
	}
	p = s.heap[0]
	if p.due > elapsed {
		return plan{}, min(p.due, exit) - elapsed, waiting
	}
	if s.think != Interval {
		s.pop()
		return p, 0, ready
	}
	following := p.due + s.period
	if late := elapsed - following; late >= s.period {
		n := late / s.period
		s.lapsed += uint64(n)
		following += n * s.period
	}
	s.heap[0].due = following
	s.down(0)
	return p, 0, ready
}

// done says that the viewer's poll ended at elapsed, and whether it failed.
func (s *schedule) done(viewer int32, elapsed time.Duration, failed bool) {
	switch {
	case s.think == After, s.think == LongPoll && failed:
		s.add(viewer, elapsed+s.period)
	case s.think == LongPoll:
		s.add(viewer, elapsed)
	}
}

// add plans a poll. The viewer must not have one planned.
func (s *schedule) add(viewer int32, due time.Duration) {
	s.mu.Lock()
	s.heap = append(s.heap, plan{due, viewer})
	s.up(len(s.heap) - 1)
	first := s.heap[0].viewer == viewer
	s.mu.Unlock()
	if first {
		select {
		case s.changed <- struct{}{}:
		default:
		}
	}
}

// lapses returns how many polls have lapsed.
func (s *schedule) lapses() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lapsed
}

func (s *schedule) pop() {
	last := len(s.heap) - 1
	s.heap[0] = s.heap[last]
	s.heap = s.heap[:last]
	s.down(0)
}

func (s *schedule) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !s.heap[i].before(s.heap[parent]) {
			return
		}
		s.heap[i], s.heap[parent] = s.heap[parent], s.heap[i]
		i = parent
	}
}

func (s *schedule) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(s.heap) {
			return
		}
		if right := child + 1; right < len(s.heap) && s.heap[right].before(s.heap[child]) {
			child = right
		}
		if !s.heap[child].before(s.heap[i]) {
			return
		}
		s.heap[i], s.heap[child] = s.heap[child], s.heap[i]
		i = child
	}
}

// gate is the schedule as a vegeta.Pacer. It waits inside Pace, because an
// attacker sleeps without a context: a wait that it returned could not be cut
// short by the end of the run nor by an earlier plan (load-tui 1.1). Pace is
// called once per hit, in order, on one goroutine.
type gate struct {
	ctx      context.Context
	start    time.Time
	schedule *schedule
	ledger   *ledger
	leave    func(viewer int32) // is told who goes
	timer    *time.Timer
}

var _ vegeta.Pacer = (*gate)(nil)

// Pace implements vegeta.Pacer.
func (g *gate) Pace(_ time.Duration, hits uint64) (wait time.Duration, stop bool) {
	for g.ctx.Err() == nil {
		p, wait, st := g.schedule.next(time.Since(g.start))
		switch st {
		case over:
			return 0, true
		case leaving:
			g.leave(p.viewer)
		case ready:
			g.ledger.plan(hits, p.viewer, g.start.Add(p.due))
			return 0, false
		case waiting:
			if g.timer == nil {
				g.timer = time.NewTimer(wait)
			} else {
				g.timer.Reset(wait)
			}
			select {
			case <-g.timer.C:
			case <-g.schedule.changed:
			case <-g.ctx.Done():
			}
		}
	}
	return 0, true
}

// Rate implements vegeta.Pacer: polls per second with everybody there.
func (g *gate) Rate(time.Duration) float64 {
	g.schedule.mu.Lock()
	defer g.schedule.mu.Unlock()
	return float64(len(g.schedule.heap)) / g.schedule.period.Seconds()
}
