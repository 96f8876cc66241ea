package server

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// link is one connection of the public side, from its acceptance to its end. It
// is where it costs least: parked in a loop, which answers what needs nothing
// but prebuilt bytes, or with net/http, which does everything else and gives it
// back. At any time one of them owns it.
//
// A link is also the net.Conn below TLS. Parked, its reads end with errNotYet
// once what has arrived is used up, and its writes are collected, so that all
// records of an answer leave in one call.
type link struct {
	front *front
	conn  net.Conn  // while not parked
	fd    int       // while parked
	tls   *tls.Conn // nil on plain HTTP
	addr  netip.Addr

	in   []byte  // while parked: arrived, not read yet
	join *[]byte // collects writes where it is not nil
	rest []byte  // of an answer that the socket did not take at once

	viewer *viewer // of the stream; nil on a link that has not asked for it

	deadline int64 // while parked: Unix second after which it is over
	fresh    bool  // parked and not looked at yet
	hungUp   bool  // the other side sends no more: its end is behind what has arrived
	answered bool  // at least once
	turn     bool  // it has one of the front's turns to do a handshake
	asked    atomic.Int64
	ended    atomic.Bool
}

// errNotYet is what a parked link reads when nothing has arrived. It is
// temporary, so that TLS goes on where it was.
var errNotYet net.Error = notYetError{}

type notYetError struct{}

func (notYetError) Error() string   { return "nothing has arrived yet" }
func (notYetError) Timeout() bool   { return true }
func (notYetError) Temporary() bool { return true }

// Read implements net.Conn.
func (l *link) Read(p []byte) (int, error) {
	if len(l.in) > 0 {
		n := copy(p, l.in)
		l.in = l.in[n:]
		return n, nil
	}
	if l.conn == nil {
		return 0, errNotYet
	}
	return l.conn.Read(p)
}

// Write implements net.Conn.
func (l *link) Write(p []byte) (int, error) {
	if l.join != nil {
		*l.join = append(*l.join, p...)
		return len(p), nil
	}
	if l.conn == nil {
		return 0, net.ErrClosed
	}
	l.pass() // the server's flight is made, what is left of the handshake is cheap
	return l.conn.Write(p)
}

// Close implements net.Conn. It ends a link that is not parked.
func (l *link) Close() error {
	if l.conn == nil {
		return nil
	}
	defer l.end()
	return l.conn.Close()
}

// end books the end of a link, once.
func (l *link) end() {
	if l.ended.Swap(true) {
		return
	}
	l.front.limit.leave(l.addr)
	l.front.stats.connections.Add(-1)
	l.front.forget(l)
}

// await waits for a turn to do the dear part of a handshake.
func (l *link) await() error {
	patience := time.NewTimer(l.front.times.handshake)
	defer patience.Stop()
	select {
	case l.front.turns <- struct{}{}:
		l.turn = true
		return nil
	case <-l.front.done:
		return net.ErrClosed
	case <-patience.C:
		return os.ErrDeadlineExceeded
	}
}

// pass gives the turn to the next, if l has it.
func (l *link) pass() {
	if l.turn {
		l.turn = false
		<-l.front.turns
	}
}

// CloseWrite tells the other side that no more comes.
func (l *link) CloseWrite() error {
	if c, ok := l.conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return errors.ErrUnsupported
}

// LocalAddr implements net.Conn.
func (l *link) LocalAddr() net.Addr {
	if l.conn == nil {
		return nil
	}
	return l.conn.LocalAddr()
}

// RemoteAddr implements net.Conn.
func (l *link) RemoteAddr() net.Addr {
	if l.conn == nil {
		return nil
	}
	return l.conn.RemoteAddr()
}

// SetDeadline implements net.Conn. A parked link has the loop's.
func (l *link) SetDeadline(t time.Time) error {
	if l.conn == nil {
		return nil
	}
	return l.conn.SetDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (l *link) SetReadDeadline(t time.Time) error {
	if l.conn == nil {
		return nil
	}
	return l.conn.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (l *link) SetWriteDeadline(t time.Time) error {
	if l.conn == nil {
		return nil
	}
	return l.conn.SetWriteDeadline(t)
}

// fast answers h if it can be without net/http, through send. It books the
// answer as taken since start.
func (l *link) fast(h *fastHead, start time.Time, send func(*link, []byte) error) (ok bool, _ error) {
	answer, unchanged, ok := l.front.server.fastAnswer(h, start)
	if !ok {
		return false, nil
	}
	c := l.front.stats
	c.requests[ClassFeed].Add(1)
	c.fast.Add(1)
	c.bytes.Add(uint64(len(answer)))
	if unchanged {
		c.unchanged.Add(1)
	}
	c.audience.asked(&l.asked, start)
	l.answered = true
	err := send(l, answer)
	c.took(time.Since(start))
	return true, err
}

// foreign reports whether the TLS came from the listener, with the socket below
// it out of sight.
func (l *link) foreign() bool { return l.tls != nil && l.conn == net.Conn(l.tls) }

// joins are buffers for the records of an answer.
var joins = sync.Pool{New: func() any { b := make([]byte, 0, 32<<10); return &b }}

// sendBlocking writes an answer from a goroutine of the link's own.
func sendBlocking(l *link, answer []byte) error {
	l.conn.SetWriteDeadline(time.Now().Add(l.front.times.write))
	err := l.writeJoined(answer)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		l.front.stats.slowPeers.Add(1)
	}
	return err
}

// writeJoined writes through TLS, if there is any, with one write below it.
func (l *link) writeJoined(p []byte) error {
	if l.tls == nil || l.foreign() {
		_, err := l.conn.Write(p)
		return err
	}
	buf := joins.Get().(*[]byte)
	defer joins.Put(buf)
	*buf = (*buf)[:0]
	l.join = buf
	_, err := l.tls.Write(p)
	l.join = nil
	if err == nil {
		_, err = l.conn.Write(*buf)
	}
	return err
}

// attend serves a link with a goroutine of its own, on systems and networks that
// no loop knows. The next request must come within wait.
func (l *link) attend(wait time.Duration) {
	var stream net.Conn = l.conn
	if l.tls != nil {
		stream = l.tls
	}
	buf := make([]byte, maxFastHead)
	for {
		l.conn.SetReadDeadline(time.Now().Add(wait))
		if l.front.stopping() {
			break
		}
		n, err := stream.Read(buf)
		if err != nil {
			break
		}
		h, ok := parseFast(buf[:n])
		if ok {
			ok, err = l.fast(&h, time.Now(), sendBlocking)
		}
		if err != nil {
			break
		}
		if !ok {
			l.conn.SetDeadline(time.Time{})
			l.front.hand(l, append([]byte(nil), buf[:n]...))
			return
		}
		wait = l.front.times.idle
	}
	stream.Close()
	l.end()
}
