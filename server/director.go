package server

import (
	"context"
	"sync"
	"time"

	"porthole/internal/event"
	"porthole/server/picture"
)

// Truth is what the public is really shown. It is for the admin side only.
type Truth struct {
	Mode  event.Mode `json:"mode"`
	Since time.Time  `json:"since"`
	// Accepted counts the frames taken from the camera; AcceptedAt is when the
	// newest arrived.
	Accepted   uint64    `json:"accepted"`
	AcceptedAt time.Time `json:"accepted_at,omitzero"`
	// Published counts pictures shown, of either kind.
	Published uint64 `json:"published"`
	// Order is what the operator wants; CameraOff is set from a camera's notice
	// that it is being switched off to its notice that it is on.
	Order     Order `json:"order"`
	CameraOff bool  `json:"camera_off,omitempty"`
	// Cover says how far the clips go that nobody has seen; all zero without.
	Cover event.Cover `json:"cover,omitzero"`
}

// upload is a frame that passed the checks. It is immutable.
type upload struct {
	seq      uint64
	camera   string
	received []byte // as it arrived; nil where something of it is masked
	bytes    int    // that arrived
	admitted *picture.Admitted
	era      uint64 // in which its upload began, see control
	at       time.Time
}

// mailbox holds the newest upload for the director. A newer one replaces one
// that was not taken yet, so that ingest never waits.
type mailbox struct {
	wake chan struct{} // holds a token while there may be something to take

	mu     sync.Mutex
	newest *upload
}

func (m *mailbox) put(u *upload) {
	m.mu.Lock()
	// Two uploads may overtake each other on their way here.
	if m.newest == nil || m.newest.seq < u.seq {
		m.newest = u
	}
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (m *mailbox) take() *upload {
	m.mu.Lock()
	defer m.mu.Unlock()
	u := m.newest
	m.newest = nil
	return u
}

// take hands a frame over to the director, unless nothing of the camera may be
// taken.
func (s *Server) take(u *upload) bool {
	return s.control.keep(u.era, func() { s.accepted.put(u) })
}

// Direct decides what the public is shown, until ctx ends: every accepted frame
// at once; after Config.Offline without one, the recorded loop, a picture each
// Config.Period; the camera again with its first good frame. Until a camera has
// sent anything the loop plays, so that a page is never empty.
//
// It is the only writer of the current publication. With Config.Privacy on, what
// is shown when follows [Privacy].
//
// The operator's order and a camera's notice come before all that, see
// [Server.SetOrder].
func (s *Server) Direct(ctx context.Context) {
	defer s.cfg.Events.Handle("server.mode", s.handleMode)()
	defer s.cfg.Events.Handle("server.wave", s.waveCommand)()
	if s.cfg.Privacy.On {
		newCurtain(s).run(ctx)
		return
	}
	s.setMode(event.Loop, "no frame yet")
	s.playLoop()
	next := time.NewTimer(s.cfg.Period)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.accepted.wake:
			u := s.accepted.take()
			if u == nil {
				continue
			}
			s.update(func(t *Truth) { t.Accepted, t.AcceptedAt = u.seq, u.at })
			if order, _ := s.control.get(); order == OnlyReplay || order == Record {
				continue
			}
			r, info, err := s.render(u.admitted, event.FrameInfo{Seq: u.seq, Live: true})
			if err != nil || !s.control.keep(u.era, func() {
				s.setMode(event.Live, "frame accepted")
				s.show(r, info)
			}) {
				continue
			}
			// From the arrival, not from now: a busy moment does not prolong the feed.
			next.Reset(max(0, s.cfg.Offline-time.Since(u.at)))
		case <-s.control.wake:
			order, off := s.control.get()
			s.update(func(t *Truth) { t.Order, t.CameraOff = order, off })
			why := "operator's order"
			if off {
				why = "camera switched off"
			}
			if (off || order == OnlyReplay || order == Record || order == Dark) && s.truth.Load().Mode == event.Live {
				s.setMode(event.Loop, why)
				s.playLoop()
				next.Reset(s.cfg.Period)
			}
		case <-next.C:
			s.setMode(event.Loop, "camera silent for "+s.cfg.Offline.String())
			s.playLoop()
			next.Reset(s.cfg.Period)
		}
	}
}

// playLoop shows the next picture of the loop. A picture that cannot be read
// leaves the previous one in place.
func (s *Server) playLoop() {
	jpeg, info, seq, err := s.cfg.Loop.next()
	if err != nil {
		s.cfg.Log.Error("loop picture not shown", "error", err)
		return
	}
	admitted, err := s.pipeline.Load().AdmitRecorded(jpeg, info, s.camera(s.publicCamera()).size())
	if err != nil {
		s.cfg.Log.Error("loop picture not shown", "number", seq, "error", err)
		return
	}
	if r, info, err := s.render(admitted, event.FrameInfo{Seq: seq}); err == nil {
		s.show(r, info)
	}
}

// render makes the public picture of a frame, which is the only way to the
// public for live and recorded frames alike. It is to be shown before the next
// is rendered. An error is logged already.
func (s *Server) render(a *picture.Admitted, info event.FrameInfo) (*picture.Result, event.FrameInfo, error) {
	r, err := s.pipeline.Load().Render(a)
	if err != nil {
		s.cfg.Log.Error("frame not shown", "number", info.Seq, "live", info.Live, "error", err)
		return nil, info, err
	}
	info.Width, info.Height = r.Width, r.Height
	return r, info, nil
}

func (s *Server) show(r *picture.Result, info event.FrameInfo) {
	p := s.publisher.publish(r, time.Now())
	old := s.current.Swap(p)
	if old != nil {
		close(old.replaced)
	}
	s.showDeltas(r.Picture)
	info.Bytes = len(r.JPEG)
	s.update(func(t *Truth) { t.Published = s.publisher.seq })
	s.cfg.Events.Publish(event.Event{Source: event.Server, Kind: event.Published, Time: p.at, Frame: info})
}

func (s *Server) setMode(mode event.Mode, why string) {
	if s.truth.Load().Mode == mode {
		return
	}
	s.update(func(t *Truth) { t.Mode, t.Since = mode, time.Now() })
	s.cfg.Log.Info("public picture changed", "mode", string(mode), "why", why)
	s.cfg.Events.Publish(event.Event{Source: event.Server, Kind: event.ModeChanged, Mode: mode, Text: why})
}

// update replaces the truth. Only the director's goroutine calls it.
func (s *Server) update(change func(*Truth)) {
	t := *s.truth.Load()
	change(&t)
	s.truth.Store(&t)
}
