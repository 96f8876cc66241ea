package delta

import (
	"math"
	"os"
	"testing"

	"porthole/internal/testset"
)

// learnSeed makes other movements and other noise than the figures have.
const learnSeed = 1000

// TestLearn prints the initial probabilities that the decisions in scenes of
// another seed suggest, in the form of the constant initial; PORTHOLE_LEARN=1
// runs it. Another table is another version of the format.
func TestLearn(t *testing.T) {
	if os.Getenv("PORTHOLE_LEARN") == "" {
		return
	}
	var tally [contexts][2]int
	for _, name := range []string{"desk", "person", "screen", "hand", "night", "static"} {
		s, _ := testset.Find(name)
		s.Seed = learnSeed
		list := shots(t, s, 30)
		for _, set := range []Settings{Strict, Global} {
			learn(&tally, list, set)
		}
	}
	out := make([]byte, contexts)
	for i, n := range tally {
		out[i] = letter((float64(n[0]) + 1) / (float64(n[0]+n[1]) + 2))
	}
	for i := 0; i < contexts; i += 96 {
		t.Logf("%q +", out[i:min(i+96, contexts)])
	}
}

// learn counts the decisions of a scene: of its deltas, and of a key now and
// then.
func learn(tally *[contexts][2]int, list []shot, set Settings) {
	w, h := list[0].public.Rect.Dx(), list[0].public.Rect.Dy()
	e := newEncoder(set, w, h)
	for i, s := range list {
		c := changes{tally: tally}
		head := Header{Key: i == 0, Coarse: set.Coarse, Fine: set.Fine}
		was := append([]uint8(nil), e.active...)
		e.load(s.public, i == 0)
		c.parse(&head, e.frame(i == 0), e.layout, was)
		if i%20 == 10 {
			k := newEncoder(set, w, h)
			k.load(s.public, true)
			copy(k.active, e.active)
			copy(k.still, e.still)
			head.Key = true
			c.parse(&head, k.frame(true), k.layout, nil)
		}
	}
}

// letter is the one whose probability costs least where 0 has probability p.
func letter(p float64) byte {
	best, at := math.Inf(1), 0
	for i, l := range startLevels {
		q := float64(l) / 65536
		if c := -p*math.Log2(q) - (1-p)*math.Log2(1-q); c < best {
			best, at = c, i
		}
	}
	if at < 26 {
		return 'A' + byte(at)
	}
	return 'a' + byte(at-26)
}

// TestLetter: every level is the letter of its own probability.
func TestLetter(t *testing.T) {
	for i, l := range startLevels {
		want := byte('A' + i)
		if i >= 26 {
			want = byte('a' + i - 26)
		}
		if got := letter(float64(l) / 65536); got != want {
			t.Errorf("level %d is %c, want %c", l, got, want)
		}
	}
	if len(initial) != contexts {
		t.Errorf("%d letters for %d contexts", len(initial), contexts)
	}
}
