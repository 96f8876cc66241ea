package flash

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"porthole/hil"
	"porthole/internal/esprom"
	"porthole/internal/slip"
)

// link is the open port: requests out, responses in, everything else into the
// evidence.
type link struct {
	port   hil.Port
	dec    slip.Decoder
	log    *evidence
	baud   int
	text   bool     // the byte just taken was outside of a frame
	frames [][]byte // complete and not taken yet
	buf    [4096]byte
	out    []byte
	opaque bool // a frame may hold text of the console on purpose
}

const (
	// readSlice bounds one read, so that a cancelled context is noticed.
	readSlice = 100 * time.Millisecond
	// maxFrames bounds what is kept of frames that nobody asked for.
	maxFrames = 64
	// idleReads is how often a port may return nothing at once.
	idleReads = 100
)

func newLink(port hil.Port, log *evidence) *link {
	l := &link{port: port, log: log, baud: hil.DefaultBaud}
	l.dec.Outside = func(byte) { l.text = true }
	return l
}

// fill waits for bytes until the deadline and takes in what came. It returns
// errSilent when nothing came, a *goneError when the port fails.
func (l *link) fill(ctx context.Context, deadline time.Time) error {
	for idle := 0; idle < idleReads; idle++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		now := time.Now()
		slice := deadline
		if limit := now.Add(readSlice); limit.Before(deadline) {
			slice = limit
		}
		if err := l.port.SetReadDeadline(slice); err != nil {
			return &goneError{err}
		}
		n, err := l.port.Read(l.buf[:])
		if n > 0 {
			l.take(l.buf[:n])
			return nil
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			if !time.Now().Before(deadline) {
				return errSilent
			}
			idle = 0
		case err != nil:
			return &goneError{err}
		}
	}
	return &goneError{errors.New("reads return nothing")}
}

func (l *link) take(p []byte) {
	for _, b := range p {
		l.text = false
		body, ok, _ := l.dec.Push(b)
		l.log.add(b, l.text, l.text || !l.opaque)
		if ok && len(l.frames) < maxFrames {
			l.frames = append(l.frames, append([]byte(nil), body...))
		}
	}
}

// write sends bytes; a failure is a *goneError.
func (l *link) write(p []byte) error {
	if _, err := l.port.Write(p); err != nil {
		return &goneError{err}
	}
	return nil
}

// lines sets both reset lines. hil.ErrNoLines comes through.
func (l *link) lines(dtr, rts bool) error {
	err := l.port.SetLines(dtr, rts)
	if err != nil && !errors.Is(err, hil.ErrNoLines) {
		return &goneError{err}
	}
	return err
}

func (l *link) setBaud(rate int) error {
	if err := l.port.SetBaud(rate); err != nil {
		return &goneError{fmt.Errorf("set baud %d: %w", rate, err)}
	}
	l.baud = rate
	return nil
}

// forget drops what was received and not used.
func (l *link) forget() error {
	if err := l.port.Discard(); err != nil {
		return &goneError{err}
	}
	l.dec.Reset()
	l.frames = nil
	return nil
}

// quiet reads until nothing has come for a while, at most for limit.
func (l *link) quiet(ctx context.Context, silence, limit time.Duration) error {
	end := time.Now().Add(limit)
	for time.Now().Before(end) {
		switch err := l.fill(ctx, time.Now().Add(silence)); err {
		case nil:
		case errSilent:
			return nil
		default:
			return err
		}
	}
	return nil
}

// exchange sends a request and waits for the response with its opcode. Frames
// with another one are skipped. A banner of the ROM ends the wait at once.
func (l *link) exchange(ctx context.Context, req esprom.Request, wait time.Duration) (esprom.Response, error) {
	l.frames = nil
	before := l.log.banners
	l.opaque = req.Op == esprom.ReadFlashSlow
	l.out = slip.Append(l.out[:0], req.Append(nil))
	if err := l.write(l.out); err != nil {
		return esprom.Response{}, err
	}
	// The driver has the bytes, the chip does not yet.
	deadline := time.Now().Add(wait + l.lineTime(len(l.out)))
	for {
		for len(l.frames) > 0 {
			frame := l.frames[0]
			l.frames = l.frames[1:]
			if resp, err := esprom.ParseResponse(frame); err == nil && resp.Op == req.Op {
				return resp, nil
			}
		}
		if l.log.banners != before {
			return esprom.Response{}, errReset
		}
		if err := l.fill(ctx, deadline); err != nil {
			return esprom.Response{}, err
		}
	}
}

// lineTime is how long n bytes take on the line.
func (l *link) lineTime(n int) time.Duration {
	return time.Duration(n) * 10 * time.Second / time.Duration(l.baud)
}

// sync asks for the chip's attention and reads the burst of answers: until all
// have come, or until it is quiet after some. It is a barrier as well: answers
// come in order, so behind it nothing older is on the way.
func (l *link) sync(ctx context.Context) (stub bool, err error) {
	if err := l.forget(); err != nil {
		return false, err
	}
	resp, err := l.exchange(ctx, esprom.Sync{}.Request(), esprom.WaitFor(esprom.SyncOp, 0))
	if err != nil {
		return false, err
	}
	// A stub answers with two status bytes and zero in the value.
	stub = resp.Value == 0 && len(resp.Data) == esprom.StubStatus
	for left := esprom.SyncReplies - 1; left > 0; {
		if n := len(l.frames); n > 0 {
			left -= n
			l.frames = nil
			continue
		}
		err := l.fill(ctx, time.Now().Add(syncSilence))
		if errors.Is(err, errSilent) {
			break
		}
		if err != nil {
			return stub, err
		}
	}
	l.frames = nil
	return stub, nil
}

// syncSilence ends a burst of answers of which some were lost.
const syncSilence = 50 * time.Millisecond
