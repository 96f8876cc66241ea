package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// times are the bounds of a connection of the public side.
type times struct {
	handshake time.Duration // of TLS
	first     time.Duration // until the first request; a browser connects ahead of need
	idle      time.Duration // until the next; above the upload period, so that a camera keeps its connection
	write     time.Duration // for an answer to leave
	beat      time.Duration // after which a stream without pictures says that it lives
	tick      time.Duration // of a loop: the shortest time between two wake-ups under load
}

var publicTimes = times{handshake: 5 * time.Second, first: 10 * time.Second, idle: 75 * time.Second, write: writeGrace, beat: streamBeat, tick: time.Millisecond}

// front is the public side of a running server: it accepts connections within
// the limits, greets them by TLS, parks them in loops and hands them to net/http
// when they ask for anything but the picture.
//
//	accept ─▶ TLS ─▶ parked in a loop ── GET /latest ─▶ prebuilt bytes
//	                   ▲        │
//	                   └── net/http: everything else
type front struct {
	server *Server
	stats  *counters
	times  times
	limit  *connLimit
	log    *slog.Logger
	http   *http.Server

	toHTTP chan net.Conn // accepted by http
	turns  chan struct{} // holds one for each handshake that is being computed
	keys   chan struct{} // asks for a key for viewers of the stream
	done   chan struct{} // closed when the front stops
	work   sync.WaitGroup

	pokes      chan struct{} // says that there is a publication, to who has not seen one
	sighted    atomic.Bool   // it has
	failedKeys atomic.Uint64

	mu    sync.Mutex
	loops []*loop // from the first connection that can be parked on
	turn  int
	links map[*link]struct{} // neither parked nor with net/http; nil once stopped
}

func newFront(s *Server, t times) *front {
	f := &front{
		server: s, stats: &s.stats, times: t, log: s.cfg.Log,
		limit:  newConnLimit(s.cfg.Serving),
		toHTTP: make(chan net.Conn),
		// A queue of handshakes must not be a queue of runnable goroutines that
		// the loops wait in, too.
		turns: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
		keys:  make(chan struct{}, 1),
		pokes: make(chan struct{}, 1),
		done:  make(chan struct{}),
		links: make(map[*link]struct{}),
	}
	f.http = newHTTPServer(s, s.cfg.Log)
	f.http.ConnState = func(c net.Conn, state http.ConnState) {
		if h, ok := c.(interface{ setState(http.ConnState) }); ok {
			h.setState(state)
		}
	}
	f.http.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		switch c := c.(type) {
		case *handed:
			return context.WithValue(ctx, askedKey{}, &c.link.asked)
		case handedTLS:
			return context.WithValue(ctx, askedKey{}, &c.link.asked)
		}
		return ctx
	}
	return f
}

// serve accepts from the listeners until ctx ends or one of them fails, then
// finishes what is under way within grace.
func (f *front) serve(ctx context.Context, grace time.Duration, listeners ...net.Listener) error {
	// Event streams and polls that wait end with the server.
	f.http.BaseContext = func(net.Listener) context.Context { return ctx }
	failed := make(chan error, len(listeners)+1)
	go func() { failed <- f.http.Serve(frontListener{f}) }()
	for _, ln := range listeners {
		go func() { failed <- f.accept(ln) }()
	}
	waiting := len(listeners) + 1
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
		waiting--
	}
	for _, ln := range listeners {
		ln.Close()
	}
	deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	close(f.done)
	f.mu.Lock()
	for _, lp := range f.loops {
		lp.stop(time.Now().Add(grace))
	}
	f.mu.Unlock()
	f.interrupt()
	if f.http.Shutdown(deadline) != nil {
		f.http.Close()
	}
	for range waiting {
		<-failed
	}
	f.closeAll()
	f.work.Wait()
	if err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	if ctx.Err() == nil && err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

func (f *front) stopping() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// accept takes connections from one listener until it fails for good. Lack of
// descriptors passes.
func (f *front) accept(ln net.Listener) error {
	var config *tls.Config
	if s, ok := ln.(*TLSListener); ok {
		ln, config = s.Listener, s.config
	}
	var pause time.Duration
	for {
		conn, err := ln.Accept()
		if err != nil {
			if t, ok := err.(net.Error); ok && t.Temporary() && !f.stopping() { //nolint:staticcheck // as net/http does
				pause = min(max(2*pause, 5*time.Millisecond), time.Second)
				f.log.Warn("connection not accepted", "error", err, "pause", pause.String())
				time.Sleep(pause)
				continue
			}
			return err
		}
		pause = 0
		f.welcome(conn, config)
	}
}

// welcome begins the life of a connection.
func (f *front) welcome(conn net.Conn, config *tls.Config) {
	addr := addrOf(conn.RemoteAddr().String())
	if tcp, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		addr = tcp.AddrPort().Addr().Unmap().WithZone("")
	}
	if !f.limit.enter(addr) {
		f.stats.refused.Add(1)
		conn.Close()
		return
	}
	f.stats.accepted.Add(1)
	f.stats.connections.Add(1)
	l := &link{front: f, conn: conn, addr: addr}
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetKeepAlive(false) // a viewer polls, or its time is over
	}
	if t, ok := conn.(*tls.Conn); ok { // of a listener of crypto/tls: works, with a write for each record
		l.tls = t
	} else if config != nil {
		l.tls = tls.Server(l, config)
	}
	if l.tls == nil {
		f.park(l, f.times.first)
		return
	}
	if !f.remember(l) {
		l.Close()
		return
	}
	f.work.Go(func() {
		if !f.greet(l) {
			l.Close()
		}
	})
}

