package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"porthole/internal/event"
	"porthole/internal/remote"
	"porthole/server"
	"porthole/tui"
)

// busSource is a bus of this process as the source of a dashboard, with the
// pictures of a server of this process where there is one.
type busSource struct {
	bus    *event.Bus
	sub    *event.Subscription
	start  event.Snapshot
	server *server.Server // nil: no pictures
}

var _ tui.Source = (*busSource)(nil)

// consoleBacklog is how many events may wait for the dashboard: half a second of
// a serial line that floods with 1 MB/s.
const consoleBacklog = 8192

// newBusSource subscribes at once, so that nothing that follows is missed.
func newBusSource(bus *event.Bus, srv *server.Server) *busSource {
	s := &busSource{bus: bus, server: srv}
	s.sub = bus.Subscribe(consoleBacklog)
	s.start = bus.Snapshot()
	return s
}

// Next implements tui.Source. Events that the first snapshot holds already are
// skipped, or they would count twice.
func (s *busSource) Next(ctx context.Context) (event.Event, bool) {
	for {
		e, ok := s.sub.Next(ctx)
		if !ok || e.Seq > s.start.Seq {
			return e, ok
		}
	}
}

// Snapshot implements tui.Source.
func (s *busSource) Snapshot() event.Snapshot { return s.start }

// Dropped implements tui.Source.
func (s *busSource) Dropped() uint64 { return s.sub.Dropped() }

// Commands implements tui.Source.
func (s *busSource) Commands() []string { return s.bus.Commands() }

// Do implements tui.Source.
func (s *busSource) Do(ctx context.Context, c event.Command) (event.Reply, error) {
	return s.bus.Do(ctx, c)
}

// Picture implements tui.Source: it asks the server's handlers, without a
// network in between.
func (s *busSource) Picture(ctx context.Context, which tui.Which) ([]byte, error) {
	if s.server == nil {
		return nil, errors.New("no server in this process")
	}
	path, h := "/latest", http.Handler(s.server)
	if which == tui.Sent {
		path, h = "/admin/upload.jpg", s.server.Admin()
	}
	req, err := http.NewRequestWithContext(ctx, "GET", "http://localhost"+path, nil) // the private side answers this machine only
	if err != nil {
		return nil, fmt.Errorf("ask for picture: %w", err)
	}
	w := &response{header: make(http.Header), status: http.StatusOK}
	h.ServeHTTP(w, req)
	if w.status != http.StatusOK {
		return nil, fmt.Errorf("ask for picture: answered %d", w.status)
	}
	return w.body, nil
}

// response keeps an answer of a handler in memory.
type response struct {
	header http.Header
	status int
	body   []byte
}

func (r *response) Header() http.Header { return r.header }
func (r *response) WriteHeader(code int) {
	r.status = code
}
func (r *response) Write(p []byte) (int, error) {
	r.body = append(r.body, p...)
	return len(p), nil
}

// remoteSource is a server elsewhere as the source of a dashboard.
type remoteSource struct {
	*remote.Client
	start    event.Snapshot
	commands atomic.Pointer[[]string]
	stop     context.CancelFunc
	asking   sync.WaitGroup
}

var _ tui.Source = (*remoteSource)(nil)

// commandsEvery is how often a server elsewhere is asked what it can do: parts
// come and go with their commands.
const commandsEvery = 5 * time.Second

func newRemoteSource(ctx context.Context, admin, public, token string, roots *x509.CertPool) (*remoteSource, error) {
	dialling, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	client, err := remote.Dial(dialling, remote.Config{Admin: admin, Public: public, Token: token, Roots: roots})
	if err != nil {
		return nil, err
	}
	s := &remoteSource{Client: client, start: client.Snapshot()}
	s.commands.Store(new([]string))
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.asking.Go(func() {
		tick := time.NewTicker(commandsEvery)
		defer tick.Stop()
		for {
			if names, err := client.Commands(ctx); err == nil {
				s.commands.Store(&names)
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	return s, nil
}

// Snapshot implements tui.Source: the state at the start, as the client's own
// moves on with every event.
func (s *remoteSource) Snapshot() event.Snapshot { return s.start }

// Commands implements tui.Source.
func (s *remoteSource) Commands() []string { return *s.commands.Load() }

// Picture implements tui.Source.
func (s *remoteSource) Picture(ctx context.Context, which tui.Which) ([]byte, error) {
	if which == tui.Public {
		return s.Client.Picture(ctx, remote.Public)
	}
	return s.Client.Picture(ctx, remote.Sent)
}

// Close ends the connection.
func (s *remoteSource) Close() error {
	s.stop()
	s.asking.Wait()
	return s.Client.Close()
}

// joined is two sources as one: a server elsewhere and a board here.
type joined struct {
	server tui.Source
	board  *busSource
	events chan event.Event
	stop   context.CancelFunc
	pumps  sync.WaitGroup
}

var _ tui.Source = (*joined)(nil)

// join reads both sources until close. What waits in a source that is not read
// fast enough is dropped there, and counted.
func join(srv tui.Source, board *busSource) *joined {
	ctx, stop := context.WithCancel(context.Background())
	j := &joined{server: srv, board: board, events: make(chan event.Event, 64), stop: stop}
	for _, src := range []tui.Source{srv, board} {
		j.pumps.Go(func() {
			for {
				e, ok := src.Next(ctx)
				if !ok {
					if ctx.Err() == nil && src == srv {
						e = event.Event{Time: time.Now(), Source: event.Bench, Kind: event.Note, Text: "the server has gone; the board is still there"}
					} else {
						return
					}
				}
				select {
				case j.events <- e:
				case <-ctx.Done():
					return
				}
				if !ok {
					return
				}
			}
		})
	}
	return j
}

// Next implements tui.Source.
func (j *joined) Next(ctx context.Context) (event.Event, bool) {
	select {
	case e := <-j.events:
		return e, true
	case <-ctx.Done():
		return event.Event{}, false
	}
}

// Snapshot implements tui.Source.
func (j *joined) Snapshot() event.Snapshot {
	s := j.server.Snapshot()
	s.Board = j.board.Snapshot().Board
	return s
}

// Dropped implements tui.Source.
func (j *joined) Dropped() uint64 { return j.server.Dropped() + j.board.Dropped() }

// Commands implements tui.Source.
func (j *joined) Commands() []string { return append(j.board.Commands(), j.server.Commands()...) }

// Do implements tui.Source: what the board here can do goes there.
func (j *joined) Do(ctx context.Context, c event.Command) (event.Reply, error) {
	if r, err := j.board.Do(ctx, c); !errors.Is(err, event.ErrNoHandler) {
		return r, err
	}
	return j.server.Do(ctx, c)
}

// Picture implements tui.Source.
func (j *joined) Picture(ctx context.Context, which tui.Which) ([]byte, error) {
	return j.server.Picture(ctx, which)
}

func (j *joined) close() error {
	j.stop()
	j.pumps.Wait()
	j.board.sub.Close()
	return nil
}
