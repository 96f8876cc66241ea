package frame

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestCompareNames(t *testing.T) {
	want := []string{"", "0.jpg", "1.jpg", "01.jpg", "2.jpg", "10.jpg", "099.jpg", "100.jpg",
		"99999999999999999999999998.jpg", "99999999999999999999999999.jpg", "a", "a.jpg", "a1b2.jpg", "a1b10.jpg", "a01b1.jpg", "b"}
	// "a1b…" and "a01b…" count alike up to the b, then 1 < 2 < 10.
	slices.SortFunc(want, CompareNames)
	for i := range want {
		for j := range want {
			if c := CompareNames(want[i], want[j]); c != sign(i-j) {
				t.Errorf("compare %q with %q: %d, want %d", want[i], want[j], c, sign(i-j))
			}
		}
	}
	files := []string{"frame-10.jpg", "frame-9.jpg", "frame-1.jpg", "frame-100.jpg"}
	r := rand.New(rand.NewPCG(1, 1))
	r.Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
	slices.SortFunc(files, CompareNames)
	if !slices.Equal(files, []string{"frame-1.jpg", "frame-9.jpg", "frame-10.jpg", "frame-100.jpg"}) {
		t.Errorf("sorted %q", files)
	}
}
