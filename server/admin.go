package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"strconv"
)

// Admin returns the handler of the private side. It tells what the public must
// not know, so it belongs on a listener that the public cannot reach.
//
//	GET /admin/truth       what the public is really shown, as [Truth]
//	GET /admin/upload.jpg  the newest accepted upload, byte for byte as received
//	GET /admin/events      what happens, as JSON lines; the first is the state so far
//	GET /admin/commands    what can be asked for
//	POST /admin/commands   ask for it, as JSON
//	GET /healthz
//
// Where Config.AdminToken is set every request but the last needs it as a bearer
// token. Requests that a browser sends for a foreign page are refused.
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
	mux.HandleFunc("GET /admin/events", s.handleEvents)
	mux.HandleFunc("GET /admin/commands", s.handleCommands)
	mux.HandleFunc("POST /admin/commands", s.handleCommand)
	mux.HandleFunc("GET /healthz", s.handleHealth)
	return http.NewCrossOriginProtection().Handler(s.adminOnly(mux))
}

// adminOnly asks for the admin token where there is one.
func (s *Server) adminOnly(next http.Handler) http.Handler {
	if s.cfg.AdminToken == "" {
		return next
	}
	want := sha256.Sum256([]byte("Bearer " + s.cfg.AdminToken))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := sha256.Sum256([]byte(r.Header.Get("Authorization")))
		if r.URL.Path != "/healthz" && subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			(&problem{http.StatusUnauthorized, "wrong or no admin token", "send the header Authorization: Bearer TOKEN with the server's --admin-token"}).serve(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Truth returns what the public is really shown now.
func (s *Server) Truth() Truth { return *s.truth.Load() }
