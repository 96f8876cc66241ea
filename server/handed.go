package server

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync/atomic"
)

// handed is a link in the hands of net/http. It begins with what was read
// already. As long as it has been given whole requests without a body, one at a
// time, net/http holds nothing after an answer: instead of waiting for the next
// request there, the connection ends for net/http and goes back to the front.
type handed struct {
	net.Conn // the link, or the TLS on it
	link     *link
	pre      []byte // read before, for net/http to read first
	later    bool   // an answer has left on the connection, and nothing of pre has been read
	// given is what net/http has of the request under way, ahead what it has of
	// the one after: while a handler runs it reads a byte to notice a hang-up.
	given, ahead []byte
	lost         bool // no longer known
	state        atomic.Int32
	back         atomic.Bool
	closed       atomic.Bool
}

// handedTLS tells net/http of the TLS below.
type handedTLS struct {
	*handed
	conn *tls.Conn
}

// ConnectionState is what net/http asks for.
func (h handedTLS) ConnectionState() tls.ConnectionState { return h.conn.ConnectionState() }

// setState follows net/http. After an answer it holds nothing of the request.
func (h *handed) setState(s http.ConnState) {
	h.state.Store(int32(s))
	if s == http.StateIdle {
		h.lost = h.lost || !wholeHead(h.given)
		h.given, h.ahead = h.ahead, nil
	}
}

// Read implements net.Conn.
func (h *handed) Read(p []byte) (int, error) {
	// net/http looks at four bytes of every request but the first of a connection
	// before it takes it up, and says nothing to one that ends sooner.
	for h.later && len(h.pre) < 4 {
		var b [4]byte
		n, err := h.Conn.Read(b[len(h.pre):])
		h.pre = append(h.pre, b[len(h.pre):][:n]...)
		h.given = h.pre
		if err != nil && len(h.pre) < 4 {
			return 0, err
		}
	}
	h.later = false
	if len(h.pre) > 0 {
		n := copy(p, h.pre)
		h.pre = h.pre[n:]
		return n, nil
	}
	state := http.ConnState(h.state.Load())
	if state == http.StateIdle && len(h.given) == 0 && !h.lost {
		h.back.Store(true)
		return 0, io.EOF
	}
	n, err := h.Conn.Read(p)
	switch {
	case h.lost || n <= 0:
	case len(h.given)+len(h.ahead)+n > maxFastHead:
		h.lost, h.given, h.ahead = true, nil, nil
	case state == http.StateActive:
		h.ahead = append(h.ahead, p[:n]...)
	default:
		h.given = append(h.given, p[:n]...)
	}
	return n, err
}

// Write implements net.Conn.
func (h *handed) Write(p []byte) (int, error) {
	n, err := h.Conn.Write(p)
	h.link.front.stats.bytes.Add(uint64(n))
	if t, ok := err.(net.Error); ok && t.Timeout() {
		h.link.front.stats.slowPeers.Add(1)
	}
	return n, err
}

// CloseWrite is what net/http calls before it closes, so that an answer is not
// lost by a reset.
func (h *handed) CloseWrite() error {
	if c, ok := h.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return h.link.CloseWrite()
}

// Close implements net.Conn.
func (h *handed) Close() error {
	if h.closed.Swap(true) {
		return nil
	}
	if h.back.Load() {
		h.link.answered = true
		h.link.front.park(h.link, h.link.front.times.idle)
		return nil
	}
	defer h.link.end()
	return h.Conn.Close()
}
