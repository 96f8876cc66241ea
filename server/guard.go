package server

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"
)

// guard answers those who come without a valid token. A token is 192 random
// bits, so guessing is hopeless at any rate; what is bounded here is what
// guessing costs: log lines, events and connections.
//
// A valid token never meets the guard: it is looked at first. So nobody can lock
// the owner out by failing in his name, from his address, or from everywhere at
// once.
type guard struct {
	failures *limiter
	delay    time.Duration
	held     chan struct{} // one token per refusal that is being delayed
	unheard  atomic.Uint64 // refusals since the last one that was logged
}

// Budget of wrong tokens. A board with a wrong token, which comes every two
// seconds, is over it after half a minute; its console says so.
const (
	failureBurst = 12
	failureEvery = 10 * time.Second
	failureTotal = 10 // bursts of all addresses together
	failureDelay = 500 * time.Millisecond
	maxDelayed   = 64
)

func newGuard() *guard {
	return &guard{
		failures: newLimiter(failureBurst, failureEvery, failureTotal),
		delay:    failureDelay,
		held:     make(chan struct{}, maxDelayed),
	}
}

// refuse takes a failure and returns the answer to it, after a delay. Of those
// over the budget, which are answered at once, nobody hears: loud is false.
func (g *guard) refuse(ctx context.Context, from netip.Addr, p *problem) (_ *problem, loud bool) {
	if wait := g.failures.allow(from, time.Now()); wait > 0 {
		g.unheard.Add(1)
		return &problem{status: http.StatusTooManyRequests, Error: "too many wrong tokens", Hint: fmt.Sprintf("a valid token is taken at any time; for another wrong one wait %.0f s", wait.Seconds())}, false
	}
	select {
	case g.held <- struct{}{}:
		defer func() { <-g.held }()
		late := time.NewTimer(g.delay)
		defer late.Stop()
		select {
		case <-late.C:
		case <-ctx.Done():
		}
	default: // delaying them all would hold too many connections
	}
	return p, true
}
