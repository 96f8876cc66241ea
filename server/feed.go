package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Paths of the feed.
const (
	pathLatest = "/latest"
	pathJPEG   = "/latest.jpg"
	pathWebP   = "/latest.webp"
)

var notYet = &problem{http.StatusServiceUnavailable, "no picture yet", "the server is starting; ask again"}

func (s *Server) handleLatest(w http.ResponseWriter, r *http.Request) {
	p := s.current.Load()
	if p == nil {
		notYet.serve(w)
		return
	}
	if r.URL.RawQuery != "" {
		after, wait, problem := parseWait(r.URL.Query())
		if problem != nil {
			problem.serve(w)
			return
		}
		if after == p.tag && wait > 0 {
			if p = s.wait(w, r, p, wait); p == nil {
				return
			}
		}
		if after == p.tag {
			s.unchanged(w, r, p)
			return
		}
	}
	d, byAccept := p.offer(r.URL.Path, r.Header["Accept"])
	if d == nil {
		s.policy.transient(w.Header(), r)
		(&problem{http.StatusNotFound, "no WebP here", "ask for " + pathJPEG + ", or start the server with WebP on"}).serve(w)
		return
	}
	if d.serve(w, r, byAccept) {
		s.stats.unchanged.Add(1)
	}
}

// parseWait reads the query of a poll that waits: after is the tag of the
// picture that the viewer has, with or without the quotes of an ETag; wait is in
// seconds, at most [MaxWait].
func parseWait(q url.Values) (after string, wait time.Duration, _ *problem) {
	after = strings.Trim(strings.TrimPrefix(q.Get("after"), "W/"), `"`)
	after = strings.TrimSuffix(after, webpSuffix)
	if text := q.Get("wait"); text != "" {
		seconds, err := strconv.ParseFloat(text, 64)
		if err != nil || !(seconds >= 0) {
			return "", 0, &problem{http.StatusBadRequest, fmt.Sprintf("wait=%.20q is no number of seconds", text), "for example /latest?after=ETAG&wait=20"}
		}
		wait = time.Duration(min(seconds, MaxWait.Seconds()) * float64(time.Second))
	}
	return after, wait, nil
}

// wait keeps a poll until the picture after p is shown, for at most d, and
// returns what is shown then. It returns nil once it has answered by itself.
func (s *Server) wait(w http.ResponseWriter, r *http.Request, p *publication, d time.Duration) *publication {
	if !s.streams.enter() {
		s.policy.transient(w.Header(), r)
		tooManyStreams.serve(w)
		return nil
	}
	defer s.streams.leave()
	s.stats.waiting.Add(1)
	defer s.stats.waiting.Add(-1)
	ctl := http.NewResponseController(w)
	// The wait is beyond the listener's bounds of an exchange. A recorder of a
	// test has no deadlines.
	ctl.SetReadDeadline(time.Time{})
	ctl.SetWriteDeadline(time.Now().Add(d + writeGrace))
	timeout := time.NewTimer(d)
	defer timeout.Stop()
	select {
	case <-p.replaced:
		return s.current.Load()
	case <-timeout.C:
		return p
	case <-r.Context().Done(): // the viewer left, or the server ends
		return p
	}
}

// unchanged says that p is still the newest. No request header asks for a 304
// here: the query did.
func (s *Server) unchanged(w http.ResponseWriter, r *http.Request, p *publication) {
	d, byAccept := p.offer(r.URL.Path, r.Header["Accept"])
	if d == nil {
		d = p.jpeg
	}
	s.stats.unchanged.Add(1)
	d.header(w.Header(), s.policy.audience(r.Header.Get("Origin")), byAccept, true)
	w.WriteHeader(http.StatusNotModified)
}

var leaving = &problem{http.StatusServiceUnavailable, "about to end", "ask another server"}

// Drain makes /readyz say no from now on, while everything else is answered as
// before: for the time between the wish to end and the end of Run.
func (s *Server) Drain() { s.draining.Store(true) }

// status is the answer of GET /status.
type status struct {
	CreatedAt time.Time // of publication, to the second
	Image     string    // the picture's URL, relative to the site
}

func (s *Server) handleStatus(w http.ResponseWriter, r *http.Request) {
	p := s.current.Load()
	if p == nil {
		notYet.serve(w)
		return
	}
	h := w.Header()
	s.policy.transient(h, r)
	h.Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(status{p.at.UTC().Truncate(time.Second), pathLatest})
}

// handleHealth says that the process answers.
func (s *Server) handleHealth(w http.ResponseWriter, _ *http.Request) {
	w.Header()["Cache-Control"] = noStore
	w.Header().Set("Content-Type", "text/plain")
	w.Write([]byte("ok\n"))
}

// handleReady says whether to send viewers here: there is a picture to serve, of
// either kind, and the server is not about to end.
func (s *Server) handleReady(w http.ResponseWriter, r *http.Request) {
	switch {
	case s.draining.Load():
		leaving.serve(w)
		return
	case !s.Showing():
		notYet.serve(w)
		return
	}
	s.handleHealth(w, r)
}
