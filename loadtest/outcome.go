package loadtest

import (
	"fmt"
	"maps"
	"runtime"
	"time"
)

// outcome is all that a run, or an agent's part of one, has found: sums and
// histograms, nothing that was computed from them. Outcomes of parts add up to
// that of the whole without loss. Its exported fields are its form on the wire.
type outcome struct {
	Started     time.Time          `json:"started"`
	Watched     Seconds            `json:"watched_s"`
	Interrupted bool               `json:"interrupted,omitempty"`
	Total       *tally             `json:"total"`
	Phases      []phase            `json:"phases,omitempty"`
	Series      []Sample           `json:"series"`
	Came        uint64             `json:"came"` // viewers who joined
	Unseen      uint64             `json:"unseen"`
	Lapsed      uint64             `json:"lapsed"`
	Opened      uint64             `json:"opened"`
	Reopened    uint64             `json:"reopened"`
	Resumed     uint64             `json:"resumed"`
	WireIn      uint64             `json:"wire_in"`
	WireOut     uint64             `json:"wire_out"`
	Streams     Streams            `json:"streams"`
	Pictures    map[string]exhibit `json:"pictures"`  // by ETag
	Forgotten   collection         `json:"forgotten"` // pictures that are not in Pictures any more
	Generators  []generator        `json:"generators"`
	Troubles    []string           `json:"troubles,omitempty"`
}

// generator is what one process that played viewers says of itself.
type generator struct {
	Name     string `json:"name,omitempty"` // of an agent
	Hiccups  timing `json:"hiccups"`
	Stalled  int64  `json:"stalled_ns"`
	Measured int64  `json:"measured_ns"`
	CPU      int64  `json:"cpu_ns"`
	CPUs     int    `json:"cpus"`
	Late     uint64 `json:"late"` // polls, with the lapsed ones
	Due      uint64 `json:"due"`
}

// outcome takes stock of a run of which nothing is under way any more.
func (r *run) outcome(watched, cpu time.Duration) *outcome {
	end := r.start.Add(watched)
	o := &outcome{
		Started: r.start.UTC().Round(0), Watched: Seconds(watched), Unseen: uint64(r.recorder.unseen(end)),
		Total: r.recorder.total, Lapsed: r.schedule.lapses(), Streams: r.streams.counts(), Troubles: r.troubles.list,
	}
	if n := len(r.past); n > 0 {
		r.past[n-1].Tally, r.past[n-1].To = r.recorder.end(end), Seconds(watched)
		o.Phases = r.past
		for i := range o.Phases {
			o.Total.recovery.add(&o.Phases[i].Tally.recovery)
			o.Total.counts.unrecovered += o.Phases[i].Tally.counts.unrecovered
		}
	}
	o.Pictures, o.Forgotten = r.gallery.exhibits()
	for i := range r.dialer.viewers {
		v := &r.dialer.viewers[i]
		if !v.screen.joined.After(end) {
			o.Came++
		}
		opened := uint64(v.connects.Load())
		o.Opened += opened
		o.Reopened += max(opened, 1) - 1
		o.Resumed += uint64(v.resumed.Load())
		o.WireIn += v.wireIn.Load()
		o.WireOut += v.wireOut.Load()
	}
	g := generator{CPU: int64(cpu), CPUs: runtime.GOMAXPROCS(0), Late: o.Total.counts.late + o.Lapsed, Due: o.Total.counts.due + o.Lapsed}
	g.Hiccups, g.Stalled, g.Measured = r.hiccups.state()
	o.Generators = []generator{g}
	return o
}

// merge adds the part that another generator played of the same run.
func (o *outcome) merge(p *outcome) error {
	if len(p.Phases) != len(o.Phases) {
		return fmt.Errorf("merge parts: %d and %d phases", len(o.Phases), len(p.Phases))
	}
	o.Total.add(p.Total)
	for i := range o.Phases {
		o.Phases[i].Tally.add(p.Phases[i].Tally)
	}
	o.Watched = min(o.Watched, p.Watched)
	o.Interrupted = o.Interrupted || p.Interrupted
	o.Series = mergeSeries(o.Series, p.Series)
	o.Came += p.Came
	o.Unseen += p.Unseen
	o.Lapsed += p.Lapsed
	o.Opened += p.Opened
	o.Reopened += p.Reopened
	o.Resumed += p.Resumed
	o.WireIn += p.WireIn
	o.WireOut += p.WireOut
	o.Streams.add(p.Streams)
	maps.Copy(o.Pictures, p.Pictures)
	o.Forgotten.add(p.Forgotten)
	o.Generators = append(o.Generators, p.Generators...)
	o.Troubles = append(o.Troubles, p.Troubles...)
	return nil
}

// second is the second of a run that a sample ends, by which samples of several
// generators belong together: their ticks differ, and a busy one leaves some out.
func (s Sample) second() int { return int((time.Duration(s.At) + time.Second/2) / time.Second) }

// mergeSeries adds the samples of two parts, second by second. Of percentiles
// the worse one stays: samples carry no histograms.
func mergeSeries(a, b []Sample) (all []Sample) {
	var viewers [2]int
	for len(a) > 0 || len(b) > 0 {
		var sum Sample
		at := -1
		for _, part := range [][]Sample{a, b} {
			if len(part) > 0 && (at < 0 || part[0].second() < at) {
				at = part[0].second()
			}
		}
		for i, part := range []*[]Sample{&a, &b} {
			if len(*part) == 0 || (*part)[0].second() != at {
				continue
			}
			x := (*part)[0]
			*part = (*part)[1:]
			viewers[i] = x.Viewers
			x.At = max(x.At, sum.At)
			sum = sum.join(x)
		}
		sum.Viewers = viewers[0] + viewers[1]
		sum.Final = len(a) == 0 && len(b) == 0
		all = append(all, sum)
	}
	return all
}

// collection returns how many distinct pictures there were, by kind.
func (o *outcome) collection() collection {
	c := o.Forgotten
	for _, e := range o.Pictures {
		c.count(e)
	}
	return c
}
