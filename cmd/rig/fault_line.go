package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// faultyLine is the way from a board to the network, which faults can close or
// slow down.
type faultyLine struct {
	mu    sync.Mutex
	cut   bool
	slow  bool
	conns map[*faultyConn]struct{}
}

// slowChunk and slowEvery make a slow line: about 10 kB/s, on which a frame takes
// as long as the server's patience with silence is.
const (
	slowChunk = 1024
	slowEvery = 100 * time.Millisecond
)

var errLineCut = errors.New("no route to host (a fault)")

// dial connects as the machine does, unless the line is cut.
func (l *faultyLine) dial(ctx context.Context, network, address string) (net.Conn, error) {
	l.mu.Lock()
	cut := l.cut
	l.mu.Unlock()
	if cut {
		return nil, fmt.Errorf("dial %s: %w", address, errLineCut)
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c := &faultyConn{Conn: conn, line: l, closed: make(chan struct{})}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conns == nil {
		l.conns = make(map[*faultyConn]struct{})
	}
	l.conns[c] = struct{}{}
	return c, nil
}

// setCut ends every connection and refuses new ones, or lets them through again.
func (l *faultyLine) setCut(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = on
	for c := range l.conns {
		if on {
			c.Conn.Close()
		}
	}
}

func (l *faultyLine) setSlow(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slow = on
}

func (l *faultyLine) isSlow() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.slow
}

// faultyConn is a connection over such a line. Write is for one goroutine.
type faultyConn struct {
	net.Conn
	line   *faultyLine
	once   sync.Once
	closed chan struct{}

	mu       sync.Mutex
	deadline time.Time // of writing
}

// Write implements net.Conn.
func (c *faultyConn) Write(p []byte) (n int, err error) {
	for len(p) > 0 && c.line.isSlow() {
		part := p[:min(len(p), slowChunk)]
		c.mu.Lock()
		deadline := c.deadline
		c.mu.Unlock()
		if !deadline.IsZero() && time.Now().Add(slowEvery).After(deadline) {
			return n, os.ErrDeadlineExceeded
		}
		t := time.NewTimer(slowEvery)
		select {
		case <-t.C:
		case <-c.closed:
			t.Stop()
			return n, net.ErrClosed
		}
		m, err := c.Conn.Write(part)
		n += m
		if err != nil {
			return n, err
		}
		p = p[m:]
	}
	if len(p) == 0 {
		return n, nil
	}
	m, err := c.Conn.Write(p)
	return n + m, err
}

// SetDeadline implements net.Conn.
func (c *faultyConn) SetDeadline(t time.Time) error {
	c.keep(t)
	return c.Conn.SetDeadline(t)
}

// SetWriteDeadline implements net.Conn.
func (c *faultyConn) SetWriteDeadline(t time.Time) error {
	c.keep(t)
	return c.Conn.SetWriteDeadline(t)
}

func (c *faultyConn) keep(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
}

// Close implements net.Conn.
func (c *faultyConn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.line.mu.Lock()
		defer c.line.mu.Unlock()
		delete(c.line.conns, c)
	})
	return c.Conn.Close()
}
