package loadtest

import (
	"fmt"
	"slices"
	"sync"
)

// phase is a part of a run under way or over: from one step to the next.
type phase struct {
	Name   string  `json:"name"`
	From   Seconds `json:"from_s"`
	To     Seconds `json:"to_s"`
	Tally  *tally  `json:"tally"`
	expect []Objective
}

// Phase is what was found in the part of a run from one step to the next.
type Phase struct {
	Name        string            `json:"name"`
	From        Seconds           `json:"from_s"`
	To          Seconds           `json:"to_s"`
	Polls       Polls             `json:"polls"` // lapsed ones are counted for the whole run only
	Failures    map[string]uint64 `json:"failures,omitempty"`
	Latency     Quantiles         `json:"latency"`
	Service     Quantiles         `json:"service"`
	FirstFrame  Quantiles         `json:"first_frame"`
	Age         Quantiles         `json:"age"`
	Recovery    Quantiles         `json:"recovery"`    // from the phase's beginning to a picture taken since
	Unrecovered uint64            `json:"unrecovered"` // who saw none; their recovery is a lower bound
	Watch       Watch             `json:"watch"`
	Pictures    Pictures          `json:"pictures"` // distinct ones are counted for the whole run only
	Freezes     Freezes           `json:"freezes"`
	Changes     *Changes          `json:"changes,omitempty"`
	Objectives  []Result          `json:"objectives,omitempty"`
}

// report makes the phase's report and judges it.
func (p *phase) report(c Config) (rep Phase, missed, unknown []string) {
	f := figuresOf(p.Tally, c)
	missed, unknown = f.weigh(p.expect, fmt.Sprintf("in phase %q: ", p.Name))
	return Phase{
		Name: p.Name, From: p.From, To: p.To, Polls: f.Polls, Failures: f.Failures,
		Latency: f.Latency, Service: f.Service, FirstFrame: f.FirstFrame, Age: f.Age,
		Recovery: f.Recovery, Unrecovered: f.Unrecovered, Watch: f.Watch, Pictures: f.Pictures, Freezes: f.Freezes,
		Changes: f.Changes, Objectives: f.Objectives,
	}, missed, unknown
}

// wholeRun are the metrics that only a whole run has.
var wholeRun = []string{"hiccup", "stalled", "unseen", "reconnects"}

// checkExpect refuses expectations that a phase cannot answer.
func checkExpect(list []Objective) error {
	for _, o := range list {
		if slices.Contains(wholeRun, o.metric) {
			return fmt.Errorf("expectation %q: %s is known of a whole run only; write it as an objective", o, o.metric)
		}
	}
	return nil
}

// troubles collects what could not be done.
type troubles struct {
	mu   sync.Mutex
	list []string
}

// maxTroubles bounds what a report says of them.
const maxTroubles = 20

func (t *troubles) add(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.list) < maxTroubles {
		t.list = append(t.list, text)
	}
}
