package serial

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"porthole/hil"
	"porthole/internal/rfc2217"
)

// RFC 2217 has no authentication: whoever connects has the board. So a shared
// port wants a token first, in one line of text before Telnet begins:
//
//	client  porthole-share/1 TOKEN\n
//	server  ok lines\n          the port has DTR and RTS
//	        ok no-lines\n       it has none
//	        denied\n, busy\n    and closes
//
// Telnet begins with the byte 255, so the two cannot be confused, and a client
// that knows no token (esptool, pyserial) is recognised by its first byte. The
// token is not encrypted: it keeps other users of a machine or of a trusted
// network off the board. Across anything else the connection goes through ssh.
const (
	greeting      = "porthole-share/1 "
	answerLines   = "ok lines"
	answerNoLines = "ok no-lines"
	answerDenied  = "denied"
	answerBusy    = "busy"
	maxToken      = 200
	maxGreeting   = len(greeting) + maxToken + 1
)

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// NewToken returns a token that nobody guesses.
func NewToken() string { return rand.Text() }

// ServerConfig configures a [Server]. Port is required.
type ServerConfig struct {
	// Port is what is shared. It stays the caller's, who closes it after Serve.
	Port hil.Port

	// Token is what clients must know. It may be empty only together with Open.
	Token string

	// Open lets in clients without a token, such as esptool. For loopback only:
	// the caller sees to that.
	Open bool

	// GreetTimeout bounds the wait for a client's first byte; 10 s if zero.
	GreetTimeout time.Duration

	Log *slog.Logger // nil discards
}

// Server serves one port over the network, to one client at a time.
type Server struct {
	cfg     ServerConfig
	log     *slog.Logger
	token   [sha256.Size]byte
	noLines bool

	mu      sync.Mutex
	session *rfc2217.Server // nil while nobody has the port
}

// NewServer prepares to share a port. It releases both lines.
func NewServer(cfg ServerConfig) (*Server, error) {
	if cfg.Token == "" && !cfg.Open || len(cfg.Token) > maxToken || strings.ContainsAny(cfg.Token, "\r\n@:/?# ") {
		return nil, errors.New("share port: the token must have 1 to 200 characters that fit into a URL")
	}
	s := &Server{cfg: cfg, log: cfg.Log, token: sha256.Sum256([]byte(cfg.Token))}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.cfg.GreetTimeout = cmp.Or(cfg.GreetTimeout, 10*time.Second)
	err := cfg.Port.SetLines(false, false)
	if s.noLines = errors.Is(err, hil.ErrNoLines); err != nil && !s.noLines {
		return nil, fmt.Errorf("share port: %w", err)
	}
	return s, nil
}

// Serve accepts clients until ctx ends (nil) or the port fails.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	var work sync.WaitGroup
	defer work.Wait()
	defer stop(nil)
	work.Go(func() {
		if err := s.pump(ctx); err != nil {
			stop(err)
		}
	})
	for {
		conn, err := ln.Accept()
		switch cause := context.Cause(ctx); {
		case cause != nil && errors.Is(cause, context.Canceled):
			closeIf(conn)
			return nil
		case cause != nil:
			closeIf(conn)
			return fmt.Errorf("share port: %w", cause)
		case err != nil:
			return fmt.Errorf("share port: %w", err)
		}
		work.Go(func() {
			if err := s.serve(ctx, conn); err != nil {
				s.log.Info("client ended", "client", conn.RemoteAddr(), "error", err)
			}
		})
	}
}

func closeIf(conn net.Conn) {
	if conn != nil {
		conn.Close()
	}
}

// pump carries the board's bytes to whoever is connected; without a client they
// are lost, as on a cable that nobody listens to.
func (s *Server) pump(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { s.cfg.Port.SetReadDeadline(time.Unix(1, 0)) })()
	s.cfg.Port.SetReadDeadline(time.Time{})
	if ctx.Err() != nil {
		return nil
	}
	buf := make([]byte, 16<<10)
	for {
		n, err := s.cfg.Port.Read(buf)
		s.mu.Lock()
		session := s.session
		s.mu.Unlock()
		if session != nil && n > 0 {
			session.Write(buf[:n])
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
	}
}

