package server

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"porthole/internal/frame"
	"porthole/server/reservoir"
)

// Of the choice of a clip.
const (
	// lightWindow is how far a clip's time of day may be from now.
	lightWindow = 2 * time.Hour
	// candidates is how many clips are looked into, those nearest to now in time
	// of day, so that their light is that of now; and moments how many places in
	// each: among 64 random moments of one room there is nearly always one that
	// differs from now by no more than a person's next movement does.
	candidates = 4
	moments    = 16
	// levelWeight is what one level of brightness counts in a distance.
	levelWeight = 12
)

// player plays a part of a clip.
type player struct {
	clip *reservoir.Clip
	pos  int // of the next frame
}

// over reports whether there is no further frame.
func (p *player) over() bool { return p.pos >= p.clip.Frames }

// next returns the next frame and moves on.
func (p *player) next() (jpeg []byte, info frame.Info, repeat bool, err error) {
	jpeg, _, repeat = p.clip.Frame(p.pos)
	p.pos++
	info, err = inspect(jpeg)
	return jpeg, info, repeat, err
}

// look returns the look of the next frame.
func (p *player) look() reservoir.Look {
	_, look, _ := p.clip.Frame(p.pos)
	return look
}

// inspect is [frame.Inspect] for frames that were admitted once already.
func inspect(jpeg []byte) (frame.Info, error) {
	return frame.Inspect(jpeg, frame.Limits{MaxBytes: reservoir.MaxClipBytes, MaxWidth: 1<<16 - 1, MaxHeight: 1<<16 - 1, Progressive: true})
}

// wish says what kind of clip is looked for.
type wish struct {
	now           time.Time
	width, height int
	frames        int             // as many as possible up to this
	spare         int             // frames beside the part that are lost, see clipWriter
	after         *reservoir.Look // it is to follow this without a jump; nil for any moment
	ordinary      int             // how different two frames of the camera often are
	like          *change         // instead of that: how visible the join is to be
	anyLight      bool
}

// near returns the clips around a time of day.
func near(clips []reservoir.Info, w wish) []reservoir.Info {
	return slices.DeleteFunc(clips, func(c reservoir.Info) bool {
		return c.Width != w.width || c.Height != w.height || !w.anyLight && reservoir.Apart(c.Begun, w.now) > lightWindow
	})
}

func lengthOf(clips []reservoir.Info) (sum time.Duration) {
	for _, c := range clips {
		sum += c.Length()
	}
	return sum
}

// place is a moment of a clip.
type place struct {
	clip     reservoir.Info
	at       int
	distance int
}

// choose picks a clip and a place in it that fits the wish: of random places the
// one that follows with the change that is wished for, or the first without more
// of a jump than is ordinary, or the best one.
// It returns false where there is nothing.
func choose(r *reservoir.Reservoir, rnd *rand.Rand, w wish) (place, bool) {
	clips := near(r.Clips(), w)
	long := slices.DeleteFunc(slices.Clone(clips), func(c reservoir.Info) bool { return c.Frames < w.frames })
	if len(long) == 0 {
		// None is long enough: the longer half.
		slices.SortFunc(clips, func(a, b reservoir.Info) int { return b.Frames - a.Frames })
		long = clips[:(len(clips)+1)/2]
	}
	if len(long) == 0 {
		return place{}, false
	}
	rnd.Shuffle(len(long), func(i, j int) { long[i], long[j] = long[j], long[i] })
	if !w.anyLight {
		slices.SortStableFunc(long, func(a, b reservoir.Info) int {
			return cmp.Compare(reservoir.Apart(a.Begun, w.now), reservoir.Apart(b.Begun, w.now))
		})
	}
	var places []place
	looks := make(map[string][]reservoir.Look)
	for _, c := range long[:min(len(long), candidates)] {
		l, err := r.Peek(c.Name)
		if err != nil {
			continue
		}
		looks[c.Name] = l
		for range moments {
			places = append(places, place{clip: c, at: rnd.IntN(max(c.Frames-w.frames, 0) + 1)})
		}
	}
	if len(places) == 0 {
		return place{}, false
	}
	rnd.Shuffle(len(places), func(i, j int) { places[i], places[j] = places[j], places[i] })
	if w.after == nil {
		return places[0], true
	}
	best := 0
	for i := range places {
		p := &places[i]
		look := &looks[p.clip.Name][p.at]
		if w.like != nil {
			p.distance = w.like.apart(changeOf(w.after, look))
		} else if p.distance = distance(w.after, look, w.anyLight); p.distance <= w.ordinary {
			return *p, true
		}
		if p.distance < places[best].distance {
			best = i
		}
	}
	return places[best], true
}

// distance returns how different two frames look; what a difference in
// brightness counts, a join evens out.
func distance(a, b *reservoir.Look, anyLight bool) int {
	d := a.Distance(b)
	if level := int(a.Mean) - int(b.Mean); !anyLight {
		d += levelWeight * max(level, -level)
	}
	return d
}

// change is what is seen where two frames meet.
type change struct{ shape, level int }

func changeOf(a, b *reservoir.Look) change {
	level := int(a.Mean) - int(b.Mean)
	return change{a.Distance(b), max(level, -level)}
}

// apart returns how different two changes are.
func (c change) apart(o change) int {
	shape, level := c.shape-o.shape, c.level-o.level
	return max(shape, -shape) + levelWeight*max(level, -level)
}

// open takes a clip out of the reservoir and puts back what the wish leaves of
// it, before a frame of it is shown. nil means that it could not be read.
func (c *curtain) open(p place, w wish) *player {
	if c.leaks.reuse {
		return c.openAgain(p, w)
	}
	clip, err := c.clips.Take(p.clip.Name)
	if err != nil {
		c.s.cfg.Log.Error("clip not played", "error", err)
		return nil
	}
	end := min(p.at+w.frames, clip.Frames)
	c.rec.keep(clip, 0, p.at-w.spare)
	c.rec.keep(clip, end+w.spare, clip.Frames)
	c.cover()
	return &player{clip: clip.Until(end), pos: p.at}
}

// openAgain plays one of two clips over and over.
func (c *curtain) openAgain(p place, w wish) *player {
	if len(c.again) < 2 {
		if clip, err := c.clips.Take(p.clip.Name); err == nil {
			c.again = append(c.again, clip)
		}
	}
	if len(c.again) == 0 {
		return nil
	}
	clip := c.again[c.rnd.IntN(len(c.again))]
	return &player{clip: clip, pos: c.rnd.IntN(max(clip.Frames-w.frames, 1))}
}
