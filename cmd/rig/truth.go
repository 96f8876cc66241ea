package main

import (
	"context"
	"sync"
	"time"

	"porthole/internal/event"
	"porthole/internal/remote"
	"porthole/loadtest"
)

// modeLog remembers when the public was shown what. It is the load test's
// knowledge of live and loop, which no public answer gives away.
type modeLog struct {
	mu      sync.Mutex
	changes []modeChange
}

type modeChange struct {
	at   time.Time
	mode event.Mode
}

var _ loadtest.Truth = (*modeLog)(nil)

func (l *modeLog) add(at time.Time, mode event.Mode) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.changes); n == 0 || l.changes[n-1].mode != mode {
		l.changes = append(l.changes, modeChange{at, mode})
	}
}

// Source implements loadtest.Truth.
func (l *modeLog) Source(at time.Time) loadtest.Source {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.changes) - 1; i >= 0; i-- {
		if !l.changes[i].at.After(at) {
			switch l.changes[i].mode {
			case event.Live:
				return loadtest.Live
			case event.Loop, event.Replay:
				return loadtest.Loop
			}
			break
		}
	}
	return loadtest.Unknown
}

// read follows the events of a server in this process until the subscription
// ends. live is closed with the first live picture.
func (l *modeLog) read(sub *event.Subscription, live chan<- struct{}) {
	for {
		e, ok := sub.Next(context.Background())
		if !ok {
			return
		}
		switch {
		case e.Kind == event.ModeChanged:
			l.add(e.Time, e.Mode)
		case e.Kind == event.Published && e.Frame.Live && live != nil:
			close(live)
			live = nil
		}
	}
}

// follow reads the truth of a server elsewhere until ctx ends. A server that is
// gone for a while leaves what was known last.
func (l *modeLog) follow(ctx context.Context, c *remote.Client) {
	for {
		e, ok := c.Next(ctx)
		if !ok {
			return
		}
		if e.Kind == event.ModeChanged {
			l.add(e.Time, e.Mode)
		}
	}
}
