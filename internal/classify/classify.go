// Package classify tells two kinds of things apart by numbers measured on them,
// if they can be told apart. Tests use it the other way round: what two
// classifiers of different temper cannot separate, and what they can as soon as
// a protection is taken away, is evidence that the protection works.
//
// Logistic regression finds what adds up, boosted stumps find thresholds. Both
// are deterministic.
package classify

import (
	"cmp"
	"math"
	"slices"
)

// Sample is one thing: its features, and of which kind it is.
type Sample struct {
	Features []float64
	Positive bool
}

// Model gives a score that is higher for things that look positive.
type Model interface {
	Score(features []float64) float64
}

// AUC returns the probability that a positive has a higher score than a
// negative: 0.5 is chance, 1 is certainty. It is NaN without both kinds.
func AUC(scores []float64, positive []bool) float64 {
	order := make([]int, len(scores))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(scores[a], scores[b]) })
	var rankSum, pos float64
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && scores[order[j]] == scores[order[i]] {
			j++
		}
		rank := float64(i+j+1) / 2 // of equals, the mean
		for ; i < j; i++ {
			if positive[order[i]] {
				rankSum += rank
				pos++
			}
		}
	}
	neg := float64(len(scores)) - pos
	return (rankSum - pos*(pos+1)/2) / (pos * neg)
}

// Error returns the standard error of an AUC by Hanley and McNeil, for so many
// positives and negatives.
func Error(auc float64, pos, neg int) float64 {
	q1, q2 := auc/(2-auc), 2*auc*auc/(1+auc)
	p, n := float64(pos), float64(neg)
	return math.Sqrt((auc*(1-auc) + (p-1)*(q1-auc*auc) + (n-1)*(q2-auc*auc)) / (p * n))
}

// Validate trains on all but one of so many consecutive parts of the samples and
// tests on the part left out, each in turn, and returns the mean AUC weighted by
// size. Parts are consecutive because neighbours in time resemble each other:
// shuffled, a model would be tested on what it has seen. gap samples on both
// sides of the tested part are not used.
func Validate(samples []Sample, parts, gap int, train func([]Sample) Model) float64 {
	var sum, weight float64
	for k := range parts {
		from, to := k*len(samples)/parts, (k+1)*len(samples)/parts
		rest := slices.Clone(samples[:max(from-gap, 0)])
		rest = append(rest, samples[min(to+gap, len(samples)):]...)
		m := train(rest)
		var scores []float64
		var positive []bool
		for _, s := range samples[from:to] {
			scores = append(scores, m.Score(s.Features))
			positive = append(positive, s.Positive)
		}
		if auc := AUC(scores, positive); !math.IsNaN(auc) {
			sum += auc * float64(to-from)
			weight += float64(to - from)
		}
	}
	return sum / weight
}

// Logistic trains a logistic regression with a ridge penalty, by Newton's
// method on standardised features.
func Logistic(samples []Sample) Model {
	d := len(samples[0].Features)
	l := &logistic{mean: make([]float64, d), scale: make([]float64, d), weight: make([]float64, d+1)}
	n := float64(len(samples))
	for j := range d {
		for _, s := range samples {
			l.mean[j] += s.Features[j] / n
		}
		v := 0.0
		for _, s := range samples {
			x := s.Features[j] - l.mean[j]
			v += x * x / n
		}
		if v > 0 {
			l.scale[j] = 1 / math.Sqrt(v)
		}
	}
	const ridge = 1.0
	x := make([]float64, d+1)
	for range 12 {
		grad, hess := make([]float64, d+1), make([][]float64, d+1)
		for j := range hess {
			hess[j] = make([]float64, d+1)
			hess[j][j] = ridge
			grad[j] = -ridge * l.weight[j]
		}
		for _, s := range samples {
			l.row(x, s.Features)
			p := sigmoid(dot(l.weight, x))
			y := 0.0
			if s.Positive {
				y = 1
			}
			for j := range x {
				grad[j] += (y - p) * x[j]
				for k := range j + 1 {
					hess[j][k] += p * (1 - p) * x[j] * x[k]
				}
			}
		}
		step := cholesky(hess, grad)
		size := 0.0
		for j := range step {
			l.weight[j] += step[j]
			size = max(size, math.Abs(step[j]))
		}
		if size < 1e-6 {
			break
		}
	}
	return l
}

type logistic struct {
	mean, scale, weight []float64 // the last weight is the constant
}

// row writes the standardised features and a one.
func (l *logistic) row(x, features []float64) {
	for j, v := range features {
		// Beyond six deviations more is not more evidence.
		x[j] = min(max((v-l.mean[j])*l.scale[j], -6), 6)
	}
	x[len(features)] = 1
}

func (l *logistic) Score(features []float64) float64 {
	x := make([]float64, len(features)+1)
	l.row(x, features)
	return dot(l.weight, x)
}

func sigmoid(z float64) float64 { return 1 / (1 + math.Exp(-z)) }

func dot(a, b []float64) (s float64) {
	for i, v := range a {
		s += v * b[i]
	}
	return s
}

// cholesky solves a*x = b for a symmetric positive definite a, of which only the
// lower half is read. a is overwritten.
func cholesky(a [][]float64, b []float64) []float64 {
	n := len(b)
	for j := range n {
		for k := range j {
			a[j][j] -= a[j][k] * a[j][k]
		}
		a[j][j] = math.Sqrt(max(a[j][j], 1e-12))
		for i := j + 1; i < n; i++ {
			for k := range j {
				a[i][j] -= a[i][k] * a[j][k]
			}
			a[i][j] /= a[j][j]
		}
	}
	x := slices.Clone(b)
	for i := range n {
		for k := range i {
			x[i] -= a[i][k] * x[k]
		}
		x[i] /= a[i][i]
	}
	for i := n - 1; i >= 0; i-- {
		for k := i + 1; k < n; k++ {
			x[i] -= a[k][i] * x[k]
		}
		x[i] /= a[i][i]
	}
	return x
}
