package loadtest

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
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
	Recovery    Quantiles         `json:"recovery,omitzero"` // of all phases
	Unrecovered uint64            `json:"unrecovered,omitempty"`
	Streams     *Streams          `json:"streams,omitempty"` // of server-sent events, or of changes
	Changes     *Changes          `json:"changes,omitempty"` // of viewers who decode them
	Agents      []Agent           `json:"agents,omitempty"`
	Server      *ServerUse        `json:"server,omitempty"` // where the load test started it
	Phases      []Phase           `json:"phases,omitempty"`
	Series      []Sample          `json:"series,omitempty"` // what it looked like over time

	total   *tally // for percentiles that are not in the report
	hiccups *timing
}

// Scenario is what was played.
type Scenario struct {
	Name        string   `json:"name,omitempty"`
	Target      string   `json:"target"`
	Arrivals    string   `json:"arrivals"`
	Viewers     int      `json:"viewers"`            // at the same time, at most
	Visitors    uint64   `json:"visitors,omitempty"` // in all, where they come and go
	Stay        Seconds  `json:"stay_s,omitempty"`
	Stages      []string `json:"stages,omitempty"`
	Steps       []string `json:"steps,omitempty"`
	Duration    Seconds  `json:"duration_s"`
	Period      Seconds  `json:"period_s"`
	Ramp        Seconds  `json:"ramp_s"`
	Think       Think    `json:"think"`
	Conditional bool     `json:"conditional"`
	Engine      Engine   `json:"engine"`
	Protocol    Protocol `json:"protocol"`
	Reconnect   bool     `json:"reconnect,omitempty"`
	Resume      bool     `json:"resume,omitempty"`
	Seed        uint64   `json:"seed"`
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
	Resumed  uint64 `json:"resumed,omitempty"`
}

// Streams counts streams of server-sent events, or of changes.
type Streams struct {
	Opened  uint64 `json:"opened"`
	Failed  uint64 `json:"failed"`            // that could not be opened
	Ended   uint64 `json:"ended"`             // before their viewer left
	Events  uint64 `json:"events"`            // that a new picture is there
	Resumed uint64 `json:"resumed,omitempty"` // of those opened: taken up where the one before ended
}

func (s *Streams) add(o Streams) {
	s.Opened += o.Opened
	s.Failed += o.Failed
	s.Ended += o.Ended
	s.Events += o.Events
	s.Resumed += o.Resumed
}

// Changes counts what viewers got who decode changes, and what went wrong with
// it.
type Changes struct {
	Keys       uint64 `json:"keys"`      // that made a picture: first ones, planned ones and refetches
	Planned    uint64 `json:"planned"`   // in place of a change, when the viewer's line had lived its life
	Refetches  uint64 `json:"refetches"` // because something went wrong: a fault
	Deltas     uint64 `json:"deltas"`    // that made a picture of the one before
	KeyBytes   uint64 `json:"key_bytes"` // of all that came, whatever became of them
	DeltaBytes uint64 `json:"delta_bytes"`
	Gaps       uint64 `json:"gaps"`       // places where pictures are lacking between two that came
	Lost       uint64 `json:"lost"`       // pictures that are lacking there
	Mismatches uint64 `json:"mismatches"` // frames that made another picture than the server's
}

func (c *changes) report(p Protocol) *Changes {
	if !p.Decodes() {
		return nil
	}
	return &Changes{
		Keys: c.keys, Planned: c.planned, Refetches: c.refetches, Deltas: c.deltas, KeyBytes: c.keyBytes, DeltaBytes: c.deltaBytes,
		Gaps: c.gaps, Lost: c.lost, Mismatches: c.mismatches,
	}
}

