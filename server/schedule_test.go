package server

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// TestSchedule holds the lengths of runs against what is promised of them.
func TestSchedule(t *testing.T) {
	const least, mean, runs = 15, 120, 20000
	for _, tt := range []struct {
		share float64
	}{{0.5}, {0.3}, {0.8}} {
		s := newSchedule(rand.New(rand.NewPCG(1, 1)), least, mean, tt.share)
		if !s.replay || s.left != least {
			t.Errorf("begins with %+v", s)
		}
		var sum [2]float64
		short, longest := 0, 0
		for range runs {
			announced := s.ahead()
			was := s.replay
			for !s.tick() {
			}
			s.turn()
			if s.replay == was || s.left != announced {
				t.Fatalf("turned from %v to %v with %d, announced were %d", was, s.replay, s.left, announced)
			}
			if s.left < 2 {
				t.Fatalf("a run of %d", s.left)
			}
			if s.left < least {
				short++
			}
			longest = max(longest, s.left)
			sum[map[bool]int{false: 0, true: 1}[s.replay]] += float64(s.left)
		}
		if share := sum[1] / (sum[0] + sum[1]); math.Abs(share-tt.share) > 0.02 {
			t.Errorf("share %.3f, want %.1f", share, tt.share)
		}
		if p := float64(short) / runs; math.Abs(p-shortRuns) > 0.01 {
			t.Errorf("%.3f of the runs are short", p)
		}
		if longest > longestRun*2*mean {
			t.Errorf("a run of %d", longest)
		}
	}
}

// TestScheduleHasNoMemory: beyond its least length a run ends as likely after a
// long time as after a short one, so that its end tells nothing.
func TestScheduleHasNoMemory(t *testing.T) {
	s := newSchedule(rand.New(rand.NewPCG(2, 2)), 15, 60, 0.5)
	var ended, lived [3]float64 // by how long the run has gone on, in 20s beyond the least
	for range 40000 {
		n := s.draw(true)
		for k := range ended {
			if from := 15 + 20*k; n >= from {
				lived[k]++
				if n < from+20 {
					ended[k]++
				}
			}
		}
	}
	first := ended[0] / lived[0]
	for k := range ended {
		if p := ended[k] / lived[k]; math.Abs(p-first) > 0.03 {
			t.Errorf("part %d: %.3f of the runs end, of the first %.3f", k, p, first)
		}
	}
}

// TestCutRunsAreRepaid: a camera that fails makes live runs shorter; recorded ones
// become so too. A clip that ends makes recorded runs shorter; live ones become
// so too.
func TestCutRunsAreRepaid(t *testing.T) {
	const least, mean, runs = 15, 120, 20000
	for _, tt := range []struct {
		name  string
		fails [2]float64 // publications until a live, a recorded run is cut, on average
	}{
		{"a camera that fails", [2]float64{360, 1e9}},
		{"a camera that often fails", [2]float64{100, 1e9}},
		{"clips that end", [2]float64{1e9, 150}},
		{"both", [2]float64{300, 200}},
	} {
		rnd := rand.New(rand.NewPCG(4, 4))
		s := newSchedule(rnd, least, mean, 0.5)
		var sum, n, whole [2]float64
		for range runs {
			k := kindOf(s.replay)
			ends := int(tt.fails[k] * rnd.ExpFloat64())
			length := 0
			for s.left > joinEarly && length < ends {
				s.tick()
				length++
			}
			if s.left > joinEarly {
				s.cut()
				s.begin(!s.replay)
			} else {
				s.turn()
			}
			sum[k] += float64(length)
			n[k]++
			whole[k] += max(0, float64(s.drawWhole(k == 1)-joinEarly))
		}
		live, recorded := sum[0]/n[0], sum[1]/n[1]
		t.Logf("%s: live runs of %.1f, recorded of %.1f, %.1f without cuts", tt.name, live, recorded, whole[0]/n[0])
		if math.Abs(live-recorded) > 0.1*live {
			t.Errorf("%s: live runs of %.1f, recorded of %.1f", tt.name, live, recorded)
		}
		if shorter := whole[0]/n[0] - live; shorter < 0.1*live {
			t.Errorf("%s: nothing was cut", tt.name)
		}
		if len(s.owed[0]) > mostOwed || len(s.owed[1]) > mostOwed {
			t.Errorf("%s: %d and %d are owed", tt.name, len(s.owed[0]), len(s.owed[1]))
		}
	}
}