// serve runs one client.
func (s *Server) serve(ctx context.Context, conn net.Conn) error {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	r := bufio.NewReaderSize(conn, maxGreeting)
	conn.SetReadDeadline(time.Now().Add(s.cfg.GreetTimeout))
	first, err := r.Peek(1)
	if err != nil {
		return fmt.Errorf("wait for client: %w", err)
	}
	answer := func(text string) error {
		conn.SetWriteDeadline(time.Now().Add(s.cfg.GreetTimeout))
		_, err := io.WriteString(conn, text+"\n")
		return err
	}
	greeted := first[0] != rfc2217.IAC
	if greeted && !s.admits(r) || !greeted && !s.cfg.Open {
		if greeted {
			answer(answerDenied)
		}
		return errors.New("client has no valid token")
	}
	conn.SetReadDeadline(time.Time{})

	session := rfc2217.NewServer(&bufferedConn{conn, r}, rfc2217.ServerConfig{
		Device: &device{Server: s}, Signature: "porthole rig share", Queue: 1 << 20, Log: s.cfg.Log,
	})
	s.mu.Lock()
	busy := s.session != nil
	if !busy {
		s.session = session
	}
	s.mu.Unlock()
	if busy {
		if greeted {
			answer(answerBusy)
		}
		return errors.New("another client has the port")
	}
	defer func() {
		s.mu.Lock()
		s.session = nil
		s.mu.Unlock()
	}()
	if err := s.reset(); err != nil {
		return err
	}
	if greeted {
		text := answerLines
		if s.noLines {
			text = answerNoLines
		}
		if err := answer(text); err != nil {
			return fmt.Errorf("greet client: %w", err)
		}
	}
	s.log.Info("client has the port", "client", conn.RemoteAddr())
	return session.Run(ctx)
}

// reset gives the port the state that a client finds after opening it: what
// the client before has left is not this one's.
func (s *Server) reset() error {
	var err error
	if !s.noLines {
		err = s.cfg.Port.SetLines(false, false)
	}
	return errors.Join(err, s.cfg.Port.SetBaud(hil.DefaultBaud))
}

// admits reads the greeting and checks the token, in a time that does not
// depend on it.
func (s *Server) admits(r *bufio.Reader) bool {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return false
	}
	token, ok := strings.CutPrefix(strings.TrimSuffix(string(line), "\n"), greeting)
	sum := sha256.Sum256([]byte(token))
	same := subtle.ConstantTimeCompare(sum[:], s.token[:]) == 1
	return ok && (same || s.cfg.Open)
}

// device is the shared port as the protocol sees it.
type device struct{ *Server }

// Write implements [rfc2217.Device].
func (d *device) Write(p []byte) (int, error) { return d.cfg.Port.Write(p) }

// SetLine implements [rfc2217.Device]. Framing other than 8N1 is not offered:
// the ESP32 speaks nothing else. A speed that the port refuses is answered with
// the one in force, which is how the client learns of it.
func (d *device) SetLine(l rfc2217.Line) (rfc2217.Line, error) {
	got := rfc2217.Line8N1(0) // zero: as it was
	if err := d.cfg.Port.SetBaud(int(l.Baud)); err != nil {
		d.log.Warn("speed refused", "baud", l.Baud, "error", err)
		return got, nil
	}
	got.Baud = l.Baud
	return got, nil
}

// SetSignals implements [rfc2217.Device].
func (d *device) SetSignals(dtr, rts bool) error {
	err := d.cfg.Port.SetLines(dtr, rts)
	if errors.Is(err, hil.ErrNoLines) {
		// A client with a token knows. Others set the lines when they open a
		// port, and would not get that far.
		d.log.Debug("the port has no reset lines")
		return nil
	}
	return err
}

// SetBreak implements [rfc2217.Device]: there is none.
func (d *device) SetBreak(bool) error { return nil }

// Purge implements [rfc2217.Device].
func (d *device) Purge(which rfc2217.Purge) error {
	if which&rfc2217.PurgeReceived == 0 {
		return nil
	}
	return d.cfg.Port.Discard()
}
