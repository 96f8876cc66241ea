package loadtest

import (
	"cmp"
	"strings"
	"testing"
	"time"

	"porthole/internal/cli"
)

func TestParseObjective(t *testing.T) {
	for _, tt := range []struct {
		in    string
		text  string // its usual spelling; empty = in
		limit float64
		fault string // part of the error
	}{
		{in: "errors == 0"},
		{in: "errors==0", text: "errors == 0"},
		{in: "  age.p99<4.5s ", text: "age.p99 < 4.5s", limit: 4.5},
		{in: "age.p99.9 <= 4500 ms", text: "age.p99.9 <= 4500ms", limit: 4.5},
		{in: "age.mean < 2m", limit: 120},
		{in: "age.max != 1ns", limit: 1e-9},
		{in: "latency.p50 > 10us", limit: 1e-5},
		{in: "service.p0 >= 10µs", limit: 1e-5},
		{in: "first_frame.p100 < 500ms", limit: 0.5},
		{in: "missed < 1%", limit: 0.01},
		{in: "missed < 7", limit: 7},
		{in: "live >= 99.5%", limit: 0.995},
		{in: "freezes == 0"},
		{in: "freezes <= .5%", limit: 0.005},
		{in: "viewer_rate < 1MB", limit: 1e6},
		{in: "viewer_rate < 750.5kB", limit: 750500},

		{in: "", fault: "no comparison"},
		{in: "errors", fault: "no comparison"},
		{in: "errors = 0", fault: "unknown comparison"},
		{in: "errors ! 0", fault: "unknown comparison"},
		{in: "erors == 0", fault: `unknown metric "erors"`},
		{in: "== 0", fault: "unknown metric"},
		{in: "errors == ", fault: "not a number"},
		{in: "errors == zero", fault: "not a number"},
		{in: "errors == -1", fault: "not a number"},
		{in: "errors == 1.2.3", fault: "not a number"},
		{in: "errors == 1e3", fault: "unknown unit"},
		{in: "errors == 0 0", fault: "unknown unit"},
		{in: "errors < 1s", fault: "not measured in"},
		{in: "polls < 1%", fault: "not measured in"},
		{in: "live > 3", fault: "not measured in"},
		{in: "viewer_rate < 1", fault: "not measured in"},
		{in: "age < 1s", fault: "needs a percentile"},
		{in: "age. < 1s", fault: "needs a percentile"},
		{in: "age.p99 < 4.5", fault: "not measured in"},
		{in: "age.p101 < 1s", fault: "unknown percentile"},
		{in: "age.p < 1s", fault: "unknown percentile"},
		{in: "age.p1e1 < 1s", fault: "unknown figure"},
		{in: "age.pNaN < 1s", fault: "unknown figure"},
		{in: "age.median < 1s", fault: "unknown figure"},
		{in: "errors.p99 == 0", fault: "has no"},
		{in: "errors. == 0", fault: "has no"},
		{in: "errors == 0 == 0", fault: "unknown unit"},
		{in: "age.p99 < " + strings.Repeat("9", 400) + "s", fault: "longer than"},
	} {
		o, err := ParseObjective(tt.in)
		if tt.fault != "" {
			if err == nil || !strings.Contains(err.Error(), tt.fault) {
				t.Errorf("%q: error %v, want %q", tt.in, err, tt.fault)
			} else if cli.HintOf(err) == "" {
				t.Errorf("%q: no hint", tt.in)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", tt.in, err)
			continue
		}
		if d := o.limit - tt.limit; d > 1e-15 || d < -1e-15 {
			t.Errorf("%q: limit %v, want %v", tt.in, o.limit, tt.limit)
		}
		if want := cmp.Or(tt.text, tt.in); o.String() != want {
			t.Errorf("%q is spelled %q, want %q", tt.in, o, want)
		}
	}
}

func TestParseObjectives(t *testing.T) {
	all, err := ParseObjectives(DefaultObjectives)
	if err != nil || len(all) != 2 || all[0].String() != "errors == 0" || all[1].String() != "age.p99 < 4.5s" {
		t.Errorf("%v, %v", all, err)
	}
	if all, err := ParseObjectives(" "); err != nil || len(all) != 0 {
		t.Errorf("empty list: %v, %v", all, err)
	}
	if _, err := ParseObjectives("errors == 0,"); err == nil {
		t.Error("a comma at the end is an empty objective")
	}
	if _, err := ParseObjectives(strings.Repeat("errors == 0,", maxObjectives) + "errors == 0"); err == nil {
		t.Error("no limit")
	}
	if _, err := ParseObjectives(strings.Repeat("errors == 0,", maxObjectives-1) + "errors == 0"); err != nil {
		t.Errorf("at the limit: %v", err)
	}
}

func FuzzObjective(f *testing.F) {
	f.Add("errors == 0")
	f.Fuzz(func(t *testing.T, s string) {
		o, err := ParseObjective(s)
		if err != nil {
			return
		}
		again, err := ParseObjective(o.String())
		if err != nil {
			t.Fatalf("%q reads as %q, which does not parse: %v", s, o, err)
		}
		if again != o {
			t.Fatalf("%q reads as %q, which reads as %q", s, o, again)
		}
		if o.limit < 0 || o.limit != o.limit {
			t.Fatalf("%q has the limit %v", s, o.limit)
		}
		o.holds(o.limit)
		_ = o.show(o.limit)
	})
}

func TestJudge(t *testing.T) {
	sound := func() *Report {
		r := &Report{total: newTally(), hiccups: new(timing)}
		r.Scenario.Viewers = 10
		r.Polls = Polls{Due: 1000, Sent: 1000}
		r.total.counts = counts{due: 1000, sent: 1000, fresh: 900, unchanged: 90, failed: 10, shown: 800, missed: 200, backward: 8}
		r.total.ages.sweep(0, 10*time.Second) // p99 9.9 s
		r.Watch = Watch{Total: Seconds(20 * time.Second), Dated: Seconds(10 * time.Second), Live: Seconds(5 * time.Second)}
		return r
	}
	for _, tt := range []struct {
		name       string
		objectives string
		change     func(*Report)
		want       Verdict
		exit       int
	}{
		{"no objectives", "", nil, Pass, 0},
		{"met", "errors == 10, errors <= 1%, age.p99 < 9.91s, missed == 20%, backward <= 1%, live == 25%", nil, Pass, 0},
		{"one missed", "errors == 10, age.p99 < 9.89s", nil, Breach, 3},
		{"missed by share", "missed < 20%", nil, Breach, 3},
		{"a figure nobody knows", "first_frame.p95 < 1s", nil, Inconclusive, 4},
		{"breach beats the unknown", "first_frame.p95 < 1s, errors == 0", nil, Breach, 3},
		{"hiccup at the limit", "", func(r *Report) { r.Generator.Hiccup.P99 = Seconds(hiccupLimit) }, Pass, 0},
		{"hiccup above it", "", func(r *Report) { r.Generator.Hiccup.P99 = Seconds(hiccupLimit + 1) }, Inconclusive, 4},
		{"a stalled generator excuses a breach", "errors == 0", func(r *Report) { r.Generator.Hiccup.P99 = Seconds(time.Second) }, Inconclusive, 4},
		{"one in a hundred late", "", func(r *Report) { r.Polls.Late = 10 }, Pass, 0},
		{"more late", "", func(r *Report) { r.Polls.Late = 11 }, Inconclusive, 4},
		{"lapsed", "", func(r *Report) { r.Polls.Lapsed = 20 }, Inconclusive, 4},
		{"out of descriptors", "", func(r *Report) { r.Failures = map[string]uint64{"local": 1} }, Inconclusive, 4},
		{"nothing sent", "", func(r *Report) { r.Polls = Polls{} }, Inconclusive, 4},
		{"interrupted", "", (*Report).interrupted, Inconclusive, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			objectives, err := ParseObjectives(tt.objectives)
			if err != nil {
				t.Fatal(err)
			}
			r := sound()
			if tt.change != nil && tt.name != "interrupted" {
				tt.change(r)
			}
			r.judge(objectives, nil, nil, nil)
			if tt.name == "interrupted" {
				tt.change(r)
			}
			if r.Verdict != tt.want || r.Verdict.ExitCode() != tt.exit {
				t.Errorf("verdict %s (exit %d), want %s (%d); %q", r.Verdict, r.Verdict.ExitCode(), tt.want, tt.exit, r.Reasons)
			}
			if (r.Verdict == Pass) != (len(r.Reasons) == 0) {
				t.Errorf("%s with the reasons %q", r.Verdict, r.Reasons)
			}
			if len(r.Objectives) != len(objectives) {
				t.Errorf("%d results for %d objectives", len(r.Objectives), len(objectives))
			}
		})
	}
}

