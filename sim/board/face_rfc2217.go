package board

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"porthole/internal/rfc2217"
)

// RFC2217 is the face of a board on a network: a serial port server that carries
// DTR and RTS, so an unmodified esptool resets the board (rfc2217://host:port). It
// has no authentication; where it listens is up to the caller.
//
// One client is served at a time. Another one is told why in one line of text and
// disconnected. A client that does not read loses bytes, never holds up the board;
// one that is gone is noticed. When a client leaves, DTR and RTS are let go, as
// when a serial port is closed.
type RFC2217 struct {
	Board *Board

	// Grace is how long a client waits for the one before it to be gone before it
	// is refused, since flashers close and reopen the port; 500 ms if zero.
	Grace time.Duration

	// Queue and WriteTimeout are those of [rfc2217.ServerConfig].
	Queue        int
	WriteTimeout time.Duration

	Log *slog.Logger // nil discards

	mu     sync.Mutex
	client net.Addr // nil while nobody is connected
	since  time.Time
}

const (
	// connectPoll is how often a busy board is tried again.
	connectPoll = 20 * time.Millisecond
	// maxRefusals bounds the clients that are being told why.
	maxRefusals = 16
	// refusalTimeout bounds the telling.
	refusalTimeout = time.Second
)

// Serve accepts clients until ctx ends, which returns nil, or the listener or the
// board fails. It closes the listener, ends the session of the client and waits for
// it.
func (f *RFC2217) Serve(ctx context.Context, ln net.Listener) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel(nil)
	defer ln.Close()
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()

	refusals := make(chan struct{}, maxRefusals)
	delay := 5 * time.Millisecond
	for {
		conn, err := ln.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				conn.Close()
			}
			if cause := context.Cause(ctx); errors.Is(cause, ErrClosed) {
				return fmt.Errorf("serve board on %v: %w", ln.Addr(), cause)
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("serve board on %v: %w", ln.Addr(), err)
		case err != nil: // too many open files, or a client that gave up early
			f.log().Warn("accept failed", "error", err)
			if !sleep(ctx, delay) {
				continue
			}
			delay = min(2*delay, time.Second)
			continue
		}
		delay = 5 * time.Millisecond
		if tcp, ok := conn.(*net.TCPConn); ok {
			tcp.SetKeepAliveConfig(rfc2217.KeepAlive())
		}
		select {
		case refusals <- struct{}{}:
		default:
			conn.Close()
			continue
		}
		wg.Go(func() {
			wire, err := f.connect(ctx, conn.RemoteAddr())
			if err != nil {
				f.refuse(ctx, conn, err)
				<-refusals
			} else {
				<-refusals
				f.session(ctx, conn, wire)
			}
			if errors.Is(err, ErrClosed) {
				cancel(err)
			}
		})
	}
}

// connect plugs a client in, waiting a little for the one before.
func (f *RFC2217) connect(ctx context.Context, addr net.Addr) (*Wire, error) {
	deadline := time.Now().Add(cmp.Or(f.Grace, 500*time.Millisecond))
	for {
		wire, err := f.Board.Connect()
		if err == nil {
			f.mu.Lock()
			f.client, f.since = addr, time.Now()
			f.mu.Unlock()
		}
		if !errors.Is(err, ErrBusy) || time.Now().After(deadline) || !sleep(ctx, connectPoll) {
			return wire, err
		}
	}
}

// refuse tells a client why it is not served. The end of the stream is sent after
// the text, and what the client has sent is read, because closing with unread bytes
// would make the kernel throw the text away.
func (f *RFC2217) refuse(ctx context.Context, conn net.Conn, reason error) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()

	text := reason.Error()
	if errors.Is(reason, ErrBusy) {
		f.mu.Lock()
		if f.client != nil {
			text = fmt.Sprintf("board is in use by %v since %s", f.client, f.since.Format(time.TimeOnly))
		}
		f.mu.Unlock()
		text += "; one client at a time"
	}
	f.log().Info("client refused", "client", conn.RemoteAddr(), "reason", text)
	conn.SetDeadline(time.Now().Add(refusalTimeout))
	if _, err := conn.Write([]byte("porthole: " + text + "\r\n")); err != nil {
		return
	}
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
	var buf [512]byte
	for {
		if _, err := conn.Read(buf[:]); err != nil {
			return
		}
	}
}

// session serves a client until one of the two ends leaves.
func (f *RFC2217) session(ctx context.Context, conn net.Conn, wire *Wire) {
	log := f.log().With("client", conn.RemoteAddr())
	log.Info("client connected")
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	wire.SetBaud(sessionBaud)
	srv := rfc2217.NewServer(conn, rfc2217.ServerConfig{
		Device:       &wireDevice{wire},
		Line:         rfc2217.Line8N1(sessionBaud),
		Signature:    "porthole simulated board",
		Queue:        f.Queue,
		WriteTimeout: f.WriteTimeout,
		Log:          log,
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 4<<10)
		for {
			n, err := wire.Read(buf)
			if err != nil {
				cancel(err)
				return
			}
			srv.Write(buf[:n])
		}
	})
	err := srv.Run(ctx)
	wire.SetLines(false, false) // fails only if the cable let go of them already
	f.mu.Lock()
	f.client = nil
	f.mu.Unlock()
	wire.Close()
	wg.Wait()
	log.Info("client gone", "reason", err, "dropped", srv.Dropped())
}

// sessionBaud is the speed of a port nobody has set yet.
const sessionBaud = 115200

func (f *RFC2217) log() *slog.Logger {
	if f.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return f.Log
}

// wireDevice makes a wire the port behind an RFC 2217 session. Framing is taken
// note of by the session only: the chip knows nothing but 8N1.
type wireDevice struct{ *Wire }

var _ rfc2217.Device = (*wireDevice)(nil)

func (d *wireDevice) SetLine(l rfc2217.Line) (rfc2217.Line, error) {
	return l, d.SetBaud(int(l.Baud))
}

func (d *wireDevice) SetSignals(dtr, rts bool) error { return d.SetLines(dtr, rts) }

func (d *wireDevice) SetBreak(on bool) error {
	if !on {
		return nil
	}
	return d.Break()
}

func (d *wireDevice) Purge(which rfc2217.Purge) error {
	if which&rfc2217.PurgeReceived == 0 {
		return nil // what was sent has arrived already
	}
	return d.Wire.Purge()
}
