package loadtest

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// step asks the schedule at an instant. All times are milliseconds.
type step struct {
	at     int64
	want   state
	viewer int32
	value  int64 // of a plan: when it was due; while waiting: for how long
	done   bool  // the viewer's poll ends at this instant, before the question
}

func TestSchedule(t *testing.T) {
	const ms = time.Millisecond
	for _, tt := range []struct {
		name   string
		think  Think
		until  int64
		joins  []int64
		steps  []step
		lapsed uint64
	}{
		{"nobody", Interval, 100, nil, []step{{0, over, 0, 0, false}}, 0},
		{"nobody, after", After, 100, nil, []step{{0, waiting, 0, 100, false}, {100, over, 0, 0, false}}, 0},
		// period 10: one viewer at 3, another at 5
		{"two phases", Interval, 26, []int64{3, 5}, []step{
			{0, waiting, 0, 3, false},
			{3, ready, 0, 3, false},
			{3, waiting, 0, 2, false},
			{6, ready, 1, 5, false}, // 1 ms behind
			{6, waiting, 0, 7, false},
			{15, ready, 0, 13, false},
			{15, ready, 1, 15, false},
			{24, ready, 0, 23, false},
			{24, waiting, 0, 1, false},
			{25, ready, 1, 25, false},
			{25, over, 0, 0, false}, // 33 and 35 are after the end
		}, 0},
		{"a poll at the end is not made", Interval, 20, []int64{0}, []step{
			{0, ready, 0, 0, false}, {10, ready, 0, 10, false}, {10, over, 0, 0, false},
		}, 0},
		{"the same instant goes by number", Interval, 5, []int64{1, 1, 1}, []step{
			{1, ready, 0, 1, false}, {1, ready, 1, 1, false}, {1, ready, 2, 1, false}, {1, over, 0, 0, false},
		}, 0},
		// Asked at 47: due at 0, then 10, 20 and 30 have lapsed, 40 is 7 late.
		{"a stalled generator makes no burst", Interval, 1000, []int64{0}, []step{
			{47, ready, 0, 0, false}, {47, ready, 0, 40, false}, {47, waiting, 0, 3, false},
		}, 3},
		{"one period late lapses nothing", Interval, 1000, []int64{0}, []step{
			{19, ready, 0, 0, false}, {19, ready, 0, 10, false}, {19, waiting, 0, 1, false},
		}, 0},
		{"after: the next poll waits for the end of this one", After, 40, []int64{0}, []step{
			{0, ready, 0, 0, false},
			{1, waiting, 0, 39, false}, // it may come back any time
			{7, waiting, 0, 10, true},  // ended at 7: next at 17
			{17, ready, 0, 17, false},
			{35, waiting, 0, 5, true}, // next at 45, which is after the end
			{40, over, 0, 0, false},
		}, 0},
		{"after: an earlier plan overtakes a later join", After, 100, []int64{0, 60}, []step{
			{0, ready, 0, 0, false},
			{1, waiting, 0, 59, false},
			{2, waiting, 0, 10, true},
			{12, ready, 0, 12, false},
			{60, ready, 1, 60, false},
		}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSchedule(tt.think, 10*ms, time.Duration(tt.until)*ms)
			for i, join := range tt.joins {
				s.add(int32(i), time.Duration(join)*ms)
			}
			for i, step := range tt.steps {
				at := time.Duration(step.at) * ms
				if step.done {
					s.done(step.viewer, at, false)
				}
				p, wait, st := s.next(at)
				if st != step.want {
					t.Fatalf("step %d: state %d, want %d", i, st, step.want)
				}
				switch value := time.Duration(step.value) * ms; {
				case st == ready && (p.viewer != step.viewer || p.due != value):
					t.Fatalf("step %d: viewer %d due %v, want %d due %v", i, p.viewer, p.due, step.viewer, value)
				case st == waiting && wait != value:
					t.Fatalf("step %d: wait %v, want %v", i, wait, value)
				}
			}
			if got := s.lapses(); got != tt.lapsed {
				t.Errorf("%d lapsed, want %d", got, tt.lapsed)
			}
		})
	}
}

// TestScheduleOrder checks the heap against a sort.
func TestScheduleOrder(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 2))
	s := newSchedule(After, time.Second, time.Hour)
	var want []plan
	for i := range int32(500) {
		p := plan{time.Duration(rng.Int64N(200)) * time.Millisecond, i}
		want = append(want, p)
		s.add(i, p.due)
	}
	slices.SortFunc(want, func(a, b plan) int {
		if a.before(b) {
			return -1
		}
		return 1
	})
	for i, w := range want {
		if p, _, st := s.next(time.Minute); st != ready || p != w {
			t.Fatalf("seed %d: plan %d is %v, want %v", seed, i, p, w)
		}
	}
}

func TestJoins(t *testing.T) {
	c := Config{Viewers: 100, Ramp: 10 * time.Second, Seed: 3}
	at := joins(c)
	for i, j := range at {
		if slice := 100 * time.Millisecond; j < time.Duration(i)*slice || j >= time.Duration(i+1)*slice {
			t.Errorf("viewer %d joins at %v", i, j)
		}
	}
	if !slices.Equal(at, joins(c)) {
		t.Error("the same seed gives other joins")
	}
	c.Seed++
	if slices.Equal(at, joins(c)) {
		t.Error("another seed gives the same joins")
	}
	c.Ramp = 0
	if slices.Max(joins(c)) != 0 {
		t.Error("without a ramp somebody is late")
	}
}

// TestGateStops checks what a vegeta.Attacker alone cannot do: a pacer that
// waits for a poll far away ends with the run.
func TestGateStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := newSchedule(Interval, time.Hour, 24*time.Hour)
		s.add(0, time.Hour)
		g := &gate{ctx: ctx, start: time.Now(), schedule: s, ledger: newLedger()}
		time.AfterFunc(time.Second, cancel)
		before := time.Now()
		if _, stop := g.Pace(0, 0); !stop || time.Since(before) != time.Second {
			t.Errorf("stop %v after %v", stop, time.Since(before))
		}
	})
}

// TestGateWakes checks that a plan that comes in while the gate waits for a
// later one is not made late.
func TestGateWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSchedule(After, time.Second, time.Minute)
		s.add(0, 30*time.Second)
		l := newLedger()
		g := &gate{ctx: t.Context(), start: time.Now(), schedule: s, ledger: l}
		time.AfterFunc(time.Second, func() { s.done(1, time.Second, false) })
		if wait, stop := g.Pace(0, 7); stop || wait != 0 {
			t.Fatalf("wait %v, stop %v", wait, stop)
		}
		if got := time.Since(g.start); got != 2*time.Second {
			t.Errorf("let the poll go after %v, want 2s", got)
		}
		if p := l.take(7); p == nil || p.viewer != 1 || p.planned.Sub(g.start) != 2*time.Second {
			t.Errorf("plan is %+v", p)
		}
	})
}