// TestEveryMetricIsMeasured holds the table of metrics against measure.
func TestEveryMetricIsMeasured(t *testing.T) {
	r := &Report{total: newTally(), hiccups: new(timing)}
	r.Scenario.Viewers, r.Unseen = 50, 1
	r.Watch = Watch{Total: 100, Blank: 2, Live: 2, Loop: 2, Dated: 100}
	r.Freezes.Share, r.Traffic.PerViewerMinute, r.Connections.Reopened = 0.02, 2, 2
	r.total.counts = counts{due: 100, sent: 100, skipped: 2, late: 2, fresh: 100, unchanged: 2, failed: 2,
		unfinished: 2, shown: 98, duplicates: 2, missed: 2, backward: 2, freezes: 2}
	r.Generator.Stalled, r.Generator.Hiccup.Count = 0.02, 1
	r.total.planned.record(time.Second)
	r.total.sent.record(time.Second)
	r.total.first.record(time.Second)
	r.total.recovery.record(time.Second)
	r.total.counts.unrecovered = 2
	r.total.counts.changes = changes{keys: 2, refetches: 2, deltas: 98, gaps: 2, lost: 2, mismatches: 2}
	r.hiccups.record(time.Second)
	r.total.ages.sweep(time.Second, 1)
	for name, kind := range metrics {
		for unit, u := range units {
			if u.of&kind == 0 {
				continue
			}
			o := Objective{metric: name, unit: unit}
			if kind == timeQuantity {
				o.stat = "p99"
			}
			value, known := r.measure(o)
			if !known || value <= 0 {
				t.Errorf("%s in %q: %v, known %v", name, unit, value, known)
			}
			if share := u.of == shareQuantity; share && value > 0.03 {
				t.Errorf("%s in %q is %v: not a share", name, unit, value)
			}
		}
	}
}
