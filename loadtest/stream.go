package loadtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// streams counts streams: of server-sent events, or of changes.
type streams struct {
	opened, failed, ended, events, resumed atomic.Uint64
}

func (s *streams) counts() Streams {
	return Streams{Opened: s.opened.Load(), Failed: s.failed.Load(), Ended: s.ended.Load(), Events: s.events.Load(), Resumed: s.resumed.Load()}
}

// What an event-driven viewer has to fetch.
const (
	nothing = iota
	planned // a poll is planned or in flight
	another // and while it is, another picture was announced
)

// newPicture are the names of events that announce a picture. An event without
// a name is a message.
var newPicture = []string{"frame", "picture", "latest", "message"}

// listen reads a viewer's stream of events from its join until it leaves, and
// plans a poll for each picture that is announced.
func (r *run) listen(v *viewer) {
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	if !v.screen.leaves.IsZero() {
		defer time.AfterFunc(time.Until(v.screen.leaves), cancel).Stop()
	}
	at := v.screen.joined
	if v.first != nil {
		// Two requests at the same moment would open a connection each.
		select {
		case <-v.first:
		case <-ctx.Done():
			return
		}
	}
	for sleepUntil(ctx, at) == nil {
		err := r.stream(ctx, v)
		if ctx.Err() != nil || v.left.Load() {
			return
		}
		var failed *streamError
		if errors.As(err, &failed) {
			r.streams.failed.Add(1)
			r.transport.tell(failed.class, err)
		} else {
			r.streams.ended.Add(1)
			r.transport.tell(closed, fmt.Errorf("stream of events ended: %w", err))
		}
		at = time.Now().Add(r.cfg.Period)
	}
}

// streamError is a stream that could not be opened.
type streamError struct {
	class failure
	err   error
}

func (e *streamError) Error() string { return "open stream of events: " + e.err.Error() }
func (e *streamError) Unwrap() error { return e.err }

// stream opens a stream and reads it to its end.
func (r *run) stream(ctx context.Context, v *viewer) error {
	// The head must come in time; what follows may take for ever.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	head := time.AfterFunc(r.cfg.Timeout, cancel)
	u := *r.events
	u.Host = v.url.Host
	req := (&http.Request{
		Method: http.MethodGet, URL: &u, Host: r.hostHeader(), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"User-Agent": {userAgent}, "Accept": {"text/event-stream"}},
	}).WithContext(ctx)
	res, err := r.transport.base.RoundTrip(req)
	if !head.Stop() && err == nil {
		res.Body.Close()
		err = context.DeadlineExceeded
	}
	if err != nil {
		return &streamError{classify(err), err}
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return &streamError{classifyStatus(res.StatusCode), fmt.Errorf("the server answered %q", res.Status)}
	}
	r.streams.opened.Add(1)
	err = readEvents(res.Body, func(name string) {
		if slices.Contains(newPicture, name) {
			r.streams.events.Add(1)
			r.announce(v)
		}
	})
	return err
}

// announce plans a poll for a picture that is there, unless one is planned.
func (r *run) announce(v *viewer) {
	for {
		switch v.wanted.Load() {
		case nothing:
			if v.wanted.CompareAndSwap(nothing, planned) {
				r.schedule.add(v.id, time.Since(r.start))
				return
			}
		case planned:
			if v.wanted.CompareAndSwap(planned, another) {
				return
			}
		default:
			return
		}
	}
}

// fetched plans what is left to be fetched after a poll.
func (r *run) fetched(v *viewer, at time.Duration, failed bool) {
	if failed {
		v.wanted.Store(planned)
		r.schedule.add(v.id, at+r.cfg.Period)
		return
	}
	if v.wanted.CompareAndSwap(another, planned) {
		r.schedule.add(v.id, at)
		return
	}
	if !v.wanted.CompareAndSwap(planned, nothing) { // one came just now
		v.wanted.Store(planned)
		r.schedule.add(v.id, at)
	}
}

// maxEventLine bounds a line of a stream.
const maxEventLine = 64 << 10

// readEvents reads server-sent events until the stream ends and calls got with
// the name of each.
func readEvents(body io.Reader, got func(name string)) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(make([]byte, 0, 512), maxEventLine)
	name, data := "", false
	for lines.Scan() {
		line := lines.Text()
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "":
			// An event without data is none (HTML standard, 9.2.6).
			if data {
				if name == "" {
					name = "message"
				}
				got(name)
			}
			name, data = "", false
		case field == "event":
			name = value
		case field == "data":
			data = true
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.EOF
}
