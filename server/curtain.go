package server

import (
	"context"
	"image"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"porthole/internal/event"
	"porthole/server/picture"
	"porthole/server/reservoir"
)

// Of joins.
const (
	// joinPatience is for how many publications a recorded run waits for a moment
	// at which the other side looks alike. Most of them are before its time is
	// over, so that the share of recordings comes out right where few moments fit.
	// Live runs end as early, and linger as long.
	joinPatience = 20
	joinEarly    = 19
	// ordinaryShare of the movements of a person are taken for ordinary: a join
	// that changes no more is none that stands out.
	ordinaryShare = 0.85
	// movements is how many of them are remembered.
	movements = 128
	// enoughMet is how many joins must have been waited for before others are made
	// like them.
	enoughMet = 8
)

// origin is where public pictures come from.
type origin int

const (
	fromLoop origin = iota
	fromClip
	fromCamera
)

var originMode = [...]event.Mode{fromLoop: event.Loop, fromClip: event.Replay, fromCamera: event.Live}

// curtain is the director of a private feed. It publishes at the beat of its own
// clock and decides a moment before each beat what that will be. Everything in
// it belongs to one goroutine.
type curtain struct {
	s        *Server
	privacy  Privacy
	leaks    leaks
	clips    *reservoir.Reservoir // nil without
	rec      *clipWriter          // nil without
	again    []*reservoir.Clip    // see leaks.reuse
	rnd      *rand.Rand
	period   time.Duration
	least    int // publications of a run, and of a clip
	schedule *schedule
	held     holdback

	begun   bool // something was shown
	origin  origin
	playing *player
	wish    wish // that playing was chosen by
	join    bool // the next picture is from another time than the last
	why     string
	// waiting is how long a run has gone on for a fitting moment; understudy is
	// what comes then if the camera is away.
	waiting    int
	understudy *player
	steady     int // publications for which the camera has been there
	hidden     int // publications since a frame of the camera was shown
	size       image.Point
	last       *reservoir.Look // of the last picture; nil for none
	moved      []int           // between the last pictures that followed each other
	met        []meeting       // the last ones
	// example is the meeting that the end of a live run is made like.
	example *meeting
}

// meeting is a join that a recorded run waited for.
type meeting struct {
	change
	waited int // publications
}

// showing is a picture that is ready to be published.
type showing struct {
	result *picture.Result
	info   event.FrameInfo
	origin origin
	mode   event.Mode
	why    string
	era    uint64
	at     time.Time       // that the camera would give it, see leaks.cadence
	before *reservoir.Look // of the picture before
}

func newCurtain(s *Server) *curtain {
	p := s.cfg.Privacy
	c := &curtain{
		s: s, privacy: p, leaks: p.leaks, clips: p.Clips, rnd: rand.New(p.Random), period: s.cfg.Period,
		least:  int(p.MinRun / s.cfg.Period),
		held:   holdback{period: s.cfg.Period, hold: holdPeriods * s.cfg.Period},
		hidden: math.MaxInt32,
		why:    "no frame yet",
	}
	if c.leaks.cut {
		c.held.hold = 0
	}
	c.schedule = newSchedule(c.rnd, c.least, int(p.MeanRun/s.cfg.Period), p.Share)
	if c.clips != nil {
		c.rec = newClipWriter(c.clips, c.period, c.least, c.least, s.cfg.Log, c.cover)
		if c.leaks.size {
			c.rec.flatten, _ = picture.New(picture.Config{Denoise: true})
		}
	}
	return c
}

// run directs until ctx ends.
func (c *curtain) run(ctx context.Context) {
	if c.rec != nil {
		go c.rec.run()
		defer c.rec.close()
		c.cover()
	}
	// A picture is made before its time, so that what it took to make it, which
	// is more for a recording, is not seen in when it comes.
	lead := min(c.period/4, 500*time.Millisecond)
	beat := time.Now()
	for {
		next := c.prepare(beat)
		due := beat
		if c.leaks.cadence && next != nil && next.origin == fromCamera {
			due = next.at
		}
		if !c.wait(ctx, due, &next) {
			return
		}
		c.publish(next)
		beat = beat.Add(c.period)
		if now := time.Now(); beat.Before(now) { // the machine was asleep
			beat = now
		}
		if !c.wait(ctx, beat.Add(-lead), nil) {
			return
		}
	}
}

