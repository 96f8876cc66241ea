package loadtest

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// errSkipped is what Vegeta gets for a poll that was not made because the
// viewer's previous one is still in flight.
var errSkipped = errors.New("poll skipped: the one before is in flight")

// errUnplanned cannot happen while Vegeta numbers its hits.
var errUnplanned = errors.New("hit without a plan")

// userAgent of the viewers.
const userAgent = "porthole-load/1"

// transport makes each hit of the attack the poll of one viewer. It has one
// http.Transport, whose pool is keyed by host name: each viewer has a host name
// of its own, and with it a connection of its own. What the server sees is the
// real target: name, address and certificate are put back (load-tui 1.5, "Bg").
type transport struct {
	run   *run
	ctx   context.Context
	base  *http.Transport
	tls   *tls.Config // of an https target
	host  string
	log   *slog.Logger
	told  [failures]atomic.Bool
	bytes sync.Pool // of *bytes.Buffer
}

var _ http.RoundTripper = (*transport)(nil)

func newTransport(r *run) *transport {
	t := &transport{run: r, ctx: r.ctx, host: r.hostHeader(), log: r.cfg.Logger}
	t.bytes.New = func() any { return new(bytes.Buffer) }
	t.base = &http.Transport{
		DialContext:         r.dialer.dial,
		MaxIdleConnsPerHost: 1,
		DisableCompression:  true,
		WriteBufferSize:     1 << 10,
		TLSHandshakeTimeout: r.cfg.Timeout,
		DisableKeepAlives:   r.cfg.Reconnect,
		Protocols:           new(http.Protocols),
	}
	alpn := "http/1.1"
	switch {
	case r.cfg.Protocol != H2:
		t.base.Protocols.SetHTTP1(true)
	case r.target.Scheme == "https":
		t.base.Protocols.SetHTTP2(true)
		alpn = "h2"
	default:
		t.base.Protocols.SetUnencryptedHTTP2(true)
	}
	if r.target.Scheme == "https" {
		config := &tls.Config{}
		if r.cfg.TLS != nil {
			config = r.cfg.TLS.Clone()
		}
		if config.ServerName == "" {
			config.ServerName = (&url.URL{Host: t.host}).Hostname()
		}
		config.NextProtos = []string{alpn}
		t.tls = config
		t.base.TLSClientConfig = config
		if r.cfg.Resume {
			t.base.DialTLSContext = t.connectTLS
		}
	}
	return t
}

