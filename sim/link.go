package sim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"porthole/internal/wire"
)

// Times of a board.
const (
	handshakeTimeout = 120 * time.Second // TLS (esp32-wire 3.1)
	connectTimeout   = 30 * time.Second  // TCP connect (esp32-wire 3.1)
	firmwareConnect  = 30 * time.Second  // both, of our firmware (esp32-wire 6)
	sendTimeout      = 10 * time.Second  // of one record, of our firmware
	replyPoll        = wire.ResponsePoll
	replySilence     = wire.ResponseSilence
)

// errCut means that the camera lost power between capture and the last record.
var errCut = errors.New("camera is off")

// Reply is what the board read of the server's answer.
type Reply struct {
	Status int    // 0 when there was none
	Line   string // the status line, or words for it
	// What the firmware profile understands of it.
	wire.Reply
	RetryAfter time.Duration
}

// Profile is the program on a simulated board.
type Profile string

// The profiles (internal/wire).
const (
	Sketch   Profile = "sketch"   // what boards in the field run
	Firmware Profile = "firmware" // our own
)

// ParseProfile returns the profile called s.
func ParseProfile(s string) (Profile, error) {
	switch p := Profile(s); p {
	case Sketch, Firmware:
		return p, nil
	}
	return "", fmt.Errorf("profile %q: want sketch or firmware", s)
}

// Link is a board's way to its server. In the firmware profile it keeps the
// connection from one request to the next. A Link is for one goroutine.
type Link struct {
	cfg    Config
	secure *secured
	rng    *rng
	host   string // as the Host header has it

	conn net.Conn // nil: none
	raw  net.Conn
	pace *pace
}

// NewLink returns the way that cfg describes, without a connection yet.
func NewLink(cfg Config) (*Link, error) {
	if cfg.Dial == nil {
		return nil, errors.New("create link: no way to dial")
	}
	if err := cfg.Target.check(); err != nil {
		return nil, fmt.Errorf("create link: %w", err)
	}
	if cfg.Profile == "" {
		cfg.Profile = Sketch
	}
	if cfg.Core == "" {
		cfg.Core = Core2
	}
	l := &Link{cfg: cfg, rng: newRNG(cfg.Seed), host: cfg.Target.Host}
	l.cfg.Dial = cfg.Faults.dial(l.rng, cfg.Target.Host, cfg.Dial)
	if cfg.Profile == Firmware {
		l.host = cfg.Target.hostHeader()
	}
	if cfg.Target.TLS {
		l.secure = &secured{core: cfg.Core, name: cfg.Target.Host, base: cfg.TLS, boot: time.Now(), fault: func() error { return cfg.Faults.cert(l.rng) }}
		if cfg.Resume && cfg.Profile == Firmware {
			l.secure.cache = new(oneSession)
		}
	}
	return l, nil
}

// Close drops the connection without a word: the socket is what is closed, no
// close_notify is sent (esp32-wire 1.5).
func (l *Link) Close() {
	if l.raw != nil {
		l.raw.Close()
	}
	l.conn, l.raw = nil, nil
}

// connect dials and shakes hands.
func (l *Link) connect(ctx context.Context) error {
	limit := connectTimeout
	if l.cfg.Profile == Firmware {
		limit = firmwareConnect
	}
	dialling, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	raw, err := l.cfg.Dial(dialling)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", l.cfg.Target.Address(), err)
	}
	l.raw, l.conn = raw, raw
	l.pace = newPace(ctx, l.cfg.Timing, l.rng)
	if l.secure == nil {
		return nil
	}
	if l.cfg.Profile == Sketch {
		dialling, cancel = context.WithTimeout(ctx, handshakeTimeout)
		defer cancel()
	}
	conn, err := l.secure.handshake(dialling, &recordConn{Conn: raw, core: l.cfg.Core, pace: l.pace})
	if err != nil {
		l.Close()
		return fmt.Errorf("TLS handshake with %s: %w", l.cfg.Target.Host, err)
	}
	l.conn = conn
	return nil
}

// request is the request of one exchange, as records.
type request func(yield func([]byte) bool)

// exchange sends a request and reads its answer. Between any two records it asks
// powered, and drops the connection, and with it what is half sent, when the
// answer is no.
func (l *Link) exchange(ctx context.Context, req request, powered func() bool) (Reply, error) {
	for {
		kept := l.conn != nil
		reply, heard, err := l.try(ctx, req, powered)
		if err == nil {
			return reply, nil
		}
		l.Close()
		if ctx.Err() != nil {
			return Reply{}, ctx.Err()
		}
		// A kept connection that died before it gave an answer is worth a new one.
		if !kept || heard || errors.Is(err, errCut) {
			return Reply{}, err
		}
	}
}

