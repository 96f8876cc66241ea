//go:build !race

package server

import (
	"testing"
	"time"

	"porthole/internal/classify"
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
	run, days := leakRun{seed: 11, publics: 3000, outages: seldom}, 1
	if longLeaks() {
		run.publics, days = 501*windowLength, 4
	}
	var samples []classify.Sample
	for range days {
		seen := run.observe(t)
		day, loops := windows(seen, measure(t, seen))
		t.Logf("seed %d: %d windows, %d with the loop left out", run.seed, len(day), loops)
		samples = append(samples, day...)
		run.seed++
	}
	hold(t, "live or recorded", samples)
}

// TestUnpluggedOrDrawn: nor do they tell, where the picture changes from live to
// recorded, whether the camera was unplugged or the schedule wanted it.
func TestUnpluggedOrDrawn(t *testing.T) {
	t.Parallel()
	run, days := leakRun{seed: 13, publics: 2500, outages: often, quick: true}, 1
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
// and one that three standard errors may have made of chance where not.
func hold(t *testing.T, name string, samples []classify.Sample) {
	t.Helper()
	auc, sigma := judge(t, name, samples)
	if limit := max(0.55, 0.5+3*sigma); auc > limit {
		t.Errorf("%s: AUC %.3f, want at most %.3f", name, auc, limit)
	}
}

// TestEachCounterIsNeeded: the same classifiers find out as soon as one of the
// counters is switched off. With PORTHOLE_LONG=1 there are two days, windows enough
// to demand an AUC of 0.8; with one it is that of a leak that is surely there.
func TestEachCounterIsNeeded(t *testing.T) {
	for _, tt := range []struct {
		name     string
		run      leakRun
		switches bool // judged by what happens around a switch
	}{
		{"etag", leakRun{leaks: leaks{etag: true}, publics: 1000}, false},
		{"cadence", leakRun{leaks: leaks{cadence: true}, publics: 1000}, false},
		{"size", leakRun{leaks: leaks{size: true}, publics: 1000}, false},
		{"reuse", leakRun{leaks: leaks{reuse: true}, publics: 2000, stock: 0.4}, false},
		{"gain", leakRun{leaks: leaks{gain: true}, bare: true, allDay: true, hour: 18, publics: 3000, stock: 0.6}, false},
		{"cut", leakRun{leaks: leaks{cut: true}, outages: often, quick: true, publics: 3000, stock: 0.7}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.run.seed = 11
			limit, days := 0.7, 1
			if longLeaks() {
				limit, days = 0.8, 2
			}
			var samples []classify.Sample
			for range days {
				seen := tt.run.observe(t)
				m := measure(t, seen)
				day, _ := windows(seen, m)
				if tt.switches {
					day = switches(seen, m)
				}
				samples = append(samples, day...)
				tt.run.seed++
			}
			if auc, _ := judge(t, "without "+tt.name, samples); auc < limit {
				t.Errorf("AUC %.3f: the test would not find a leak by %s", auc, tt.name)
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
