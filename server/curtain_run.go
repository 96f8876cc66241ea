package server

import (
	"math/rand/v2"
	"slices"
	"time"

	"porthole/internal/event"
	"porthole/server/picture"
	"porthole/server/reservoir"
)

// direct decides where the next picture comes from.
func (c *curtain) direct(order Order, off, there bool, u *upload, beat time.Time) {
	if order == Record && !off {
		c.schedule.tick()
		if !c.begun || c.origin != fromLoop {
			c.toLoop("operator's order")
		}
		return
	}
	if order == OnlyLive && !off {
		if there && c.origin != fromCamera && c.steady >= c.least {
			c.toCamera("operator's order")
		} else if !there && c.origin == fromCamera {
			c.schedule.begin(true)
			c.toRecording(beat, false, c.absence(off))
		} else {
			c.goOn(beat)
		}
		return
	}
	c.schedule.tick()
	hide := order != Auto || off
	switch {
	case c.origin == fromCamera && (!there || hide):
		why := c.absence(off)
		if there {
			why = "operator's order"
		} else if !hide {
			c.schedule.cut()
		}
		c.schedule.begin(true)
		c.toRecording(beat, c.schedule.replay, why)
	case c.playing != nil && c.playing.over():
		c.schedule.cut()
		c.change(there && !hide, u, beat, true)
	case c.schedule.left <= joinEarly:
		c.change(there && !hide, u, beat, false)
	case !c.begun:
		c.toRecording(beat, c.schedule.replay, c.why)
	}
}

// cameraLate is why a live run is cut when the camera falls silent.
const cameraLate = "camera is late"

func (c *curtain) absence(off bool) string {
	if off {
		return "camera switched off"
	}
	return cameraLate
}

// goOn keeps a recorded run going for as long as it takes.
func (c *curtain) goOn(beat time.Time) {
	over := c.schedule.tick()
	if c.origin != fromCamera && (over || !c.begun || c.playing != nil && c.playing.over()) {
		c.schedule.begin(true)
		c.toRecording(beat, false, c.why)
	}
}

// change ends a run. From a recorded run to a live one it waits for a moment at
// which both look alike; if the camera is away, an understudy is waited for in
// the same way, so that the run is as long as it would have been.
func (c *curtain) change(there bool, u *upload, beat time.Time, now bool) {
	if !c.schedule.replay { // a live run, be it the camera's or an understudy's
		if !now && c.lingers() {
			return
		}
		c.schedule.turn()
		c.toRecording(beat, true, "schedule")
		return
	}
	there = there && c.steady >= c.least
	if !there && c.understudy == nil {
		c.wish = c.wishFor(beat, c.schedule.ahead()+joinPatience)
		c.wish.after = nil // it waits for its moment as the camera would
		c.understudy = c.find(true)
	}
	c.waiting++
	if !now && c.waiting < joinPatience && !c.leaks.gain && c.last != nil {
		look := c.last
		switch {
		case there:
			l := lookOf(u.admitted)
			look = &l
		case c.understudy != nil && !c.understudy.over():
			l := c.understudy.look()
			look = &l
			c.understudy.pos++
		}
		if look != c.last && distance(c.last, look, true) > c.ordinary() {
			return
		}
	}
	c.schedule.turn()
	if there {
		c.note(lookOf(u.admitted))
		c.toCamera("schedule")
		return
	}
	next := c.understudy
	if next != nil && !next.over() {
		c.note(next.look())
	}
	c.settle()
	if next == nil || next.over() {
		c.toLoop("schedule, and no clip for an absent camera")
		return
	}
	c.origin, c.playing, c.join, c.why = fromClip, next, true, "schedule, in place of the camera"
}

// lingers reports whether a live run whose end is due goes on: for as long as a
// recorded one, that ended like this one is to end, waited for its moment.
func (c *curtain) lingers() bool {
	if len(c.met) < enoughMet {
		return c.schedule.left > 0
	}
	if c.example == nil {
		c.example = c.anyMeeting()
	}
	c.waiting++
	return c.waiting < c.example.waited
}

// note remembers a join that was waited for.
func (c *curtain) note(next reservoir.Look) {
	if c.last == nil || c.origin == fromLoop {
		return
	}
	if len(c.met) == movements {
		c.met = slices.Delete(c.met, 0, 1)
	}
	c.met = append(c.met, meeting{changeOf(c.last, &next), c.waiting})
}

// anyMeeting returns one of the last joins that were waited for, or nil before
// there are enough.
func (c *curtain) anyMeeting() *meeting {
	if len(c.met) < enoughMet {
		return nil
	}
	m := c.met[c.rnd.IntN(len(c.met))]
	return &m
}

