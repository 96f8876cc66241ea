package netmem

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// window is how many bytes a buffered connection holds in each direction before a
// writer has to wait, as a socket does.
const window = 64 << 10

// ListenBuffered is [Listen] with connections that hold bytes on their way, as
// sockets do: a writer does not wait for the reader, and what a server says to a
// connection that nobody reads from does not hold it up.
func ListenBuffered() *Listener {
	l := Listen()
	l.pipe = Pipe
	return l
}

// Pipe returns the two ends of a buffered connection. Like [net.Pipe], all that
// blocks is durably blocked for testing/synctest. Close lets the other end read
// what is on its way, then io.EOF.
func Pipe() (net.Conn, net.Conn) {
	a, b := newStream(), newStream()
	return &conn{in: a, out: b}, &conn{in: b, out: a}
}

// stream is one direction.
type stream struct {
	mu      sync.Mutex
	buf     []byte
	closed  bool          // by the writer: no more bytes come
	dropped bool          // by the reader: nobody wants them
	moved   chan struct{} // one place: something changed
	room    chan struct{}
}

func newStream() *stream {
	return &stream{moved: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// conn is one end. Each method is for one goroutine at a time, but for Close and
// the deadlines.
type conn struct {
	in, out     *stream
	read, write deadline
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	for {
		changed := c.read.changed()
		c.in.mu.Lock()
		switch {
		case c.in.dropped:
			c.in.mu.Unlock()
			return 0, &net.OpError{Op: "read", Net: "mem", Err: net.ErrClosed}
		case c.read.passed():
			c.in.mu.Unlock()
			return 0, &net.OpError{Op: "read", Net: "mem", Err: os.ErrDeadlineExceeded}
		case len(c.in.buf) > 0 || len(p) == 0:
			n := copy(p, c.in.buf)
			if c.in.buf = c.in.buf[n:]; len(c.in.buf) == 0 {
				c.in.buf = nil
			}
			c.in.mu.Unlock()
			wake(c.in.room)
			return n, nil
		case c.in.closed:
			c.in.mu.Unlock()
			return 0, io.EOF
		}
		c.in.mu.Unlock()
		select {
		case <-c.in.moved:
		case <-changed:
		}
	}
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (n int, err error) {
	for {
		changed := c.write.changed()
		c.out.mu.Lock()
		switch {
		case c.out.closed:
			err = net.ErrClosed
		case c.out.dropped:
			err = io.ErrClosedPipe
		case c.write.passed():
			err = os.ErrDeadlineExceeded
		default:
			take := min(len(p)-n, window-len(c.out.buf))
			c.out.buf = append(c.out.buf, p[n:n+take]...)
			n += take
		}
		c.out.mu.Unlock()
		wake(c.out.moved)
		if err != nil {
			return n, &net.OpError{Op: "write", Net: "mem", Err: err}
		}
		if n == len(p) {
			return n, nil
		}
		select {
		case <-c.out.room:
		case <-changed:
		}
	}
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.out.mu.Lock()
	c.out.closed = true
	c.out.mu.Unlock()
	c.in.mu.Lock()
	c.in.dropped, c.in.buf = true, nil
	c.in.mu.Unlock()
	c.read.set(time.Time{})
	c.write.set(time.Time{})
	for _, w := range []chan struct{}{c.in.moved, c.in.room, c.out.moved, c.out.room} {
		wake(w)
	}
	return nil
}

func (*conn) LocalAddr() net.Addr  { return addr{} }
func (*conn) RemoteAddr() net.Addr { return addr{} }

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	c.read.set(t)
	c.write.set(t)
	return nil
}

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error { c.read.set(t); return nil }

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(t time.Time) error { c.write.set(t); return nil }

// deadline is a moment whose passing closes a channel. The timer is started when
// somebody waits, since most deadlines are moved on before anybody does.
type deadline struct {
	mu    sync.Mutex
	at    time.Time
	timer *time.Timer
	done  chan struct{}
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	// Whoever waits for the old moment looks again.
	if d.done != nil {
		close(d.done)
		d.done = nil
	}
	d.at = t
}

// passed reports whether the moment is over.
func (d *deadline) passed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.at.IsZero() && !time.Now().Before(d.at)
}

// changed gives a channel that is closed when the moment has passed or was moved:
// which of the two, passed says.
func (d *deadline) changed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.done != nil {
		return d.done
	}
	done := make(chan struct{})
	if !d.at.IsZero() {
		left := time.Until(d.at)
		if left <= 0 {
			close(done)
			return done
		}
		d.timer = time.AfterFunc(left, func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.done == done {
				close(done)
				d.done = nil
			}
		})
	}
	d.done = done
	return done
}
