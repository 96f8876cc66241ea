package loadtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"porthole/internal/cli"
)

// maxReport bounds a report that is read, in bytes.
const maxReport = 64 << 20

// ReadReport reads what [Report.WriteJSON] wrote. Percentiles that are not in
// the report itself are gone.
func ReadReport(r io.Reader) (*Report, error) {
	var rep Report
	dec := json.NewDecoder(io.LimitReader(r, maxReport))
	if err := dec.Decode(&rep); err != nil {
		return nil, cli.Hint(fmt.Errorf("read report: %w", err), "give a report that rig load --json wrote")
	}
	if rep.Schema != Schema {
		return nil, cli.Hint(fmt.Errorf("read report: its schema is %.40q, want %q", rep.Schema, Schema), "give a report that rig load --json of this version wrote")
	}
	return &rep, nil
}

// comparison is a figure that two runs are compared by. Less is better.
type comparison struct {
	name  string
	kind  quantity
	least float64 // the smallest difference that means something
	of    func(*Report) (value float64, known bool)
}

var comparables = []comparison{
	{"age.mean", timeQuantity, 0.02, ofTime(func(r *Report) (Seconds, bool) { return r.Age.Mean, r.Watch.Dated > 0 })},
	{"age.p50", timeQuantity, 0.02, ofTime(func(r *Report) (Seconds, bool) { return r.Age.P50, r.Watch.Dated > 0 })},
	{"age.p99", timeQuantity, 0.02, ofTime(func(r *Report) (Seconds, bool) { return r.Age.P99, r.Watch.Dated > 0 })},
	{"first_frame.p95", timeQuantity, 0.005, ofTime(func(r *Report) (Seconds, bool) { return r.FirstFrame.P95, r.FirstFrame.Count > 0 })},
	{"service.p50", timeQuantity, 0.001, ofTime(func(r *Report) (Seconds, bool) { return r.Service.P50, r.Service.Count > 0 })},
	{"service.p99", timeQuantity, 0.005, ofTime(func(r *Report) (Seconds, bool) { return r.Service.P99, r.Service.Count > 0 })},
	{"latency.p99", timeQuantity, 0.005, ofTime(func(r *Report) (Seconds, bool) { return r.Latency.P99, r.Latency.Count > 0 })},
	{"recovery.p95", timeQuantity, 0.02, ofTime(func(r *Report) (Seconds, bool) { return r.Recovery.P95, r.Recovery.Count > 0 })},
	{"errors", shareQuantity, 0.0005, func(r *Report) (float64, bool) { return ratio(r.Polls.Errors, r.Polls.Sent), r.Polls.Sent > 0 }},
	{"skipped", shareQuantity, 0.0005, func(r *Report) (float64, bool) { return ratio(r.Polls.Skipped, r.Polls.Due), r.Polls.Due > 0 }},
	{"missed", shareQuantity, 0.001, func(r *Report) (float64, bool) {
		n := r.Pictures.Missed + r.Pictures.Shown
		return ratio(r.Pictures.Missed, n), n > 0
	}},
	{"refetch", shareQuantity, 0.0005, ofFrames(func(c *Changes) uint64 { return c.Refetches })},
	{"gaps", shareQuantity, 0.0005, ofFrames(func(c *Changes) uint64 { return c.Gaps })},
	{"mismatches", shareQuantity, 0, ofFrames(func(c *Changes) uint64 { return c.Mismatches })},
	{"freezes", shareQuantity, 0.001, func(r *Report) (float64, bool) { return r.Freezes.Share, r.Watch.Dated > 0 }},
	{"viewer_rate", byteQuantity, 1000, func(r *Report) (float64, bool) { return r.Traffic.PerViewerMinute, r.Watch.Total > 0 }},
	{"cpu_per_poll", timeQuantity, 5e-6, ofTime(func(r *Report) (Seconds, bool) { return r.Generator.CPUPerPoll, r.Generator.CPUPerPoll > 0 })},
}

func ofTime(of func(*Report) (Seconds, bool)) func(*Report) (float64, bool) {
	return func(r *Report) (float64, bool) {
		s, ok := of(r)
		return time.Duration(s).Seconds(), ok
	}
}

// ofFrames is a share of the frames that made pictures.
func ofFrames(of func(*Changes) uint64) func(*Report) (float64, bool) {
	return func(r *Report) (float64, bool) {
		if r.Changes == nil {
			return 0, false
		}
		n := r.Changes.Keys + r.Changes.Deltas
		return ratio(of(r.Changes), n), n > 0
	}
}

// Tolerance says how much worse a figure may be, as a share of what it was.
type Tolerance struct {
	Of    string // a figure, or empty for all that have none of their own
	Share float64
}

// DefaultTolerance is how much worse a figure may be unless told otherwise.
const DefaultTolerance = "10%"

