package server

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// Admin returns the handler of the private side. It tells what the public must
// not know, so it belongs on a listener that the public cannot reach.
//
//	GET /admin/truth       what the public is really shown, as [Truth]
//	GET /admin/upload.jpg  the newest accepted upload, byte for byte as received
//	GET /healthz
func (s *Server) Admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /admin/truth", func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Cache-Control"] = noStore
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(s.Truth())
	})
	mux.HandleFunc("GET /admin/upload.jpg", func(w http.ResponseWriter, _ *http.Request) {
		u := s.received.Load()
		if u == nil {
			(&problem{http.StatusNotFound, "no upload yet", "no camera has sent a good frame since the server started"}).serve(w)
			return
		}
		h := w.Header()
		h["Content-Type"] = typeJPEG
		h["Cache-Control"] = noStore
		h.Set("Content-Length", strconv.Itoa(len(u.received)))
		h.Set("Porthole-Sequence", strconv.FormatUint(u.seq, 10))
		w.Write(u.received)
	})
	mux.HandleFunc("GET /healthz", s.handleHealth)
	return mux
}

// Truth returns what the public is really shown now.
func (s *Server) Truth() Truth { return *s.truth.Load() }
