package server

import (
	"context"
	"math/bits"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"porthole/internal/event"
)

// Class is a group of public paths that are counted together.
type Class int

// The classes of public requests.
const (
	ClassFeed   Class = iota // /latest and its renditions
	ClassStream              // /events, /stream
	ClassStatus              // /status, /healthz, /readyz
	ClassUpload              // /upload, /camera
	ClassWave                // /wave
	ClassPage                // the page and its files
	ClassOther               // everything else, mostly not found
	classes
)

var classNames = [classes]string{"feed", "stream", "status", "upload", "wave", "page", "other"}

// String returns the class in one word.
func (c Class) String() string { return classNames[c] }

// Classes returns all of them.
func Classes() []Class {
	all := make([]Class, classes)
	for i := range all {
		all[i] = Class(i)
	}
	return all
}

func classOf(path string) Class {
	switch path {
	case pathLatest, pathJPEG, pathWebP:
		return ClassFeed
	case pathEvents, pathStream:
		return ClassStream
	case "/status", "/healthz", "/readyz":
		return ClassStatus
	case "/upload", "/camera":
		return ClassUpload
	case "/wave":
		return ClassWave
	case "/", "/feed.js", "/feed.d.ts", "/site.css", "/icon.svg":
		return ClassPage
	}
	return ClassOther
}

// Stats are the figures of the public side since the start; those that say so
// are of this moment. Nothing in it tells one viewer from another.
type Stats struct {
	Requests  [classes]uint64 // by [Class]
	Fast      uint64          // of Requests[ClassFeed], answered without net/http
	Unchanged uint64          // answered with 304
	Bytes     uint64          // sent to viewers and cameras, before encryption

	Connections int64  // open at this moment
	Viewers     int64  // that asked for a picture within the last seconds, stream events or wait
	Streams     int64  // open event streams at this moment
	Waiting     int64  // polls that wait for a picture at this moment
	Accepted    uint64 // connections
	Refused     uint64 // connections, because of a limit
	Handshakes  uint64 // of TLS that failed
	Slow        uint64 // connections ended because the other side read or wrote too slowly

	Latency Latency // of requests for pictures, from the whole request to the last byte handed to the system
}

// LatencyBuckets is the number of buckets of a [Latency].
const LatencyBuckets = 20

// Latency counts durations in buckets that double: bucket i counts those below
// LatencyBound(i) and not below the one before; the last also those beyond.
type Latency struct {
	Counts [LatencyBuckets]uint64
	Sum    time.Duration
}

// LatencyBound returns the upper bound of a bucket: 4 µs, 8 µs, … 2.1 s.
func LatencyBound(i int) time.Duration { return 4 * time.Microsecond << i }

// Quantile returns the upper bound of the bucket that holds quantile q.
func (l Latency) Quantile(q float64) time.Duration {
	var total, sum uint64
	for _, n := range l.Counts {
		total += n
	}
	if total == 0 {
		return 0
	}
	for i, n := range l.Counts {
		if sum += n; float64(sum) >= q*float64(total) {
			return LatencyBound(i)
		}
	}
	return LatencyBound(LatencyBuckets - 1)
}

func (l Latency) since(before Latency) Latency {
	for i := range l.Counts {
		l.Counts[i] -= before.Counts[i]
	}
	l.Sum -= before.Sum
	return l
}

// counters is what Stats are made of. Requests of the fast path and others
// count at the same time.
type counters struct {
	requests                                       [classes]atomic.Uint64
	fast, unchanged, bytes                         atomic.Uint64
	connections, streams, waiting                  atomic.Int64
	accepted, refused, failedHandshakes, slowPeers atomic.Uint64
	latency                                        [LatencyBuckets]atomic.Uint64
	latencySum                                     atomic.Int64
	audience                                       audience
}

