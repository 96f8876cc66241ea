package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"

	"porthole/internal/event"
	"porthole/internal/sd"
)

// reloader reads again what may change while the server runs: all of it, or,
// where something is wrong, nothing. It is safe for concurrent use.
type reloader struct {
	log    *slog.Logger
	notify sd.Notifier
	bus    *event.Bus
	status string // of the service, after a reload

	mu    sync.Mutex
	parts []reloadable
}

// reloadable is one thing that may change. Stage reads and checks it without
// using it; the function it returns puts it into use and says what changed, ""
// for nothing.
type reloadable struct {
	name  string
	stage func() (use func() string, err error)
}

func (r *reloader) add(name string, stage func() (func() string, error)) {
	r.parts = append(r.parts, reloadable{name, stage})
}

// changed words a change. It was checked before, so an error is not expected;
// it is told rather than swallowed.
func changed(err error, format string, args ...any) string {
	if err != nil {
		return fmt.Sprintf("not changed after all: %v", err)
	}
	return fmt.Sprintf(format, args...)
}

// count writes a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// reload says what it changed, or why it changed nothing.
func (r *reloader) reload() (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	tell(r.log, r.notify.Reloading())
	defer func() { tell(r.log, r.notify.Ready(r.status)) }()
	uses := make([]func() string, 0, len(r.parts))
	for _, p := range r.parts {
		use, err := p.stage()
		if err != nil {
			err = fmt.Errorf("reload refused, everything stays as it was: %s: %w", p.name, err)
			r.log.Error("reload refused, everything stays as it was", "part", p.name, "error", err)
			r.bus.Publish(event.Event{Source: event.Server, Kind: event.Note, Text: err.Error()})
			return "", err
		}
		uses = append(uses, use)
	}
	var changes []string
	for _, use := range uses {
		if change := use(); change != "" {
			changes = append(changes, change)
		}
	}
	text := "reloaded, nothing has changed"
	if len(changes) > 0 {
		text = "reloaded: " + strings.Join(changes, ", ")
	}
	r.log.Info(text)
	r.bus.Publish(event.Event{Source: event.Server, Kind: event.Note, Text: text})
	return text, nil
}

// serve reloads at each SIGHUP and at each command server.reload, until ctx ends.
func (r *reloader) serve(ctx context.Context) {
	defer r.bus.Handle("server.reload", func(context.Context, event.Command) (event.Reply, error) {
		text, err := r.reload()
		return event.Reply{Text: text}, err
	})()
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, reloadSignals...)
	defer signal.Stop(hangup)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			r.reload() // it has logged what is wrong
		}
	}
}