// connectTLS connects a viewer, with what it kept of its last session if it is to
// resume it. Sessions are per viewer: one that resumed another's would cost the server less than people
// do.
func (t *transport) connectTLS(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := t.run.dialer.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	v := conn.(*viewerConn).viewer
	config := t.tls
	if t.run.cfg.Resume {
		config = v.tlsConfig(t.tls)
	}
	c := tls.Client(conn, config)
	ctx, cancel := context.WithTimeout(ctx, t.run.cfg.Timeout)
	defer cancel()
	defer context.AfterFunc(t.ctx, cancel)()
	if err := c.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	if c.ConnectionState().DidResume {
		v.resumed.Add(1)
	}
	return c, nil
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(hit *http.Request) (*http.Response, error) {
	number, err := strconv.ParseUint(hit.Header.Get("X-Vegeta-Seq"), 10, 64)
	if err != nil {
		return nil, errUnplanned
	}
	p := t.run.ledger.get(number)
	if p == nil {
		return nil, errUnplanned
	}
	v := &t.run.dialer.viewers[p.viewer]
	now := time.Now()
	if !v.busy.CompareAndSwap(false, true) {
		p.skipped = true
		t.run.recorder.due(v, p.planned, now, true)
		return nil, errSkipped
	}
	t.run.ledger.send(p, now)
	t.run.recorder.due(v, p.planned, now, false)

	ctx, cancel := context.WithTimeout(t.ctx, t.run.cfg.patience())
	res, err := t.base.RoundTrip(t.request(ctx, v))
	if err != nil {
		t.finish(p, v, answer{failure: t.classify(err)})
		cancel()
		return nil, err
	}
	b := &body{ReadCloser: res.Body, transport: t, cancel: cancel, poll: p, viewer: v, answer: t.judge(res)}
	if b.answer.picture && b.answer.known == nil {
		b.keep = t.bytes.Get().(*bytes.Buffer)
	}
	res.Body = b
	return res, nil
}

// judge says what can be told from the head of an answer.
func (t *transport) judge(res *http.Response) (a answer) {
	a.failure = classifyStatus(res.StatusCode)
	if res.StatusCode == http.StatusNoContent && t.run.cfg.Think == LongPoll {
		a.failure = none // the wait was over
	}
	if a.failure != none {
		t.tell(a.failure, errors.New(strconv.Quote(res.Status)))
	} else if res.StatusCode == http.StatusOK {
		a.picture = true
		if tag := res.Header.Get("Etag"); len(tag) <= maxETag {
			a.etag = tag
		}
		a.known = t.run.gallery.known(a.etag)
	}
	return a
}

// request returns the poll of v. Its header map is not used again: the client
// may write it out after the answer came.
func (t *transport) request(ctx context.Context, v *viewer) *http.Request {
	header := make(http.Header, 3)
	header["User-Agent"] = []string{userAgent}
	header["Accept"] = []string{"image/*"}
	if t.run.cfg.Conditional && v.etag != "" {
		header["If-None-Match"] = []string{v.etag}
	}
	u := v.url
	if t.run.cfg.Think == LongPoll && v.etag != "" {
		// What it has goes into the address. If-None-Match as well would let any
		// server answer at once that there is nothing new.
		delete(header, "If-None-Match")
		asking := *v.url
		query := asking.Query()
		query.Set("after", v.etag)
		query.Set("wait", strconv.Itoa(int(t.run.cfg.Wait/time.Second)))
		asking.RawQuery = query.Encode()
		u = &asking
	}
	req := &http.Request{
		Method: http.MethodGet, URL: u, Host: t.host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	return req.WithContext(ctx)
}

// answer is what came of a poll.
type answer struct {
	failure failure
	etag    string
	known   *picture      // a picture whose stamp has been read before
	body    []byte        // of one that has not
	buffer  *bytes.Buffer // that body is in, to be given back; may be nil
	picture bool
}

// finish books the end of a poll and sets its viewer free. It reports whether
// the answer brought nothing sooner than a server that waits would have said so.
func (t *transport) finish(p *poll, v *viewer, a answer) (hasty bool) {
	at := time.Now()
	p.failure = a.failure
	pic := a.known
	if a.picture && a.failure == none && pic == nil {
		t.run.recorder.arrive(v, at)
		pic = t.run.gallery.resolve(a.etag, a.body, at)
	}
	if pic != nil && pic.err != nil && p.failure == none {
		p.failure = damaged
		t.tell(damaged, pic.err)
	}
	if p.failure != none {
		pic = nil
	}
	// A server that does not wait when asked to gets no faster questions for it.
	hasty = pic == nil || a.etag == v.etag && v.etag != ""
	if pic != nil {
		v.etag = a.etag
	}
	t.run.recorder.done(v, p, pic, at)
	v.busy.Store(false)
	if v.left.Load() {
		t.run.dialer.hangUp(v)
	}
	if a.buffer != nil {
		t.bytes.Put(a.buffer)
	}
	failed := p.failure != none
	hasty = hasty && at.Sub(p.sent) < min(time.Second, t.run.cfg.Wait/2)
	switch {
	case t.run.cfg.Engine == Raw: // it plans by itself
	case t.run.cfg.Think == Events:
		if v.first != nil {
			v.firstOnce.Do(func() { close(v.first) })
		}
		t.run.fetched(v, at.Sub(t.run.start), failed)
	default:
		t.run.schedule.done(v.id, at.Sub(t.run.start), failed || hasty)
	}
	return hasty
}

// classify returns the class of an error, with a look at why it ended.
func (t *transport) classify(err error) failure {
	if t.ctx.Err() != nil {
		return unfinished
	}
	f := classify(err)
	t.tell(f, err)
	return f
}

// tell logs the first error of each class.
func (t *transport) tell(f failure, err error) {
	if !t.told[f].Swap(true) {
		t.log.Warn("first error of its kind", "class", f.String(), "error", err)
	}
}

// body counts what a viewer reads and ends the poll at the last byte. One
// goroutine uses it at a time.
type body struct {
	io.ReadCloser
	transport *transport
	cancel    context.CancelFunc
	poll      *poll
	viewer    *viewer
	answer    answer
	keep      *bytes.Buffer // nil: the bytes are not needed
	ended     bool
}

// Read implements io.Reader. Reading ends with an error above the limit, so that
// an endless stream cannot hold a viewer.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.poll.bytes += n
	limit := b.transport.run.cfg.MaxPicture
	switch {
	case b.poll.bytes > limit:
		err = errTooLarge
	case b.keep != nil:
		b.keep.Write(p[:n])
	}
	if err != nil {
		b.end(err)
	}
	return n, err
}

// Close implements io.Closer.
func (b *body) Close() error {
	b.end(io.ErrUnexpectedEOF) // unless the end was read before
	err := b.ReadCloser.Close()
	b.cancel()
	return err
}

// end finishes the poll once.
func (b *body) end(err error) {
	if b.ended {
		return
	}
	b.ended = true
	a := b.answer
	if err != io.EOF && a.failure == none {
		a.failure = b.transport.classify(err)
	}
	if b.keep != nil {
		a.body = b.keep.Bytes()
	}
	b.transport.finish(b.poll, b.viewer, a)
	if b.keep != nil {
		b.keep.Reset()
		b.transport.bytes.Put(b.keep)
		b.keep = nil
	}
}
