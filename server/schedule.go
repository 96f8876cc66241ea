package server

import (
	"math"
	"math/rand/v2"
)

// Bounds of a run's length.
const (
	shortRuns  = 0.1 // share of runs below the least length
	longestRun = 3   // times the mean
)

// schedule says when recordings are to be shown. It knows nothing of the camera:
// it alternates between two kinds of runs whose lengths, in publications, it
// draws. An absent camera is replaced within the schedule, so that the changes
// that a viewer may notice come at the same times with a camera and without.
//
// Beyond the least length a run ends with the same probability at every
// publication. So a run that ends because the camera failed is nothing special.
type schedule struct {
	rnd    *rand.Rand
	least  int        // publications
	mean   [2]float64 // of live and of recorded runs, publications
	replay bool       // the run is a recorded one
	left   int        // publications of the run; it may go on for a little
	next   int        // publications of the next run, if drawn already
}

// newSchedule returns a schedule that begins with a short recorded run.
func newSchedule(rnd *rand.Rand, least, mean int, share float64) *schedule {
	return &schedule{
		rnd: rnd, least: least, replay: true, left: least,
		mean: [2]float64{2 * float64(mean) * (1 - share), 2 * float64(mean) * share},
	}
}

// tick counts a publication, and reports whether the run is over.
func (s *schedule) tick() bool {
	s.left--
	return s.left <= 0
}

// ahead returns the length of the run that turn will begin.
func (s *schedule) ahead() int {
	if s.next == 0 {
		s.next = s.draw(!s.replay)
	}
	return s.next
}

// turn begins a run of the other kind.
func (s *schedule) turn() {
	s.replay, s.left, s.next = !s.replay, s.ahead(), 0
}

// begin begins a run of the given kind, whatever went on.
func (s *schedule) begin(replay bool) {
	s.replay, s.left, s.next = replay, s.draw(replay), 0
}

// draw returns the length of a run.
func (s *schedule) draw(replay bool) int {
	mean := s.mean[0]
	if replay {
		mean = s.mean[1]
	}
	mean = max(mean, float64(s.least)+1)
	if s.rnd.Float64() < shortRuns {
		return 2 + s.rnd.IntN(max(s.least-2, 1))
	}
	length := float64(s.least) - (mean-float64(s.least))*math.Log(1-s.rnd.Float64())
	return int(min(length, longestRun*mean))
}
