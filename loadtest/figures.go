package loadtest

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Seconds is a duration that is a plain number of seconds in JSON, so that
// every tool can read it.
type Seconds time.Duration

// MarshalJSON implements json.Marshaler.
func (s Seconds) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, time.Duration(s).Seconds(), 'f', -1, 64), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *Seconds) UnmarshalJSON(b []byte) error {
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil || f > 1e9 || f < -1e9 || f != f {
		return fmt.Errorf("parse seconds: %.40q is not a number in range", b)
	}
	*s = Seconds(math.Round(f * float64(time.Second)))
	return nil
}

func (s Seconds) String() string { return short(time.Duration(s)) }

// Quantiles sum up a distribution of durations.
type Quantiles struct {
	Count uint64  `json:"count,omitempty"` // 0 where values are weighted by time
	Mean  Seconds `json:"mean_s"`
	P50   Seconds `json:"p50_s"`
	P90   Seconds `json:"p90_s"`
	P95   Seconds `json:"p95_s"`
	P99   Seconds `json:"p99_s"`
	Max   Seconds `json:"max_s"`
}

// distribution is what timing and ages have in common.
type distribution interface {
	quantile(q float64) time.Duration
	mean() time.Duration
}

func quantiles(d distribution, longest time.Duration) Quantiles {
	return Quantiles{
		Mean: Seconds(d.mean()), P50: Seconds(d.quantile(0.50)), P90: Seconds(d.quantile(0.90)),
		P95: Seconds(d.quantile(0.95)), P99: Seconds(d.quantile(0.99)), Max: Seconds(longest),
	}
}

func quantilesOf(t *timing) Quantiles {
	q := quantiles(t, t.max)
	q.Count = t.count()
	return q
}

// Sample is one second of a run while it runs. Counts are of that second.
type Sample struct {
	At         Seconds `json:"at_s"`    // since the start
	Viewers    int     `json:"viewers"` // who have joined
	Polls      uint64  `json:"polls"`   // due
	New        uint64  `json:"new"`     // 200 with a picture
	Unchanged  uint64  `json:"unchanged"`
	Errors     uint64  `json:"errors"`
	Skipped    uint64  `json:"skipped"`
	Late       uint64  `json:"late"`
	Bytes      uint64  `json:"bytes"`
	AgeP50     Seconds `json:"age_p50_s"`
	AgeP99     Seconds `json:"age_p99_s"`
	LatencyP99 Seconds `json:"latency_p99_s"`  // from the planned instant
	Keys       uint64  `json:"keys,omitempty"` // of viewers who decode changes, as the next three
	Refetches  uint64  `json:"refetches,omitempty"`
	Gaps       uint64  `json:"gaps,omitempty"`
	Mismatches uint64  `json:"mismatches,omitempty"`
	Final      bool    `json:"final,omitempty"`
}

// ratio returns part/whole, 0 of nothing.
func ratio[T uint64 | time.Duration](part, whole T) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// short spells a duration with about three digits.
func short(d time.Duration) string {
	switch a := d.Abs(); {
	case a == 0:
		return "0s"
	case a < time.Millisecond:
		return strconv.FormatInt(d.Microseconds(), 10) + "µs"
	case a < 10*time.Millisecond:
		return fmt.Sprintf("%.2fms", d.Seconds()*1e3)
	case a < time.Second:
		return fmt.Sprintf("%.0fms", d.Seconds()*1e3)
	case a < time.Minute:
		return fmt.Sprintf("%.2fs", d.Seconds())
	}
	return d.Round(time.Second).String()
}

func percent(share float64) string {
	if share > 0 && share < 0.0001 {
		return "<0.01%"
	}
	return strconv.FormatFloat(share*100, 'f', 2, 64) + "%"
}

func size(b float64) string {
	switch {
	case b < 1e3:
		return fmt.Sprintf("%.0fB", b)
	case b < 1e6:
		return fmt.Sprintf("%.1fkB", b/1e3)
	case b < 1e9:
		return fmt.Sprintf("%.2fMB", b/1e6)
	}
	return fmt.Sprintf("%.2fGB", b/1e9)
}
