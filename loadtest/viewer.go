package loadtest

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// viewer is one member of the crowd.
type viewer struct {
	id     int32
	url    *url.URL // its own host name, so that it has its own connection
	shard  *shard
	screen screen // guarded by shard.mu

	busy atomic.Bool // a poll is in flight; its holder owns etag
	left atomic.Bool // gone; the poll in flight, if any, is the last
	etag string

	// wanted is what an event-driven viewer has to fetch: see listen.
	wanted atomic.Int32
	// first is closed at the end of the first poll, where somebody waits for it.
	first     chan struct{}
	firstOnce sync.Once

	connects atomic.Uint32
	resumed  atomic.Uint32 // of them with an old TLS session
	wireIn   atomic.Uint64 // bytes on its connections, TLS included
	wireOut  atomic.Uint64

	conns []*viewerConn // that are open; guarded by dialer.mu

	tlsOnce sync.Once
	tls     *tls.Config // where sessions are resumed
}

// init prepares viewer number i, who joins at an instant and leaves at another,
// or stays if that is zero.
func (v *viewer) init(i int, target *url.URL, join, leave time.Time) {
	u := *target
	u.Host = fmt.Sprintf("v%d.invalid", i)
	v.id, v.url = int32(i), &u
	v.screen.joined, v.screen.booked, v.screen.leaves = join, join, leave
}

// tlsConfig returns the viewer's settings, which remember its sessions.
func (v *viewer) tlsConfig(base *tls.Config) *tls.Config {
	v.tlsOnce.Do(func() {
		v.tls = base.Clone()
		v.tls.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	})
	return v.tls
}

// viewerOf returns the number in a host name that init made.
func viewerOf(host string) (int, bool) {
	digits, ok := strings.CutSuffix(host, ".invalid")
	if !ok || !strings.HasPrefix(digits, "v") {
		return 0, false
	}
	n, err := strconv.Atoi(digits[1:])
	return n, err == nil && n >= 0
}

// dialer opens the viewers' connections. It counts them, because the HTTP client
// redials a dead keep-alive connection without a word (load-tui 1.4), and it
// knows them all, so that the end of the run closes every one, including those
// that stand in a TLS handshake.
type dialer struct {
	ctx     context.Context
	viewers []viewer
	target  string
	open    func(ctx context.Context, network, addr string) (net.Conn, error)

	mu      sync.Mutex
	conns   map[*viewerConn]struct{} // nil once closed
	dialing sync.WaitGroup
}

func newDialer(ctx context.Context, viewers []viewer, target *url.URL,
	open func(ctx context.Context, network, addr string) (net.Conn, error)) *dialer {
	if open == nil {
		// No keep-alive probes: polls show that the peer lives. No local address:
		// a bind before connect would take a port for the whole host.
		open = (&net.Dialer{KeepAlive: -1}).DialContext
	}
	return &dialer{ctx: ctx, viewers: viewers, target: address(target), open: open, conns: make(map[*viewerConn]struct{})}
}

// dial connects the viewer that addr stands for to the target.
func (d *dialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	n, ok := viewerOf(host)
	if !ok || n >= len(d.viewers) {
		return nil, fmt.Errorf("dial %q: no such viewer", addr)
	}
	if !d.begin() {
		return nil, errRunOver
	}
	defer d.dialing.Done()

	// The client's context of a dial outlives the request; the run's does not
	// outlive the run.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.ctx, cancel)()
	nc, err := d.open(ctx, network, d.target)
	if err != nil {
		if d.ctx.Err() != nil {
			return nil, errRunOver
		}
		return nil, err
	}
	c := &viewerConn{Conn: nc, dialer: d, viewer: &d.viewers[n]}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conns == nil {
		nc.Close()
		return nil, errRunOver
	}
	d.conns[c] = struct{}{}
	c.viewer.conns = append(c.viewer.conns, c)
	c.viewer.connects.Add(1)
	return c, nil
}

// hangUp closes the connections of a viewer.
func (d *dialer) hangUp(v *viewer) {
	d.mu.Lock()
	conns := slices.Clone(v.conns)
	d.mu.Unlock()
	for _, c := range conns {
		c.Close()
	}
}

func (d *dialer) begin() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conns == nil {
		return false
	}
	d.dialing.Add(1)
	return true
}

// close closes every connection and waits for dials to end; the dialer's
// context must have ended.
func (d *dialer) close() {
	d.mu.Lock()
	conns := d.conns
	d.conns = nil
	d.mu.Unlock()
	for c := range conns {
		c.Conn.Close()
	}
	d.dialing.Wait()
}

// viewerConn counts the bytes of one connection.
type viewerConn struct {
	net.Conn
	dialer *dialer
	viewer *viewer
}

func (c *viewerConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.viewer.wireIn.Add(uint64(n))
	return n, err
}

func (c *viewerConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.viewer.wireOut.Add(uint64(n))
	return n, err
}

func (c *viewerConn) Close() error {
	c.dialer.mu.Lock()
	delete(c.dialer.conns, c) // of a nil map: nothing
	c.viewer.conns = slices.DeleteFunc(c.viewer.conns, func(o *viewerConn) bool { return o == c })
	c.dialer.mu.Unlock()
	return c.Conn.Close()
}
