package loadtest

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// pushing is a scripted feed that waits when asked to, and announces pictures:
// frame n is taken at n periods and public lag later.
type pushing struct {
	start       time.Time
	period, lag time.Duration
	lazy        bool          // answers long polls at once
	ends        time.Duration // of a stream; zero is never

	mu    sync.Mutex
	asked []string // queries and paths, in order
}

func newPushing(period, lag time.Duration) *pushing {
	return &pushing{start: time.Now(), period: period, lag: lag}
}

func (p *pushing) newest(at time.Duration) int { return int(max(at-p.lag, 0) / p.period) }

// public is when frame n is.
func (p *pushing) public(n int) time.Time { return p.start.Add(time.Duration(n)*p.period + p.lag) }

func (p *pushing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, r.URL.RequestURI())
	p.mu.Unlock()
	if r.URL.Path == "/events" {
		p.stream(w, r)
		return
	}
	etag := func(n int) string { return fmt.Sprintf(`"%d+%d"`, n, n) }
	n := p.newest(time.Since(p.start))
	if after := r.URL.Query().Get("after"); after == etag(n) && !p.lazy {
		wait, err := strconv.Atoi(r.URL.Query().Get("wait"))
		if err != nil {
			http.Error(w, "no wait", http.StatusBadRequest)
			return
		}
		next := time.Until(p.public(n + 1))
		select {
		case <-time.After(min(next, time.Duration(wait)*time.Second)):
		case <-r.Context().Done():
			return
		}
		if time.Duration(wait)*time.Second < next {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		n = p.newest(time.Since(p.start))
	}
	w.Header().Set("ETag", etag(n))
	if r.Header.Get("If-None-Match") == etag(n) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	fmt.Fprintf(w, "%d %d", n, p.start.Add(time.Duration(n)*p.period).UnixMilli())
}

func (p *pushing) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	io.WriteString(w, ": hello\n\nevent: wave\ndata: 3\n\n")
	w.(http.Flusher).Flush()
	var end <-chan time.Time
	if p.ends > 0 {
		end = time.After(p.ends)
	}
	for {
		n := p.newest(time.Since(p.start))
		select {
		case <-time.After(time.Until(p.public(n + 1))):
			fmt.Fprintf(w, "event: frame\ndata: {\"n\":%d}\n\n", n+1)
			w.(http.Flusher).Flush()
		case <-end:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// TestLongPoll: frame n is public at 2n + 0.1 s and with every viewer at that
// moment: its age goes from 0.1 s to 2.1 s, evenly.
func TestLongPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const s = time.Second
		f := newPushing(2*s, 100*time.Millisecond)
		c := Config{TargetURL: "http://feed.example/latest?size=small", Think: LongPoll, Duration: 20 * s, Conditional: true, Stamper: textStamp}.withDefaults()
		c.Viewers = 2
		r := playStays(t, f, c, []stay{{}, {join: 500 * time.Millisecond}}).report(c)
		balance(t, r)
		// Frames 0 to 9 each.
		if r.Polls.New != 20 || r.Polls.Errors != 0 || r.Polls.Unchanged != 0 || r.Polls.Unfinished != 2 || r.Pictures.Missed != 0 {
			t.Errorf("polls %+v, pictures %+v", r.Polls, r.Pictures)
		}
		near(t, "age max", r.Age.Max, 2100*time.Millisecond, 0)
		near(t, "age p50", r.Age.P50, 1100*time.Millisecond, 50*time.Millisecond)
		if want := "/latest?after=%220%2B0%22&size=small&wait=25"; f.asked[1] != want {
			t.Errorf("asked for %q, want %q", f.asked[1], want)
		}
	})
}

