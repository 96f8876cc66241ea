package loadtest

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestAges(t *testing.T) {
	const ms, s = time.Millisecond, time.Second
	type sweep struct{ a, d time.Duration }
	for _, tt := range []struct {
		name                      string
		sweeps                    []sweep
		mean, p50, p99, max, past time.Duration // past = total
	}{
		{"nothing", nil, 0, 0, 0, 0, 0},
		{"no time at all", []sweep{{5 * s, 0}}, 0, 0, 0, 0, 0},
		// Ages 1 s to 3 s evenly: the median is in the middle, 99 % below 2.98 s.
		{"one picture", []sweep{{1 * s, 2 * s}}, 2 * s, 2 * s, 2980 * ms, 3 * s, 2 * s},
		{"the same in two halves", []sweep{{1 * s, 1 * s}, {2 * s, 1 * s}}, 2 * s, 2 * s, 2980 * ms, 3 * s, 2 * s},
		// 1 s at ages 0..1, 9 s at ages 0..9: half of 10 s is watched below age 4
		// (1 s + 4 s), 99 % below 8.9.
		{"a long picture weighs what it lasts", []sweep{{0, 1 * s}, {0, 9 * s}}, 4100 * ms, 4 * s, 8900 * ms, 9 * s, 10 * s},
		{"inside one bin", []sweep{{12 * ms, 4 * ms}}, 14 * ms, 15 * ms, 16 * ms, 16 * ms, 4 * ms},
		{"on the edge of bins", []sweep{{10 * ms, 10 * ms}}, 15 * ms, 15 * ms, 19900 * time.Microsecond, 20 * ms, 10 * ms},
		{"a nanosecond over the edge", []sweep{{10*ms - 1, 2}}, 10 * ms, 10 * ms, 10*ms + 1, 10*ms + 1, 2},
		// Half of the time the picture is from the future: that counts as age 0.
		{"from the future", []sweep{{-1 * s, 2 * s}}, 0, 0, 980 * ms, 1 * s, 2 * s},
		{"all in the future", []sweep{{-3 * s, 2 * s}}, -2 * s, 0, 0, -1 * s, 2 * s},
		{"beyond the bins", []sweep{{time.Hour, 2 * s}}, time.Hour + s, time.Hour + 2*s, time.Hour + 2*s, time.Hour + 2*s, 2 * s},
		{"across the end of the bins", []sweep{{ageLimit - s, 2 * s}}, ageLimit, ageLimit, ageLimit + s, ageLimit + s, 2 * s},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var whole, sum ages
			for _, w := range tt.sweeps {
				whole.sweep(w.a, w.d)
				var one ages
				one.sweep(w.a, w.d)
				sum.add(&one)
			}
			for _, g := range []*ages{&whole, &sum} {
				for _, f := range []struct {
					what      string
					got, want time.Duration
					tolerance time.Duration
				}{
					{"mean", g.mean(), tt.mean, time.Microsecond},
					{"p50", g.quantile(0.5), tt.p50, AgeResolution},
					{"p99", g.quantile(0.99), tt.p99, AgeResolution},
					{"p100", g.quantile(1), max(tt.max, 0), 0},
					{"max", g.max, tt.max, 0},
					{"total", g.total, tt.past, 0},
				} {
					if f.what == "p100" && tt.max < 0 {
						continue // reads 0, as every age below it
					}
					if (f.got - f.want).Abs() > f.tolerance {
						t.Errorf("%s is %v, want %v", f.what, f.got, f.want)
					}
				}
			}
		})
	}
}

// TestAgesKeepEveryNanosecond adds random sweeps up and compares the mass of
// the bins with the time that went in.
func TestAgesKeepEveryNanosecond(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	var g, parts ages
	for range 500 {
		a := time.Duration(rng.Int64N(int64(12*time.Minute))) - time.Second
		d := time.Duration(rng.Int64N(int64(20 * time.Second)))
		g.sweep(a, d)
		var part ages
		part.sweep(a, d)
		parts.add(&part)
	}
	for _, h := range []*ages{&g, &parts} {
		sum := h.beyond + h.future
		for _, m := range h.bins {
			sum += m
		}
		if sum != h.total || h.total != g.total {
			t.Errorf("seed %d: bins hold %v of %v", seed, sum, h.total)
		}
	}
	if len(g.bins) > int(ageLimit/AgeResolution) {
		t.Errorf("%d bins", len(g.bins))
	}
	g.reset()
	if g.total != 0 || g.quantile(0.5) != 0 || len(g.bins) != 0 {
		t.Error("reset left something")
	}
	g.sweep(0, time.Second)
	if got := g.quantile(0.5); (got - 500*time.Millisecond).Abs() > AgeResolution {
		t.Errorf("median after reset is %v", got)
	}
}

func BenchmarkAgesSweepOneSecond(b *testing.B) {
	var g ages
	for b.Loop() {
		g.sweep(1700*time.Millisecond, time.Second)
	}
}
