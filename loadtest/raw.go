package loadtest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Engine is what makes the polls.
type Engine string

const (
	// Vegeta is one attacker of Vegeta's with an HTTP client: every protocol and
	// think mode, and its results file.
	Vegeta Engine = "vegeta"
	// Raw is a goroutine and a connection per viewer, with no HTTP client between
	// them: HTTP/1.1 only, for less CPU and half the memory per viewer. It pays
	// above some ten thousand viewers in one process (load-tui 1.5, "E").
	Raw Engine = "raw"
	// Decoder is a goroutine and an HTTP client per viewer, and one decoder for
	// all of them: what the protocols of changes are played by, and nothing else.
	Decoder Engine = "decoder"
)

// readers are the buffers of answers. A viewer needs one during a poll only.
var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 4<<10) }}

// rawViewer is a viewer of the raw engine.
type rawViewer struct {
	*viewer
	run   *run
	conn  net.Conn // nil while it has none
	used  bool     // an answer has come over it
	until time.Duration
}

// pollRaw lets a viewer poll from its join until it leaves or the run is over.
func (r *run) pollRaw(v *viewer, leaves time.Duration) {
	w := &rawViewer{viewer: v, run: r, until: min(leaves, r.cfg.Duration)}
	defer w.hangUp()
	due := v.screen.joined.Sub(r.start)
	for due < w.until {
		if sleepUntil(r.ctx, r.start.Add(due)) != nil {
			return
		}
		due = w.poll(due)
	}
	// A tab that is closed hangs up; one that is open at the end of the run stays.
}

// poll makes the poll that is due and returns when the next one is.
func (w *rawViewer) poll(due time.Duration) time.Duration {
	r := w.run
	p := &poll{viewer: w.id, planned: r.start.Add(due), sent: time.Now()}
	r.recorder.due(w.viewer, p.planned, p.sent, false)
	ctx, cancel := context.WithTimeout(r.ctx, r.cfg.patience())
	a := w.ask(ctx, p)
	cancel()
	hasty := r.transport.finish(p, w.viewer, a)
	at := time.Since(r.start)
	switch {
	case r.cfg.Think == After, r.cfg.Think == LongPoll && (p.failure != none || hasty):
		return at + r.cfg.Period
	case r.cfg.Think == LongPoll:
		return at
	}
	for due += r.cfg.Period; due <= at && due < w.until; due += r.cfg.Period {
		r.recorder.due(w.viewer, r.start.Add(due), r.start.Add(due), true)
	}
	return due
}

// ask sends a poll and reads its answer. A connection that has died since the
// last answer is replaced without a word, as browsers do.
func (w *rawViewer) ask(ctx context.Context, p *poll) answer {
	a, err := w.exchange(ctx, p)
	if err != nil && w.used && p.bytes == 0 && errors.Is(err, errStale) && ctx.Err() == nil {
		w.hangUp()
		a, err = w.exchange(ctx, p)
	}
	if err != nil {
		w.hangUp()
		if context.Cause(ctx) == context.DeadlineExceeded {
			err = context.DeadlineExceeded
		}
		a.failure = w.run.transport.classify(err)
	}
	return a
}

// errStale is the end of a connection before the first byte of an answer.
var errStale = errors.New("the connection has ended")

func (w *rawViewer) exchange(ctx context.Context, p *poll) (a answer, err error) {
	t := w.run.transport
	if err := w.connect(ctx); err != nil {
		return a, err
	}
	conn := w.conn
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	req := t.request(ctx, w.viewer)
	head := make([]byte, 0, 256)
	head = append(head, "GET "...)
	head = append(head, req.URL.RequestURI()...)
	head = append(head, " HTTP/1.1\r\nHost: "...)
	head = append(head, t.host...)
	for name, values := range req.Header {
		head = append(append(append(append(head, "\r\n"...), name...), ": "...), values[0]...)
	}
	head = append(head, "\r\n\r\n"...)
	if _, err := conn.Write(head); err != nil {
		return a, errors.Join(errStale, err)
	}
	in := readers.Get().(*bufio.Reader)
	in.Reset(conn)
	defer func() { in.Reset(nil); readers.Put(in) }()
	if _, err := in.Peek(1); err != nil {
		return a, errors.Join(errStale, err)
	}
	resp, err := http.ReadResponse(in, req)
	if err != nil {
		return a, err
	}
	w.used = true
	a = t.judge(resp)
	var keep io.Writer = io.Discard
	var body *bytes.Buffer
	if a.picture && a.known == nil {
		body = t.bytes.Get().(*bytes.Buffer)
		body.Reset()
		keep = body
	}
	n, err := io.Copy(keep, io.LimitReader(resp.Body, int64(w.run.cfg.MaxPicture)+1))
	p.bytes = int(n)
	if body != nil {
		a.body, a.buffer = body.Bytes(), body
	}
	switch {
	case err != nil:
		return a, err
	case p.bytes > w.run.cfg.MaxPicture:
		return a, errTooLarge
	}
	if resp.Close || w.run.cfg.Reconnect {
		w.hangUp()
	}
	return a, nil
}

// connect opens the viewer's connection if it has none.
func (w *rawViewer) connect(ctx context.Context) error {
	if w.conn != nil {
		return nil
	}
	t := w.run.transport
	addr := net.JoinHostPort(w.url.Host, strconv.Itoa(1)) // the dialer knows where to
	if t.tls == nil {
		conn, err := w.run.dialer.dial(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		w.conn, w.used = conn, false
		return nil
	}
	conn, err := t.connectTLS(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	w.conn, w.used = conn, false
	return nil
}

func (w *rawViewer) hangUp() {
	if w.conn != nil {
		w.conn.Close()
		w.conn = nil
	}
}
