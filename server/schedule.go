package server

import (
	"math"
	"math/rand/v2"
)

// Bounds of a run's length.
const (
	shortRuns  = 0.1 // share of runs below the least length
	longestRun = 3   // times the mean
	mostOwed   = 16  // runs to be cut, remembered of each kind
)

// schedule says when recordings are to be shown. It knows nothing of the camera:
// it alternates between two kinds of runs whose lengths, in publications, it
// draws. An absent camera is replaced within the schedule, so that the changes
// that a viewer may notice come at the same times with a camera and without.
//
// Beyond the least length a run ends with the same probability at every
// publication. So a run that ends because the camera failed is nothing special,
// but that there are more ends for it: for each run that is cut, one of the other
// kind is made as short.
type schedule struct {
	rnd    *rand.Rand
	least  int        // publications
	mean   [2]float64 // of live and of recorded runs, publications
	replay bool       // the run is a recorded one
	left   int        // publications of the run; it may go on for a little
	next   int        // publications of the next run, if drawn already
	gone   int        // publications since the run began
	// owed are the lengths of runs that were cut, to be repeated by one run each of
	// the live and the recorded ones.
	owed [2][]int
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
	s.gone++
	return s.left <= 0
}

// cut notes that the run ends now, before its time if it is.
func (s *schedule) cut() {
	if s.left <= joinEarly {
		return
	}
	if owed := &s.owed[kindOf(!s.replay)]; len(*owed) < mostOwed {
		*owed = append(*owed, s.gone)
	}
}

// kindOf is the place of a kind of runs.
func kindOf(replay bool) int {
	if replay {
		return 1
	}
	return 0
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
	s.replay, s.left, s.next, s.gone = !s.replay, s.ahead(), 0, 0
}

// begin begins a run of the given kind, whatever went on.
func (s *schedule) begin(replay bool) {
	s.replay, s.left, s.next, s.gone = replay, s.draw(replay), 0, 0
}

// draw returns the length of a run.
func (s *schedule) draw(replay bool) int {
	n := s.drawWhole(replay)
	if owed := &s.owed[kindOf(replay)]; len(*owed) > 0 && (*owed)[0] < n {
		n, *owed = (*owed)[0], (*owed)[1:]
	}
	return n
}

func (s *schedule) drawWhole(replay bool) int {
	mean := max(s.mean[kindOf(replay)], float64(s.least)+1)
	if s.rnd.Float64() < shortRuns {
		return 2 + s.rnd.IntN(max(s.least-2, 1))
	}
	length := float64(s.least) - (mean-float64(s.least))*math.Log(1-s.rnd.Float64())
	return int(min(length, longestRun*mean))
}
