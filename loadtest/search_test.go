package loadtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestSearch looks for known limits.
func TestSearch(t *testing.T) {
	for _, tt := range []struct {
		name      string
		search    Search
		limit     int // of the server
		generator int // of the generator; 0 = none
		best      int // at least
		why       string
		tries     int // at most
	}{
		{"in the middle", Search{From: 100, To: 20_000}, 2000, 0, 1905, "viewers: missed", 12},
		{"just there", Search{From: 100, To: 20_000}, 1600, 0, 1524, "viewers: missed", 12},
		{"the whole range", Search{From: 100, To: 5000}, 9999, 0, 5000, "5000 viewers are the end of the range", 7},
		{"less than the first", Search{From: 100, To: 5000}, 13, 0, 12, "viewers: missed", 12},
		{"nobody", Search{From: 100, To: 5000}, 0, 0, 0, "1 viewers: missed", 8},
		{"the generator", Search{From: 100, To: 20_000}, 9999, 1000, 953, "are more than this generator can play", 20},
		{"one", Search{From: 1, To: 1}, 9, 0, 1, "end of the range", 1},
		{"finely", Search{From: 10, To: 20_000, Within: 0.001}, 4321, 0, 4317, "viewers: missed", 25},
	} {
		t.Run(tt.name, func(t *testing.T) {
			found, err := tt.search.Run(t.Context(), func(_ context.Context, n int) (*Report, error) {
				if n < 1 || n > tt.search.To {
					t.Fatalf("tried %d viewers", n)
				}
				r := &Report{Scenario: Scenario{Viewers: n}, Verdict: Pass}
				switch {
				case tt.generator > 0 && n > tt.generator:
					r.Verdict, r.Reasons = Inconclusive, []string{"the generator stalled"}
				case n > tt.limit:
					r.Verdict, r.Reasons = Breach, []string{"missed: errors == 0"}
				}
				return r, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			best := 0
			if found.Best != nil {
				best = found.Best.Scenario.Viewers
			}
			if limit := min(tt.limit, tt.search.To); best < tt.best || best > limit || tt.generator > 0 && best > tt.generator {
				t.Errorf("found %d, want %d to %d", best, tt.best, limit)
			}
			if !strings.Contains(found.Why, tt.why) || len(found.Tries) > tt.tries {
				t.Errorf("why %q, %d tries", found.Why, len(found.Tries))
			}
		})
	}
}

// TestSearchRepeats: one inconclusive run is repeated, and an error ends it.
func TestSearchRepeats(t *testing.T) {
	var log []string
	found, err := Search{From: 8, To: 8}.Run(t.Context(), func(_ context.Context, n int) (*Report, error) {
		log = append(log, fmt.Sprint(n))
		if len(log) == 1 {
			return &Report{Verdict: Inconclusive, Reasons: []string{"busy"}}, nil
		}
		return &Report{Verdict: Pass}, nil
	})
	if err != nil || found.Best == nil || len(log) != 2 {
		t.Errorf("%+v, %v after %v", found, err, log)
	}
	full := errors.New("no descriptors")
	if _, err := (Search{From: 1, To: 9}).Run(t.Context(), func(context.Context, int) (*Report, error) { return nil, full }); !errors.Is(err, full) {
		t.Errorf("error %v", err)
	}
}
