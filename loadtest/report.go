package loadtest

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"time"
)

// Schema names the JSON form of a [Report]. Fields are added under the same
// name; a change of meaning gets another one.
const Schema = "porthole.load/1"

// Report is what one load test found.
type Report struct {
	Schema  string   `json:"schema"`
	Verdict Verdict  `json:"verdict"`
	Reasons []string `json:"reasons,omitempty"` // of a verdict other than pass
	Notes   []string `json:"notes,omitempty"`   // what limits the figures

	Scenario    Scenario          `json:"scenario"`
	Started     time.Time         `json:"started"`
	Ran         Seconds           `json:"ran_s"` // watch time of a viewer who was there from the start
	Polls       Polls             `json:"polls"`
	Failures    map[string]uint64 `json:"failures,omitempty"` // by class
	Latency     Quantiles         `json:"latency"`            // from the planned instant to the last byte
	Service     Quantiles         `json:"service"`            // from the sending to the last byte
	FirstFrame  Quantiles         `json:"first_frame"`        // from the join; of the unseen, a lower bound
	Unseen      uint64            `json:"unseen"`             // viewers who never saw a picture
	Age         Quantiles         `json:"age"`                // of the picture on the screen, by watch time
	Resolution  Seconds           `json:"age_resolution_s"`
	Watch       Watch             `json:"watch"`
	Pictures    Pictures          `json:"pictures"`
	Freezes     Freezes           `json:"freezes"`
	Traffic     Traffic           `json:"traffic"`
	Connections Connections       `json:"connections"`
	Generator   Generator         `json:"generator"`
	Objectives  []Result          `json:"objectives"`

	total   *tally // for percentiles that are not in the report
	hiccups *timing
}

// Scenario is what was played.
type Scenario struct {
	Target      string  `json:"target"`
	Viewers     int     `json:"viewers"`
	Duration    Seconds `json:"duration_s"`
	Period      Seconds `json:"period_s"`
	Ramp        Seconds `json:"ramp_s"`
	Think       Think   `json:"think"`
	Conditional bool    `json:"conditional"`
	Seed        uint64  `json:"seed"`
}

// Polls counts polls. Due = Sent + Skipped; Sent = New + Unchanged + Errors +
// Unfinished. Lapsed polls were never due for the transport.
type Polls struct {
	Due        uint64 `json:"due"`
	Sent       uint64 `json:"sent"`
	Skipped    uint64 `json:"skipped"` // the one before was in flight
	Late       uint64 `json:"late"`    // by more than 100 ms: the generator's fault
	Lapsed     uint64 `json:"lapsed"`  // the generator stalled over them
	New        uint64 `json:"new"`     // 200 with a picture
	Unchanged  uint64 `json:"unchanged"`
	Errors     uint64 `json:"errors"`
	Unfinished uint64 `json:"unfinished"` // cut off at the end; their latency is a lower bound
}

// Watch is the watch time of all viewers together, by what they saw.
type Watch struct {
	Total   Seconds `json:"total_s"`
	Blank   Seconds `json:"blank_s"` // before the first picture
	Live    Seconds `json:"live_s"`
	Loop    Seconds `json:"loop_s"`    // not part of the ages
	Unknown Seconds `json:"unknown_s"` // nobody said whether it was live
	Dated   Seconds `json:"dated_s"`   // the part that ages come from
}

// Pictures counts what came and in which order.
type Pictures struct {
	Distinct    uint64 `json:"distinct"`
	Unstamped   uint64 `json:"unstamped"`
	Damaged     uint64 `json:"damaged"` // stamps
	NotPictures uint64 `json:"not_pictures"`
	Shown       uint64 `json:"shown"`      // on any screen, in place of another
	Duplicates  uint64 `json:"duplicates"` // sent again although unchanged
	Missed      uint64 `json:"missed"`
	Backward    uint64 `json:"backward"`
	Restarts    uint64 `json:"restarts"` // the camera's numbering began anew
}

// Freezes are times in which the picture on a screen was older than After.
type Freezes struct {
	After   Seconds `json:"after_s"`
	Count   uint64  `json:"count"`
	Total   Seconds `json:"total_s"`
	Share   float64 `json:"share"` // of the dated watch time
	Longest Seconds `json:"longest_s"`
}

// Traffic counts bytes.
type Traffic struct {
	Body            uint64  `json:"body_bytes"`
	WireIn          uint64  `json:"wire_in_bytes"` // with heads and TLS
	WireOut         uint64  `json:"wire_out_bytes"`
	PerViewerMinute float64 `json:"body_bytes_per_viewer_minute"`
}

// Connections counts the viewers' connections.
type Connections struct {
	Opened   uint64 `json:"opened"`
	Reopened uint64 `json:"reopened"` // beyond the first of each viewer
}

// Generator is what the load generator says of itself.
type Generator struct {
	Hiccup     Quantiles `json:"hiccup"`
	Stalled    float64   `json:"stalled"` // share of the time lost in stalls above 20 ms
	CPU        Seconds   `json:"cpu_s"`   // of the whole process
	CPUPerPoll Seconds   `json:"cpu_per_poll_s"`
	InProcess  bool      `json:"server_in_process"` // CPU includes the server
	CPUs       int       `json:"cpus"`
}

