package classify

import (
	"math"
	"math/rand/v2"
	"testing"
)

// samplesOf returns n samples of each kind from f.
func samplesOf(n int, f func(rnd *rand.Rand, positive bool) []float64) (s []Sample) {
	rnd := rand.New(rand.NewPCG(7, 7))
	for i := range 2 * n {
		s = append(s, Sample{f(rnd, i%2 == 0), i%2 == 0})
	}
	return s
}

func TestFinds(t *testing.T) {
	noise := func(rnd *rand.Rand) []float64 { return []float64{rnd.NormFloat64(), rnd.NormFloat64(), 3} }
	for _, tt := range []struct {
		name             string
		f                func(*rand.Rand, bool) []float64
		logistic, stumps [2]float64 // bounds of the AUC
	}{
		{"nothing", func(rnd *rand.Rand, _ bool) []float64 { return noise(rnd) }, [2]float64{0.45, 0.55}, [2]float64{0.45, 0.55}},
		{"a shift", func(rnd *rand.Rand, p bool) []float64 {
			x := noise(rnd)
			if p {
				x[1] += 1.5
			}
			return x
		}, [2]float64{0.83, 0.88}, [2]float64{0.83, 0.88}},
		{"a sum", func(rnd *rand.Rand, p bool) []float64 {
			x := noise(rnd)
			if p {
				x[0], x[1] = x[0]+1, x[1]-1
			}
			return x
		}, [2]float64{0.81, 0.87}, [2]float64{0.79, 0.87}},
		{"a spread, which no line separates", func(rnd *rand.Rand, p bool) []float64 {
			x := noise(rnd)
			if p {
				x[1] *= 3
			}
			return x
		}, [2]float64{0.4, 0.6}, [2]float64{0.7, 0.85}},
		{"a constant beyond all scales", func(_ *rand.Rand, p bool) []float64 {
			if p {
				return []float64{1e9}
			}
			return []float64{0}
		}, [2]float64{1, 1}, [2]float64{1, 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := samplesOf(1000, tt.f)
			for name, m := range map[string]struct {
				train func([]Sample) Model
				want  [2]float64
			}{"logistic": {Logistic, tt.logistic}, "stumps": {Stumps, tt.stumps}} {
				auc := Validate(s, 4, 2, m.train)
				t.Logf("%s: %.3f", name, auc)
				if auc < m.want[0] || auc > m.want[1] {
					t.Errorf("%s: AUC %.3f, want %v", name, auc, m.want)
				}
			}
		})
	}
}

func TestAUC(t *testing.T) {
	for _, tt := range []struct {
		name   string
		scores []float64
		want   float64
	}{
		{"perfect", []float64{1, 2, 3, 4}, 1},
		{"reversed", []float64{4, 3, 2, 1}, 0},
		{"all equal", []float64{5, 5, 5, 5}, 0.5},
		{"one of four pairs wrong", []float64{1, 3, 2, 4}, 0.75},
		{"a tie", []float64{1, 2, 2, 3}, 0.875},
	} {
		if got := AUC(tt.scores, []bool{false, false, true, true}); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	if got := AUC([]float64{1, 2}, []bool{true, true}); !math.IsNaN(got) {
		t.Errorf("one kind only: %v", got)
	}
	// Chance with a thousand of each: sqrt((2*1000+1)/(12*1000*1000)).
	if got := Error(0.5, 1000, 1000); math.Abs(got-0.012913) > 1e-4 {
		t.Errorf("error %v", got)
	}
}
