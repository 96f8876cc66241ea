package tui

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"porthole/internal/event"
)

// Bounds of what is remembered.
const (
	historySpan  = 10 * time.Minute
	maxMarks     = 500
	maxPictures  = 400      // of each kind
	pictureBytes = 12 << 20 // of each kind
)

// waveSpan is how far apart two marks of waves are.
const waveSpan = 10 * time.Second

// moment is the state at the end of one second.
type moment struct {
	at   time.Time
	snap event.Snapshot
	run  event.LoadFigure
}

// end is the instant that the snapshot belongs to.
func (m *moment) end() time.Time { return m.at.Add(time.Second - time.Millisecond) }

// mark is something on the time line.
type mark struct {
	at   time.Time
	sign rune // one letter, so that it can be told without colour
	text string
	bad  bool
}

// picture is a JPEG as it was at a time.
type picture struct {
	at   time.Time // when it was uploaded or shown
	seq  uint64
	jpeg []byte
}

// history is what the dashboard remembers: the state now, one snapshot for each
// second, the lines of the console, the marks of the time line and the pictures.
// Every part is bounded.
type history struct {
	now    func() time.Time
	span   time.Duration
	frozen bool // a recording: its clock is the one that counts

	mu       sync.Mutex
	version  uint64 // grows with every change
	snap     event.Snapshot
	run      event.LoadFigure // the load run as a whole: a sample is one second of it
	skew     time.Duration    // of our clock ahead of the source's; 0 where they agree
	least    time.Duration    // between an event and its arrival
	moments  []moment         // one a second, oldest first
	lines    lineRing
	marks    []mark
	pictures [2][]picture
	dropped  uint64
	ended    bool // the source has no more events
	received uint64
	events   []event.Event  // the newest, to be saved
	base     event.Snapshot // before the first of them
	waved    time.Time      // of the newest mark of a wave
}

func newHistory(now func() time.Time, span time.Duration) *history {
	return &history{now: now, span: span}
}