// settle ends what was waited for, and what was played.
func (c *curtain) settle() {
	if p := c.playing; p != nil && !c.leaks.reuse {
		c.rec.keep(p.clip, p.pos+c.least, p.clip.Frames)
	}
	c.waiting, c.example, c.understudy, c.playing = 0, nil, nil, nil
}

func (c *curtain) toCamera(why string) {
	c.settle()
	c.origin, c.playing, c.join, c.why = fromCamera, nil, true, why
	c.begun = true
}

func (c *curtain) toLoop(why string) {
	c.settle()
	c.join = c.join || c.origin != fromLoop
	c.begun = true
	c.origin, c.playing, c.why = fromLoop, nil, why
}

// toRecording begins a recorded run: with a clip, if there is one that may be
// used, else with the loop.
func (c *curtain) toRecording(beat time.Time, scheduled bool, why string) {
	like := c.example
	if like == nil {
		like = c.anyMeeting()
	}
	c.settle()
	c.begun = true
	c.wish = c.wishFor(beat, c.schedule.left+joinPatience-joinEarly)
	if like != nil {
		// A place can be chosen here and now, which makes better joins than waiting
		// for the camera does. So that a join does not tell its direction, this one
		// is to be as good as one of those was.
		c.wish.like = &like.change
	}
	next := c.find(!scheduled)
	if next == nil {
		c.toLoop(why)
		return
	}
	c.origin, c.playing, c.join, c.why = fromClip, next, true, why
}

func (c *curtain) wishFor(beat time.Time, frames int) wish {
	w := wish{
		now: beat, width: c.size.X, height: c.size.Y, frames: frames, spare: c.least,
		after: c.last, ordinary: c.ordinary(), anyLight: c.leaks.gain,
	}
	if c.leaks.gain {
		w.after = nil
	}
	return w
}

// find returns a clip by c.wish. The reserve is for an absent camera only.
func (c *curtain) find(reserve bool) *player {
	if c.clips == nil {
		return nil
	}
	if c.size.X == 0 { // no camera since the start: whatever there is
		if all := c.clips.Clips(); len(all) > 0 {
			newest := all[len(all)-1]
			c.wish.width, c.wish.height = newest.Width, newest.Height
		}
	}
	if !reserve && lengthOf(near(c.clips.Clips(), c.wish)) <= c.privacy.Reserve {
		return nil
	}
	p, ok := choose(c.clips, c.rnd, c.wish)
	if !ok {
		return nil
	}
	return c.open(p, c.wish)
}

// render makes the picture. The last one stays where there is none.
func (c *curtain) render(u *upload, repeat bool, beat time.Time) *showing {
	next := &showing{at: beat, before: c.last}
	a, repeat, err := c.frame(u, repeat, next)
	if err != nil && c.origin == fromClip {
		c.s.cfg.Log.Error("clip not shown to its end", "error", err)
		c.toLoop("a clip that cannot be shown")
		a, repeat, err = c.frame(u, repeat, next)
	}
	if c.leaks.cut && c.origin == fromCamera && repeat {
		return nil
	}
	if err == nil {
		next.result, err = c.s.pipeline.Load().RenderIn(a, picture.Manner{
			Join: c.join && !c.leaks.gain, Revocable: c.origin == fromCamera,
			Grain: rand.New(rand.NewPCG(c.rnd.Uint64(), c.rnd.Uint64())),
		})
	}
	if err != nil {
		c.s.cfg.Log.Error("picture not shown", "from", string(originMode[c.origin]), "error", err)
		return nil
	}
	c.remember(lookOf(a), repeat)
	next.origin = c.origin
	next.info.Width, next.info.Height = next.result.Width, next.result.Height
	return next
}

// frame returns the next frame of the origin.
func (c *curtain) frame(u *upload, repeat bool, next *showing) (*picture.Admitted, bool, error) {
	pipeline := c.s.pipeline.Load()
	switch {
	case c.origin == fromCamera:
		next.info = event.FrameInfo{Seq: u.seq, Live: true}
		if c.leaks.cadence {
			next.at = u.at.Add(c.held.hold + c.period/2)
		}
		return u.admitted, repeat, nil
	case c.origin == fromClip && !c.playing.over():
		next.info = event.FrameInfo{Seq: uint64(c.playing.pos) + 1}
		jpeg, info, again, err := c.playing.next()
		if err != nil {
			return nil, false, err
		}
		a, err := pipeline.Admit(jpeg, info)
		return a, again, err
	}
	jpeg, info, seq, err := c.s.cfg.Loop.next()
	if err != nil {
		return nil, false, err
	}
	next.info = event.FrameInfo{Seq: seq}
	a, err := pipeline.AdmitRecorded(jpeg, info, c.size)
	return a, false, err
}
