package server

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/pprof"
	"runtime/debug"
	"strconv"
	"time"

	"porthole/server/adminweb"
)

// AdminState is what the status page shows, in one answer.
type AdminState struct {
	Now     time.Time    `json:"now"`
	Version string       `json:"version"`
	Truth   Truth        `json:"truth"`
	Cameras []CameraInfo `json:"cameras"`
	Admins  []string     `json:"admins"` // names of who has a token of the private side
	Uploads struct {
		Accepted uint64    `json:"accepted"`
		Rejected uint64    `json:"rejected"`
		Ignored  uint64    `json:"ignored"`
		Problem  string    `json:"problem,omitempty"` // the newest refusal
		At       time.Time `json:"at,omitzero"`
	} `json:"uploads"`
	Public struct {
		Viewers     int64  `json:"viewers"`
		Connections int64  `json:"connections"`
		Requests    uint64 `json:"requests"`
		Unchanged   uint64 `json:"unchanged"`
		Bytes       uint64 `json:"bytes"`
		Refused     uint64 `json:"refused"`
		Slow        uint64 `json:"slow"`
		P50         string `json:"p50"`
		P99         string `json:"p99"`
	} `json:"public"`
	Waves    uint64   `json:"waves"`
	Orders   []Order  `json:"orders"`
	Commands []string `json:"commands"`
}

func (s *Server) adminState() AdminState {
	a := AdminState{Now: time.Now(), Version: "unknown", Truth: s.Truth(), Cameras: s.Cameras(), Admins: []string{}, Waves: s.waveCount(), Orders: orders, Commands: []string{}}
	if info, ok := debug.ReadBuildInfo(); ok {
		a.Version = info.Main.Version
	}
	if t := s.admins.tokens.Load(); t != nil {
		a.Admins = append(a.Admins, t.Cameras()...)
	}
	a.Commands = append(a.Commands, s.cfg.Events.Commands()...)
	snap := s.cfg.Events.Snapshot()
	a.Uploads.Accepted, a.Uploads.Rejected, a.Uploads.Ignored = snap.Accepted, snap.Rejected, snap.Ignored
	a.Uploads.Problem, a.Uploads.At = snap.LastProblem, snap.ProblemAt
	st := s.Stats()
	p := &a.Public
	p.Viewers, p.Connections, p.Unchanged, p.Bytes, p.Refused, p.Slow = st.Viewers, st.Connections, st.Unchanged, st.Bytes, st.Refused, st.Slow
	for _, n := range st.Requests {
		p.Requests += n
	}
	p.P50, p.P99 = st.Latency.Quantile(0.5).String(), st.Latency.Quantile(0.99).String()
	return a
}

// registerPage adds the status page and what it asks for.
func (s *Server) registerPage(mux *http.ServeMux) {
	adminweb.Register(mux)
	answer := func(w http.ResponseWriter, v any) {
		w.Header()["Cache-Control"] = noStore
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("GET /admin/state", func(w http.ResponseWriter, _ *http.Request) { answer(w, s.adminState()) })
	mux.HandleFunc("GET /admin/history", func(w http.ResponseWriter, _ *http.Request) { answer(w, append(s.history.all(), s.sample())) })
	mux.HandleFunc("GET /admin/public.jpg", s.handlePublic)
	mux.HandleFunc("GET /metrics", s.handleMetrics)
	mux.HandleFunc("GET /debug/pprof/", profile(pprof.Index))
	mux.HandleFunc("GET /debug/pprof/profile", profile(pprof.Profile))
	mux.HandleFunc("GET /debug/pprof/trace", profile(pprof.Trace))
}

// handlePublic sends what the public sees just now.
func (s *Server) handlePublic(w http.ResponseWriter, _ *http.Request) {
	p := s.current.Load()
	if p == nil {
		notYet.serve(w)
		return
	}
	h := w.Header()
	h["Content-Type"] = typeJPEG
	h["Cache-Control"] = noStore
	h.Set("Content-Length", strconv.Itoa(len(p.jpeg.body)))
	w.Write(p.jpeg.body)
}

// maxProfile is the longest time that a profile or trace may take.
const maxProfile = time.Minute

// profile gives a handler of net/http/pprof the time that it asks for, within
// bounds. The command line, which that package shows too, is left out: it may
// hold a token.
func profile(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if text := r.URL.Query().Get("seconds"); text != "" {
			if n, err := strconv.ParseFloat(text, 64); err != nil || !(n >= 0 && n <= maxProfile.Seconds()) {
				(&problem{http.StatusBadRequest, "seconds=" + strconv.Quote(text[:min(len(text), 20)]), "want a number from 0 to 60"}).serve(w)
				return
			}
		}
		ctl := http.NewResponseController(w)
		late := time.Now().Add(maxProfile + 10*time.Second)
		ctl.SetReadDeadline(late)
		ctl.SetWriteDeadline(late)
		w.Header()["Cache-Control"] = noStore
		// Otherwise pprof holds the time against the server's own deadline.
		h(w, r.WithContext(context.WithValue(r.Context(), http.ServerContextKey, nil)))
	}
}
