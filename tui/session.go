package tui

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"porthole/internal/event"
)

// A session file is what a dashboard saw, as JSON lines:
//
//	{"porthole":"session","version":1,"snapshot":{…}}   the state at the start
//	{"event":{…}}                                       as it came
//	{"picture":"sent","seq":7,"at":"…","jpeg":"…"}      in base64
//
// A file whose last line is cut, because the process was killed, is read up to
// there.
const (
	sessionMagic   = "session"
	sessionVersion = 1
)

// Bounds of a session that is read. A session of six hours at two events a
// second is 43,000 events.
const (
	maxSessionLine   = 4 << 20
	maxSessionEvents = 1 << 20
	maxSessionSpan   = 6 * time.Hour      // that is shown; of a longer one the end
	maxSessionLength = 7 * 24 * time.Hour // that is read
)

// sessionLine is any line of a session file.
type sessionLine struct {
	Porthole string          `json:"porthole,omitempty"`
	Version  int             `json:"version,omitempty"`
	Snapshot *event.Snapshot `json:"snapshot,omitempty"`
	Event    *event.Event    `json:"event,omitempty"`
	Picture  string          `json:"picture,omitempty"`
	Seq      uint64          `json:"seq,omitempty"`
	At       time.Time       `json:"at,omitzero"`
	JPEG     []byte          `json:"jpeg,omitempty"`
}

// Recorder is a [Source] that writes what passes through it to a session file.
// Recording never fails the dashboard: a full disk ends it, and Close tells.
type Recorder struct {
	Source
	mu    sync.Mutex
	w     *bufio.Writer
	left  int64
	snap  event.Snapshot
	err   error
	saved [2]uint64
}

var _ Source = (*Recorder)(nil)

// ErrSessionFull means that a recording reached its size and ended there.
var ErrSessionFull = errors.New("the recording reached its size limit")

// NewRecorder writes a session of at most limit bytes to w. The caller closes the
// recorder, then w.
func NewRecorder(src Source, w io.Writer, limit int64) *Recorder {
	r := &Recorder{Source: src, w: bufio.NewWriterSize(w, 64<<10), left: limit, snap: src.Snapshot()}
	r.write(sessionLine{Porthole: sessionMagic, Version: sessionVersion, Snapshot: &r.snap})
	return r
}

// Next implements Source.
func (r *Recorder) Next(ctx context.Context) (event.Event, bool) {
	e, ok := r.Source.Next(ctx)
	if ok {
		r.mu.Lock()
		r.snap.Apply(e)
		r.write(sessionLine{Event: &e})
		r.mu.Unlock()
	}
	return e, ok
}

// Picture implements Source.
func (r *Recorder) Picture(ctx context.Context, which Which) ([]byte, error) {
	data, err := r.Source.Picture(ctx, which)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	l := sessionLine{Picture: which.String(), Seq: r.snap.LastAccepted.Seq, At: r.snap.AcceptedAt, JPEG: data}
	if which == Public {
		l.Seq, l.At = r.snap.LastShown.Seq, r.snap.ShownAt
	}
	if l.Seq != r.saved[which] {
		r.saved[which] = l.Seq
		r.write(l)
	}
	return data, nil
}

func (r *Recorder) write(l sessionLine) {
	if r.err != nil {
		return
	}
	b, err := json.Marshal(l)
	if err != nil {
		r.err = err
		return
	}
	if r.left -= int64(len(b)) + 1; r.left < 0 {
		r.err = ErrSessionFull
		return
	}
	r.w.Write(b)
	r.err = r.w.WriteByte('\n')
}

// Close writes what is buffered and says what went wrong, [ErrSessionFull] for a
// recording that ended early. It leaves the source alone.
func (r *Recorder) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := errors.Join(r.err, r.w.Flush()); err != nil {
		return fmt.Errorf("record session: %w", err)
	}
	return nil
}

// Session is a recording that was read.
type Session struct {
	Start    event.Snapshot
	Events   []event.Event
	Cut      bool // the file ends in the middle of a line
	pictures [2][]picture
}

// ReadSession reads a session file.
func ReadSession(r io.Reader) (*Session, error) {
	s := new(Session)
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxSessionLine)
	for n := 1; lines.Scan(); n++ {
		var l sessionLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			if n > 1 && !lines.Scan() {
				s.Cut = true
				break
			}
			return nil, fmt.Errorf("read session: line %d: %w", n, err)
		}
		if n == 1 {
			if l.Porthole != sessionMagic || l.Version != sessionVersion {
				return nil, fmt.Errorf("read session: not a recording of this dashboard, version %d", sessionVersion)
			}
			if l.Snapshot != nil {
				s.Start = *l.Snapshot
			}
			continue
		}
		if err := s.take(l); err != nil {
			return nil, fmt.Errorf("read session: line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read session: %w", err)
	}
	if len(s.Events) == 0 {
		return nil, errors.New("read session: it holds no event")
	}
	return s, nil
}

func (s *Session) take(l sessionLine) error {
	switch {
	case l.Event != nil:
		if len(s.Events) == maxSessionEvents {
			return fmt.Errorf("more than %d events", maxSessionEvents)
		}
		if len(s.Events) > 0 && l.Event.Time.Sub(s.Events[0].Time).Abs() > maxSessionLength {
			return fmt.Errorf("an event at %s, more than %v from the first", l.Event.Time.Format(time.RFC3339), maxSessionLength)
		}
		s.Events = append(s.Events, *l.Event)
	case l.Picture == Sent.String():
		s.pictures[Sent] = append(s.pictures[Sent], picture{l.At, l.Seq, l.JPEG})
	case l.Picture == Public.String():
		s.pictures[Public] = append(s.pictures[Public], picture{l.At, l.Seq, l.JPEG})
	}
	return nil // lines of a newer version are none of ours
}

// End is the time of the last event.
func (s *Session) End() time.Time {
	var end time.Time
	for _, e := range s.Events {
		if e.Time.After(end) {
			end = e.Time
		}
	}
	return end
}

// history folds the whole session. Its clock stands at the end.
func (s *Session) history() *history {
	end := s.End()
	span := min(end.Sub(s.Events[0].Time), maxSessionSpan)
	h := newHistory(func() time.Time { return end }, max(span, time.Minute))
	h.frozen, h.snap = true, s.Start
	for _, e := range s.Events {
		h.add(e)
	}
	h.pictures = s.pictures
	h.ended = true
	return h
}

// replay is a Source without events: a session is all there at once.
type replay struct{}

// Replay returns the source of a dashboard that shows a session.
func (s *Session) Replay() Source { return replay{} }

func (replay) Next(context.Context) (event.Event, bool) { return event.Event{}, false }
func (replay) Snapshot() event.Snapshot                 { return event.Snapshot{} }
func (replay) Dropped() uint64                          { return 0 }
func (replay) Commands() []string                       { return nil }
func (replay) Do(context.Context, event.Command) (event.Reply, error) {
	return event.Reply{}, errors.New("a recording cannot be changed")
}
func (replay) Picture(context.Context, Which) ([]byte, error) {
	return nil, errors.New("a recording has its own pictures")
}

// jsonSafe gives JSON that can stand inside a script element.
func jsonSafe(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(true)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
