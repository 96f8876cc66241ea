package loadtest

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"time"

	"porthole/server/delta"
)

// watcher is a viewer who decodes changes: the same as the page's element, which
// shows the newest of what came at once, mends a frame that makes no right
// picture by a key, and takes a stream that broke up where it ended.
type watcher struct {
	*viewer
	run   *run
	until time.Duration // of its stay

	picture *developed // decoded last; nil: the next frame must be a key
	began   uint32     // number of the key that its line began with
	newest  uint32     // number of the newest picture it has had
	seen    bool       // it has had one
	gap     bool       // there is a gap behind newest, and it is counted
	mending bool       // it has asked again at once, and got no further since

	next string    // what it goes on by: of a stream its name, else the next frame's
	etag string    // of /head
	came time.Time // when the newest frame was complete

	// What waits to be shown, and is shown by the timer if nothing newer comes.
	mu     sync.Mutex
	timer  *time.Timer
	held   *shown
	poll   *poll // the one that is awaited
	booked bool  // it is counted as due
}

// shown is a picture that came, or that nothing new did.
type shown struct {
	picture *picture
	at      time.Time
}

// renumbered is a distance between two numbers of pictures above which they are
// not of the same feed: a server that starts counts from anywhere.
const renumbered = 1 << 16

// attackDecoding lets every viewer watch by itself.
func (r *run) attackDecoding(*resultLog) (ended <-chan struct{}) {
	done := make(chan struct{})
	var watching sync.WaitGroup
	for i := range r.dialer.viewers {
		watching.Go(func() {
			v := &r.dialer.viewers[i]
			w := &watcher{viewer: v, run: r, until: min(r.schedule.leaves[i], r.cfg.Duration)}
			w.watch()
			if w.until < r.cfg.Duration { // a tab that is closed
				r.dialer.hangUp(v)
			}
		})
	}
	r.background.Go(func() {
		defer close(done)
		watching.Wait()
	})
	return done
}

// watch lets a viewer watch from its join until it leaves or the run is over.
func (w *watcher) watch() {
	due := w.screen.joined.Sub(w.run.start)
	for due < w.until {
		if sleepUntil(w.run.ctx, w.run.start.Add(due)) != nil {
			return
		}
		if w.run.cfg.Protocol == Stream {
			due = w.follow(due)
		} else {
			due = w.ask(due)
		}
	}
}

// take decodes a frame that arrived complete at an instant and counts what it
// was. After a failure the next frame must be a key.
func (w *watcher) take(frame []byte, at time.Time) failure {
	h, _, err := delta.ReadHeader(frame)
	if err != nil {
		return w.drop(damaged, err)
	}
	var c changes
	from := w.picture
	if h.Key {
		c.keyBytes, from = uint64(len(frame)), nil
	} else {
		c.deltaBytes = uint64(len(frame))
	}
	defer func() { w.run.recorder.count(w.viewer, &c) }()
	if !h.Key && (from == nil || h.Base != from.seq) {
		if w.seen && !w.gap {
			w.gap = true
			c.gaps++
		}
		return w.drop(gap, delta.ErrBase)
	}
	next := w.run.darkroom.develop(from, frame, at)
	switch {
	case errors.Is(next.err, delta.ErrSum):
		c.mismatches++
		return w.drop(checksum, next.err)
	case next.err != nil:
		return w.drop(damaged, next.err)
	case h.Key:
		c.keys++
		w.key(&c, next)
	default:
		c.deltas++
		if w.ahead(next.seq) > 0 {
			w.mending = false
		}
	}
	if !w.seen || w.ahead(next.seq) != 0 {
		w.newest, w.seen = next.seq, true
	}
	w.picture = next
	return none
}

// ahead is how many pictures a number is ahead of what the viewer has had; 0 if
// it is not, and renumbered if it is not of the same feed.
func (w *watcher) ahead(seq uint32) uint32 {
	switch step := int32(seq - w.newest); {
	case step >= renumbered || step <= -renumbered:
		return renumbered
	case step > 0:
		return uint32(step)
	}
	return 0
}

// key books why the viewer was sent a key. One that nothing went wrong for comes
// in place of a change, from a line of other pictures: because the one before
// had to make room, which it does after its life and not before, or because
// pictures have another size now.
func (w *watcher) key(c *changes, next *developed) {
	old, began := w.picture, w.began
	w.began = next.seq
	counted := w.gap
	w.gap = false
	if !w.seen {
		return // it has just joined
	}
	step := w.ahead(next.seq)
	if step > 1 && step < renumbered {
		if !counted {
			c.gaps++
		}
		c.lost += uint64(step - 1)
		counted = true
	}
	if old != nil && !counted && step < renumbered && (next.seq-began >= next.life || next.size != old.size) {
		c.planned++
		return
	}
	c.refetches++
}

// drop forgets what the viewer has decoded.
func (w *watcher) drop(f failure, err error) failure {
	w.picture, w.next = nil, ""
	w.run.transport.tell(f, err)
	return f
}

// again is when a viewer tries again after a failure: at once where a key mends
// it, else after the period. One failed change after the other is no reason to
// hurry.
func (w *watcher) again(f failure, at time.Time) time.Duration {
	due := at.Sub(w.run.start)
	if (f == gap || f == checksum || f == damaged) && !w.mending {
		w.mending = true
		return due
	}
	return due + w.run.cfg.Period
}

// request is a question of the viewer's for something beside the picture.
func (w *watcher) request(ctx context.Context, path, query string) *http.Request {
	u := w.url.ResolveReference(&url.URL{Path: path, RawQuery: query})
	req := &http.Request{
		Method: http.MethodGet, URL: u, Host: w.run.transport.host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"User-Agent": {userAgent}, "Accept": {"*/*"}},
	}
	return req.WithContext(ctx)
}

// classify is the class of an error under a context whose cause says why it
// ended.
func (w *watcher) classify(ctx context.Context, err error) failure {
	cause := context.Cause(ctx)
	switch {
	case w.run.ctx.Err() != nil, errors.Is(cause, errLeft):
		return unfinished
	case errors.Is(cause, context.DeadlineExceeded):
		err = cause
	}
	return w.run.transport.classify(err)
}

// errLeft ends what is in flight for a viewer who leaves.
var errLeft = errors.New("the viewer has left")
