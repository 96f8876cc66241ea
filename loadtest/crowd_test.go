package loadtest

import (
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// present counts who is there at an instant.
func present(all []stay, at time.Duration) (n int) {
	for _, s := range all {
		if s.join <= at && (s.leave == 0 || s.leave > at) {
			n++
		}
	}
	return n
}

func TestStages(t *testing.T) {
	const s = time.Second
	c := Config{Seed: 9, Crowd: Crowd{Stages: []Stage{
		{For: 10 * s, To: 100, Evenly: true}, {For: 10 * s, To: 100}, {For: 10 * s, To: 300}, {For: 20 * s, To: 50, Evenly: true}, {For: 10 * s, To: 0},
	}}}.withDefaults()
	all, err := c.stays()
	if err != nil {
		t.Fatal(err)
	}
	if c.Duration != 60*s || peak(all) != 300 || len(all) != 300 {
		t.Errorf("duration %v, peak %d, %d in all", c.Duration, peak(all), len(all))
	}
	for _, tt := range []struct {
		at   time.Duration
		want int
	}{
		{0, 0}, {5 * s, 50}, {10 * s, 100}, {19 * s, 100}, {21 * s, 300}, {30 * s, 300}, {40 * s, 175}, {50 * s, 50}, {51 * s, 0}, {60 * s, 0},
	} {
		// One viewer per slice of an even change, somewhere in it.
		if got := present(all, tt.at); got < tt.want-1 || got > tt.want+1 {
			t.Errorf("%d viewers at %v, want %d", got, tt.at, tt.want)
		}
	}
	if again, _ := c.stays(); !slices.Equal(again, all) {
		t.Error("the same seed gives another crowd")
	}
	c.Seed++
	if other, _ := c.stays(); slices.Equal(other, all) {
		t.Error("another seed gives the same crowd")
	}
}

// TestVisits holds the drawn visits against the laws they are drawn by. The
// seeds are fixed, so it holds always or never.
func TestVisits(t *testing.T) {
	const s = time.Second
	c := Config{Seed: 4, Duration: 1000 * s, Ramp: -1, Crowd: Crowd{Visits: &Visits{Curve: []float64{200}, Stay: 20 * s}}}.withDefaults()
	all, err := c.stays()
	if err != nil {
		t.Fatal(err)
	}
	var sum, area time.Duration
	early := 0
	for _, v := range all {
		sum += v.leave - v.join
		area += min(v.leave, c.Duration) - v.join
		if v.leave-v.join < 20*s {
			early++
		}
	}
	n := float64(len(all))
	if want := 200 + 200*1000/20.0; math.Abs(n-want) > 4*math.Sqrt(want) {
		t.Errorf("%v visits, want %v", n, want)
	}
	if mean := sum.Seconds() / n; math.Abs(mean-20) > 4*20/math.Sqrt(n) {
		t.Errorf("mean stay %v s, want 20", mean)
	}
	if share := float64(early) / n; math.Abs(share-(1-1/math.E)) > 0.02 { // of an exponential, below its mean
		t.Errorf("%v of the stays are below their mean, want %v", share, 1-1/math.E)
	}
	if there := area.Seconds() / 1000; math.Abs(there-200) > 10 {
		t.Errorf("%v were there on average, want 200", there)
	}
	if !slices.IsSortedFunc(all, func(a, b stay) int { return int(a.join - b.join) }) {
		t.Error("not in the order of joining")
	}
}

// TestWeekend: the replayed weekend is that of the post: 15,000 visitors of 3.6
// minutes each, 100 at the peak.
func TestWeekend(t *testing.T) {
	c, err := NewCrowd("blog-replay", 0, 48*time.Hour, 0)
	if err != nil {
		t.Fatal(err)
	}
	if c.Visits.Stay != usualStay || slices.Max(c.Visits.Curve) != 100 {
		t.Errorf("stay %v, peak %v", c.Visits.Stay, slices.Max(c.Visits.Curve))
	}
	cfg := Config{Seed: 1, Crowd: c, Duration: 48 * time.Hour}.withDefaults()
	all, err := cfg.stays()
	if err != nil {
		t.Fatal(err)
	}
	if n := len(all); n < 14_500 || n > 15_500 {
		t.Errorf("%d visitors, want 15,000", n)
	}
	if p := peak(all); p < 90 || p > 150 {
		t.Errorf("%d at once", p)
	}
}

func TestPatterns(t *testing.T) {
	for _, p := range Patterns {
		const duration = 10 * time.Minute
		c, err := NewCrowd(p.Name, 40, duration, 0)
		if err != nil {
			t.Fatal(err)
		}
		cfg := Config{Viewers: 40, Crowd: c, Duration: duration, Seed: 2}.withDefaults()
		all, err := cfg.stays()
		if err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
		if n := peak(all); n < 30 || n > 65 || c.Visits == nil && n != 40 {
			t.Errorf("%s: %d at once, want 40", p.Name, n)
		}
		if cfg.Duration != duration {
			t.Errorf("%s: takes %v", p.Name, cfg.Duration)
		}
	}
	if _, err := NewCrowd("flash mob", 1, time.Second, 0); err == nil {
		t.Error("an unknown pattern was taken")
	}
	if _, err := NewCrowd("spike", 1, time.Second, time.Second); err == nil {
		t.Error("a stay without visits was taken")
	}
}

// TestComingAndGoing: three viewers with known times. Each watches from its join
// to its leave and not longer, and hangs up then.
func TestComingAndGoing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const s = time.Second
		for _, think := range []Think{Interval, After} {
			f := newFeed(steady(2*s, 0))
			c := Config{Duration: 20 * s, Think: think, Conditional: true, Stamper: textStamp, TargetURL: "http://feed.example/latest"}.withDefaults()
			c.Viewers = 3
			stays := []stay{{0, 0}, {1 * s, 7 * s}, {4 * s, 11500 * time.Millisecond}}
			out := playStays(t, f, c, stays)
			r := out.report(c)
			balance(t, r)
			// 0, 2, …, 18; 1, 3, 5; 4, 6, 8, 10.
			if r.Polls.Sent != 10+3+4 || r.Polls.Skipped != 0 {
				t.Errorf("%s: polls %+v", think, r.Polls)
			}
			near(t, "watch time", r.Watch.Total, 20*s+6*s+7500*time.Millisecond, 0)
			near(t, "first frame", r.FirstFrame.Max, 0, 0)
			for i, sample := range out.Series {
				at := time.Duration(i+1) * s
				if want := present(stays, at); !sample.Final && sample.Viewers != want {
					t.Errorf("%s: %d viewers at %v, want %d", think, sample.Viewers, at, want)
				}
			}
			if want := []time.Duration{7 * s, 11500 * time.Millisecond}; !slices.Equal(f.hungUp(20*s), want) {
				t.Errorf("%s: hung up at %v, want %v", think, f.hungUp(20*s), want)
			}
		}
	})
}

