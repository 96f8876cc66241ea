// Package netmem is a network in memory: a listener whose connections are
// pipes. Tests of servers and clients run on it in virtual time, because
// reading from a pipe is durably blocking for testing/synctest while reading
// from a socket is not.
package netmem

import (
	"context"
	"net"
	"sync"
)

// Listener is a net.Listener that is dialled with [Listener.Dial].
// The zero value is not usable; call [Listen].
type Listener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
	pipe  func() (net.Conn, net.Conn)
}

var _ net.Listener = (*Listener)(nil)

// Listen returns a listener that accepts until it is closed.
func Listen() *Listener {
	return &Listener{conns: make(chan net.Conn), done: make(chan struct{}), pipe: net.Pipe}
}

// Dial connects to the listener. It blocks until the other side accepts, the
// listener is closed, or ctx ends.
func (l *Listener) Dial(ctx context.Context) (net.Conn, error) {
	client, server := l.pipe()
	var err error
	select {
	case <-l.done: // also when a racing Accept would take it
		err = net.ErrClosed
	default:
		select {
		case l.conns <- server:
			return client, nil
		case <-l.done:
			err = net.ErrClosed
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	client.Close()
	server.Close()
	return nil, &net.OpError{Op: "dial", Net: "mem", Err: err}
}

// DialContext has the signature that net/http and others ask for; network and
// address are ignored.
func (l *Listener) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	return l.Dial(ctx)
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, &net.OpError{Op: "accept", Net: "mem", Err: net.ErrClosed}
	}
}

// Close implements net.Listener. Accepted connections stay open.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr implements net.Listener.
func (l *Listener) Addr() net.Addr { return addr{} }

type addr struct{}

func (addr) Network() string { return "mem" }
func (addr) String() string  { return "mem" }
