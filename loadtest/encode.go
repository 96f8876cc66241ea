package loadtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// The form of tallies between an agent and its coordinator. Nothing is rounded:
// what is added up there is what would have been added up here.

// timingJSON is a timing.
type timingJSON struct {
	Sum    int64      `json:"sum_ns"`
	Max    int64      `json:"max_ns"`
	Counts [][2]int64 `json:"counts,omitempty"` // value in µs, how often
}

// MarshalJSON implements json.Marshaler.
func (t timing) MarshalJSON() ([]byte, error) {
	j := timingJSON{Sum: int64(t.sum), Max: int64(t.max)}
	if t.h != nil {
		for _, bar := range t.h.Distribution() {
			if bar.Count > 0 {
				j.Counts = append(j.Counts, [2]int64{bar.From, bar.Count})
			}
		}
	}
	return json.Marshal(j)
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *timing) UnmarshalJSON(b []byte) error {
	var j timingJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*t = timing{sum: time.Duration(j.Sum), max: time.Duration(j.Max)}
	for _, c := range j.Counts {
		t.make()
		if c[1] < 1 {
			return errors.New("parse histogram: a count below one")
		}
		if err := t.h.RecordValues(c[0], c[1]); err != nil {
			return fmt.Errorf("parse histogram: %w", err)
		}
	}
	return nil
}

// agesJSON is a histogram of ages.
type agesJSON struct {
	Bins   [][2]int64 `json:"bins,omitempty"` // index, ns
	Beyond int64      `json:"beyond_ns,omitempty"`
	Future int64      `json:"future_ns,omitempty"`
	Total  int64      `json:"total_ns"`
	Moment float64    `json:"moment_s2"`
	Max    int64      `json:"max_ns"`
}

// MarshalJSON implements json.Marshaler.
func (g ages) MarshalJSON() ([]byte, error) {
	j := agesJSON{Beyond: int64(g.beyond), Future: int64(g.future), Total: int64(g.total), Moment: g.moment, Max: int64(g.max)}
	for i, m := range g.bins {
		if m > 0 {
			j.Bins = append(j.Bins, [2]int64{int64(i), int64(m)})
		}
	}
	return json.Marshal(j)
}

// UnmarshalJSON implements json.Unmarshaler.
func (g *ages) UnmarshalJSON(b []byte) error {
	var j agesJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*g = ages{beyond: time.Duration(j.Beyond), future: time.Duration(j.Future), total: time.Duration(j.Total), moment: j.Moment, max: time.Duration(j.Max)}
	for _, bin := range j.Bins {
		if bin[0] < 0 || bin[0] >= int64(ageLimit/AgeResolution) || bin[1] < 0 {
			return errors.New("parse ages: a bin out of range")
		}
		g.grow(int(bin[0]) + 1)
		g.bins[bin[0]] += time.Duration(bin[1])
	}
	return nil
}

// tallyJSON is a tally.
type tallyJSON struct {
	Counts   map[string]uint64 `json:"counts"`
	Failed   map[string]uint64 `json:"failed,omitempty"`
	Planned  timing            `json:"planned"`
	Sent     timing            `json:"sent"`
	First    timing            `json:"first"`
	Recovery timing            `json:"recovery"`
	Ages     ages              `json:"ages"`
	Blank    int64             `json:"blank_ns"`
	Watched  [sources]int64    `json:"watched_ns"`
	Frozen   int64             `json:"frozen_ns"`
	Longest  int64             `json:"longest_ns"`
}

// named are the counts by their names on the wire.
func (c *counts) named() map[string]*uint64 {
	return map[string]*uint64{
		"due": &c.due, "sent": &c.sent, "skipped": &c.skipped, "late": &c.late, "fresh": &c.fresh, "unchanged": &c.unchanged,
		"failed": &c.failed, "unfinished": &c.unfinished, "bytes": &c.bytes, "shown": &c.shown, "duplicates": &c.duplicates,
		"missed": &c.missed, "backward": &c.backward, "restarts": &c.restarts, "freezes": &c.freezes, "unrecovered": &c.unrecovered,
		"keys": &c.changes.keys, "planned": &c.changes.planned, "refetches": &c.changes.refetches, "deltas": &c.changes.deltas,
		"key_bytes": &c.changes.keyBytes, "delta_bytes": &c.changes.deltaBytes, "gaps": &c.changes.gaps, "lost": &c.changes.lost,
		"mismatches": &c.changes.mismatches,
	}
}

// MarshalJSON implements json.Marshaler.
func (t *tally) MarshalJSON() ([]byte, error) {
	j := tallyJSON{
		Counts: make(map[string]uint64), Failed: make(map[string]uint64),
		Planned: t.planned, Sent: t.sent, First: t.first, Recovery: t.recovery, Ages: t.ages,
		Blank: int64(t.blank), Frozen: int64(t.frozen), Longest: int64(t.longest),
	}
	for name, n := range t.counts.named() {
		if *n > 0 {
			j.Counts[name] = *n
		}
	}
	for i, n := range t.failed {
		if n > 0 {
			j.Failed[failure(i).String()] = n
		}
	}
	for i, d := range t.watched {
		j.Watched[i] = int64(d)
	}
	return json.Marshal(j)
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *tally) UnmarshalJSON(b []byte) error {
	var j tallyJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*t = tally{
		planned: j.Planned, sent: j.Sent, first: j.First, recovery: j.Recovery, ages: j.Ages,
		blank: time.Duration(j.Blank), frozen: time.Duration(j.Frozen), longest: time.Duration(j.Longest),
	}
	named := t.counts.named()
	for name, n := range j.Counts {
		c, ok := named[name]
		if !ok {
			return fmt.Errorf("parse tally: unknown count %.20q", name)
		}
		*c = n
	}
	for i := range t.failed {
		t.failed[i] = j.Failed[failure(i).String()]
		delete(j.Failed, failure(i).String())
	}
	if len(j.Failed) > 0 {
		return errors.New("parse tally: unknown class of error")
	}
	for i, d := range j.Watched {
		t.watched[i] = time.Duration(d)
	}
	return nil
}
