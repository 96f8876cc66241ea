package loadtest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"time"

	"porthole/server/delta"
)

// A stream of changes (docs/delta-format.md, Transports).
const (
	lineMark = 'L'
	nameSize = 16
	// streamSilence is how long a stream may say nothing: it says that it lives
	// every 15 s.
	streamSilence = 40 * time.Second
	// settling is how long a picture waits for a newer one that came with it:
	// behind a key come the changes until now, and nobody sees those pictures.
	settling = 50 * time.Millisecond
)

// follow reads a stream from when it is due until it ends, and returns when the
// next one is. Its first picture is the answer to a poll. Each that follows is
// the answer to one that begins with the picture before, as with long polls, and
// is counted when it comes.
func (w *watcher) follow(due time.Duration) time.Duration {
	r := w.run
	planned, now := r.start.Add(due), time.Now()
	r.recorder.due(w.viewer, planned, now, false)
	w.mu.Lock()
	w.poll, w.booked = &poll{viewer: w.id, planned: planned, sent: now}, true
	w.mu.Unlock()
	ctx, cancel := context.WithCancelCause(r.ctx)
	defer cancel(nil)
	if w.until < r.cfg.Duration {
		defer time.AfterFunc(time.Until(r.start.Add(w.until)), func() { cancel(errLeft) }).Stop()
	}
	// The head and the first record must come in time.
	silence := time.AfterFunc(r.cfg.Timeout, func() { cancel(context.DeadlineExceeded) })
	defer silence.Stop()

	f, opened := w.read(ctx, silence)
	at := time.Now()
	w.fail(f, at)
	switch {
	case f == unfinished:
	case opened:
		r.streams.ended.Add(1)
	default:
		r.streams.failed.Add(1)
	}
	return w.again(f, at)
}

// read opens a stream and reads it until it fails.
func (w *watcher) read(ctx context.Context, silence *time.Timer) (f failure, opened bool) {
	query := ""
	if w.next != "" && w.picture != nil {
		query = fmt.Sprintf("from=%s&seq=%d", w.next, w.picture.seq)
	}
	res, err := w.run.transport.base.RoundTrip(w.request(ctx, "stream", query))
	if err != nil {
		return w.classify(ctx, err), false
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		f := classifyStatus(res.StatusCode)
		w.run.transport.tell(f, fmt.Errorf("the server answered %q", res.Status))
		return f, false
	}
	w.run.streams.opened.Add(1)
	for first := true; ; first = false {
		record, err := readRecord(res.Body, &w.run.transport.bytes)
		if err != nil {
			return w.classify(ctx, err), true
		}
		silence.Reset(streamSilence)
		if first && query != "" && !isName(record.Bytes()) {
			w.run.streams.resumed.Add(1)
		}
		f := w.got(record.Bytes())
		record.Reset()
		w.run.transport.bytes.Put(record)
		if f != none {
			return f, true
		}
	}
}

func isName(record []byte) bool { return len(record) > 0 && record[0] == lineMark }

// got is a record of the stream.
func (w *watcher) got(record []byte) failure {
	at := time.Now()
	w.mu.Lock()
	w.poll.bytes += 4 + len(record)
	opening := w.booked
	w.mu.Unlock()
	switch {
	case len(record) == 0:
		if opening { // the stream is there, and nothing was missed
			w.hold(nil, at)
		}
		return none
	case isName(record):
		if len(record) != 1+nameSize {
			return w.drop(damaged, fmt.Errorf("a name of %d bytes", len(record)-1))
		}
		w.next = base64.RawURLEncoding.EncodeToString(record[1:])
		return none
	}
	w.run.recorder.arrive(w.viewer, at)
	f := w.take(record, at)
	switch {
	case f != none:
	case w.picture.seq == w.newest:
		w.hold(w.picture.picture, at)
	default: // on the way from a key to what it has seen already
		w.run.recorder.arrive(w.viewer, time.Time{})
	}
	return f
}

// readRecord reads a record into a buffer of a pool.
func readRecord(body io.Reader, pool interface{ Get() any }) (*bytes.Buffer, error) {
	var head [4]byte
	if _, err := io.ReadFull(body, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > delta.MaxFrame {
		return nil, errTooLarge
	}
	b := pool.Get().(*bytes.Buffer)
	b.Reset()
	if _, err := io.CopyN(b, body, int64(n)); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return b, nil
}

// hold keeps a picture, or that there is nothing new, to be shown in a moment.
func (w *watcher) hold(p *picture, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held == nil {
		w.held = new(shown)
		if w.timer == nil {
			w.timer = time.AfterFunc(settling, w.release)
		} else {
			w.timer.Reset(settling)
		}
	}
	w.held.at = at
	if p != nil {
		w.held.picture = p
	}
}

// release shows what is held. The timer calls it.
func (w *watcher) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.show()
}

// show shows what is held, as the answer to the poll that is awaited.
func (w *watcher) show() {
	if h := w.held; h != nil {
		w.held = nil
		w.timer.Stop()
		w.end(h.picture, h.at)
	}
}

// fail shows what is held and ends the poll that is awaited.
func (w *watcher) fail(f failure, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.show()
	if f == unfinished && !w.booked {
		return // nothing was asked
	}
	w.poll.failure = f
	w.end(nil, at)
}

// end ends the poll that is awaited and begins the next. The caller holds the
// lock.
func (w *watcher) end(p *picture, at time.Time) {
	r := w.run.recorder
	if !w.booked {
		r.due(w.viewer, w.poll.planned, w.poll.sent, false)
	}
	r.done(w.viewer, w.poll, p, at)
	w.poll, w.booked = &poll{viewer: w.id, planned: at, sent: at}, false
}
