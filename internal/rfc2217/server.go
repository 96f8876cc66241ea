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
	"syscall"
	"time"
)

// Device is the serial port behind a [Server]. The methods are called from one
// goroutine, in the order in which the client asked. They should return soon:
// nothing else of the session is read meanwhile. An error ends the session.
type Device interface {
	// Write sends data of the client to the line.
	Write(p []byte) (int, error)

	// SetLine asks for a speed and framing and returns what is in force then.
	SetLine(Line) (Line, error)

	// SetSignals sets DTR and RTS at once (true is asserted). Changes of both
	// that arrive together are one call.
	SetSignals(dtr, rts bool) error

	// SetBreak starts or ends a break condition.
	SetBreak(on bool) error

	// Purge empties the device's own buffers. The session's are already empty.
	Purge(Purge) error
}

// ServerConfig configures a [Server]. Only Device is required.
type ServerConfig struct {
	Device Device

	// Line is what is in force when the session starts; 115200 8N1 if zero.
	Line Line

	// Modem is the state of the inputs when the session starts.
	Modem ModemState

	// Signature answers a client that asks who this is.
	Signature string

	// WriteTimeout is how long one write to the client may take before the
	// client counts as dead; 10 s if zero.
	WriteTimeout time.Duration

	// Queue is how many bytes of the line wait for a slow client before new
	// ones are dropped; 64 kB if zero.
	Queue int

	Log *slog.Logger // nil discards
}

// Server is one session of the side that owns the port. [Server.Run] does the
// work; the line's bytes and states are handed in meanwhile, from any
// goroutine.
type Server struct {
	conn net.Conn
	cfg  ServerConfig
	log  *slog.Logger
	out  *outbox

	// Owned by the reading goroutine.
	parser   Parser
	options  negotiation
	data     []byte // of the piece being handled, not yet written to the line
	line     Line
	dtr, rts bool
	dirty    lines // changes of DTR and RTS that are answered but not applied
	brk      bool
	flow     Control
	flowIn   Control

	mu        sync.Mutex // guards the rest
	comPort   bool       // COM-PORT was agreed
	modem     ModemState
	lineState LineState
	modemMask ModemState
	lineMask  LineState
}

// NewServer prepares a session on conn, which it owns from then on.
func NewServer(conn net.Conn, cfg ServerConfig) *Server {
	cfg.Line = Line8N1(115200).merge(cfg.Line)
	cfg.WriteTimeout = cmp.Or(cfg.WriteTimeout, 10*time.Second)
	cfg.Queue = cmp.Or(cfg.Queue, 64<<10)
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	accept := func(opt Option) bool {
		return opt == OptBinary || opt == OptSGA || opt == OptComPort
	}
	return &Server{
		conn: conn,
		cfg:  cfg,
		log:  log,
		out:  newOutbox(cfg.Queue, maxAnswers),
		options: negotiation{
			acceptUs:  func(opt Option) bool { return accept(opt) || opt == OptEcho },
			acceptHim: accept,
		},
		line:      cfg.Line,
		flow:      FlowNone,
		flowIn:    FlowInNone,
		modem:     cfg.Modem & 0xF0,
		modemMask: 0xFF,
	}
}

// maxAnswers bounds the bytes of answers that wait for a client that does not
// read them; beyond it the client is not read either.
const maxAnswers = 4 << 10

// Run serves the client until it leaves (nil), ctx ends (its cause), or
// something fails. The connection is closed when it returns, and nothing of the
// session runs any more.
func (s *Server) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { s.conn.Close() })
	defer stop()

	var writeErr error
	var wg sync.WaitGroup
	wg.Go(func() { writeErr = s.send() })
	readErr := s.receive()
	s.out.close()
	s.conn.Close()
	wg.Wait()

	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case writeErr != nil: // it closed the connection, which is what the reader saw
		return writeErr
	}
	return readErr
}

// Write queues bytes of the line for the client. It never waits: what a slow
// client has no room for is lost, as in a UART, counted by [Server.Dropped] and
// notified as an overrun to a client that wants to know. It reports len(p) and
// no error.
func (s *Server) Write(p []byte) (int, error) {
	if lost := s.out.addData(p); lost > 0 {
		s.NotifyLine(LineOverrun)
	}
	return len(p), nil
}

