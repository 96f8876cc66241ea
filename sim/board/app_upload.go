package board

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"porthole/internal/boardcfg"
	"porthole/internal/console"
)

// Uploads sends frames to the configured server until ctx ends, which it does as
// soon as the camera loses its supply, the link is lost or the chip is reset.
// Returning nil means that there are no more frames, an error that the camera
// failed; an upload that fails is neither, it is reported.
//
// One call follows the other as the board goes on and off; two never overlap.
type Uploads func(ctx context.Context, u Upload) error

// ErrCrash is what Uploads wraps where the program on the board does not survive
// the camera's failure: the sketch reads a picture that is not there (esp32-wire
// 1.6).
var ErrCrash = errors.New("program crashed")

// An Upload is what the application hands to Uploads.
type Upload struct {
	Config boardcfg.Config
	// Dial reaches the server through the board's network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Powered says whether the camera still has the supply it was started with. It
	// is to be asked before a capture and again before the frame is sent.
	Powered func() bool
	// Report takes the outcome of every upload.
	Report func(Report)
}

// A Report is the outcome of one upload.
type Report struct {
	Seq    uint64
	Bytes  int
	Took   time.Duration
	Status int   // of HTTP; 0 without an answer
	Err    error // why there is no answer, or none that is good
	Waves  int   // people who waved, from the server's reply
	// Interval is a new pace that the server asked for; 0 without one.
	Interval time.Duration
	// Wait is how long the next upload is put off, at the Attempt-th failure in a
	// row; an Attempt of 0 is none.
	Wait    time.Duration
	Attempt int
}

// report prints what a board prints about an upload.
func (a *app) report(cfg boardcfg.Config, r Report) {
	if r.Err == nil {
		a.note(func(s *console.Line) { s.Uploads++ })
		a.print(console.Line{Kind: console.UploadOK, Seq: r.Seq, Bytes: r.Bytes, Took: r.Took, HTTP: r.Status})
		if r.Waves > 0 {
			a.print(console.Line{Kind: console.Waves, Count: r.Waves})
		}
		if r.Interval > 0 {
			a.print(console.Line{Kind: console.Interval, Pace: r.Interval})
		}
		a.confirm()
		return
	}
	a.note(func(s *console.Line) { s.Failed++ })
	line := console.Line{Kind: console.UploadFailed, Seq: r.Seq, HTTP: r.Status, Why: r.Err.Error()}
	if r.Status == 0 {
		c := classify(r.Err, cfg.Host)
		a.printCore(c.lines...)
		line.Code = c.code
		if c.why != "" {
			line.Why = c.why
		}
	}
	a.print(line)
	if r.Attempt > 0 {
		a.print(console.Line{Kind: console.Retry, What: "upload", Attempt: r.Attempt, Wait: r.Wait})
	}
}

// confirm tells the bootloader that a new version works: it has delivered.
func (a *app) confirm() {
	a.mu.Lock()
	confirm := a.image.confirm
	a.image.confirm = nil
	a.mu.Unlock()
	if confirm == nil {
		return
	}
	line := console.Line{Kind: console.OTA, What: "confirmed", Version: a.image.desc.Version}
	if err := confirm(); err != nil {
		line.What, line.Why = "failed", err.Error()
	}
	a.print(line)
}

// failure is a failed connection as the board's software sees it.
type failure struct {
	code  int
	why   string
	lines []console.CoreLine
}

// classify translates the failures of this machine's network and TLS into those
// of lwIP and mbedTLS (esp32-wire 3.3). Go's TLS client has no types for most of
// what goes wrong in a handshake, hence the look at texts at the end.
func classify(err error, host string) failure {
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return failure{why: "DNS Failed for " + host, lines: []console.CoreLine{console.DNSLine(0, host)}}
	}
	text := err.Error()
	if strings.Contains(text, "TLS handshake") {
		code := console.TLSGeneric
		switch {
		case strings.Contains(text, "x509:"):
			code = console.TLSVerify
		case strings.Contains(text, "remote error: tls:"):
			code = console.TLSAlert
		case errors.Is(err, syscall.ECONNRESET) || strings.Contains(text, "reset by peer"):
			code = console.TLSReset
		case strings.Contains(text, "EOF"):
			code = console.TLSEOF
		}
		return failure{code, console.TLSText(code), console.TLSLines(0, code)}
	}
	errno := 0
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		errno = console.ErrnoRefused
	case errors.Is(err, syscall.ECONNRESET):
		errno = console.ErrnoReset
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		errno = console.ErrnoUnreachable
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		errno = console.ErrnoTimedOut
	}
	if errno == 0 {
		return failure{}
	}
	return failure{code: errno, lines: []console.CoreLine{console.SocketLine(0, errno)}}
}
