package rfc2217

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"porthole/internal/bytequeue"
)

// ErrNotComPort says that the other side does not offer COM port control: it
// refused, spoke no Telnet, or did not answer in time.
var ErrNotComPort = errors.New("no COM port control (RFC 2217)")

// ClientConfig configures a [Client]. The zero value is useful.
type ClientConfig struct {
	// Timeout bounds the negotiation and every acknowledgement; 3 s if zero,
	// which is what pyserial waits.
	Timeout time.Duration

	// WriteTimeout bounds one Write, including the time that the server has
	// suspended the flow; 10 s if zero.
	WriteTimeout time.Duration

	// Queue is how many received bytes wait for Read; 1 MB if zero. When it is
	// full the connection is not read any more, so that nothing is lost, and
	// acknowledgements do not come through either.
	Queue int

	// NoControlAck is for servers that never acknowledge SET-CONTROL, such as
	// Espressif's esp_rfc2217_server (esp32-serial 3.4). Control changes then
	// return after ControlPause instead, 100 ms if zero.
	NoControlAck bool
	ControlPause time.Duration

	// OnModem and OnLine are told of notifications. They are called from the
	// goroutine that reads the connection and must not wait for the client.
	OnModem func(ModemState)
	OnLine  func(LineState)

	// Signature answers a server that asks who this is.
	Signature string

	Log *slog.Logger // nil discards
}

// Client is a serial port on the other side of a connection. Read and Write
// may run at the same time as each other and as the setters; the setters take
// turns.
type Client struct {
	conn net.Conn
	cfg  ClientConfig
	log  *slog.Logger
	rx   *bytequeue.Queue
	done chan struct{} // closed when the reading goroutine has ended

	// Owned by the reading goroutine once NewClient has returned.
	parser  Parser
	options negotiation
	data    []byte // of the piece being handled, not yet in rx

	ready chan error // capacity 1: outcome of the negotiation

	turn sync.Mutex // held by the one setter that waits for acknowledgements

	wmu  sync.Mutex // one write to the connection at a time
	wbuf []byte     // encoded data, guarded by wmu

	mu        sync.Mutex // guards the rest
	err       error      // why the session ended
	pending   []pending
	settled   chan struct{}   // closed when all of pending are answered
	late      map[Control]int // acknowledgements given up on, by kind
	modem     ModemState
	signature string
	suspended chan struct{} // not nil while the server wants no data
}

// Dial connects to a server at a TCP address and negotiates.
func Dial(ctx context.Context, addr string, cfg ClientConfig) (*Client, error) {
	d := net.Dialer{KeepAliveConfig: KeepAlive()}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("dial %q: %w", addr, err)
	}
	c, err := NewClient(ctx, conn, cfg)
	if err != nil {
		return nil, fmt.Errorf("open port at %q: %w", addr, err)
	}
	return c, nil
}

// KeepAlive notices within half a minute that the other side of an idle
// connection is gone: a port that is held by a dead client cannot be used by
// anybody.
func KeepAlive() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3}
}