// ParseTolerances reads a list such as "10%, age.p99=5%".
func ParseTolerances(list string) (all []Tolerance, err error) {
	for s := range strings.SplitSeq(list, ",") {
		name, value, named := strings.Cut(strings.TrimSpace(s), "=")
		if !named {
			name, value = "", name
		}
		number, ok := strings.CutSuffix(value, "%")
		share, err := strconv.ParseFloat(number, 64)
		if !ok || err != nil || !(share >= 0) || share > 1000 {
			return nil, cli.Hint(fmt.Errorf("tolerance %q: want a share such as 10%%", clip(s)), "write it like 10%, or 10%,age.p99=5%")
		}
		if named && !slices.ContainsFunc(comparables, func(c comparison) bool { return c.name == name }) {
			return nil, cli.Hint(fmt.Errorf("tolerance %q: no such figure", clip(s)), "the figures are "+comparableNames())
		}
		all = append(all, Tolerance{name, share / 100})
	}
	return all, nil
}

func comparableNames() string {
	var names []string
	for _, c := range comparables {
		names = append(names, c.name)
	}
	return strings.Join(names, ", ")
}

// Difference is a figure of two runs.
type Difference struct {
	Name          string  `json:"name"`
	Before, After float64 // in seconds, shares or bytes
	Shown         [2]string
	Change        float64 `json:"change"` // as a share of what it was; +Inf from nothing
	Tolerance     float64 `json:"tolerance"`
	Worse, Better bool
}

// Compare compares two runs of the same scenario. Runs that cannot be compared
// are an error that says why.
func Compare(before, after *Report, tolerances []Tolerance) ([]Difference, error) {
	if err := sameScenario(before, after); err != nil {
		return nil, err
	}
	allowed := func(name string) float64 {
		general := 0.10
		for _, t := range tolerances {
			switch t.Of {
			case name:
				return t.Share
			case "":
				general = t.Share
			}
		}
		return general
	}
	var all []Difference
	for _, c := range comparables {
		a, knownBefore := c.of(before)
		b, knownAfter := c.of(after)
		if !knownBefore || !knownAfter {
			continue
		}
		unit := map[quantity]string{timeQuantity: "s", shareQuantity: "%", byteQuantity: "B"}[c.kind]
		show := Objective{unit: unit}.show
		d := Difference{Name: c.name, Before: a, After: b, Shown: [2]string{show(a), show(b)}, Tolerance: allowed(c.name)}
		switch {
		case a != 0:
			d.Change = b/a - 1
		case b != 0:
			d.Change = math.Inf(1)
		}
		d.Worse = b-a > max(c.least, a*d.Tolerance)
		d.Better = a-b > max(c.least, a*d.Tolerance)
		all = append(all, d)
	}
	return all, nil
}

// sameScenario says why two runs cannot be compared, if so.
func sameScenario(a, b *Report) error {
	x, y := a.Scenario, b.Scenario
	// Another seed is another crowd of the same kind, another target another
	// candidate; who happened to come is chance.
	for _, s := range []*Scenario{&x, &y} {
		s.Target, s.Seed, s.Visitors = "", 0, 0
		if s.Stay > 0 {
			s.Viewers = 0
		}
	}
	var left, right map[string]any
	for _, side := range []struct {
		of Scenario
		to *map[string]any
	}{{x, &left}, {y, &right}} {
		text, err := json.Marshal(side.of)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(text, side.to); err != nil {
			return err
		}
	}
	var differ []string
	for _, m := range []map[string]any{left, right} {
		for key := range m {
			if fmt.Sprint(left[key]) != fmt.Sprint(right[key]) && !slices.Contains(differ, key) {
				differ = append(differ, key)
			}
		}
	}
	slices.Sort(differ)
	hint := "compare two runs of the same scenario on the same machine"
	switch {
	case len(differ) > 0:
		return cli.Hint(fmt.Errorf("the runs differ in %s: %v and %v", strings.Join(differ, ", "), left[differ[0]], right[differ[0]]), hint)
	case a.Generator.CPUs != b.Generator.CPUs:
		return cli.Hint(fmt.Errorf("the runs were made on %d and %d cores", a.Generator.CPUs, b.Generator.CPUs), hint)
	case a.Generator.InProcess != b.Generator.InProcess:
		return cli.Hint(errors.New("the server was in the generator's process in one run only"), hint)
	}
	for i, r := range []*Report{a, b} {
		if r.Verdict == Inconclusive {
			return cli.Hint(fmt.Errorf("the %s run is inconclusive: %s", []string{"first", "second"}[i], strings.Join(r.Reasons, "; ")), "an inconclusive run says nothing about the server: repeat it")
		}
	}
	return nil
}

// WriteDifferences writes a comparison for a person.
func WriteDifferences(w io.Writer, list []Difference) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%-17s%12s%12s%10s%11s\n", "", "before", "after", "change", "tolerance")
	for _, d := range list {
		word := ""
		switch {
		case d.Worse:
			word = "  WORSE"
		case d.Better:
			word = "  better"
		}
		change := fmt.Sprintf("%+.1f%%", d.Change*100)
		if math.IsInf(d.Change, 0) {
			change = "from 0"
		}
		fmt.Fprintf(&b, "%-17s%12s%12s%10s%11s%s\n", d.Name, d.Shown[0], d.Shown[1], change, fmt.Sprintf("%.3g%%", d.Tolerance*100), word)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
