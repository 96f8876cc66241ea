package server

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// Admin returns the handler of the private side. It tells what the public must
// not know, so it belongs on a listener that the public cannot reach.
//
//	GET /admin/truth       what the public is really shown, as [Truth]
//	GET /admin/upload.jpg  the newest accepted upload, byte for byte as received; where there are masks, masked;
//	                       of the public camera, or of ?camera=NAME
//	GET /admin/cameras     the cameras, as a list of [CameraInfo]
//	GET /admin/events      what happens, as JSON lines; the first is the state so far
//	GET /admin/commands    what can be asked for
//	POST /admin/commands   ask for it, as JSON
//	GET /admin/            the status page, with /admin/state, /admin/history and /admin/public.jpg
//	GET /metrics           all figures, for Prometheus
//	GET /debug/pprof/      profiles of the process
//	GET /healthz
//
// Where there are admin tokens every request needs one as a bearer token, but
// those for the last and for the page's own files, which hold no secrets; where there are none, requests must be addressed to this machine by a
// loopback name, so that no page elsewhere can reach it by a name of its own.
// What a browser sends for a foreign page is refused.
func (s *Server) Admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /admin/truth", func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Cache-Control"] = noStore
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(s.Truth())
	})
	mux.HandleFunc("GET /admin/upload.jpg", s.handleReceived)
	mux.HandleFunc("GET /admin/cameras", func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Cache-Control"] = noStore
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(s.Cameras())
	})
	mux.HandleFunc("GET /admin/events", s.handleEvents)
	mux.HandleFunc("GET /admin/commands", s.handleCommands)
	mux.HandleFunc("POST /admin/commands", s.handleCommand)
	s.registerPage(mux)
	mux.HandleFunc("GET /healthz", s.handleHealth)
	return http.NewCrossOriginProtection().Handler(ownPagesOnly(s.admins.only(mux)))
}

// handleReceived sends the newest frame of a camera.
func (s *Server) handleReceived(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("camera")
	if name == "" {
		name = s.publicCamera()
	}
	if s.tokens.Load().Active(name) == 0 {
		(&problem{http.StatusNotFound, fmt.Sprintf("no camera %.40q", name), "GET /admin/cameras lists them"}).serve(w)
		return
	}
	u := s.camera(name).kept()
	if u == nil {
		(&problem{http.StatusNotFound, "no upload yet", "this camera has not sent a good frame since the server started"}).serve(w)
		return
	}
	jpeg, err := u.received, error(nil)
	if jpeg == nil {
		jpeg, err = s.masked(u)
	}
	if err != nil {
		s.cfg.Log.Error("upload not encoded", "error", err)
		(&problem{http.StatusInternalServerError, "the upload could not be encoded", "see the server's log"}).serve(w)
		return
	}
	h := w.Header()
	h["Content-Type"] = typeJPEG
	h["Cache-Control"] = noStore
	h.Set("Content-Length", strconv.Itoa(len(jpeg)))
	h.Set("Porthole-Sequence", strconv.FormatUint(u.seq, 10))
	w.Write(jpeg)
}

// masked returns a frame as a file, under the masks there are now.
func (s *Server) masked(u *upload) ([]byte, error) {
	a, err := s.pipeline.Load().Adopt(u.admitted)
	if err != nil {
		return nil, err
	}
	return a.JPEG()
}

// ownPagesOnly refuses what a browser sends for a page of another site, also by
// GET: the truth is not for them, not even as the size of a picture.
func ownPagesOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		switch r.Header.Get("Sec-Fetch-Site") {
		case "", "same-origin", "none":
			next.ServeHTTP(w, r)
		default:
			(&problem{http.StatusForbidden, "asked for by a page of another site", "open the private side directly"}).serve(w)
		}
	})
}

// onLoopback reports whether a Host header names this machine.
func onLoopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Showing reports whether viewers get a picture: from the first publication on.
func (s *Server) Showing() bool { return s.current.Load() != nil }

// Truth returns what the public is really shown now.
func (s *Server) Truth() Truth {
	t := *s.truth.Load()
	if c := s.clipCover.Load(); c != nil {
		t.Cover = *c
	}
	return t
}
