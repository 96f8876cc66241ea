package server

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"porthole/server/picture"
	"porthole/server/reservoir"
)

// clipWriter writes clips beside the director, so that a slow disk changes nothing
// of the beat. The director says frame by frame what to keep, and when a clip
// ends.
//
// A frame is written when guard frames have followed it; the last ones of a clip
// are not written at all. So between a recorded frame and a public one there is
// always some time, in which people move: nobody finds the beginning of a
// recording in the end of what was public before.
type clipWriter struct {
	clips   *reservoir.Reservoir
	period  time.Duration
	guard   int // frames
	least   int // frames of a clip worth keeping
	log     *slog.Logger
	changed func() // called when clips came or went

	jobs chan func()
	done chan struct{}
	// The director's view: a clip is being recorded; it is to end, and the
	// disk was too slow to be told so.
	open, over bool

	// Of the goroutine that writes.
	rec     *reservoir.Recording
	pending []pendingFrame
	flatten *picture.Pipeline // see leaks.size
}

// pendingFrame waits for the frames behind it.
type pendingFrame struct {
	frame  *picture.Admitted
	jpeg   []byte
	look   reservoir.Look
	repeat bool
	at     time.Time
}

// queued bounds the jobs that wait for the disk.
const queued = 32

func newClipWriter(clips *reservoir.Reservoir, period time.Duration, guard, least int, log *slog.Logger, changed func()) *clipWriter {
	return &clipWriter{clips: clips, period: period, guard: guard, least: least, log: log, changed: changed,
		jobs: make(chan func(), queued), done: make(chan struct{})}
}

// run writes until close.
func (r *clipWriter) run() {
	defer close(r.done)
	for job := range r.jobs {
		job()
	}
	r.finish()
}

// close ends the clip and waits for the disk.
func (r *clipWriter) close() {
	close(r.jobs)
	<-r.done
}

// do hands a job over, or reports that the disk is too slow.
func (r *clipWriter) do(job func()) bool {
	select {
	case r.jobs <- job:
		return true
	default:
		return false
	}
}

// add records a frame. at is its publication's time, had it been public.
func (r *clipWriter) add(a *picture.Admitted, repeat bool, at time.Time) {
	if r.over {
		if r.end(); r.over {
			return
		}
	}
	f := pendingFrame{frame: a, look: lookOf(a), repeat: repeat && r.open, at: at}
	if r.do(func() { r.write(f) }) {
		r.open = true
		return
	}
	r.log.Warn("clip ended: the disk is too slow")
	r.over = true
}

// end ends the clip, if there is one. Its last frames are dropped.
func (r *clipWriter) end() {
	if r.open {
		r.over = !r.do(r.finish)
		r.open = r.over
	}
}

// keep puts parts of a clip that were not shown back.
func (r *clipWriter) keep(c *reservoir.Clip, from, to int) {
	if to-from < r.least {
		return
	}
	r.do(func() {
		if err := r.clips.Keep(c, from, to); err != nil {
			r.log.Error("rest of a clip not kept", "error", err)
		}
		r.changed()
	})
}

func (r *clipWriter) write(f pendingFrame) {
	if !f.repeat {
		var err error
		if f.jpeg, err = r.encode(f.frame); err != nil {
			r.log.Error("frame not recorded", "error", err)
			return
		}
	}
	f.frame = nil
	if r.pending = append(r.pending, f); len(r.pending) <= r.guard {
		return
	}
	f, r.pending = r.pending[0], r.pending[1:]
	if err := r.append(f); err != nil {
		r.log.Error("clip lost", "error", err)
		r.rec.Discard()
		r.rec, r.pending = nil, nil
	}
}

func (r *clipWriter) append(f pendingFrame) error {
	if r.rec != nil && r.rec.Len() == reservoir.MaxFrames {
		r.finish()
		return nil
	}
	if r.rec == nil {
		if f.repeat {
			return nil // the clip begins with the next new frame
		}
		info, err := inspect(f.jpeg)
		if err != nil {
			return err
		}
		if r.rec, err = r.clips.Record(f.at, r.period, info.Width, info.Height); err != nil {
			return err
		}
	}
	if f.repeat {
		f.jpeg = nil
	}
	err := r.rec.Add(f.jpeg, f.look)
	if errors.Is(err, reservoir.ErrFull) {
		r.finish()
		return nil
	}
	return err
}

func (r *clipWriter) encode(a *picture.Admitted) ([]byte, error) {
	if r.flatten != nil {
		shown, err := r.flatten.Render(a)
		if err != nil {
			return nil, err
		}
		return shown.JPEG, nil
	}
	return a.JPEG()
}

// finish puts what was recorded in place, without the frames that wait.
func (r *clipWriter) finish() {
	r.pending = nil
	if r.rec == nil {
		return
	}
	rec := r.rec
	r.rec = nil
	if rec.Len() < r.least {
		rec.Discard()
		return
	}
	info, err := rec.Finish()
	if err != nil {
		r.log.Error("clip lost", "error", err)
		return
	}
	r.clips.Prune(time.Now())
	r.log.Info("clip recorded", "length", fmt.Sprint(info.Length()))
	r.changed()
}

// lookOf returns the look of a frame.
func lookOf(a *picture.Admitted) reservoir.Look {
	l := reservoir.Look{Mean: a.Mean()}
	a.Thumb(l.Thumb[:], reservoir.ThumbWidth, reservoir.ThumbHeight)
	return l
}