// TestHoldback plays the arrivals of a camera against the beat.
func TestHoldback(t *testing.T) {
	const period = 2 * time.Second
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name             string
		interval, jitter time.Duration
		repeats, skips   float64 // share of the publications, at most
		late             bool    // allowed
	}{
		{"steady", period, 0, 0, 0, false},
		{"a period of jitter", period, period, 0.03, 0.03, false},
		{"slow by a tenth", period * 11 / 10, 500 * time.Millisecond, 0.12, 0.02, false},
		{"half as often", 2 * period, 200 * time.Millisecond, 0.52, 0, false},
		{"fast by a tenth", period * 9 / 10, 500 * time.Millisecond, 0.02, 0.14, false},
		{"ten times as often", period / 10, 0, 0, 0.5, false},
		{"every third beat", 3 * period, 0, 1, 1, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(3, 3))
			h := holdback{period: period, hold: holdPeriods * period}
			next, seq := start, uint64(0)
			arrive := func() time.Time {
				return next.Add(time.Duration((rnd.Float64() - 0.5) * float64(tt.jitter)))
			}
			at := arrive()
			var last uint64
			var repeats, skips, shown, most int
			for beat := start; beat.Before(start.Add(2000 * period)); beat = beat.Add(period) {
				for !at.After(beat) {
					seq++
					h.add(&upload{seq: seq, at: at})
					next = next.Add(tt.interval)
					at = arrive()
				}
				most = max(most, len(h.frames))
				late := h.late(beat)
				u, repeat := h.release(beat)
				if u == nil {
					continue
				}
				if late && !tt.late {
					t.Fatalf("late at %v", beat.Sub(start))
				}
				if age := beat.Sub(u.at); !repeat && age < 2*period {
					t.Fatalf("a frame of %v is given out", age)
				} else if age > 6*period && !tt.late {
					t.Fatalf("a frame of %v is given out (repeat %v)", age, repeat)
				}
				shown++
				switch {
				case repeat != (u.seq == last):
					t.Fatalf("frame %d after %d, repeat %v", u.seq, last, repeat)
				case repeat:
					repeats++
				case last != 0 && u.seq > last+1:
					skips++
				}
				last = u.seq
			}
			if shown < 1900 {
				t.Errorf("%d frames given out", shown)
			}
			if tt.interval > period/2 && (float64(repeats) > tt.repeats*float64(shown) || float64(skips) > tt.skips*float64(shown)) {
				t.Errorf("%d repeats and %d skips in %d", repeats, skips, shown)
			}
			if most > 12 {
				t.Errorf("%d frames in memory", most)
			}
		})
	}
}

// TestLate: a camera that falls silent is noticed one period after its next
// frame was due.
func TestLate(t *testing.T) {
	const period = 2 * time.Second
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name           string
		interval, want time.Duration
	}{
		{"usual", period, 2 * period},
		{"slow", 3 * period / 2, 5 * period / 2},
		{"fast", period / 2, 2 * period},
		{"slower than can be", 4 * period, 3 * period},
	} {
		h := holdback{period: period, hold: holdPeriods * period}
		at := start
		for range 200 {
			h.add(&upload{at: at})
			h.release(at)
			at = at.Add(tt.interval)
		}
		last := at.Add(-tt.interval)
		if h.late(last.Add(tt.want-50*time.Millisecond)) || !h.late(last.Add(tt.want+50*time.Millisecond)) {
			t.Errorf("%s: not noticed after %v", tt.name, tt.want)
		}
	}
}

func TestHoldbackForgets(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	h := holdback{period: time.Second, hold: 3 * time.Second}
	for i := range 4 {
		h.add(&upload{seq: uint64(i), era: 7, at: start.Add(time.Duration(i) * time.Second)})
	}
	h.release(start.Add(3 * time.Second))
	if h.keepEra(7); h.last == nil || len(h.frames) != 3 {
		t.Error("the era's own frames are gone")
	}
	if h.keepEra(8); h.last != nil || len(h.frames) != 0 {
		t.Error("frames of another era are kept")
	}
}