// NewClient negotiates on conn, which it owns from then on, also when it fails.
// ctx bounds the negotiation only.
func NewClient(ctx context.Context, conn net.Conn, cfg ClientConfig) (*Client, error) {
	cfg.Timeout = cmp.Or(cfg.Timeout, 3*time.Second)
	cfg.WriteTimeout = cmp.Or(cfg.WriteTimeout, 10*time.Second)
	cfg.ControlPause = cmp.Or(cfg.ControlPause, 100*time.Millisecond)
	cfg.Queue = cmp.Or(cfg.Queue, 1<<20)
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	accept := func(opt Option) bool {
		return opt == OptBinary || opt == OptSGA || opt == OptComPort
	}
	c := &Client{
		conn: conn, cfg: cfg, log: log,
		rx:    bytequeue.New(cfg.Queue),
		done:  make(chan struct{}),
		ready: make(chan error, 1),
		late:  make(map[Control]int),
		options: negotiation{
			acceptUs:  accept,
			acceptHim: func(opt Option) bool { return accept(opt) || opt == OptEcho },
		},
	}
	var hello []byte
	for _, ask := range []struct {
		verb byte
		opt  Option
	}{
		{WILL, OptBinary}, {DO, OptBinary}, {WILL, OptSGA}, {DO, OptSGA}, {WILL, OptComPort},
	} {
		hello = AppendVerb(hello, c.options.ask(ask.verb, ask.opt), ask.opt)
	}
	go c.receive()

	err := c.writeRaw(hello)
	if err == nil {
		ctx, cancel := context.WithTimeoutCause(ctx, cfg.Timeout, fmt.Errorf("%w: no answer within %v", ErrNotComPort, cfg.Timeout))
		defer cancel()
		select {
		case err = <-c.ready:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("negotiate: %w", err)
	}
	return c, nil
}

// Close ends the session. Reads that wait return [net.ErrClosed].
func (c *Client) Close() error {
	c.fail(net.ErrClosed)
	<-c.done
	return nil
}

// Read takes received data, waiting for the first byte until the read deadline.
func (c *Client) Read(p []byte) (int, error) { return c.rx.Read(p) }

// SetReadDeadline bounds present and future reads; the zero time means none.
func (c *Client) SetReadDeadline(t time.Time) error { return c.rx.SetReadDeadline(t) }

// Write sends data to the line. It returns when the connection has taken it,
// which says nothing about the line.
func (c *Client) Write(p []byte) (int, error) {
	deadline := time.Now().Add(c.cfg.WriteTimeout)
	for done := 0; done < len(p); {
		if err := c.awaitFlow(deadline); err != nil {
			return done, err
		}
		n := min(len(p)-done, 16<<10)
		c.wmu.Lock()
		c.wbuf = AppendData(c.wbuf[:0], p[done:done+n])
		c.conn.SetWriteDeadline(deadline)
		_, err := c.conn.Write(c.wbuf)
		c.wmu.Unlock()
		if err != nil {
			// How much of an escaped piece arrived is not known, so the
			// stream is lost.
			return done, c.fail(fmt.Errorf("write to server: %w", err))
		}
		done += n
	}
	return len(p), nil
}

// awaitFlow waits until the server takes data.
func (c *Client) awaitFlow(deadline time.Time) error {
	c.mu.Lock()
	wait, err := c.suspended, c.err
	c.mu.Unlock()
	if err != nil || wait == nil {
		return err
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-wait:
		return nil
	case <-c.done:
		return c.Err()
	case <-timer.C:
		return fmt.Errorf("write to server: flow is suspended: %w", os.ErrDeadlineExceeded)
	}
}

func (c *Client) writeRaw(b []byte) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	c.conn.SetWriteDeadline(time.Now().Add(c.cfg.WriteTimeout))
	if _, err := c.conn.Write(b); err != nil {
		return c.fail(fmt.Errorf("write to server: %w", err))
	}
	return nil
}

// Err says why the session has ended, or nil while it runs.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// fail ends the session for a reason and returns the reason that counts, which
// is the first.
func (c *Client) fail(err error) error {
	c.mu.Lock()
	if c.err != nil {
		err = c.err
		c.mu.Unlock()
		return err
	}
	c.err = err
	c.mu.Unlock()
	c.rx.Close(err)
	c.conn.Close()
	return err
}

func (c *Client) receive() {
	defer close(c.done)
	buf := make([]byte, 4<<10)
	for {
		n, err := c.conn.Read(buf)
		if n > 0 {
			if err := c.handle(buf[:n]); err != nil {
				c.end(err)
				return
			}
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = fmt.Errorf("server closed the connection: %w", err)
			} else {
				err = fmt.Errorf("read from server: %w", err)
			}
			c.end(err)
			return
		}
	}
}

func (c *Client) end(err error) {
	err = c.fail(err)
	select {
	case c.ready <- err:
	default:
	}
}

func (c *Client) handle(b []byte) error {
	for tok, rest, ok := c.parser.Next(b); ok; tok, rest, ok = c.parser.Next(rest) {
		if tok.Kind == TokenData {
			c.data = append(c.data, tok.Data...)
			continue
		}
		if err := c.deliver(); err != nil {
			return err
		}
		switch tok.Kind {
		case TokenVerb:
			if err := c.negotiate(tok.Verb, tok.Option); err != nil {
				return err
			}
		case TokenSub:
			if tok.Option != OptComPort || len(tok.Data) == 0 || Command(tok.Data[0]) < FromServer {
				c.log.Debug("subnegotiation ignored", "option", tok.Option)
				break
			}
			if err := c.answered(Command(tok.Data[0])-FromServer, tok.Data[1:]); err != nil {
				return err
			}
		}
	}
	if err := c.deliver(); err != nil {
		return err
	}
	if err := c.parser.Err(); err != nil {
		return fmt.Errorf("parse server's stream: %w", err)
	}
	return nil
}

// deliver hands the data collected so far to the reader of the port.
func (c *Client) deliver() error {
	_, err := c.rx.Write(c.data)
	c.data = c.data[:0]
	return err
}

func (c *Client) negotiate(verb byte, opt Option) error {
	if answer := c.options.incoming(verb, opt); answer != 0 {
		if err := c.writeRaw(AppendVerb(nil, answer, opt)); err != nil {
			return err
		}
	}
	if opt != OptComPort {
		return nil
	}
	// The server agrees with DO. One that offers WILL of its own accord is
	// still asked, and answers.
	var outcome error
	switch c.options.us[OptComPort] {
	case optionOn:
	case optionOff, optionRefused:
		outcome = fmt.Errorf("%w: the server refuses it", ErrNotComPort)
	default:
		return nil
	}
	select {
	case c.ready <- outcome:
	default:
	}
	return nil
}
