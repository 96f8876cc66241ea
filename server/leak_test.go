//go:build !race

package server

import (
	"math"
	"testing"
	"time"

	"porthole/internal/classify"
	"porthole/internal/event"
)

// How long a camera is there, and away.
var (
	seldom = [2]time.Duration{12 * time.Minute, 3 * time.Minute}
	often  = [2]time.Duration{time.Minute, time.Minute}
)

// judge returns the better AUC of two classifiers, and its standard error.
func judge(t *testing.T, name string, samples []classify.Sample) (auc, sigma float64) {
	t.Helper()
	pos := 0
	for _, s := range samples {
		if s.Positive {
			pos++
		}
	}
	if pos < 5 || len(samples)-pos < 5 {
		t.Fatalf("%s: %d positive of %d windows: nothing to learn from", name, pos, len(samples))
	}
	line := classify.Validate(samples, 4, 3, classify.Logistic)
	trees := classify.Validate(samples, 4, 3, classify.Stumps)
	auc = max(line, trees)
	sigma = classify.Error(auc, pos, len(samples)-pos)
	t.Logf("%s: AUC %.3f (logistic %.3f, stumps %.3f) ± %.3f, %d windows, %d of them positive", name, auc, line, trees, sigma, len(samples), pos)
	return auc, sigma
}

// TestNobodyCanTell: two classifiers that see everything the public sees do not
// tell a live window from a recorded one. PORTHOLE_LONG=1 watches 2,000 windows,
// on four days in four rooms; what is learnt from three is tried on the fourth.
func TestNobodyCanTell(t *testing.T) {
	t.Parallel()
	run, days := leakRun{seed: leakSeed(11), publics: 3000, outages: seldom, stock: 2, changes: true}, 1
	if longLeaks() {
		run.publics, days = 501*windowLength, 4
	}
	var samples, changes []classify.Sample
	var jumps []float64
	var toLive []bool
	for range days {
		seen := run.observe(t)
		m := measure(t, seen)
		day, loops := windows(seen, m)
		for i := 1; i < len(seen); i++ {
			if seen[i-1].mode != seen[i].mode && seen[i-1].mode != event.Loop && seen[i].mode != event.Loop {
				jumps = append(jumps, m[i][changed])
				toLive = append(toLive, seen[i].mode == event.Live)
			}
		}
		t.Logf("seed %d: %d windows, %d with the loop left out", run.seed, len(day), loops)
		samples = append(samples, day...)
		changes = append(changes, changeWindows(seen)...)
		run.seed++
	}
	hold(t, "live or recorded", samples)
	hold(t, "live or recorded, by sizes and maps of changes", changes)
	// Nor does how much the picture changes where live and recorded meet say which
	// of them comes first.
	auc, half := classify.AUC(jumps, toLive), len(jumps)/2
	sigma := classify.Error(0.5, half, len(jumps)-half)
	t.Logf("change where they meet: AUC %.3f ± %.3f, %d of them", auc, sigma, len(jumps))
	if limit := max(0.05, 4*sigma); math.Abs(auc-0.5) > limit {
		t.Errorf("change where they meet: AUC %.3f, want 0.5 ± %.3f", auc, limit)
	}
}

// TestUnpluggedOrDrawn: nor do they tell, where the picture changes from live to
// recorded, whether the camera was unplugged or the schedule wanted it.
func TestUnpluggedOrDrawn(t *testing.T) {
	t.Parallel()
	run, days := leakRun{seed: leakSeed(13), publics: 2500, outages: often, quick: true}, 1
	if longLeaks() {
		run.publics, days = 5000, 4
	}
	var samples []classify.Sample
	for range days {
		seen := run.observe(t)
		samples = append(samples, switches(seen, measure(t, seen))...)
		run.seed++
	}
	hold(t, "unplugged or drawn", samples)
}

// hold demands an AUC of at most 0.55 where there are enough windows to say so,
// and one that chance may have made of nothing where not.
func hold(t *testing.T, name string, samples []classify.Sample) {
	t.Helper()
	auc, sigma := judge(t, name, samples)
	errors := 4.0 // for all the times that the short form is run
	if longLeaks() {
		errors = 3
	}
	if limit := max(0.55, 0.5+errors*sigma); auc > limit {
		t.Errorf("%s: AUC %.3f, want at most %.3f", name, auc, limit)
	}
}

// TestEachCounterIsNeeded: the same classifiers find out as soon as one of the
// counters is switched off. With PORTHOLE_LONG=1 there is twice the time, and 0.8
// is demanded instead of 0.7.
func TestEachCounterIsNeeded(t *testing.T) {
	for _, tt := range []struct {
		name     string
		run      leakRun
		days     int  // each from the same hour on
		switches bool // judged by what happens around a switch
	}{
		{"etag", leakRun{leaks: leaks{etag: true}, publics: 1000}, 2, false},
		{"cadence", leakRun{leaks: leaks{cadence: true}, publics: 1000}, 2, false},
		{"size", leakRun{leaks: leaks{size: true}, publics: 1000, changes: true}, 2, false},
		{"reuse", leakRun{leaks: leaks{reuse: true}, publics: 3000, stock: 0.3}, 1, false},
		{"gain", leakRun{leaks: leaks{gain: true}, bare: true, allDay: true, hour: 18, publics: 750, stock: 0.7}, 4, false},
		{"cut", leakRun{leaks: leaks{cut: true}, outages: often, quick: true, publics: 3500, stock: 0.7}, 1, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.run.seed = leakSeed(11)
			limit, days := 0.7, tt.days
			if longLeaks() {
				limit, days = 0.8, 2*days
			}
			var samples, changes []classify.Sample
			for range days {
				seen := tt.run.observe(t)
				m := measure(t, seen)
				day, _ := windows(seen, m)
				if tt.switches {
					day = switches(seen, m)
				}
				samples = append(samples, day...)
				if tt.run.changes {
					changes = append(changes, changeWindows(seen)...)
				}
				tt.run.seed++
			}
			if auc, _ := judge(t, "without "+tt.name, samples); auc < limit {
				t.Errorf("AUC %.3f: the test would not find a leak by %s", auc, tt.name)
			}
			if changes != nil {
				if auc, _ := judge(t, "by changes without "+tt.name, changes); auc < limit {
					t.Errorf("AUC %.3f: the test would not find in changes a leak by %s", auc, tt.name)
				}
			}
		})
	}
}

// TestEmptyReservoir reports what can be told while there are no clips: the loop
// is the same each time.
func TestEmptyReservoir(t *testing.T) {
	run := leakRun{seed: 12, publics: 800, empty: true}
	seen := run.observe(t)
	m := measure(t, seen)
	var samples []classify.Sample
	for i := windowLength; i+windowLength <= len(seen); i += windowLength {
		samples = append(samples, classify.Sample{Features: featuresOf(m[i : i+windowLength]), Positive: seen[i+windowLength/2].mode == "live"})
	}
	judge(t, "live or loop", samples)
}