// wait takes frames in until a time. A cut replaces the picture that is ready,
// if it is the camera's.
func (c *curtain) wait(ctx context.Context, until time.Time, ready **showing) bool {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case <-c.s.accepted.wake:
			if u := c.s.accepted.take(); u != nil {
				c.s.update(func(t *Truth) { t.Accepted, t.AcceptedAt = u.seq, u.at })
				c.held.add(u)
				c.size = u.admitted.Size()
			}
		case <-c.s.control.wake:
			order, off := c.s.control.get()
			c.s.update(func(t *Truth) { t.Order, t.CameraOff = order, off })
			c.held.keepEra(c.s.control.now())
			if ready != nil && *ready != nil && (*ready).origin == fromCamera && (*ready).era != c.s.control.now() {
				c.revoke(*ready)
				*ready = c.prepare(until)
			}
		}
	}
}

// publish shows a picture.
func (c *curtain) publish(next *showing) {
	if next == nil {
		return // the last one stays
	}
	show := func() {
		c.s.setMode(next.mode, next.why)
		if c.leaks.etag && next.origin != fromCamera {
			c.s.publisher.file = next.result.JPEG
		}
		c.s.show(next.result, next.info)
	}
	if next.origin != fromCamera {
		show()
		return
	}
	if c.s.control.keep(next.era, show) {
		c.hidden = 0
		return
	}
	// Cut within the last instant.
	c.revoke(next)
	if next = c.prepare(time.Now()); next != nil && next.origin != fromCamera {
		show()
	}
}

// revoke makes a picture that was not shown as if it had never been.
func (c *curtain) revoke(s *showing) {
	c.s.pipeline.Load().Revoke()
	c.last = s.before
}

// prepare makes the picture for the publication at a time.
func (c *curtain) prepare(beat time.Time) *showing {
	order, off := c.s.control.get()
	era := c.s.control.now()
	c.held.keepEra(era)
	away := c.late(beat)
	if off || order == Dark || away && !c.leaks.cut {
		c.held.clear() // also what was held back of a camera that failed
	}
	u, repeat := c.held.release(beat)
	there := u != nil && !away
	if c.hidden++; !there {
		c.steady = 0
	} else {
		c.steady++
	}
	c.direct(order, off, there, u, beat)
	c.record(u, repeat, there, beat)
	next := c.render(u, repeat, beat)
	if next != nil {
		next.era, next.why, next.mode = era, c.why, originMode[c.origin]
	}
	return next
}

// late reports whether the camera is to be replaced.
func (c *curtain) late(now time.Time) bool {
	if c.leaks.cut {
		return now.Sub(c.held.newest) > c.s.cfg.Offline
	}
	return c.held.late(now)
}

// record keeps what the camera sends while it is not shown.
func (c *curtain) record(u *upload, repeat, there bool, beat time.Time) {
	switch {
	case c.rec == nil:
	case there && c.origin != fromCamera && c.hidden > c.least:
		c.rec.add(u.admitted, repeat, beat)
	default:
		c.rec.end()
	}
}

// cover tells the private side how far the clips go.
func (c *curtain) cover() {
	now := c.clips.Cover()
	cover := event.Cover{Clips: now.Clips, Bytes: now.Bytes, Length: now.Length, Days: now.Days, Bare: now.Bare}
	if old := c.s.clipCover.Swap(&cover); old == nil || *old != cover {
		c.s.cfg.Events.Publish(event.Event{Source: event.Server, Kind: event.CoverChanged, Cover: cover})
	}
}

// remember notes how a picture looks, for the next join.
func (c *curtain) remember(look reservoir.Look, repeat bool) {
	if c.last != nil && !c.join && !repeat && c.origin != fromLoop {
		if len(c.moved) == movements {
			c.moved = slices.Delete(c.moved, 0, 1)
		}
		c.moved = append(c.moved, distance(c.last, &look, false))
	}
	c.last, c.join = &look, false
}

// ordinary returns how much a person's movements change, most of the time.
func (c *curtain) ordinary() int {
	if len(c.moved) == 0 {
		return math.MaxInt
	}
	sorted := slices.Sorted(slices.Values(c.moved))
	return sorted[int(ordinaryShare*float64(len(sorted)-1))]
}
