package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"porthole/internal/cli"
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
	return hinted(s.bus.Do(ctx, c))
}

// hinted puts the hint of an error into its text, which is all that a screen has.
func hinted(r event.Reply, err error) (event.Reply, error) {
	if hint := cli.HintOf(err); hint != "" {
		err = fmt.Errorf("%w; %s", err, hint)
	}
	return r, err
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
	truth  *modeLog // what the public was shown when
	events chan event.Event
	gone   chan struct{} // closed when nothing more can come
	stop   context.CancelFunc
	pumps  sync.WaitGroup
}

var _ tui.Source = (*joined)(nil)

// join reads both sources until close. What waits in a source that is not read
// fast enough is dropped there, and counted. alone says that without the server
// there is nothing to see: then its end is the end.
func join(srv tui.Source, board *busSource, alone bool) *joined {
	ctx, stop := context.WithCancel(context.Background())
	j := &joined{server: srv, board: board, truth: new(modeLog), events: make(chan event.Event, 64), gone: make(chan struct{}), stop: stop}
	if snap := srv.Snapshot(); snap.Mode != "" {
		j.truth.add(snap.ModeSince, snap.Mode)
	}
	j.pumps.Go(func() {
		j.pump(ctx, srv)
		if ctx.Err() != nil {
			return
		}
		if alone {
			close(j.gone)
			return
		}
		select {
		case j.events <- event.Event{Time: time.Now(), Source: event.Bench, Kind: event.Note, Text: "the server has gone; the board is still there"}:
		case <-ctx.Done():
		}
	})
	j.pumps.Go(func() { j.pump(ctx, board) })
	return j
}

// pump passes events on until there are no more.
func (j *joined) pump(ctx context.Context, src tui.Source) {
	for {
		e, ok := src.Next(ctx)
		if !ok {
			return
		}
		if e.Kind == event.ModeChanged {
			j.truth.add(e.Time, e.Mode)
		}
		select {
		case j.events <- e:
		case <-ctx.Done():
			return
		}
	}
}

// Next implements tui.Source.
func (j *joined) Next(ctx context.Context) (event.Event, bool) {
	select {
	case e := <-j.events:
		return e, true
	case <-j.gone:
	case <-ctx.Done():
	}
	return event.Event{}, false
}

// Snapshot implements tui.Source.
func (j *joined) Snapshot() event.Snapshot {
	s := j.server.Snapshot()
	if b := j.board.Snapshot().Board; b != (event.BoardState{}) {
		s.Board = b // the board at the port, not the one that the server hears of
	}
	return s
}

// Dropped implements tui.Source.
func (j *joined) Dropped() uint64 { return j.server.Dropped() + j.board.Dropped() }

// Commands implements tui.Source.
func (j *joined) Commands() []string {
	all := append(j.board.Commands(), j.server.Commands()...)
	slices.Sort(all)
	return slices.Compact(all)
}

// Do implements tui.Source: what can be done here is done here. What a part here
// leaves to others, such as a reset by a port without reset lines, goes to the
// server if it can.
func (j *joined) Do(ctx context.Context, c event.Command) (event.Reply, error) {
	r, err := j.board.Do(ctx, c)
	if !errors.Is(err, event.ErrNoHandler) || slices.Contains(j.board.Commands(), c.Name) && !slices.Contains(j.server.Commands(), c.Name) {
		return r, err
	}
	return hinted(j.server.Do(ctx, c))
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
