package event

import (
	"context"
	"sync"
	"time"
)

// Bus carries events from all publishers to all subscribers. The zero value is
// ready to use; a Bus must not be copied. A nil *Bus swallows events, so that a
// part can be run without one.
type Bus struct {
	mu       sync.Mutex
	seq      uint64
	snap     Snapshot
	subs     map[*Subscription]struct{}
	handlers map[string]*Handler
}

// Publish stamps e with the next sequence number and, where it has none, with
// the time, and hands it to every subscriber. It never blocks.
func (b *Bus) Publish(e Event) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seq++
	e.Seq = b.seq
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	b.snap.Apply(e)
	for s := range b.subs {
		s.push(e)
	}
}

// Snapshot returns the state that the events so far add up to.
func (b *Bus) Snapshot() Snapshot {
	if b == nil {
		return Snapshot{}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.snap
}

// Subscribe returns a subscription that holds at most size events (at least 1).
// The caller closes it.
func (b *Bus) Subscribe(size int) *Subscription {
	s := &Subscription{bus: b, ring: make([]Event, max(size, 1)), wake: make(chan struct{}, 1)}
	if b == nil {
		return s
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.subs == nil {
		b.subs = make(map[*Subscription]struct{})
	}
	b.subs[s] = struct{}{}
	return s
}

// Watched reports whether anybody subscribes: whoever publishes figures by the
// clock may spare itself the work.
func (b *Bus) Watched() bool {
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.subs) > 0
}

// Subscription is a bounded queue of events. When it is full the oldest event
// makes room for the newest. It is used by one goroutine at a time.
type Subscription struct {
	bus  *Bus
	wake chan struct{} // holds a token while the ring is not empty or the subscription closed

	mu      sync.Mutex
	ring    []Event
	head, n int
	dropped uint64
	closed  bool
}

func (s *Subscription) push(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	if s.n == len(s.ring) {
		s.head = (s.head + 1) % len(s.ring)
		s.n--
		s.dropped++
	}
	s.ring[(s.head+s.n)%len(s.ring)] = e
	s.n++
	s.signal()
}

func (s *Subscription) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// TryNext returns the oldest waiting event, without blocking.
func (s *Subscription) TryNext() (Event, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n == 0 {
		return Event{}, false
	}
	e := s.ring[s.head]
	s.ring[s.head] = Event{}
	s.head = (s.head + 1) % len(s.ring)
	s.n--
	return e, true
}

// Next returns the oldest waiting event. It blocks until there is one; it
// returns false once ctx has ended, or the subscription is closed and drained.
func (s *Subscription) Next(ctx context.Context) (Event, bool) {
	for {
		if e, ok := s.TryNext(); ok {
			return e, true
		}
		s.mu.Lock()
		closed := s.closed
		s.mu.Unlock()
		if closed {
			return Event{}, false
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return Event{}, false
		}
	}
}

// Dropped returns how many events were lost so far because this subscriber was slow.
func (s *Subscription) Dropped() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropped
}

// Close ends the subscription: events that wait can still be read, no new ones
// arrive. It may be called twice and from any goroutine.
func (s *Subscription) Close() {
	if s.bus != nil {
		s.bus.mu.Lock()
		delete(s.bus.subs, s)
		s.bus.mu.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.signal()
}
