package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// Timing says how long things take a simulated board. The zero value is Instant:
// as fast as this machine goes. Times are drawn from the camera's seed.
type Timing struct {
	// Handshake and Resumed are what the board's processor needs for a full and a
	// resumed TLS handshake; the spread is a tenth of it.
	Handshake, Resumed time.Duration
	// Rate is what it sends in bytes a second, drawn anew for each connection
	// within half of it.
	Rate int
	// RTT is the shortest and the longest way to the server and back. Some answers
	// wait for a beacon of the access point on top (MaxBeacon).
	MinRTT, MaxRTT, MaxBeacon time.Duration
	// Lookup is what resolving the server's name takes.
	Lookup time.Duration
}

// ParseTiming returns the timing of a name: instant, lan, internet or poor
// (esp32-wire 3.2).
func ParseTiming(name string) (Timing, error) {
	switch name {
	case "instant", "":
		return Timing{}, nil
	case "lan":
		return Timing{
			Handshake: 1250 * time.Millisecond, Resumed: 200 * time.Millisecond, Rate: 70_000,
			MinRTT: 2 * time.Millisecond, MaxRTT: 10 * time.Millisecond, Lookup: 5 * time.Millisecond,
		}, nil
	case "internet":
		return Timing{
			Handshake: 1250 * time.Millisecond, Resumed: 250 * time.Millisecond, Rate: 60_000,
			MinRTT: 20 * time.Millisecond, MaxRTT: 60 * time.Millisecond, MaxBeacon: 102400 * time.Microsecond, Lookup: 30 * time.Millisecond,
		}, nil
	case "poor":
		return Timing{
			Handshake: 2200 * time.Millisecond, Resumed: 300 * time.Millisecond, Rate: 19_000,
			MinRTT: 60 * time.Millisecond, MaxRTT: 200 * time.Millisecond, MaxBeacon: 300 * time.Millisecond, Lookup: 200 * time.Millisecond,
		}, nil
	}
	return Timing{}, fmt.Errorf("timing %q: want instant, lan, internet or poor", name)
}

// What lwIP lets be on its way without an acknowledgement (esp32-wire 3.1), and
// the least pause when that is full (esp32-wire 3.2).
const (
	sendWindow = 5744
	windowGap  = 2 * time.Millisecond
)

// pace holds the records of one connection back as a board's processor and radio
// do. A nil pace does nothing.
type pace struct {
	ctx    context.Context
	timing Timing
	rng    *rng
	rate   int
	flight int // bytes without an acknowledgement
	thinks time.Duration
}

// rng is a seeded generator that several connections of one board share.
type rng struct {
	mu sync.Mutex
	r  *rand.Rand
}

func newRNG(seed uint64) *rng { return &rng{r: rand.New(rand.NewPCG(seed, 0x706f7274))} }

// between draws a duration from low to high.
func (r *rng) between(low, high time.Duration) time.Duration {
	if high <= low {
		return low
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return low + time.Duration(r.r.Int64N(int64(high-low)))
}

// chance is true once in n times; never for n of 0.
func (r *rng) chance(n int) bool {
	if n <= 0 {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.r.IntN(n) == 0
}

func newPace(ctx context.Context, t Timing, r *rng) *pace {
	if t == (Timing{}) {
		return nil
	}
	spread := t.Handshake / 10
	return &pace{
		ctx: ctx, timing: t, rng: r,
		rate:   int(r.between(time.Duration(t.Rate/2), time.Duration(t.Rate*3/2))),
		thinks: r.between(t.Handshake-spread, t.Handshake+spread),
	}
}

// rtt draws one way to the server and back.
func (p *pace) rtt() time.Duration {
	d := p.rng.between(p.timing.MinRTT, p.timing.MaxRTT)
	if p.timing.MaxBeacon > 0 && p.rng.chance(4) {
		d += p.rng.between(0, p.timing.MaxBeacon)
	}
	return d
}

// record waits until record number i (from 0) of n bytes can go.
func (p *pace) record(n, i int) error {
	if p == nil {
		return nil
	}
	var wait time.Duration
	switch {
	case i == 0:
		wait = p.timing.Lookup + p.rtt() // resolved and connected
	case i == 1:
		// The second record is the answer to the server's key: what a board
		// computes for longest, it computes here.
		wait = p.thinks + p.rtt()
	case p.rate > 0:
		wait = time.Duration(n) * time.Second / time.Duration(p.rate)
		if p.flight += n; p.flight > sendWindow {
			wait += max(windowGap, p.rtt())
			p.flight = n
		}
	}
	return p.sleep(wait)
}

// answer waits for what the server says: half a round trip later than it did.
func (p *pace) answer() error {
	if p == nil {
		return nil
	}
	p.flight = 0
	return p.sleep(p.rtt())
}

func (p *pace) sleep(d time.Duration) error {
	return sleepUntil(p.ctx, time.Now().Add(d))
}