// TestLeaveWhileWaiting: who leaves in the middle of a poll hangs up when it is
// answered, and it is nobody's error.
func TestLeaveWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const s = time.Second
		f := newFeed(func(at time.Duration) (still, time.Duration) {
			p, _ := steady(2*s, 0)(at)
			return p, 1500 * time.Millisecond
		})
		c := Config{Duration: 10 * s, Stamper: textStamp, TargetURL: "http://feed.example/latest"}.withDefaults()
		c.Viewers = 1
		out := playStays(t, f, c, []stay{{0, 5 * s}})
		r := out.report(c)
		balance(t, r)
		if r.Polls.Sent != 3 || r.Polls.Errors+r.Polls.Unfinished != 0 {
			t.Errorf("polls %+v", r.Polls)
		}
		near(t, "watch time", r.Watch.Total, 5*s, 0)
		if got := f.hungUp(10 * s); len(got) != 1 || got[0] != 5500*time.Millisecond {
			t.Errorf("hung up at %v, want 5.5s", got)
		}
	})
}

// TestMerge: the parts of a run add up to the run, to the last figure.
func TestMerge(t *testing.T) {
	const s = time.Second
	play := func(t *testing.T, part Part) (out *outcome) {
		synctest.Test(t, func(t *testing.T) {
			f := newFeed(func(at time.Duration) (still, time.Duration) {
				p, _ := steady(2*s, 130*time.Millisecond)(at)
				if at > 8*s && at < 11*s {
					return p, 11*s - at
				}
				return p, 40 * time.Millisecond
			})
			f.status = func(at time.Duration) int {
				if at > 17*s {
					return 503
				}
				return 200
			}
			c := Config{Duration: 20 * s, Viewers: 20, Seed: 3, Conditional: true, Stamper: textStamp, TargetURL: "http://feed.example/latest", Part: part,
				Steps: []Step{{At: 7 * s, Name: "trouble"}, {At: 12 * s, Name: "after"}}}.withDefaults()
			all, err := c.stays()
			if err != nil {
				t.Fatal(err)
			}
			out = playStays(t, f, c, c.part(all))
		})
		return out
	}
	whole := play(t, Part{})
	var sum *outcome
	for i := range 3 {
		part := throughJSON(t, play(t, Part{i, 3}))
		if sum == nil {
			sum = part
			continue
		}
		if err := sum.merge(part); err != nil {
			t.Fatal(err)
		}
	}
	c := Config{TargetURL: "http://feed.example/latest", Viewers: 20}.withDefaults()
	want, got := whole.report(c), sum.report(c)
	for _, r := range []*Report{want, got} { // what is of the machine, and what is of a second
		r.Generator, r.Agents, r.Series, r.Verdict, r.Reasons = Generator{}, nil, nil, "", nil
		r.hiccups = new(timing)
		balance(t, r)
	}
	if w, g := marshal(t, want), marshal(t, got); w != g {
		t.Errorf("the whole\n%s\nthe sum of its parts\n%s", w, g)
	}
	for q := 0.0; q <= 1; q += 0.001 {
		if w, g := want.total.planned.quantile(q), got.total.planned.quantile(q); w != g {
			t.Fatalf("latency p%v: %v and %v", q*100, w, g)
		}
		if w, g := want.total.ages.quantile(q), got.total.ages.quantile(q); w != g {
			t.Fatalf("age p%v: %v and %v", q*100, w, g)
		}
	}
}
