package loadtest

import (
	"context"
	"sync"
	"syscall"
	"time"
)

// The generator watches itself: a goroutine sleeps a millisecond at a time and
// records by how much it overslept. What stops it (a full CPU, the garbage
// collector, a paused machine) stops the viewers too, and then the run has
// measured the generator.
const (
	hiccupInterval = time.Millisecond
	// hiccupLimit is the highest p99 that counts as a healthy generator
	// (load-tui 1.4: 1.5 ms idle, 6.9 ms under the heaviest load on the
	// reference machine).
	hiccupLimit = 20 * time.Millisecond
)

// hiccupMeter records oversleeping. A stall of n milliseconds keeps n
// measurements from being made; they are filled in, so that a percentile is one
// of time and a single long stall weighs what it lasted.
type hiccupMeter struct {
	mu        sync.Mutex
	overslept timing
}

func newHiccupMeter() *hiccupMeter { return &hiccupMeter{overslept: newTiming()} }

// run measures until ctx ends.
func (m *hiccupMeter) run(ctx context.Context) {
	for ctx.Err() == nil {
		before := time.Now()
		time.Sleep(hiccupInterval)
		m.record(time.Since(before) - hiccupInterval)
	}
}

func (m *hiccupMeter) record(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.overslept.recordStall(d, hiccupInterval)
}

func (m *hiccupMeter) summary() Quantiles {
	m.mu.Lock()
	defer m.mu.Unlock()
	return quantilesOf(&m.overslept)
}

// processCPU returns the CPU time this process has used, 0 if unknown.
func processCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
