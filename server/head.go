package server

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// handleHead is GET /head: the number of the newest picture, the milliseconds
// until the next one is due, and the name of a key from which all pictures until
// now can be reached; at most 64 bytes, the same for everybody, so that a cache
// in front can answer all viewers. With ?after=NUMBER&wait=SECONDS it answers
// when there is a newer one.
func (s *Server) handleHead(w http.ResponseWriter, r *http.Request) {
	d := s.deltas
	h := w.Header()
	s.policy.transient(h, r)
	s.policy.keep(h)
	seq, changed := d.feed.Seq()
	if r.URL.RawQuery != "" {
		_, wait, problem := parseWait(r.URL.Query())
		if problem != nil {
			problem.serve(w)
			return
		}
		after, err := strconv.ParseUint(r.URL.Query().Get("after"), 10, 32)
		if err == nil && uint32(after) == seq && wait > 0 {
			if !s.waitFor(w, r, changed, wait) {
				return
			}
		}
	}
	line, err := d.feed.Join()
	if err != nil {
		notYet.serve(w)
		return
	}
	seq, _ = d.feed.Seq()
	name := d.name(line.Number, line.Key.Seq)
	etag := fmt.Sprintf(`"%d-%s"`, seq, base64.RawURLEncoding.EncodeToString(name[:6]))
	h["Etag"] = []string{"W/" + etag} // the time until the next picture changes
	if matchesETag(r.Header["If-None-Match"], etag) {
		s.stats.unchanged.Add(1)
		w.WriteHeader(http.StatusNotModified)
		return
	}
	due := d.due
	if p := s.current.Load(); p != nil {
		due = min(max(due-time.Since(p.at), 0), d.due)
	}
	body := fmt.Sprintf("%d %d %s\n", seq, due.Milliseconds(), base64.RawURLEncoding.EncodeToString(name[:]))
	h.Set("Content-Type", "text/plain")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		w.Write([]byte(body))
	}
}

// waitFor keeps a poll until changed is closed, for at most d. It reports false
// once it has answered by itself.
func (s *Server) waitFor(w http.ResponseWriter, r *http.Request, changed <-chan struct{}, d time.Duration) bool {
	if !s.streams.enter() {
		tooManyStreams.serve(w)
		return false
	}
	defer s.streams.leave()
	s.stats.waiting.Add(1)
	defer s.stats.waiting.Add(-1)
	ctl := http.NewResponseController(w)
	ctl.SetReadDeadline(time.Time{})
	ctl.SetWriteDeadline(time.Now().Add(d + writeGrace))
	timeout := time.NewTimer(d)
	defer timeout.Stop()
	select {
	case <-changed:
	case <-timeout.C:
	case <-r.Context().Done():
	}
	return true
}
