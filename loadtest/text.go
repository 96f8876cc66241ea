package loadtest

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"porthole/internal/cli"
)

// WriteText writes the report for a person: at most 80 columns, unless the
// target's address is long.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	row := func(name, format string, a ...any) { fmt.Fprintf(&b, "%-13s%s\n", name, fmt.Sprintf(format, a...)) }

	s := r.Scenario
	row("target", "%s", cli.Printable(s.Target))
	conditional := ""
	if s.Conditional {
		conditional = ", conditional"
	}
	row("crowd", "%d viewers, a poll every %v (%s%s)", s.Viewers, time.Duration(s.Period), s.Think, conditional)
	row("", "joined over %v, seed %d", time.Duration(s.Ramp).Round(time.Millisecond), s.Seed)
	row("watched", "%s, together %s: %s", r.Ran, time.Duration(r.Watch.Total).Round(time.Second), r.watchText())

	b.WriteByte('\n')
	fmt.Fprintf(&b, "%-13s%9s%9s%9s%9s%9s%9s\n", "", "mean", "p50", "p90", "p95", "p99", "max")
	for _, line := range []struct {
		name string
		q    Quantiles
		ok   bool
	}{
		{"age on screen", r.Age, r.Watch.Dated > 0},
		{"latency", r.Latency, r.Latency.Count > 0},
		{"service", r.Service, r.Service.Count > 0},
		{"first frame", r.FirstFrame, r.FirstFrame.Count > 0},
		{"hiccup", r.Generator.Hiccup, r.Generator.Hiccup.Count > 0},
	} {
		if !line.ok {
			fmt.Fprintf(&b, "%-13s%9s\n", line.name, "-")
			continue
		}
		q := line.q
		fmt.Fprintf(&b, "%-13s%9s%9s%9s%9s%9s%9s\n", line.name, q.Mean, q.P50, q.P90, q.P95, q.P99, q.Max)
	}
	b.WriteByte('\n')

	p := r.Polls
	row("polls", "%d due: %d sent, %d skipped; %d late, %d lapsed", p.Due, p.Sent, p.Skipped, p.Late, p.Lapsed)
	row("answers", "%d new, %d unchanged, %d errors, %d unfinished", p.New, p.Unchanged, p.Errors, p.Unfinished)
	for _, class := range slices.Sorted(maps.Keys(r.Failures)) {
		row("", "%d x %s", r.Failures[class], class)
	}
	i := r.Pictures
	row("pictures", "%d distinct; %d shown, %d duplicates, %d missed (%s), %d backward", i.Distinct, i.Shown,
		i.Duplicates, i.Missed, percent(ratio(i.Missed, i.Missed+i.Shown)), i.Backward)
	f := r.Freezes
	row("freezes", "%d over %s, %s of the dated time, longest %s", f.Count, f.After, percent(f.Share), f.Longest)
	t := r.Traffic
	row("traffic", "%s of pictures, %s on the wire, %s per viewer-minute",
		size(float64(t.Body)), size(float64(t.WireIn+t.WireOut)), size(t.PerViewerMinute))
	row("connections", "%d opened, %d of them again", r.Connections.Opened, r.Connections.Reopened)
	g := r.Generator
	with := ""
	if g.InProcess {
		with = ", server included"
	}
	row("process", "%s CPU on %d cores, %s per poll%s", g.CPU, g.CPUs, g.CPUPerPoll, with)

	if len(r.Objectives) > 0 {
		b.WriteByte('\n')
	}
	for _, o := range r.Objectives {
		mark := "ok"
		switch {
		case o.Measured == nil:
			mark = "?"
		case !o.Met:
			mark = "MISSED"
		}
		fmt.Fprintf(&b, "%-13s%-36s %s\n", mark, o.Objective, o.Shown)
	}
	b.WriteByte('\n')
	row("verdict", "%s", strings.ToUpper(string(r.Verdict)))
	for _, reason := range r.Reasons {
		row("", "%s", reason)
	}
	for _, note := range r.Notes {
		row("note", "%s", note)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// watchText says what the watch time was made of.
func (r *Report) watchText() string {
	var parts []string
	for _, p := range []struct {
		name string
		d    Seconds
	}{{"live", r.Watch.Live}, {"loop", r.Watch.Loop}, {"live or loop", r.Watch.Unknown}, {"blank", r.Watch.Blank}} {
		if p.d > 0 {
			parts = append(parts, percent(r.watchShare(p.d))+" "+p.name)
		}
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}
