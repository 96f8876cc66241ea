package server

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	pathEvents = "/events"
	// streamBeat is how often an idle event stream says that it lives: below the
	// minute after which proxies drop a silent connection.
	streamBeat = 15 * time.Second
	// writeGrace is how long a viewer may take for one message or picture.
	writeGrace = 30 * time.Second
)

var tooManyStreams = &problem{http.StatusServiceUnavailable, "too many viewers wait for news", "poll /latest instead, or ask again later"}

// gate bounds how many may be inside.
type gate struct {
	max int64
	n   atomic.Int64
}

func (g *gate) enter() bool {
	if g.n.Add(1) > g.max {
		g.n.Add(-1)
		return false
	}
	return true
}

func (g *gate) leave() { g.n.Add(-1) }

// bell tells any number of listeners that a count changed. The zero value is
// ready to use.
type bell struct {
	mu    sync.Mutex
	count uint64
	rung  chan struct{}
}

// ring sets the count and wakes everybody who listens.
func (b *bell) ring(count uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count = count
	if b.rung != nil {
		close(b.rung)
		b.rung = nil
	}
}

// listen returns the count and a channel that is closed at the next ring.
func (b *bell) listen() (uint64, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung == nil {
		b.rung = make(chan struct{})
	}
	return b.count, b.rung
}

// frameMessage is what event streams say about a publication: its name, which
// the ETag of its picture is made of. Nothing in it depends on where the picture
// came from.
func frameMessage(tag string) []byte {
	return fmt.Appendf(nil, "event: frame\ndata: {\"tag\":%q,\"image\":%q}\n\n", tag, pathLatest)
}

// What event streams begin with, and say when there is nothing to say.
var (
	retryMessage = []byte("retry: 2000\n\n")
	beatMessage  = []byte(":\n\n")
)

func waveMessage(count uint64) []byte {
	return append(strconv.AppendUint([]byte("event: wave\ndata: {\"count\":"), count, 10), "}\n\n"...)
}

// handleStream is GET /events: server-sent events, one for each new picture and
// one for each wave. The first two say what is. A viewer who reads slowly misses
// pictures, never the newest one.
func (s *Server) handleStream(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	s.policy.transient(h, r)
	p := s.current.Load()
	if p == nil {
		notYet.serve(w)
		return
	}
	if !s.streams.enter() {
		tooManyStreams.serve(w)
		return
	}
	defer s.streams.leave()
	s.stats.streams.Add(1)
	defer s.stats.streams.Add(-1)
	s.streamHeader(h, s.policy.audience(r.Header.Get("Origin")), typeEvents)
	if r.Method == http.MethodHead {
		return
	}
	ctl := http.NewResponseController(w)
	ctl.SetReadDeadline(time.Time{}) // the stream outlives the bound of a request
	send := func(message ...[]byte) bool {
		ctl.SetWriteDeadline(time.Now().Add(writeGrace))
		for _, m := range message {
			if _, err := w.Write(m); err != nil {
				return false
			}
		}
		return ctl.Flush() == nil
	}
	waves, rung := s.waves.listen()
	if !send(retryMessage, p.event, waveMessage(waves)) {
		return
	}
	beat := time.NewTimer(streamBeat)
	defer beat.Stop()
	for {
		var message []byte
		select {
		case <-p.replaced:
			p = s.current.Load()
			message = p.event
		case <-rung:
			waves, rung = s.waves.listen()
			message = waveMessage(waves)
		case <-beat.C:
			message = beatMessage
		case <-r.Context().Done():
			return
		}
		if !send(message) {
			return
		}
		beat.Reset(streamBeat)
	}
}
