package server

import "time"

// holdback keeps the newest frames until their time has come, and gives them out
// at the beat of the publication clock: what the network did to them on their
// way is not seen behind it. The zero value with a period and a hold is ready.
type holdback struct {
	period time.Duration
	hold   time.Duration

	frames []*upload // oldest first
	newest time.Time // when the newest frame arrived
	// interval is the usual time between two frames: a board that needs a second
	// to upload sends every three, not every two.
	interval time.Duration
	last     *upload // given out last
}

// crowded is how many frames may wait before those in quick succession are
// thinned out to one per half period, which bounds the memory.
const crowded = 2 * holdPeriods

// add takes a frame that arrived.
func (h *holdback) add(u *upload) {
	// A pause says nothing about the usual time.
	if gap := u.at.Sub(h.newest); !h.newest.IsZero() && gap < 2*holdPeriods*h.period {
		if h.interval == 0 {
			h.interval = gap
		}
		h.interval += (gap - h.interval) / 8
	}
	h.newest = u.at
	if n := len(h.frames); n >= crowded && u.at.Sub(h.frames[n-1].at) < h.period/2 {
		return
	}
	h.frames = append(h.frames, u)
}

// release returns the frame for the publication at now: a new one, the last one
// again where the camera is slower than the clock, or nil before the first.
//
// A frame is due when it is as old as the hold. Once the frames flow, half a
// period less is enough and more than half a period more skips one, so that a
// frame which arrives a little earlier or later than its place changes nothing.
func (h *holdback) release(now time.Time) (u *upload, repeat bool) {
	due := h.hold
	if h.last != nil {
		due -= h.period / 2
	}
	if len(h.frames) == 0 || now.Sub(h.frames[0].at) < due {
		return h.last, h.last != nil
	}
	for len(h.frames) > 1 && now.Sub(h.frames[1].at) >= h.hold+h.period/2 {
		h.frames = h.frames[1:]
	}
	h.last = h.frames[0]
	h.frames = h.frames[1:]
	return h.last, false
}

// late reports whether the camera is one period later than it uses to be. Slower
// than every other period is never usual: the hold would not cover it.
func (h *holdback) late(now time.Time) bool {
	usual := min(max(h.interval, h.period), 2*h.period)
	return now.Sub(h.newest) > usual+h.period
}

// clear forgets all frames.
func (h *holdback) clear() { h.frames, h.last = nil, nil }

// keepEra forgets the frames of other eras.
func (h *holdback) keepEra(era uint64) {
	for _, u := range h.frames {
		if u.era != era {
			h.clear()
			return
		}
	}
	if h.last != nil && h.last.era != era {
		h.clear()
	}
}
