package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"porthole/internal/event"
)

// maxCommand bounds the body of a command.
const maxCommand = 16 << 10

// eventQueue is how many events wait for a dashboard that is slower than they
// come; beyond it the oldest are lost, and counted.
const eventQueue = 1024

// heartbeat is how often an idle event stream says that it lives.
const heartbeat = 10 * time.Second

// handleEvents streams what happens as JSON lines: first the state so far,
// {"snapshot":…}, then one event a line. An empty line is a sign of life. A
// {"dropped":n} line says how many events this client has missed so far.
func (s *Server) handleEvents(w http.ResponseWriter, r *http.Request) {
	ctl := http.NewResponseController(w)
	ctl.SetReadDeadline(time.Time{}) // the stream outlives the bound of a request
	sub := s.cfg.Events.Subscribe(eventQueue)
	defer sub.Close()
	w.Header()["Cache-Control"] = noStore
	w.Header().Set("Content-Type", "application/x-ndjson")
	lines := json.NewEncoder(w)
	send := func(v any) bool {
		ctl.SetWriteDeadline(time.Now().Add(heartbeat))
		return lines.Encode(v) == nil && ctl.Flush() == nil
	}
	// Subscribed first: an event may then be in both, and is told by its number;
	// none is in neither.
	snapshot := s.cfg.Events.Snapshot()
	if !send(map[string]event.Snapshot{"snapshot": snapshot}) {
		return
	}
	var dropped uint64
	for {
		e, ok := nextWithin(r, sub, heartbeat)
		switch {
		case r.Context().Err() != nil:
			return
		case !ok:
			ctl.SetWriteDeadline(time.Now().Add(heartbeat))
			if _, err := io.WriteString(w, "\n"); err != nil || ctl.Flush() != nil {
				return
			}
			continue
		case e.Seq <= snapshot.Seq:
			continue
		}
		if n := sub.Dropped(); n != dropped {
			dropped = n
			if !send(map[string]uint64{"dropped": n}) {
				return
			}
		}
		if !send(e) {
			return
		}
	}
}

// nextWithin waits at most d for an event.
func nextWithin(r *http.Request, sub *event.Subscription, d time.Duration) (event.Event, bool) {
	ctx, cancel := context.WithTimeout(r.Context(), d)
	defer cancel()
	return sub.Next(ctx)
}

// handleCommands lists what can be asked for here.
func (s *Server) handleCommands(w http.ResponseWriter, _ *http.Request) {
	names := []string{}
	if s.cfg.Events != nil {
		names = append(names, s.cfg.Events.Commands()...)
	}
	w.Header()["Cache-Control"] = noStore
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(names)
}

// handleCommand carries one out. It takes JSON only, which a form on a foreign
// page cannot send without asking first.
func (s *Server) handleCommand(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Content-Type") != "application/json" {
		(&problem{http.StatusUnsupportedMediaType, "a command is JSON", "send Content-Type: application/json"}).serve(w)
		return
	}
	var c event.Command
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxCommand))
	body.DisallowUnknownFields()
	if err := body.Decode(&c); err != nil || c.Name == "" {
		(&problem{http.StatusBadRequest, "not a command", `send {"name":"camera.off"}; GET /admin/commands lists the names`}).serve(w)
		return
	}
	if s.cfg.Events == nil {
		(&problem{http.StatusNotFound, "no commands here", "this server runs without a bench"}).serve(w)
		return
	}
	reply, err := s.cfg.Events.Do(r.Context(), c)
	switch {
	case errors.Is(err, event.ErrNoHandler):
		(&problem{http.StatusNotFound, err.Error(), "GET /admin/commands lists what there is"}).serve(w)
		return
	case err != nil:
		(&problem{http.StatusConflict, err.Error(), "the command was understood and failed"}).serve(w)
		return
	}
	s.cfg.Log.Info("command carried out", "name", c.Name)
	w.Header()["Cache-Control"] = noStore
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(reply)
}