// Agent is what one of several generators says of itself.
type Agent struct {
	Name    string    `json:"name"`
	Hiccup  Quantiles `json:"hiccup"`
	Stalled float64   `json:"stalled"`
	CPU     Seconds   `json:"cpu_s"`
	CPUs    int       `json:"cpus"`
	Late    uint64    `json:"late"`
	Due     uint64    `json:"due"`
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

// figuresOf returns the part of a report that a tally alone makes up.
func figuresOf(t *tally, c Config) *Report {
	n := &t.counts
	r := &Report{
		Polls: Polls{
			Due: n.due, Sent: n.sent, Skipped: n.skipped, Late: n.late,
			New: n.fresh, Unchanged: n.unchanged, Errors: n.failed, Unfinished: n.unfinished,
		},
		Failures: make(map[string]uint64),
		Latency:  quantilesOf(&t.planned), Service: quantilesOf(&t.sent), FirstFrame: quantilesOf(&t.first),
		Recovery: quantilesOf(&t.recovery), Unrecovered: n.unrecovered,
		Age: quantiles(&t.ages, t.ages.max), Resolution: Seconds(AgeResolution),
		Watch: Watch{
			Total: Seconds(t.watch()), Blank: Seconds(t.blank), Live: Seconds(t.watched[Live]),
			Loop: Seconds(t.watched[Loop]), Unknown: Seconds(t.watched[Unknown]), Dated: Seconds(t.ages.total),
		},
		Freezes: Freezes{
			After: Seconds(c.FreezeAfter), Count: n.freezes, Total: Seconds(t.frozen),
			Share: ratio(t.frozen, t.ages.total), Longest: Seconds(t.longest),
		},
		Pictures: Pictures{
			Shown: n.shown, Duplicates: n.duplicates, Missed: n.missed, Backward: n.backward, Restarts: n.restarts,
		},
		Traffic:    Traffic{Body: n.bytes},
		Changes:    n.changes.report(c.Protocol),
		Objectives: []Result{},
		total:      t,
		hiccups:    new(timing),
	}
	for i, k := range t.failed {
		if k > 0 && failure(i) != unfinished {
			r.Failures[failure(i).String()] = k
		}
	}
	if m := t.watch().Minutes(); m > 0 {
		r.Traffic.PerViewerMinute = float64(n.bytes) / m
	}
	return r
}

// report makes the report of what was found and judges it.
func (o *outcome) report(c Config) *Report {
	r := figuresOf(o.Total, c)
	r.Schema, r.Started, r.Ran = Schema, o.Started, o.Watched
	r.Scenario = c.scenario(o.Came)
	r.Polls.Lapsed, r.Unseen = o.Lapsed, o.Unseen
	found := o.collection()
	r.Pictures.Distinct, r.Pictures.Unstamped = found.Distinct, found.Unstamped
	r.Pictures.Damaged, r.Pictures.NotPictures = found.Damaged, found.NotPictures
	r.Traffic.WireIn, r.Traffic.WireOut = o.WireIn, o.WireOut
	r.Connections = Connections{Opened: o.Opened, Reopened: o.Reopened, Resumed: o.Resumed}
	if o.Streams != (Streams{}) {
		r.Streams = &o.Streams
	}
	r.Series = o.Series
	r.generators(o, c)
	r.note(c, found)
	var missed, unknown []string
	for i := range o.Phases {
		p, m, u := o.Phases[i].report(c)
		r.Phases = append(r.Phases, p)
		missed, unknown = append(missed, m...), append(unknown, u...)
	}
	r.judge(c.Objectives, o.Troubles, missed, unknown)
	if o.Interrupted {
		r.interrupted()
	}
	return r
}

// scenario says what was played.
func (c Config) scenario(came uint64) Scenario {
	s := Scenario{
		Name: c.Name, Target: c.TargetURL, Arrivals: c.Crowd.Pattern, Viewers: c.Viewers, Duration: Seconds(c.Duration),
		Period: Seconds(c.Period), Ramp: Seconds(c.Ramp), Think: c.Think, Conditional: c.Conditional, Engine: c.Engine,
		Protocol: c.Protocol, Reconnect: c.Reconnect, Resume: c.Resume, Seed: c.Seed,
	}
	if c.Crowd.Visits != nil {
		s.Visitors, s.Stay = came, Seconds(c.Crowd.Visits.Stay)
	}
	if c.Crowd.Pattern == "" {
		s.Arrivals = "steady"
	}
	if len(c.Crowd.Stages) > 0 {
		s.Ramp = 0
	}
	for _, st := range c.Crowd.Stages {
		s.Stages = append(s.Stages, fmt.Sprintf("%v %s", st.For, st.describe(len(s.Stages))))
	}
	for _, st := range c.Steps {
		if len(st.Do) > 0 {
			s.Steps = append(s.Steps, fmt.Sprintf("%v %s", st.At, strings.Join(st.Do, " ")))
		}
	}
	return s
}

// generators sums up what the processes say of themselves.
func (r *Report) generators(o *outcome, c Config) {
	var stalled, measured, cpu int64
	for i := range o.Generators {
		g := &o.Generators[i]
		r.hiccups.add(&g.Hiccups)
		stalled, measured, cpu = stalled+g.Stalled, measured+g.Measured, cpu+g.CPU
		r.Generator.CPUs += g.CPUs
		if len(o.Generators) > 1 {
			r.Agents = append(r.Agents, Agent{
				Name: g.Name, Hiccup: quantilesOf(&g.Hiccups), Stalled: ratio(time.Duration(g.Stalled), time.Duration(g.Measured)),
				CPU: Seconds(g.CPU), CPUs: g.CPUs, Late: g.Late, Due: g.Due,
			})
		}
	}
	r.Generator.Hiccup, r.Generator.InProcess = quantilesOf(r.hiccups), c.InProcess
	r.Generator.Stalled, r.Generator.CPU = ratio(time.Duration(stalled), time.Duration(measured)), Seconds(cpu)
	if r.Polls.Sent > 0 {
		r.Generator.CPUPerPoll = Seconds(cpu / int64(r.Polls.Sent))
	}
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