// Result is an objective and what was measured.
type Result struct {
	Objective string   `json:"objective"`
	Measured  *float64 `json:"measured,omitempty"` // in seconds, bytes, a share or a number; absent if unknown
	Shown     string   `json:"shown"`
	Met       bool     `json:"met"`
}

// WriteJSON writes the report as indented JSON with a newline.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// report makes the report of a run of which nothing is under way any more.
func (r *run) report(watched, cpu time.Duration) *Report {
	c := r.cfg
	unseen := r.recorder.unseen(r.start.Add(watched))
	t := r.recorder.total
	n := &t.counts
	rep := &Report{
		Schema: Schema, Started: r.start.UTC().Round(0), Ran: Seconds(watched),
		Scenario: Scenario{
			Target: r.target.String(), Viewers: c.Viewers, Duration: Seconds(c.Duration), Period: Seconds(c.Period),
			Ramp: Seconds(c.Ramp), Think: c.Think, Conditional: c.Conditional, Seed: c.Seed,
		},
		Polls: Polls{
			Due: n.due, Sent: n.sent, Skipped: n.skipped, Late: n.late, Lapsed: r.schedule.lapses(),
			New: n.fresh, Unchanged: n.unchanged, Errors: n.failed, Unfinished: n.unfinished,
		},
		Failures: make(map[string]uint64),
		Latency:  quantilesOf(&t.planned), Service: quantilesOf(&t.sent), FirstFrame: quantilesOf(&t.first),
		Unseen: uint64(unseen), Age: quantiles(&t.ages, t.ages.max), Resolution: Seconds(AgeResolution),
		Watch: Watch{
			Total: Seconds(t.watch()), Blank: Seconds(t.blank), Live: Seconds(t.watched[Live]),
			Loop: Seconds(t.watched[Loop]), Unknown: Seconds(t.watched[Unknown]), Dated: Seconds(t.ages.total),
		},
		Freezes: Freezes{
			After: Seconds(c.FreezeAfter), Count: n.freezes, Total: Seconds(t.frozen),
			Share: ratio(t.frozen, t.ages.total), Longest: Seconds(t.longest),
		},
		Traffic: Traffic{Body: n.bytes},
		Generator: Generator{
			CPU: Seconds(cpu), InProcess: c.InProcess, CPUs: runtime.GOMAXPROCS(0),
		},
		Objectives: []Result{},
		total:      t,
		hiccups:    &r.hiccups.overslept,
	}
	for i, k := range t.failed {
		if k > 0 && failure(i) != unfinished {
			rep.Failures[failure(i).String()] = k
		}
	}
	rep.Generator.Hiccup, rep.Generator.Stalled = r.hiccups.summary()
	found := r.gallery.collected()
	rep.Pictures = Pictures{
		Distinct: found.Distinct, Unstamped: found.Unstamped, Damaged: found.Damaged, NotPictures: found.NotPictures,
		Shown: n.shown, Duplicates: n.duplicates, Missed: n.missed, Backward: n.backward, Restarts: n.restarts,
	}
	if m := t.watch().Minutes(); m > 0 {
		rep.Traffic.PerViewerMinute = float64(n.bytes) / m
	}
	if n.sent > 0 {
		rep.Generator.CPUPerPoll = Seconds(cpu / time.Duration(n.sent))
	}
	for i := range r.dialer.viewers {
		v := &r.dialer.viewers[i]
		opened := uint64(v.connects.Load())
		rep.Connections.Opened += opened
		rep.Connections.Reopened += max(opened, 1) - 1
		rep.Traffic.WireIn += v.wireIn.Load()
		rep.Traffic.WireOut += v.wireOut.Load()
	}
	rep.note(c, found)
	rep.judge(c.Objectives)
	return rep
}

// note says what limits the figures.
func (r *Report) note(c Config, found collection) {
	say := func(format string, a ...any) { r.Notes = append(r.Notes, fmt.Sprintf(format, a...)) }
	if found.Unstamped > 0 {
		say("%d of %d pictures carried no stamp: their age is unknown", found.Unstamped, found.Distinct)
	}
	if found.Damaged > 0 {
		say("%d of %d pictures had a damaged stamp: their age is unknown", found.Damaged, found.Distinct)
	}
	if f := r.total.ages.future; f > 0 {
		say("pictures were captured up to %s of watch time in the future: clocks differ", short(f))
	}
	if b := r.total.ages.beyond; b > 0 {
		say("pictures were older than %v for %s of watch time: replayed, or clocks differ", ageLimit, short(b))
	}
	if c.Truth == nil {
		say("nobody said what was live: replayed pictures, if any, count with their age")
	}
	if share := r.Generator.Stalled; share > 0.01 {
		say("the generator stood still for %s of the time: so many latencies may be its own", percent(share))
	}
	if r.Unseen > 0 {
		say("%d viewers never saw a picture: first_frame holds how long they waited", r.Unseen)
	}
}
