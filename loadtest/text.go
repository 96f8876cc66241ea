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
	if s.Name != "" {
		row("test", "%s", cli.Printable(s.Name))
	}
	row("target", "%s", cli.Printable(s.Target))
	row("crowd", "%s, %s", s.who(), s.how())
	row("", "%s, seed %d", s.when(), s.Seed)
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
		{"recovery", r.Recovery, r.Recovery.Count > 0},
	} {
		if !line.ok && line.name == "recovery" {
			continue // of a run in which nothing happens
		}
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
	resumed := ""
	if r.Connections.Resumed > 0 {
		resumed = fmt.Sprintf(", %d with an old session", r.Connections.Resumed)
	}
	row("connections", "%d opened, %d of them again%s", r.Connections.Opened, r.Connections.Reopened, resumed)
	if x := r.Streams; x != nil {
		row("streams", "%s", x.text(r.Scenario.Protocol))
	}
	if x := r.Changes; x != nil {
		row("changes", "%s", x.Frames())
		row("", "%s", x.Faults())
	}
	g := r.Generator
	with := ""
	if g.InProcess {
		with = ", server included"
	}
	row("process", "%s CPU on %d cores, %s per poll%s", g.CPU, g.CPUs, g.CPUPerPoll, with)

	if u := r.Server; u != nil {
		again := ""
		if u.Starts > 1 {
			again = fmt.Sprintf(", started %d times", u.Starts)
		}
		row("server", "%s CPU, %s per poll, %s of memory at most%s", u.CPU, u.CPUPerPoll, size(float64(u.PeakMemory)), again)
	}
	r.phaseText(&b)
	if len(r.Objectives) > 0 {
		b.WriteByte('\n')
	}
	for _, o := range r.Objectives {
		fmt.Fprintf(&b, "%-13s%-36s %s\n", o.mark(), o.Objective, o.Shown)
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

// text says what became of streams.
func (s *Streams) text(p Protocol) string {
	text := fmt.Sprintf("%d opened, %d refused, %d ended; ", s.Opened, s.Failed, s.Ended)
	if p == Stream {
		return text + fmt.Sprintf("%d taken up again", s.Resumed)
	}
	return text + fmt.Sprintf("%d pictures announced", s.Events)
}

// Frames says what came.
func (c *Changes) Frames() string {
	return fmt.Sprintf("%d keys of %s, %d changes of %s", c.Keys, size(ratio(c.KeyBytes, c.Keys)), c.Deltas, size(ratio(c.DeltaBytes, c.Deltas)))
}

// Faults says what went wrong with it.
func (c *Changes) Faults() string {
	return fmt.Sprintf("%d keys fetched again (%d more planned), %d gaps, %d lost, %d wrong", c.Refetches, c.Planned, c.Gaps, c.Lost, c.Mismatches)
}

// mark is the word before an objective.
func (o Result) mark() string {
	switch {
	case o.Measured == nil:
		return "?"
	case !o.Met:
		return "MISSED"
	}
	return "ok"
}

// who says how many viewers there are.
func (s Scenario) who() string {
	switch {
	case s.Visitors > 0:
		return fmt.Sprintf("%d visitors, up to %d at once", s.Visitors, s.Viewers)
	case len(s.Stages) > 0:
		return fmt.Sprintf("up to %d viewers", s.Viewers)
	}
	return fmt.Sprintf("%d viewers", s.Viewers)
}

// how says how they ask for pictures.
func (s Scenario) how() string {
	var what string
	mode := string(s.Think)
	switch s.Think {
	case LongPoll:
		what, mode = "long polls", ""
	case Events:
		what, mode = "fetching what events announce", ""
	default:
		what = fmt.Sprintf("a poll every %v", time.Duration(s.Period))
	}
	switch s.Protocol {
	case Stream:
		what, mode = "a stream of changes", ""
	case Delta:
		what += " for changes"
	}
	var more []string
	if mode != "" {
		more = append(more, mode)
	}
	if s.Conditional && s.Think != LongPoll && s.Protocol != Stream {
		more = append(more, "conditional")
	}
	if s.Protocol == H2 {
		more = append(more, "HTTP/2")
	}
	if s.Reconnect {
		more = append(more, "a connection each")
	}
	if s.Resume {
		more = append(more, "resumed")
	}
	if len(more) == 0 {
		return what
	}
	return what + " (" + strings.Join(more, ", ") + ")"
}

// when says how they come and go.
func (s Scenario) when() string {
	switch {
	case s.Visitors > 0:
		return fmt.Sprintf("%s, each for %v on average", s.Arrivals, time.Duration(s.Stay).Round(time.Millisecond))
	case len(s.Stages) > 0:
		return fmt.Sprintf("%s: %d stages", s.Arrivals, len(s.Stages))
	}
	return fmt.Sprintf("joined over %v", time.Duration(s.Ramp).Round(time.Millisecond))
}

// phaseText writes the table of phases with what was expected of them.
func (r *Report) phaseText(b *strings.Builder) {
	if len(r.Phases) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%-24s%8s%8s%8s%9s%9s%9s\n", "phase", "from", "polls", "errors", "age p50", "age p99", "rec. p95")
	for _, p := range r.Phases {
		recovery := "-"
		if p.Recovery.Count > 0 {
			recovery = p.Recovery.P95.String()
		}
		fmt.Fprintf(b, "%-24s%8s%8d%8d%9s%9s%9s\n", clipTo(cli.Printable(p.Name), 23), p.From, p.Polls.Sent, p.Polls.Errors, p.Age.P50, p.Age.P99, recovery)
		for _, o := range p.Objectives {
			fmt.Fprintf(b, "  %-11s%-36s %s\n", o.mark(), o.Objective, o.Shown)
		}
	}
}

// clipTo shortens a text to n characters.
func clipTo(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
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