// follow folds events in until there are no more.
func (h *history) follow(ctx context.Context, src Source) {
	h.mu.Lock()
	h.snap = src.Snapshot()
	h.base = h.snap
	h.mu.Unlock()
	for {
		e, ok := src.Next(ctx)
		if !ok {
			break
		}
		h.add(e)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	h.version++
	if ctx.Err() == nil {
		at := h.now().Add(-h.skew)
		h.mark(mark{at, '!', "no more events: the source has gone", true})
		h.lines.add(at, "no more events: the source has gone", true)
	}
}

// add folds one event in.
func (h *history) add(e event.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fold(e)
}

// fold is add for a caller that holds the lock.
func (h *history) fold(e event.Event) {
	h.version++
	h.received++
	// Delay only ever makes events look older, so the least is the clock's.
	if behind := h.now().Sub(e.Time); !h.frozen && (h.received == 1 || behind < h.least) {
		if h.least, h.skew = behind, behind; behind.Abs() < 2*time.Second {
			h.skew = 0
		}
	}
	h.record(e.Time)
	if !h.frozen {
		h.log(e)
	}
	old := h.snap
	h.snap.Apply(e)
	h.note(e, old)
}

// record closes the seconds that have passed before at.
func (h *history) record(at time.Time) {
	second := at.Truncate(time.Second)
	from := second
	if n := len(h.moments); n > 0 {
		from = h.moments[n-1].at.Add(time.Second)
	}
	if second.Sub(from) > h.span {
		from = second.Add(-h.span)
	}
	for ; !from.After(second); from = from.Add(time.Second) {
		h.moments = append(h.moments, moment{at: from})
	}
	if n := len(h.moments); n > 0 { // the newest second is not over yet
		h.moments[n-1].snap, h.moments[n-1].run = h.snap, h.run
		for i := n - 2; i >= 0 && h.moments[i].snap.Time.IsZero() && !h.snap.Time.IsZero(); i-- {
			h.moments[i].snap, h.moments[i].run = h.snap, h.run
		}
	}
	if extra := len(h.moments) - int(h.span/time.Second); extra > 256 {
		h.moments = append(h.moments[:0:0], h.moments[extra:]...)
	}
}

// note adds what an event says to the lines and the marks.
func (h *history) note(e event.Event, old event.Snapshot) {
	if e.Kind == event.LoadSample {
		h.sum(e.Load, old.Load)
	}
	if n := len(h.moments); n > 0 {
		h.moments[n-1].snap, h.moments[n-1].run = h.snap, h.run
	}
	switch e.Kind {
	case event.Console:
		h.lines.add(e.Time, e.Text, false)
	case event.Note:
		head := ""
		for l := range strings.Lines(e.Text) { // a decoded crash has a line for each call
			text := clean(strings.TrimRight(l, "\r\n"))
			if head == "" {
				head = text
			}
			h.lines.add(e.Time, string(e.Source)+": "+text, true)
		}
		h.mark(mark{e.Time, 'n', head, false})
	case event.ModeChanged:
		m := mark{e.Time, 'L', "the public sees the camera", false}
		switch e.Mode {
		case event.Loop:
			m = mark{e.Time, 'P', "the public sees the recorded loop", false}
		case event.Replay:
			m = mark{e.Time, 'R', "the public sees a recording", false}
		case event.Waiting:
			m = mark{e.Time, 'w', "the public waits for a picture", false}
		}
		if e.Text != "" {
			m.text += ": " + clean(e.Text)
		}
		h.mark(m)
	case event.UploadFailed, event.Rejected:
		if e.Text != old.LastProblem || e.Time.Sub(old.ProblemAt) > 30*time.Second {
			h.mark(mark{e.Time, '!', problemText(e), true})
		}
	case event.BoardChanged:
		b, was := e.Board, old.Board
		if b.Starts > was.Starts {
			h.mark(mark{e.Time, 'R', "the board started: " + clean(b.Reset), false})
		}
		if b.Panics > was.Panics {
			h.mark(mark{e.Time, 'X', "the board crashed", true})
		}
		if b.Camera != was.Camera && was.Camera != "" {
			h.mark(mark{e.Time, 'C', "the camera is " + clean(b.Camera), false})
		}
	case event.Waved:
		if e.Time.Sub(h.waved) >= waveSpan { // a crowd that waves is one mark
			h.waved = e.Time
			h.mark(mark{e.Time, 'W', fmt.Sprintf("a visitor waved, %d so far", e.Waves), false})
		}
	case event.Progressed:
		p, was := e.Progress, old.Progress
		switch {
		case p.Failure != "":
			h.mark(mark{e.Time, '!', clean(p.Work + " failed: " + p.Failure), true})
		case p.Ended:
			h.mark(mark{e.Time, 'f', clean(p.Work) + " is done", false})
		case was.Work != p.Work || was.Ended:
			h.mark(mark{e.Time, 'F', clean(p.Work) + " began", false})
		}
	case event.FaultChanged:
		m := mark{e.Time, 'B', "fault " + clean(e.Fault.Name+": "+e.Fault.Text), true}
		if e.Fault.Over {
			m = mark{e.Time, 'b', "fault " + clean(e.Fault.Name) + " undone", false}
		}
		h.lines.add(e.Time, m.text, true)
		h.mark(m)
	case event.LoadSample:
		if old.Load == (event.LoadFigure{}) || old.Load.Finished && !e.Load.Finished {
			h.mark(mark{e.Time, 'V', "a load run began", false})
		}
		if e.Load.Finished && !old.Load.Finished {
			h.mark(mark{e.Time, 'v', "the load run ended", false})
		}
	}
}

// sum adds one second of a load run to the figures of the whole.
func (h *history) sum(l, old event.LoadFigure) {
	if old == (event.LoadFigure{}) || old.Finished && !l.Finished || l.At < old.At {
		h.run = event.LoadFigure{} // another run
	}
	h.run.At, h.run.Viewers, h.run.Finished = l.At, max(h.run.Viewers, l.Viewers), l.Finished
	h.run.Polls += l.Polls
	h.run.Errors += l.Errors
	h.run.Skipped += l.Skipped
	h.run.Bytes += l.Bytes
	h.run.Keys += l.Keys
	h.run.Refetches += l.Refetches
	h.run.Gaps += l.Gaps
	h.run.Mismatches += l.Mismatches
	h.run.AgeP99 = max(h.run.AgeP99, l.AgeP99) // the worst second's
}

func problemText(e event.Event) string {
	if e.Kind == event.Rejected {
		return fmt.Sprintf("upload refused with %d: %s", e.Status, clean(e.Text))
	}
	return "frame not taken: " + clean(e.Text)
}

func (h *history) mark(m mark) {
	if len(h.marks) >= maxMarks {
		h.marks = append(h.marks[:0], h.marks[len(h.marks)-maxMarks+1:]...)
	}
	h.marks = append(h.marks, m)
}

// keep stores a picture, and lets the oldest go. The caller holds the lock.
func (h *history) keep(which Which, p picture) {
	h.version++
	all := append(h.pictures[which], p)
	size := 0
	for i := len(all) - 1; i >= 0; i-- {
		if size += len(all[i].jpeg); size > pictureBytes || len(all)-i > maxPictures {
			all = append(all[:0:0], all[i+1:]...)
			break
		}
	}
	h.pictures[which] = all
}

// pictureAt returns the picture that was the newest at a time.
func (h *history) pictureAt(which Which, at time.Time) (picture, bool) {
	all := h.pictures[which]
	for i := len(all) - 1; i >= 0; i-- {
		if !all[i].at.After(at) {
			return all[i], true
		}
	}
	return picture{}, false
}

// stateAt returns the state at a time that is remembered.
func (h *history) stateAt(at time.Time) event.Snapshot {
	for i := len(h.moments) - 1; i >= 0; i-- {
		if !h.moments[i].at.After(at) {
			return h.moments[i].snap
		}
	}
	return event.Snapshot{}
}

// runAt returns the load run up to a time.
func (h *history) runAt(at time.Time) event.LoadFigure {
	for i := len(h.moments) - 1; i >= 0; i-- {
		if !h.moments[i].at.After(at) {
			return h.moments[i].run
		}
	}
	return event.LoadFigure{}
}

// series maps the seconds of a window that ends at a time; seconds that are not
// remembered are left out at the start. A moment is large: f gets it where it is.
func (h *history) series(end time.Time, window time.Duration, f func(*moment) float64) []float64 {
	begin := end.Add(-window)
	out := make([]float64, 0, len(h.moments))
	for i := range h.moments {
		m := &h.moments[i]
		if m.at.Before(begin) || m.at.After(end) {
			continue
		}
		out = append(out, f(m))
	}
	return out
}
