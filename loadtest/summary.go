package loadtest

import (
	"fmt"
	"io"
	"strings"
	"time"

	"porthole/internal/cli"
)

// WriteSummary writes the report as Markdown, short enough for the summary page
// of a continuous integration job.
func (r *Report) WriteSummary(w io.Writer) error {
	var b strings.Builder
	s := r.Scenario
	title := "Load test"
	if s.Name != "" {
		title += ": " + markdown(s.Name)
	}
	fmt.Fprintf(&b, "### %s %s: %s\n\n", map[Verdict]string{Pass: "✅", Breach: "❌", Inconclusive: "⚠️"}[r.Verdict], title, r.Verdict)
	fmt.Fprintf(&b, "%s, %s; %s; watched %v on %d cores.\n\n", s.who(), s.how(), s.when(), time.Duration(r.Ran).Round(time.Second), r.Generator.CPUs)
	for _, reason := range r.Reasons {
		fmt.Fprintf(&b, "- %s\n", markdown(reason))
	}
	if len(r.Reasons) > 0 {
		b.WriteByte('\n')
	}
	all := r.Objectives
	for _, p := range r.Phases {
		for _, o := range p.Objectives {
			o.Objective += " (" + p.Name + ")"
			all = append(all[:len(all):len(all)], o)
		}
	}
	if len(all) > 0 {
		b.WriteString("| | objective | measured |\n|---|---|---:|\n")
		for _, o := range all {
			fmt.Fprintf(&b, "| %s | `%s` | %s |\n", map[string]string{"ok": "✅", "MISSED": "❌", "?": "⚠️"}[o.mark()], strings.ReplaceAll(cli.Printable(o.Objective), "|", `\|`), o.Shown)
		}
		b.WriteByte('\n')
	}
	b.WriteString("| | mean | p50 | p95 | p99 | max |\n|---|---:|---:|---:|---:|---:|\n")
	for _, line := range r.distributions() {
		q := line.Q
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", line.Name, q.Mean, q.P50, q.P95, q.P99, q.Max)
	}
	fmt.Fprintf(&b, "\n%d polls sent, %d errors, %d skipped; %d pictures missed (%s), %d freezes (%s of the time); %s per viewer-minute.\n",
		r.Polls.Sent, r.Polls.Errors, r.Polls.Skipped, r.Pictures.Missed, percent(ratio(r.Pictures.Missed, r.Pictures.Missed+r.Pictures.Shown)),
		r.Freezes.Count, percent(r.Freezes.Share), size(r.Traffic.PerViewerMinute))
	if c := r.Changes; c != nil {
		fmt.Fprintf(&b, "%s; %s.\n", c.Frames(), c.Faults())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// markdown makes text from outside plain.
func markdown(s string) string {
	return strings.NewReplacer("<", "&lt;", "|", `\|`, "`", "'", "[", `\[`, "*", `\*`, "_", `\_`, "#", `\#`).Replace(cli.Printable(s))
}

// namedQuantiles is a line of a table.
type namedQuantiles struct {
	Name string
	Q    Quantiles
}

// distributions are those that have something in them, in the order of reports.
func (r *Report) distributions() (list []namedQuantiles) {
	if r.Watch.Dated > 0 {
		list = append(list, namedQuantiles{"age on screen", r.Age})
	}
	for _, l := range []namedQuantiles{{"latency", r.Latency}, {"service", r.Service}, {"first frame", r.FirstFrame}, {"recovery", r.Recovery}, {"hiccup", r.Generator.Hiccup}} {
		if l.Q.Count > 0 {
			list = append(list, l)
		}
	}
	return list
}
