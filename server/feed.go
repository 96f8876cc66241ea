package server

import (
	"encoding/json"
	"net/http"
	"time"
)

func (s *Server) handleLatest(w http.ResponseWriter, r *http.Request) {
	p := s.current.Load()
	if p == nil {
		notYet.serve(w)
		return
	}
	p.serve(w, r)
}

var notYet = &problem{http.StatusServiceUnavailable, "no picture yet", "the server is starting; ask again"}

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
	h["Cache-Control"] = noStore
	h["Access-Control-Allow-Origin"] = anyOrigin
	h.Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(status{p.at.UTC().Truncate(time.Second), "/latest"})
}

// handleHealth says that the process answers.
func (s *Server) handleHealth(w http.ResponseWriter, _ *http.Request) {
	w.Header()["Cache-Control"] = noStore
	w.Header().Set("Content-Type", "text/plain")
	w.Write([]byte("ok\n"))
}

// handleReady says whether there is a picture to serve, of either kind.
func (s *Server) handleReady(w http.ResponseWriter, r *http.Request) {
	if s.current.Load() == nil {
		notYet.serve(w)
		return
	}
	s.handleHealth(w, r)
}
