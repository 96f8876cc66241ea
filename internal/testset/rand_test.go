package testset

import (
	"math"
	"testing"
)

// TestSource compares with values that numpy's documentation prints for
// default_rng.
func TestSource(t *testing.T) {
	close := func(name string, got, want, eps float64) {
		t.Helper()
		if math.Abs(got-want) > eps {
			t.Errorf("%s is %.12f, want %.12f", name, got, want)
		}
	}
	close("default_rng(42).random()", newSource(42).float64(), 0.7739560485559633, 1e-16)
	close("default_rng(12345).random()", newSource(12345).float64(), 0.22733602246716966, 1e-16)
	s := newSource(12345)
	for i, want := range []int{6, 2, 7} {
		if got := s.between(0, 10); got != want {
			t.Errorf("integer %d of default_rng(12345).integers(0, 10) is %d, want %d", i, got, want)
		}
	}
	s = newSource(42)
	for _, want := range []float64{0.30471708, -1.03998411, 0.7504512, 0.94056472, -1.95103519} {
		close("default_rng(42).standard_normal()", s.normal(), want, 1e-8)
	}
}

// TestNormal: moments of many draws, the tail beyond the ziggurat's last strip
// included.
func TestNormal(t *testing.T) {
	s := newSource(3)
	const n = 1 << 20
	var sum, squares, fourth float64
	tail := 0
	for range n {
		x := s.normal()
		sum += x
		squares += x * x
		fourth += x * x * x * x
		if math.Abs(x) > zigguratR {
			tail++
		}
	}
	if mean := sum / n; math.Abs(mean) > 0.005 {
		t.Errorf("mean %v", mean)
	}
	if v := squares / n; math.Abs(v-1) > 0.01 {
		t.Errorf("variance %v", v)
	}
	if k := fourth / n; math.Abs(k-3) > 0.05 {
		t.Errorf("fourth moment %v, want 3", k)
	}
	// 2 (1 - Phi(r)) = 2.58e-4.
	if want := 2.58e-4 * n; math.Abs(float64(tail)-want) > 5*math.Sqrt(want) {
		t.Errorf("%d draws beyond %v, want about %.0f", tail, zigguratR, want)
	}
}
