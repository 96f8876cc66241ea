package loadtest

import (
	"context"
	"fmt"
)

// Search looks for the largest crowd that a server bears within the objectives.
type Search struct {
	From, To int
	// Within is how close to the truth it goes, as a share; 0.05 if zero.
	Within float64
}

// Try is one run of a search.
type Try struct {
	Viewers int
	Report  *Report
}

// Found is what a search has come to.
type Found struct {
	Best *Report // of the largest crowd that passed; nil where none did
	// Why the search went no further: a breach, the end of the range, or the
	// generator, which then is the limit and not the server.
	Why   string
	Tries []Try
}

// Run tries crowds: twice as many each time until one does not pass, then
// halfway between what passed and what did not. A run that is inconclusive is
// repeated once; a second time the generator has reached its own limit.
func (s Search) Run(ctx context.Context, run func(ctx context.Context, viewers int) (*Report, error)) (Found, error) {
	within := s.Within
	if within == 0 {
		within = 0.05
	}
	var f Found
	try := func(n int) (*Report, error) {
		var rep *Report
		for range 2 {
			var err error
			if rep, err = run(ctx, n); err != nil {
				return rep, err
			}
			f.Tries = append(f.Tries, Try{n, rep})
			if rep.Verdict != Inconclusive {
				break
			}
		}
		return rep, nil
	}
	passed, failed := 0, 0
	for n := s.From; ; {
		rep, err := try(n)
		if err != nil {
			return f, err
		}
		switch rep.Verdict {
		case Pass:
			passed, f.Best = n, rep
		case Breach:
			failed, f.Why = n, fmt.Sprintf("%d viewers: %s", n, rep.Reasons[0])
		default:
			failed, f.Why = n, fmt.Sprintf("%d viewers are more than this generator can play: %s", n, rep.Reasons[0])
		}
		switch {
		case passed == s.To:
			f.Why = fmt.Sprintf("%d viewers are the end of the range", s.To)
			return f, nil
		case failed == 0:
			n = min(2*n, s.To)
		case passed == 0 && failed <= 1, passed > 0 && float64(failed-passed) <= max(within*float64(passed), 1):
			return f, nil
		default:
			n = (passed + failed) / 2
			if passed == 0 {
				n = max(failed/2, 1)
			}
		}
	}
}
