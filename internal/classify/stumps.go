package classify

import (
	"cmp"
	"math"
	"slices"
)

// Of boosting: enough rounds to find a weak effect, each weak enough not to
// learn single samples by heart.
const (
	rounds    = 120
	rate      = 0.1
	leastLeaf = 5 // samples on each side of a threshold
	shrink    = 1 // added to the second derivatives, as in ridge regression
)

// stump adds one of two values, by whether a feature exceeds a threshold.
type stump struct {
	feature    int
	threshold  float64
	below, out float64
}

type stumps []stump

// Stumps trains a sum of decision stumps by gradient boosting on the logistic
// loss.
func Stumps(samples []Sample) Model {
	n := len(samples)
	score := make([]float64, n)
	pos := 0
	for _, s := range samples {
		if s.Positive {
			pos++
		}
	}
	// Each feature's order is sorted once.
	orders := make([][]int, len(samples[0].Features))
	for j := range orders {
		o := make([]int, n)
		for i := range o {
			o[i] = i
		}
		slices.SortStableFunc(o, func(a, b int) int { return cmp.Compare(samples[a].Features[j], samples[b].Features[j]) })
		orders[j] = o
	}
	bias := math.Log((float64(pos) + 1) / (float64(n-pos) + 1))
	for i := range score {
		score[i] = bias
	}
	grad, hess := make([]float64, n), make([]float64, n)
	var model stumps
	for range rounds {
		var g, h float64
		for i, s := range samples {
			p := sigmoid(score[i])
			grad[i], hess[i] = -p, p*(1-p)
			if s.Positive {
				grad[i]++
			}
			g += grad[i]
			h += hess[i]
		}
		best, found := bestStump(samples, orders, grad, hess, g, h)
		if !found {
			break
		}
		model = append(model, best)
		for i, s := range samples {
			score[i] += best.value(s.Features)
		}
	}
	return model
}

func bestStump(samples []Sample, orders [][]int, grad, hess []float64, g, h float64) (best stump, found bool) {
	gain := 1e-9
	for j, order := range orders {
		var gl, hl float64
		for k, i := range order[:len(order)-1] {
			gl += grad[i]
			hl += hess[i]
			here, next := samples[i].Features[j], samples[order[k+1]].Features[j]
			if here == next || k+1 < leastLeaf || len(order)-k-1 < leastLeaf {
				continue
			}
			gr, hr := g-gl, h-hl
			if q := gl*gl/(hl+shrink) + gr*gr/(hr+shrink) - g*g/(h+shrink); q > gain {
				gain, found = q, true
				best = stump{j, here + (next-here)/2, rate * gl / (hl + shrink), rate * gr / (hr + shrink)}
			}
		}
	}
	return best, found
}

func (s stump) value(features []float64) float64 {
	if features[s.feature] > s.threshold {
		return s.out
	}
	return s.below
}

func (m stumps) Score(features []float64) (sum float64) {
	for _, s := range m {
		sum += s.value(features)
	}
	return sum
}