func (c *counters) took(d time.Duration) {
	i := bits.Len64(uint64(max(d, 0)/time.Microsecond) >> 2)
	c.latency[min(i, LatencyBuckets-1)].Add(1)
	c.latencySum.Add(int64(d))
}

// Stats returns the figures of the public side.
func (s *Server) Stats() Stats {
	c := &s.stats
	st := Stats{
		Fast: c.fast.Load(), Unchanged: c.unchanged.Load(), Bytes: c.bytes.Load(),
		Connections: c.connections.Load(), Streams: c.streams.Load(), Waiting: c.waiting.Load(),
		Accepted: c.accepted.Load(), Refused: c.refused.Load(), Handshakes: c.failedHandshakes.Load(), Slow: c.slowPeers.Load(),
	}
	for i := range st.Requests {
		st.Requests[i] = c.requests[i].Load()
	}
	for i := range st.Latency.Counts {
		st.Latency.Counts[i] = c.latency[i].Load()
	}
	st.Latency.Sum = time.Duration(c.latencySum.Load())
	st.Viewers = c.audience.count(time.Now()) + st.Streams + st.Waiting
	return st
}

// audienceSpan is how long a viewer counts after asking for a picture. It is
// above the two seconds between two polls.
const audienceSpan = 5 * time.Second

// audience counts the connections that asked for a picture within the last span
// or the one before, whichever were more. A connection is counted once in a
// span: it keeps the number of the span in which it asked last.
type audience struct {
	mu        sync.Mutex
	span      int64 // number of the one being counted
	now, past int64

	current atomic.Int64 // span, for a look without the lock
}

// spanOf numbers the spans of time from 1.
func spanOf(t time.Time) int64 { return t.UnixNano()/int64(audienceSpan) + 1 }

// asked counts a connection that asked for a picture, last in the span it
// keeps in last.
func (a *audience) asked(last *atomic.Int64, now time.Time) {
	span := spanOf(now)
	if last.Load() == span || last.Swap(span) == span {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.turn(span)
	a.now++
}

// turn begins a new span. The lock is held.
func (a *audience) turn(span int64) {
	switch {
	case span <= a.span:
		return
	case span == a.span+1:
		a.past = a.now
	default:
		a.past = 0
	}
	a.span, a.now = span, 0
}

func (a *audience) count(now time.Time) int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.turn(spanOf(now))
	return max(a.now, a.past)
}

// askedKey is the key of a connection's *atomic.Int64 in a request's context.
type askedKey struct{}

// count books a request that net/http serves.
func (s *Server) count(r *http.Request) (class Class, start time.Time) {
	class, start = classOf(r.URL.Path), time.Now()
	s.stats.requests[class].Add(1)
	if class == ClassFeed {
		if last, ok := r.Context().Value(askedKey{}).(*atomic.Int64); ok {
			s.stats.audience.asked(last, start)
		}
	}
	return class, start
}

// report publishes the figures of the public side once a second while anybody
// listens, until ctx ends.
func (s *Server) report(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	before, at := s.Stats(), time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !s.cfg.Events.Watched() {
			continue
		}
		st, now := s.Stats(), time.Now()
		latency := st.Latency.since(before.Latency)
		f := event.PublicFigure{
			Span: now.Sub(at), Viewers: st.Viewers, Connections: st.Connections, Streams: st.Streams + st.Waiting,
			Unchanged: st.Unchanged - before.Unchanged, Bytes: st.Bytes - before.Bytes, Refused: st.Refused - before.Refused, Slow: st.Slow - before.Slow,
			P50: latency.Quantile(0.5), P99: latency.Quantile(0.99),
		}
		for i := range st.Requests {
			f.Requests += st.Requests[i] - before.Requests[i]
		}
		f.Pictures = st.Requests[ClassFeed] - before.Requests[ClassFeed]
		before, at = st, now
		s.cfg.Events.Publish(event.Event{Source: event.Server, Kind: event.PublicSide, Time: now, Public: f})
	}
}
