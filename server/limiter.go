package server

import (
	"container/list"
	"net/netip"
	"sync"
	"time"
)

// limiter allows each source a burst and then one more for every Every. It
// remembers a bounded number of sources, and forgets the one that was quiet for
// the longest; to all sources together it grants Total bursts, so that many
// addresses do not help either.
type limiter struct {
	burst int
	every time.Duration
	total int // times burst and rate, for all together

	mu      sync.Mutex
	all     bucket
	sources map[netip.Prefix]*list.Element
	order   list.List // of *source, the one seen last in front
}

type source struct {
	key netip.Prefix
	bucket
}

// bucket counts how much was taken: it is full of debt at burst.
type bucket struct {
	debt time.Duration // until nothing is owed
	at   time.Time
}

// maxSources bounds the memory of a limiter to about a megabyte.
const maxSources = 4096

func newLimiter(burst int, every time.Duration, total int) *limiter {
	return &limiter{burst: burst, every: every, total: total, sources: make(map[netip.Prefix]*list.Element)}
}

// allow takes one from the source's budget and from that of all. If there is
// none left nothing is taken, and wait says when there will be.
func (l *limiter) allow(from netip.Addr, now time.Time) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.source(prefixOf(from))
	wait = max(
		s.wait(now, time.Duration(l.burst)*l.every, l.every),
		l.all.wait(now, time.Duration(l.burst)*l.every, l.every/time.Duration(l.total)),
	)
	if wait == 0 {
		s.debt += l.every
		l.all.debt += l.every / time.Duration(l.total)
	}
	return wait
}

func (l *limiter) source(key netip.Prefix) *source {
	if e, ok := l.sources[key]; ok {
		l.order.MoveToFront(e)
		return e.Value.(*source)
	}
	if len(l.sources) >= maxSources {
		last := l.order.Back()
		delete(l.sources, last.Value.(*source).key)
		l.order.Remove(last)
	}
	s := &source{key: key}
	l.sources[key] = l.order.PushFront(s)
	return s
}

// wait pays off what time has brought and returns how long until one more fits.
func (b *bucket) wait(now time.Time, most, one time.Duration) time.Duration {
	if now.After(b.at) {
		b.debt = max(0, b.debt-now.Sub(b.at))
		b.at = now
	}
	return max(0, b.debt+one-most)
}

// prefixOf is what counts as one source: an IPv4 address, or the network that
// one IPv6 household has. Addresses that are none share a budget.
func prefixOf(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