func (l *Link) try(ctx context.Context, req request, powered func() bool) (_ Reply, heard bool, _ error) {
	if l.conn == nil {
		if err := l.connect(ctx); err != nil {
			return Reply{}, false, err
		}
	}
	raw := l.raw
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	if l.pace != nil {
		l.pace.ctx = ctx
	}
	var err error
	sent := 0
	for record := range req {
		if !powered() {
			return Reply{}, false, errCut
		}
		if l.cfg.Profile == Firmware {
			l.conn.SetWriteDeadline(time.Now().Add(sendTimeout))
		}
		if l.secure == nil {
			err = l.pace.record(len(record), 2) // behind a handshake that there is not
		}
		if err == nil {
			_, err = l.conn.Write(record)
		}
		if sent++; err != nil {
			err = fmt.Errorf("write record %d of upload: %w", sent, err)
			break
		}
	}
	await := l.awaitSketch
	if l.cfg.Profile == Firmware {
		await = l.awaitAnswer
	}
	reply, heard, replyErr := await(ctx, err != nil)
	if err != nil && replyErr != nil {
		// A server that refuses early answers and closes while the body is still
		// being sent; where it did, the answer says more than the broken pipe.
		return Reply{}, heard, fmt.Errorf("send frame: %w", err)
	}
	return reply, heard, replyErr
}

// awaitAnswer reads the reply as the firmware does, and keeps the connection where
// the answer lets it.
func (l *Link) awaitAnswer(_ context.Context, broken bool) (Reply, bool, error) {
	var answer wire.Answer
	var buf [512]byte
	heard := false
	for !answer.Done() {
		l.conn.SetReadDeadline(time.Now().Add(replySilence))
		n, err := l.conn.Read(buf[:])
		if n > 0 && !heard {
			heard = true
			if err := l.pace.answer(); err != nil {
				return Reply{}, true, err
			}
		}
		if used := answer.Feed(buf[:n]); used < n {
			broken = true // more than was asked for
		}
		if err != nil && !answer.Done() {
			return Reply{}, heard, fmt.Errorf("wait for the reply of %s: %w", l.cfg.Target.Host, err)
		}
	}
	if answer.Malformed {
		return Reply{}, true, fmt.Errorf("wait for the reply of %s: it does not speak HTTP", l.cfg.Target.Host)
	}
	if answer.Close || broken {
		l.Close()
	}
	reply := Reply{Status: answer.Status, Line: answer.StatusLine(), RetryAfter: answer.RetryAfter}
	reply.Reply, _ = answer.Reply()
	return reply, true, nil
}

// awaitSketch reads the reply as the sketch does: byte by byte until the header's
// empty line, looking every 100 ms, giving up after 10 s of silence. Then it closes.
func (l *Link) awaitSketch(ctx context.Context, _ bool) (Reply, bool, error) {
	defer l.Close()
	start := time.Now()
	var parser wire.SketchResponse
	var buf [256]byte
	for {
		l.conn.SetReadDeadline(time.Now().Add(replySilence))
		n, err := l.conn.Read(buf[:])
		for _, b := range buf[:n] {
			if parser.Feed(b) {
				if err := l.pace.answer(); err != nil {
					return Reply{}, true, err
				}
				// The board sees it at its next look only.
				late := time.Since(start) % replyPoll
				if late > 0 {
					if err := sleepUntil(ctx, time.Now().Add(replyPoll-late)); err != nil {
						return Reply{}, true, err
					}
				}
				return Reply{Status: parser.Status(), Line: parser.StatusLine()}, true, nil
			}
		}
		if err != nil {
			return Reply{}, false, fmt.Errorf("wait for the reply of %s: %w", l.cfg.Target.Host, err)
		}
	}
}

// Upload sends one frame. powered is asked between any two records by the firmware
// profile, and once, before the first, by the sketch's.
func (l *Link) Upload(ctx context.Context, jpeg []byte, powered func() bool) (Reply, error) {
	r := wire.Request{Host: l.host, Path: l.cfg.Target.Path, Token: l.cfg.Target.Token, JPEG: jpeg}
	if l.cfg.Profile == Firmware {
		return l.exchange(ctx, request(r.FirmwareRecords()), powered)
	}
	asked, on := false, false
	once := func() bool {
		if !asked {
			asked, on = true, powered()
		}
		return on
	}
	return l.exchange(ctx, request(r.SketchRecords(l.cfg.Sketch)), once)
}

// Notice tells the server that the camera was switched off or on. The sketch knows
// no such message; its link must not be asked for one.
func (l *Link) Notice(ctx context.Context, state string) (Reply, error) {
	r := wire.Request{Host: l.host, Path: l.cfg.Target.Path, Token: l.cfg.Target.Token}
	return l.exchange(ctx, func(yield func([]byte) bool) { yield(r.NoticeRecord(state)) }, func() bool { return true })
}
