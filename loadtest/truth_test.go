package loadtest

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestFiguresEqualTheServersLog plays scripted feeds in virtual time and
// compares each figure with what the server's log says the viewers must have
// seen.
func TestFiguresEqualTheServersLog(t *testing.T) {
	const s, ms = time.Second, time.Millisecond
	base := steady(2*s, 150*ms)
	for _, tt := range []struct {
		name   string
		script script
		config Config
	}{
		{"steady", base, Config{Conditional: true}},
		{"every answer in full", base, Config{}},
		{"poll faster than the camera", base, Config{Period: 700 * ms, Conditional: true}},
		{"poll slower than the camera", steady(500*ms, 20*ms), Config{Conditional: true}},
		{"wait after the answer", base, Config{Think: After, Conditional: true}},
		{"slow answers", func(at time.Duration) (still, time.Duration) {
			p, _ := base(at)
			return p, 300 * ms
		}, Config{Conditional: true}},
		{"slow answers, wait after", func(at time.Duration) (still, time.Duration) {
			p, _ := base(at)
			return p, 300 * ms
		}, Config{Think: After, Conditional: true}},
		{"camera stops for 6 s", func(at time.Duration) (still, time.Duration) {
			if at > 8*s && at < 14*s {
				at = 8 * s
			}
			return base(at)
		}, Config{Conditional: true}},
		{"server stands for 3 s", func(at time.Duration) (still, time.Duration) {
			if at > 8*s && at < 11*s {
				p, _ := base(8 * s)
				return p, 11*s - at
			}
			return base(at)
		}, Config{Conditional: true}},
		{"every third frame goes back one", func(at time.Duration) (still, time.Duration) {
			p, _ := base(at)
			if p.seq%3 == 2 {
				p.seq, p.captured = p.seq-2, p.captured-4*s
			}
			return p, 0
		}, Config{Conditional: true}},
		{"frames 3 to 5 never appear", func(at time.Duration) (still, time.Duration) {
			p, _ := base(at)
			if p.seq >= 3 && p.seq <= 5 {
				p = still{2, 4 * s}
			}
			return p, 0
		}, Config{Conditional: true}},
	} {
		for _, engine := range []Engine{Vegeta, Raw} {
			synctest.Test(t, func(t *testing.T) {
				c := tt.config
				c.Engine = engine
				c.Viewers, c.Duration, c.Seed = 20, 20*s, 7
				f := newFeed(tt.script)
				r := play(t, f, c)
				c = c.withDefaults()
				o := f.oracle(c.Duration, c.FreezeAfter)

				near(t, "age mean", r.Age.Mean, o.mean(), 2*ms)
				near(t, "age p50", r.Age.P50, o.quantile(0.50), AgeResolution)
				near(t, "age p90", r.Age.P90, o.quantile(0.90), AgeResolution)
				near(t, "age p99", r.Age.P99, o.quantile(0.99), AgeResolution)
				near(t, "age max", r.Age.Max, o.quantile(1), 2*ms)
				near(t, "blank time", r.Watch.Blank, o.blank, 20*ms)
				near(t, "frozen time", r.Freezes.Total, o.frozen, time.Duration(r.Freezes.Count+1)*ms)
				// Three significant digits.
				near(t, "longest service", r.Service.Max, o.service, 2*ms)
				for _, n := range []struct {
					what      string
					got, want uint64
				}{
					{"polls", r.Polls.Sent, o.polls},
					{"new", r.Polls.New, o.fresh},
					{"shown", r.Pictures.Shown, o.shown},
					{"missed", r.Pictures.Missed, o.missed},
					{"backward", r.Pictures.Backward, o.backward},
					{"connections", r.Connections.Opened, 20},
					{"errors", r.Polls.Errors, 0},
					{"late", r.Polls.Late, 0},
				} {
					if n.got != n.want {
						t.Errorf("%s: %d, want %d", n.what, n.got, n.want)
					}
				}
			})
			if t.Failed() {
				t.Fatalf("%s, engine %s", tt.name, engine)
			}
		}
	}
}
