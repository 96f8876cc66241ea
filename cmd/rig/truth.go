package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"porthole/internal/event"
	"porthole/loadtest"
	"porthole/server"
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
			case event.Loop:
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

// ask reads the truth of a server elsewhere once.
func (l *modeLog) ask(ctx context.Context, admin string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", strings.TrimSuffix(admin, "/")+"/admin/truth", nil)
	if err != nil {
		return fmt.Errorf("ask the private side: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask the private side: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("ask the private side %s: answered %s", admin, resp.Status)
	}
	var truth server.Truth
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&truth); err != nil {
		return fmt.Errorf("ask the private side %s: %w", admin, err)
	}
	l.add(truth.Since, truth.Mode)
	return nil
}

// follow asks four times a second until ctx ends. A server that does not answer
// for a while leaves what was known last.
func (l *modeLog) follow(ctx context.Context, admin string) {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = l.ask(ctx, admin)
		}
	}
}
