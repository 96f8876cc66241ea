package loadtest

import (
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// The range of timings: 1 µs to 10 minutes at three digits, 160 kB a histogram.
// What is longer is kept as 10 minutes; the maximum is exact.
const (
	timingUnit   = time.Microsecond
	timingLimit  = 10 * time.Minute
	timingDigits = 3
)

// timing is a histogram of durations with three significant digits and an exact
// mean and maximum.
// It takes its memory with the first value.
type timing struct {
	h   *hdr.Histogram // nil: empty
	sum time.Duration
	max time.Duration
}

// make takes the memory.
func (t *timing) make() {
	if t.h == nil {
		t.h = hdr.New(1, int64(timingLimit/timingUnit), timingDigits)
	}
}

// record adds one duration. One below zero counts as zero.
func (t *timing) record(d time.Duration) {
	t.make()
	d = max(d, 0)
	t.sum += d
	t.max = max(t.max, d)
	// In range by the line above and the next, so there is no error.
	_ = t.h.RecordValue(int64(min(d, timingLimit) / timingUnit))
}

func (t *timing) add(o *timing) {
	if o.count() == 0 {
		return
	}
	t.make()
	t.h.Merge(o.h)
	t.sum += o.sum
	t.max = max(t.max, o.max)
}

func (t *timing) reset() {
	if t.count() > 0 {
		t.h.Reset()
	}
	t.sum, t.max = 0, 0
}

func (t *timing) count() uint64 {
	if t.h == nil {
		return 0
	}
	return uint64(t.h.TotalCount())
}

// quantile returns the duration that the share q of the values did not exceed.
func (t *timing) quantile(q float64) time.Duration {
	if t.h == nil {
		return 0
	}
	return min(time.Duration(t.h.ValueAtQuantile(q*100))*timingUnit, t.max)
}

func (t *timing) mean() time.Duration {
	if n := t.count(); n > 0 {
		return t.sum / time.Duration(n)
	}
	return 0
}