// TestLongPollOfNothing: a camera that is off. The waits run out; a server that
// does not wait at all gets no more than a poll a period.
func TestLongPollOfNothing(t *testing.T) {
	for _, lazy := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			const s = time.Second
			f := newPushing(time.Hour, 0)
			f.lazy = lazy
			c := Config{TargetURL: "http://feed.example/latest", Think: LongPoll, Wait: 3 * s, Duration: 20 * s, Stamper: textStamp}.withDefaults()
			c.Viewers = 1
			r := playStays(t, f, c, []stay{{}}).report(c)
			balance(t, r)
			// At 0; then waits of 3 s to 18 s, and one is cut off. Or twice at 0, and
			// every 2 s.
			sent, unchanged, duplicates := uint64(8), uint64(6), uint64(0)
			if lazy {
				sent, unchanged, duplicates = 11, 0, 10
			}
			if r.Polls.Sent != sent || r.Polls.Unchanged != unchanged || r.Pictures.Duplicates != duplicates || r.Polls.Errors != 0 {
				t.Errorf("lazy %v: polls %+v, pictures %+v", lazy, r.Polls, r.Pictures)
			}
		})
	}
}

// TestEvents: pictures are fetched when they are announced, at once.
func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const s = time.Second
		f := newPushing(2*s, 100*time.Millisecond)
		c := Config{TargetURL: "http://feed.example/latest", Think: Events, Duration: 20 * s, Conditional: true, Stamper: textStamp}.withDefaults()
		c.Viewers = 2
		r := playStays(t, f, c, []stay{{}, {500 * time.Millisecond, 9 * s}}).report(c)
		balance(t, r)
		// Frames 0 to 9; 0 to 4.
		if r.Polls.New != 15 || r.Polls.Sent != 15 || r.Pictures.Missed != 0 {
			t.Errorf("polls %+v, pictures %+v", r.Polls, r.Pictures)
		}
		near(t, "age max", r.Age.Max, 2100*time.Millisecond, 0)
		near(t, "latency max", r.Latency.Max, 0, 0)
		if r.Streams == nil || *r.Streams != (Streams{Opened: 2, Events: 13}) {
			t.Errorf("streams %+v", r.Streams)
		}
		if r.Connections.Opened != 4 { // stream and pictures
			t.Errorf("connections %+v", r.Connections)
		}
	})
}

// TestEventsThatEnd: streams end after 5 s and are opened again after a period;
// meanwhile nobody is told.
func TestEventsThatEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const s = time.Second
		f := newPushing(2*s, 100*time.Millisecond)
		f.ends = 5 * s
		c := Config{TargetURL: "http://feed.example/latest", Think: Events, Duration: 20 * s, Stamper: textStamp}.withDefaults()
		c.Viewers = 1
		r := playStays(t, f, c, []stay{{}}).report(c)
		// Streams from 0 to 5, 7 to 12, 14 to 19: frames at 2.1 4.1 8.1 10.1 14.1 16.1 18.1.
		if *r.Streams != (Streams{Opened: 3, Ended: 3, Events: 7}) || r.Pictures.Missed != 2 || r.Polls.Sent != 8 {
			t.Errorf("streams %+v, pictures %+v, polls %+v", r.Streams, r.Pictures, r.Polls)
		}
		c.Duration = 19 * s
		gone := playStays(t, http.NotFoundHandler(), c, []stay{{}}).report(c)
		if *gone.Streams != (Streams{Failed: 10}) {
			t.Errorf("without any: %+v", gone.Streams)
		}
	})
}

func FuzzEvents(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		n := 0
		if err := readEvents(strings.NewReader(text), func(name string) {
			n++
			if name == "" {
				t.Error("an event without a name")
			}
		}); err == nil {
			t.Error("a stream that ended without an error")
		}
		if n > strings.Count(text, "data") {
			t.Errorf("%d events", n)
		}
	})
}