// Dropped is the number of bytes of the line that the client has missed.
func (s *Server) Dropped() uint64 { return s.out.lost() }

// NotifyModem reports the present state of the inputs. Only the high half of
// state counts; the client hears of it if a bit of its mask has changed.
func (s *Server) NotifyModem(state ModemState) {
	s.mu.Lock()
	state = state.changed(s.modem)
	s.modem = state & 0xF0
	report := s.comPort && state&0x0F != 0 && state&s.modemMask != 0
	s.mu.Unlock()
	if report {
		s.out.addCommand(AppendCommand(nil, FromServer+CmdNotifyModem, byte(state)), false)
	}
}

// NotifyLine reports events of the line, such as [LineBreak], to a client
// whose mask selects them.
func (s *Server) NotifyLine(state LineState) {
	s.mu.Lock()
	s.lineState = state
	report := s.comPort && state&s.lineMask != 0
	s.mu.Unlock()
	if report {
		s.out.addCommand(AppendCommand(nil, FromServer+CmdNotifyLine, byte(state)), false)
	}
}

// segment is about how much goes into one write. Small, because what is in a
// write can no longer be purged.
const segment = 4 << 10

func (s *Server) send() error {
	buf := make([]byte, 0, 64)
	for {
		var ok bool
		if buf, ok = s.out.next(buf[:0], segment); !ok {
			return nil
		}
		s.conn.SetWriteDeadline(time.Now().Add(s.cfg.WriteTimeout))
		if _, err := s.conn.Write(buf); err != nil {
			s.out.close()
			s.conn.Close()
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return fmt.Errorf("write to client: nothing read for %v: %w", s.cfg.WriteTimeout, err)
			}
			if isGone(err) {
				return nil
			}
			return fmt.Errorf("write to client: %w", err)
		}
	}
}

func (s *Server) receive() error {
	buf := make([]byte, 4<<10)
	for {
		n, err := s.conn.Read(buf)
		if n > 0 {
			if err := s.handle(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case err == nil:
		case isGone(err):
			return nil
		default:
			return fmt.Errorf("read from client: %w", err)
		}
	}
}

// isGone reports that the connection ended in one of the ordinary ways.
func isGone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func (s *Server) handle(b []byte) error {
	for tok, rest, ok := s.parser.Next(b); ok; tok, rest, ok = s.parser.Next(rest) {
		if tok.Kind == TokenData {
			s.data = append(s.data, tok.Data...)
			continue
		}
		if err := s.writeLine(); err != nil {
			return err
		}
		var err error
		switch tok.Kind {
		case TokenVerb:
			s.negotiate(tok.Verb, tok.Option)
		case TokenSub:
			if tok.Option == OptComPort && s.agreed() && len(tok.Data) > 0 {
				err = s.command(Command(tok.Data[0]), tok.Data[1:])
			} else {
				s.log.Debug("subnegotiation ignored", "option", tok.Option)
			}
		}
		if err != nil {
			return err
		}
	}
	if err := s.writeLine(); err != nil {
		return err
	}
	if err := s.parser.Err(); err != nil {
		return fmt.Errorf("parse client's stream: %w", err)
	}
	return s.applySignals()
}

// writeLine sends the data collected so far to the line, in one call: every FF is
// a token of its own, and a flasher pads with thousands of them.
func (s *Server) writeLine() error {
	if len(s.data) == 0 {
		return nil
	}
	if err := s.applySignals(); err != nil {
		return err
	}
	_, err := s.cfg.Device.Write(s.data)
	s.data = s.data[:0]
	if err != nil {
		return fmt.Errorf("write to line: %w", err)
	}
	return nil
}

func (s *Server) agreed() bool {
	return s.options.us[OptComPort] == optionOn || s.options.him[OptComPort] == optionOn
}

func (s *Server) negotiate(verb byte, opt Option) {
	before := s.agreed()
	if answer := s.options.incoming(verb, opt); answer != 0 {
		s.out.addCommand(AppendVerb(nil, answer, opt), true)
	}
	if s.agreed() == before {
		return
	}
	s.mu.Lock()
	s.comPort = !before
	state := s.modem
	s.mu.Unlock()
	if !before {
		// The first report carries the levels; a client that never gets one
		// cannot tell what its inputs are.
		s.out.addCommand(AppendCommand(nil, FromServer+CmdNotifyModem, byte(state)), true)
	}
}