// greet does the handshake and finds the link its place.
func (f *front) greet(l *link) bool {
	l.conn.SetDeadline(time.Now().Add(f.times.handshake))
	err := l.tls.Handshake()
	l.pass()
	if err != nil {
		f.stats.failedHandshakes.Add(1)
		f.log.Debug("no TLS connection", "error", err)
		return false
	}
	l.conn.SetDeadline(time.Time{})
	if l.tls.ConnectionState().NegotiatedProtocol == "h2" {
		f.forget(l)
		if l.foreign() {
			l.end() // from here on nobody tells when it ends
		}
		return f.give(l.tls)
	}
	f.park(l, f.times.first)
	return true
}

// park leaves an idle link to a loop, or to a goroutine of its own.
func (f *front) park(l *link, wait time.Duration) {
	if lp := f.loop(l.conn); lp != nil && lp.add(l, wait) {
		return
	}
	if !f.remember(l) {
		l.Close()
		return
	}
	f.work.Go(func() { l.attend(wait) })
}

// loop returns the loop whose turn it is to take a connection, nil for none.
func (f *front) loop(conn net.Conn) *loop {
	if _, ok := conn.(*net.TCPConn); !ok {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.loops == nil && !f.stopping() {
		// Half of the processors: the pictures and net/http have the others.
		loops, err := newLoops(f, max(1, runtime.GOMAXPROCS(0)/2))
		if err != nil {
			f.log.Error("viewers cost more than they need to", "error", err)
		}
		for _, lp := range loops {
			f.work.Go(lp.run)
		}
		if f.loops = loops; loops != nil {
			f.work.Go(func() { f.announce(loops) })
		}
	}
	if len(f.loops) == 0 {
		return nil
	}
	f.turn++
	return f.loops[f.turn%len(f.loops)]
}

// hand gives a link to net/http, with what was read from it already.
func (f *front) hand(l *link, pre []byte) {
	f.forget(l)
	h := &handed{Conn: l, link: l, pre: pre, given: pre, later: l.answered}
	if l.tls == nil {
		f.give(h)
		return
	}
	h.Conn = l.tls
	f.give(handedTLS{h, l.tls})
}

// give waits until net/http takes a connection, or closes it.
func (f *front) give(c net.Conn) bool {
	select {
	case f.toHTTP <- c:
		return true
	case <-f.done:
		c.Close()
		return false
	}
}

// remember notes a link that is neither parked nor with net/http, so that the
// end of the front ends it.
func (f *front) remember(l *link) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.links == nil {
		return false
	}
	f.links[l] = struct{}{}
	return true
}

func (f *front) forget(l *link) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.links, l) // of a nil map: nothing
}

// interrupt ends the waits of links that no request is under way on.
func (f *front) interrupt() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for l := range f.links {
		l.conn.SetReadDeadline(time.Unix(1, 0))
	}
}

func (f *front) closeAll() {
	f.mu.Lock()
	links := f.links
	f.links = nil
	f.mu.Unlock()
	for l := range links {
		l.Close()
	}
}

// frontListener hands links to net/http.
type frontListener struct{ f *front }

// Accept implements net.Listener.
func (ln frontListener) Accept() (net.Conn, error) {
	select {
	case c := <-ln.f.toHTTP:
		return c, nil
	case <-ln.f.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (ln frontListener) Close() error { return nil }

// Addr implements net.Listener.
func (ln frontListener) Addr() net.Addr { return &net.TCPAddr{} }

// TLSListener is a listener of TLS connections that [Server.Run] serves best.
type TLSListener struct {
	net.Listener
	config *tls.Config
}

// NewTLSListener returns a listener that speaks TLS by config on what ln
// accepts.
func NewTLSListener(ln net.Listener, config *tls.Config) *TLSListener {
	config = config.Clone()
	// The records of an answer leave together: small ones would only cost.
	config.DynamicRecordSizingDisabled = true
	choose := config.GetConfigForClient
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		// The client has said hello: from here to the server's flight no network
		// is waited for, and nearly all of the work is done.
		if l, ok := hello.Conn.(*link); ok {
			if err := l.await(); err != nil {
				return nil, err
			}
		}
		if choose == nil {
			return nil, nil
		}
		return choose(hello)
	}
	return &TLSListener{ln, config}
}

// Accept implements net.Listener, for servers other than ours.
func (ln *TLSListener) Accept() (net.Conn, error) {
	c, err := ln.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return tls.Server(c, ln.config), nil
}

// connLimit bounds connections, together and by address.
type connLimit struct {
	total, each int // negative: no bound
	exempt      func(netip.Addr) bool

	mu  sync.Mutex
	n   int
	per map[netip.Addr]int
}

func newConnLimit(c Serving) *connLimit {
	l := &connLimit{total: c.MaxConns, each: c.MaxConnsPerAddr, per: make(map[netip.Addr]int)}
	spareLocal := c.MaxConnsPerAddr == 0
	if l.each == 0 {
		l.each = DefaultMaxConnsPerAddr
	}
	l.exempt = func(a netip.Addr) bool {
		if !a.IsValid() || spareLocal && a.IsLoopback() {
			return true
		}
		for _, p := range c.TrustedProxies {
			if p.Contains(a) {
				return true
			}
		}
		return false
	}
	return l
}

// enter takes a connection in, or reports that it is one too many.
func (l *connLimit) enter(a netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.total >= 0 && l.n >= l.total {
		return false
	}
	if l.each >= 0 && !l.exempt(a) {
		key := network(a)
		if l.per[key] >= l.each {
			return false
		}
		l.per[key]++
	}
	l.n++
	return true
}

// leave lets go of one that entered.
func (l *connLimit) leave(a netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n--
	if l.each >= 0 && !l.exempt(a) {
		key := network(a)
		if l.per[key]--; l.per[key] == 0 {
			delete(l.per, key)
		}
	}
}
