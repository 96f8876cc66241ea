package loadtest

import (
	"fmt"
	"time"

	"porthole/internal/cli"
)

// Verdict is the result of a run in one word.
type Verdict string

const (
	Pass   Verdict = "pass"   // every objective was met
	Breach Verdict = "breach" // one was missed, and the generator was healthy
	// Inconclusive: the generator stalled or an objective could not be measured.
	// Nothing was learnt about the server, whatever the figures say.
	Inconclusive Verdict = "inconclusive"
)

// ExitCode returns the exit code of a process that ends with this verdict.
func (v Verdict) ExitCode() int {
	switch v {
	case Pass:
		return cli.ExitOK
	case Breach:
		return cli.ExitObjective
	}
	return cli.ExitBench
}

// lateLimit is the share of late or lapsed polls above which a generator is
// saturated.
const lateLimit = 0.01

// judge fills in objectives, verdict and reasons. A fault of the generator
// outranks a breach, for it may be its cause; a breach outranks an objective
// that could not be measured.
// troubles are steps that could not be carried out; missed and unknown are the
// expectations of phases.
func (r *Report) judge(objectives []Objective, troubles, missed, unknown []string) {
	faults := append(r.faults(), troubles...)
	m, u := r.weigh(objectives, "")
	missed, unknown = append(m, missed...), append(u, unknown...)
	switch {
	case len(faults) > 0:
		r.Verdict, r.Reasons = Inconclusive, append(faults, missed...)
	case len(missed) > 0:
		r.Verdict, r.Reasons = Breach, append(missed, unknown...)
	case len(unknown) > 0:
		r.Verdict, r.Reasons = Inconclusive, unknown
	default:
		r.Verdict = Pass
	}
}

// weigh measures objectives and returns those that were missed and those that
// nothing is known of, with where before them.
func (r *Report) weigh(objectives []Objective, where string) (missed, unknown []string) {
	for _, o := range objectives {
		res := Result{Objective: o.String(), Shown: "not measured"}
		if value, known := r.measure(o); known {
			res.Measured, res.Shown, res.Met = &value, o.show(value), o.holds(value)
			if !res.Met {
				missed = append(missed, fmt.Sprintf("missed: %s%s, measured %s", where, o, res.Shown))
			}
		} else {
			unknown = append(unknown, fmt.Sprintf("not measured: %s%s", where, o))
		}
		r.Objectives = append(r.Objectives, res)
	}
	return missed, unknown
}

// faults returns what was wrong with the generator.
func (r *Report) faults() (all []string) {
	say := func(format string, a ...any) { all = append(all, fmt.Sprintf(format, a...)) }
	if p99 := time.Duration(r.Generator.Hiccup.P99); p99 > hiccupLimit {
		say("the generator stalled: hiccup p99 %s, at most %s is sound", short(p99), short(hiccupLimit))
	}
	// One stalled agent among many would not show in the sum.
	for _, a := range r.Agents {
		if p99 := time.Duration(a.Hiccup.P99); p99 > hiccupLimit {
			say("agent %s stalled: hiccup p99 %s, at most %s is sound", a.Name, short(p99), short(hiccupLimit))
		}
		if share := ratio(a.Late, a.Due); share > lateLimit {
			say("agent %s is saturated: %s of its polls were late or lapsed, at most %s is sound", a.Name, percent(share), percent(lateLimit))
		}
	}
	if share := ratio(r.Polls.Late+r.Polls.Lapsed, r.Polls.Due+r.Polls.Lapsed); share > lateLimit {
		say("the generator is saturated: %s of the polls were late or lapsed, at most %s is sound", percent(share), percent(lateLimit))
	}
	if n := r.Failures[local.String()]; n > 0 {
		say("this machine ran out of descriptors or ports %d times", n)
	}
	if r.Polls.Sent == 0 {
		say("no poll was sent")
	}
	return all
}

// interrupted marks a report that covers a part of the run only.
func (r *Report) interrupted() {
	r.Verdict = Inconclusive
	r.Reasons = append([]string{fmt.Sprintf("interrupted after %s of %s", r.Ran, r.Scenario.Duration)}, r.Reasons...)
}

// measure returns the value that an objective is about, in seconds, as a share,
// in bytes or as a number, and whether it is known.
func (r *Report) measure(o Objective) (value float64, known bool) {
	switch metrics[o.metric] {
	case timeQuantity:
		return r.measureTime(o.metric, o.stat)
	case byteQuantity:
		return r.Traffic.PerViewerMinute, r.Watch.Total > 0
	}
	n := &r.total.counts
	var part, whole uint64
	switch o.metric {
	case "errors":
		part, whole = n.failed, n.sent
	case "unfinished":
		part, whole = n.unfinished, n.sent
	case "skipped":
		part, whole = n.skipped, n.due
	case "late":
		part, whole = n.late, n.due
	case "unchanged":
		part, whole = n.unchanged, n.sent
	case "missed":
		part, whole = n.missed, n.missed+n.shown
	case "duplicates":
		part, whole = n.duplicates, n.fresh
	case "backward":
		part, whole = n.backward, n.shown
	case "unseen":
		part, whole = r.Unseen, max(r.Scenario.Visitors, uint64(r.Scenario.Viewers))
	case "unrecovered":
		return float64(n.unrecovered), r.total.recovery.count() > 0
	case "keys":
		part, whole = n.changes.keys, n.changes.frames()
	case "refetch":
		part, whole = n.changes.refetches, n.changes.frames()
	case "gaps":
		part, whole = n.changes.gaps, n.changes.frames()
	case "lost":
		part, whole = n.changes.lost, n.changes.lost+n.changes.frames()
	case "mismatches":
		part, whole = n.changes.mismatches, n.changes.mismatches+n.changes.frames()
	case "polls":
		part = n.sent
	case "reconnects":
		part = r.Connections.Reopened
	case "freezes":
		if units[o.unit].of == shareQuantity {
			return r.Freezes.Share, r.Watch.Dated > 0
		}
		return float64(n.freezes), r.Watch.Dated > 0
	case "live":
		return r.watchShare(r.Watch.Live), r.Watch.Live+r.Watch.Loop > 0
	case "loop":
		return r.watchShare(r.Watch.Loop), r.Watch.Live+r.Watch.Loop > 0
	case "stalled":
		return r.Generator.Stalled, r.Generator.Hiccup.Count > 0
	case "blank":
		return r.watchShare(r.Watch.Blank), r.Watch.Total > 0
	}
	if units[o.unit].of == shareQuantity {
		return ratio(part, whole), whole > 0
	}
	return float64(part), true
}

func (r *Report) watchShare(d Seconds) float64 {
	return ratio(time.Duration(d), time.Duration(r.Watch.Total))
}

func (r *Report) measureTime(metric, stat string) (value float64, known bool) {
	var d distribution
	var longest time.Duration
	of := func(t *timing) { d, longest, known = t, t.max, t.count() > 0 }
	switch metric {
	case "age":
		g := &r.total.ages
		d, longest, known = g, g.max, g.total > 0
	case "latency":
		of(&r.total.planned)
	case "service":
		of(&r.total.sent)
	case "first_frame":
		of(&r.total.first)
	case "recovery":
		of(&r.total.recovery)
	case "hiccup":
		of(r.hiccups)
	}
	q, err := statOf(stat)
	switch {
	case err != nil || !known:
		return 0, false
	case q == meanStat:
		return d.mean().Seconds(), true
	case q == maxStat:
		return longest.Seconds(), true
	}
	return d.quantile(q).Seconds(), true
}
