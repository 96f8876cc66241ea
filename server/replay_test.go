package server

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"porthole/server/reservoir"
)

// shelf is a reservoir of clips whose frames look as they are told to.
func shelf(t *testing.T) (*reservoir.Reservoir, func(begun time.Time, looks ...reservoir.Look) string) {
	t.Helper()
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	clips, err := reservoir.Open(root, reservoir.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { clips.Close(); root.Close() })
	return clips, func(begun time.Time, looks ...reservoir.Look) string {
		rec, err := clips.Record(begun, 2*time.Second, numberedWidth, numberedHeight)
		if err != nil {
			t.Fatal(err)
		}
		for i, l := range looks {
			if err := rec.Add(numbered(uint32(i)), l); err != nil {
				t.Fatal(err)
			}
		}
		info, err := rec.Finish()
		if err != nil {
			t.Fatal(err)
		}
		return info.Name
	}
}

// lookAt returns a look that differs from that at 0 by 2*shape.
func lookAt(shape int, mean uint8) reservoir.Look {
	l := reservoir.Look{Mean: mean}
	for i := range l.Thumb {
		l.Thumb[i] = 100
	}
	for i := range shape {
		l.Thumb[2*i]++
		l.Thumb[2*i+1]--
	}
	return l
}

// TestChooseNear: a clip from about this time of day is preferred, if it is long
// enough.
func TestChooseNear(t *testing.T) {
	now := time.Now().UTC().Truncate(24 * time.Hour).Add(12 * time.Hour)
	yesterday := now.Add(-24 * time.Hour)
	frames := func(n int) []reservoir.Look { return make([]reservoir.Look, n) }
	for _, tt := range []struct {
		name  string
		apart []time.Duration // of clips of 30 frames from noon yesterday
		short time.Duration   // of one of 3 frames
		want  []int           // of apart
	}{
		{"four nearest", []time.Duration{-90 * time.Minute, time.Minute, -2 * time.Minute, 3 * time.Minute, -4 * time.Minute, time.Hour}, 0, []int{1, 2, 3, 4}},
		{"two hours are enough", []time.Duration{121 * time.Minute, -119 * time.Minute}, 0, []int{1}},
		{"better far than short", []time.Duration{time.Hour}, time.Second, []int{0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clips, add := shelf(t)
			var names []string
			for _, d := range tt.apart {
				names = append(names, add(yesterday.Add(d), frames(30)...))
			}
			add(yesterday.Add(tt.short), frames(3)...)
			rnd := rand.New(rand.NewPCG(1, 1))
			got := make(map[string]bool)
			for range 100 {
				p, ok := choose(clips, rnd, wish{now: now, width: numberedWidth, height: numberedHeight, frames: 20})
				if !ok {
					t.Fatal("nothing")
				}
				got[p.clip.Name] = true
			}
			for _, i := range tt.want {
				if !got[names[i]] {
					t.Errorf("clip %d never", i)
				}
				delete(got, names[i])
			}
			if len(got) != 0 {
				t.Errorf("%d others", len(got))
			}
		})
	}
}

// TestChooseLike: a join is made as visible as it is wished to be, and otherwise
// no more than a person's movements are.
func TestChooseLike(t *testing.T) {
	now := time.Now().UTC()
	clips, add := shelf(t)
	var looks []reservoir.Look
	for i := range 60 {
		looks = append(looks, lookAt(i, 100+uint8(i%2)*8)) // every other one is brighter
	}
	for i := range candidates {
		add(now.Add(time.Duration(i)*time.Minute-24*time.Hour), looks...)
	}
	after := lookAt(0, 100)
	w := wish{now: now, width: numberedWidth, height: numberedHeight, frames: 1, after: &after, ordinary: 10}
	rnd := rand.New(rand.NewPCG(2, 2))
	for _, tt := range []struct {
		like     *change
		from, to int // place
		level    int // 0 or 8; -1 for any
	}{
		{nil, 0, 5, 0},
		{&change{shape: 0}, 0, 8, 0},
		{&change{shape: 60}, 26, 34, 0},
		{&change{shape: 60, level: 8}, 25, 35, 8},
		{&change{shape: 1 << 20}, 50, 59, -1},
	} {
		t.Run(fmt.Sprint(tt.like), func(t *testing.T) {
			w.like = tt.like
			hits := 0
			for range 50 {
				p, ok := choose(clips, rnd, w)
				if !ok {
					t.Fatal("nothing")
				}
				if p.at >= tt.from && p.at <= tt.to && (tt.level < 0 || p.at%2*8 == tt.level) {
					hits++
				}
			}
			// 64 random places need not hold a fitting one.
			if hits < 43 {
				t.Errorf("%d of 50 from %d to %d", hits, tt.from, tt.to)
			}
		})
	}
}