// TestProtocols runs every protocol over real sockets and asks the server what
// it saw.
func TestProtocols(t *testing.T) {
	const viewers = 8
	for _, tt := range []struct {
		name      string
		tls       bool
		change    func(*Config)
		proto     string
		hellos    func(r *Report) uint64 // handshakes that there must have been
		reconnect bool
	}{
		{"h1", false, func(*Config) {}, "HTTP/1.1", nil, false},
		{"h1 over TLS", true, func(*Config) {}, "HTTP/1.1", nil, false},
		{"a connection each", false, func(c *Config) { c.Reconnect = true }, "HTTP/1.1", nil, true},
		{"a handshake each", true, func(c *Config) { c.Reconnect = true }, "HTTP/1.1", nil, true},
		{"a resumed handshake each", true, func(c *Config) { c.Reconnect, c.Resume = true, true }, "HTTP/1.1", nil, true},
		{"h2 over TLS", true, func(c *Config) { c.Protocol = H2 }, "HTTP/2.0", nil, false},
		{"h2 over TLS, resumed", true, func(c *Config) { c.Protocol, c.Resume = H2, true }, "HTTP/2.0", nil, false},
		{"h2 in the clear", false, func(c *Config) { c.Protocol = H2 }, "HTTP/2.0", nil, false},
		{"events over h2", true, func(c *Config) { c.Protocol, c.Think = H2, Events }, "HTTP/2.0", nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // they wait most of the time
			var full, resumed, conns atomic.Uint64
			f := newPushing(50*time.Millisecond, 0)
			other := make(map[string]bool)
			var mu sync.Mutex
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				if r.Proto != tt.proto {
					other[r.Proto] = true
				}
				mu.Unlock()
				f.ServeHTTP(w, r)
			}))
			srv.Config.ErrorLog = log.New(io.Discard, "", 0)
			srv.Config.Protocols = new(http.Protocols)
			srv.Config.Protocols.SetHTTP1(true)
			srv.Config.Protocols.SetHTTP2(true)
			srv.Config.Protocols.SetUnencryptedHTTP2(true)
			srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
				if s == http.StateNew {
					conns.Add(1)
				}
			}
			srv.TLS = &tls.Config{VerifyConnection: func(s tls.ConnectionState) error {
				if s.DidResume {
					resumed.Add(1)
				} else {
					full.Add(1)
				}
				return nil
			}}
			c := Config{Viewers: viewers, Duration: 800 * time.Millisecond, Period: 50 * time.Millisecond, Ramp: 50 * time.Millisecond,
				Conditional: true, Stamper: textStamp, InProcess: true}
			tt.change(&c)
			if tt.tls {
				srv.EnableHTTP2 = true
				srv.StartTLS()
				roots := x509.NewCertPool()
				roots.AddCert(srv.Certificate())
				c.TLS = &tls.Config{RootCAs: roots}
			} else {
				srv.Start()
			}
			defer srv.Close()
			u, err := url.Parse(srv.URL)
			if err != nil {
				t.Fatal(err)
			}
			c.TargetURL = u.String() + "/latest"
			r, err := Run(t.Context(), c, nil)
			if err != nil {
				t.Fatal(err)
			}
			balance(t, r)
			if r.Polls.Errors > 0 || r.Polls.New < viewers || len(other) > 0 {
				t.Errorf("polls %+v, failures %v, protocols %v", r.Polls, r.Failures, other)
			}
			// The end of the run may cut off a dial that the server has taken.
			if n := conns.Load(); n < r.Connections.Opened || n > r.Connections.Opened+viewers {
				t.Errorf("the server saw %d connections, the viewers %d", n, r.Connections.Opened)
			}
			switch {
			case tt.reconnect && r.Connections.Opened < r.Polls.New:
				t.Errorf("%d connections for %d polls", r.Connections.Opened, r.Polls.Sent)
			case !tt.reconnect && r.Connections.Opened != viewers:
				t.Errorf("%d connections, want one each", r.Connections.Opened)
			}
			if !tt.tls {
				return
			}
			// The end of the run may cut handshakes off.
			got, all := resumed.Load(), conns.Load()
			if got < r.Connections.Resumed || full.Load()+got > all || full.Load()+got+viewers < all {
				t.Errorf("%d full and %d resumed handshakes over %d connections, reported %d resumed", full.Load(), got, conns.Load(), r.Connections.Resumed)
			}
			if c.Resume && c.Reconnect != (r.Connections.Resumed > 0) {
				t.Errorf("%d sessions resumed", r.Connections.Resumed)
			}
			if c.Resume && c.Reconnect && full.Load() > viewers {
				t.Errorf("%d full handshakes, want one for each viewer at most", full.Load())
			}
		})
	}
}
