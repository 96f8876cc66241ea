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
	// hiccupLimit is the highest p99 of a sound generator (load-tui 1.4: 1.5 ms
	// idle and 6.9 ms under the heaviest load, on a busy two-core machine), and
	// what oversleeping is a stall.
	hiccupLimit = 20 * time.Millisecond
)

// hiccupMeter records oversleeping. Its percentiles count measurements: one long
// stall is one of them, however long. The time that stalls took together is kept
// beside them and cannot omit anything.
type hiccupMeter struct {
	mu        sync.Mutex
	overslept timing
	stalled   time.Duration // in stalls above hiccupLimit
	measured  time.Duration
}

func newHiccupMeter() *hiccupMeter { return new(hiccupMeter) }

// run measures until ctx ends.
func (m *hiccupMeter) run(ctx context.Context) {
	for ctx.Err() == nil {
		before := time.Now()
		time.Sleep(hiccupInterval)
		m.record(time.Since(before))
	}
}

// record adds one sleep.
func (m *hiccupMeter) record(slept time.Duration) {
	over := slept - hiccupInterval
	m.mu.Lock()
	defer m.mu.Unlock()
	m.overslept.record(over)
	m.measured += slept
	if over > hiccupLimit {
		m.stalled += over
	}
}

// state returns the distribution of oversleeping, the time that was lost in
// stalls, and the time that was looked at, in nanoseconds. The meter has ended.
func (m *hiccupMeter) state() (overslept timing, stalled, measured int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.overslept, int64(m.stalled), int64(m.measured)
}

// processCPU returns the CPU time this process has used, 0 if unknown.
func processCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
