package loadtest

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"porthole/server/delta"
)

// farBehind is how many changes a viewer fetches; more, and it takes a key.
const farBehind = 8

// maxFetches bounds the questions of one poll: what the element asks at most.
const maxFetches = 16

// maxHead bounds an answer of /head, which has at most 64 bytes.
const maxHead = 256

// ask makes the poll that is due and returns when the next one is.
func (w *watcher) ask(due time.Duration) time.Duration {
	r := w.run
	p := &poll{viewer: w.id, planned: r.start.Add(due), sent: time.Now()}
	r.recorder.due(w.viewer, p.planned, p.sent, false)
	ctx, cancel := context.WithTimeoutCause(r.ctx, r.cfg.patience(), context.DeadlineExceeded)
	before := w.picture
	p.failure = w.catchUp(ctx, p)
	cancel()
	at := time.Now()
	var pic *picture
	if p.failure == none && w.picture != before && w.picture.seq == w.newest {
		pic, at = w.picture.picture, w.came
	}
	r.recorder.done(w.viewer, p, pic, at)

	hasty := pic == nil && at.Sub(p.sent) < min(time.Second, r.cfg.Wait/2)
	now := at.Sub(r.start)
	switch {
	case p.failure != none && r.cfg.Think != Interval:
		return w.again(p.failure, at)
	case r.cfg.Think == After, r.cfg.Think == LongPoll && hasty:
		return now + r.cfg.Period
	case r.cfg.Think == LongPoll:
		return now
	}
	for due += r.cfg.Period; due <= now && due < w.until; due += r.cfg.Period {
		r.recorder.due(w.viewer, r.start.Add(due), r.start.Add(due), true)
	}
	return due
}

// catchUp asks what is newest and fetches what leads there.
func (w *watcher) catchUp(ctx context.Context, p *poll) failure {
	h, f := w.head(ctx, p)
	if f != none || h == nil {
		return f
	}
	if w.picture != nil && h.seq-w.picture.seq > farBehind {
		w.next = ""
	}
	for range maxFetches {
		if w.picture != nil && w.picture.seq == h.seq {
			return none
		}
		path := "k/" + h.key
		if w.next != "" && w.picture != nil {
			path = "d/" + w.next
		}
		f, gone := w.fetch(ctx, p, path)
		switch {
		case gone && w.next != "":
			w.next = "" // its line has ended
		case gone:
			w.run.transport.tell(f, errors.New("there is no key of the name that /head says"))
			return f
		case f != none:
			return f
		}
	}
	return none
}

// fetch fetches and decodes a frame. gone says that there is none of that name.
func (w *watcher) fetch(ctx context.Context, p *poll, path string) (f failure, gone bool) {
	res, b, f := w.get(ctx, p, w.request(ctx, path, ""), nameSize+delta.MaxFrame)
	if f != none {
		return f, res != nil && res.StatusCode == http.StatusNotFound
	}
	defer w.run.transport.bytes.Put(b)
	w.came = time.Now()
	w.run.recorder.arrive(w.viewer, w.came)
	if b.Len() < nameSize {
		return w.drop(damaged, fmt.Errorf("a frame of %d bytes", b.Len())), false
	}
	name := base64.RawURLEncoding.EncodeToString(b.Next(nameSize))
	if f := w.take(b.Bytes(), w.came); f != none {
		return f, false
	}
	w.next = name
	return none, false
}

// newestKey is what /head says.
type newestKey struct {
	seq uint32 // of the newest picture
	key string // name of a key that leads there
}

// head asks for what is newest. Nil is nothing new.
func (w *watcher) head(ctx context.Context, p *poll) (*newestKey, failure) {
	query := ""
	waits := w.run.cfg.Think == LongPoll && w.picture != nil
	if waits {
		query = fmt.Sprintf("after=%d&wait=%d", w.picture.seq, w.run.cfg.Wait/time.Second)
	}
	req := w.request(ctx, "head", query)
	if w.run.cfg.Conditional && !waits && w.etag != "" && w.picture != nil {
		req.Header["If-None-Match"] = []string{w.etag}
	}
	res, b, f := w.get(ctx, p, req, maxHead)
	if f != none {
		if res != nil {
			w.run.transport.tell(f, fmt.Errorf("/head: the server answered %q", res.Status))
		}
		return nil, f
	}
	defer w.run.transport.bytes.Put(b)
	if res.StatusCode == http.StatusNotModified {
		return nil, none
	}
	h, err := parseHead(b.String())
	if err != nil {
		w.run.transport.tell(protocol, err)
		return nil, protocol
	}
	w.etag = ""
	if tag := res.Header.Get("Etag"); len(tag) <= maxETag {
		w.etag = tag
	}
	return h, none
}

// parseHead reads "NUMBER MILLISECONDS NAME".
func parseHead(text string) (*newestKey, error) {
	fields := strings.Fields(text)
	if len(fields) != 3 {
		return nil, fmt.Errorf("/head is %.80q", text)
	}
	seq, err := strconv.ParseUint(fields[0], 10, 32)
	_, err2 := strconv.ParseUint(fields[1], 10, 32)
	name, err3 := base64.RawURLEncoding.DecodeString(fields[2])
	if err := errors.Join(err, err2, err3); err != nil || len(name) != nameSize {
		return nil, fmt.Errorf("/head is %.80q", text)
	}
	return &newestKey{uint32(seq), fields[2]}, nil
}

// get makes a request and reads its answer into a buffer of the pool. The
// answer's head is there with a failure of its status too.
func (w *watcher) get(ctx context.Context, p *poll, req *http.Request, limit int64) (*http.Response, *bytes.Buffer, failure) {
	t := w.run.transport
	res, err := t.base.RoundTrip(req)
	if err != nil {
		return nil, nil, w.classify(ctx, err)
	}
	defer res.Body.Close()
	b := t.bytes.Get().(*bytes.Buffer)
	b.Reset()
	n, err := b.ReadFrom(io.LimitReader(res.Body, limit+1))
	p.bytes += int(n)
	f := classifyStatus(res.StatusCode)
	switch {
	case err != nil:
		f = w.classify(ctx, err)
	case f != none:
		if res.StatusCode != http.StatusNotFound { // of a frame, that is no failure
			t.tell(f, fmt.Errorf("the server answered %q", res.Status))
		}
	case n > limit:
		f = tooLarge
	}
	if f != none {
		t.bytes.Put(b)
		return res, nil, f
	}
	return res, b, none
}
