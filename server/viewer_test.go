package server

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"image"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"porthole/internal/devca"
	"porthole/internal/event"
	"porthole/server/delta"
	"porthole/server/picture"
)

// crowd is a server with streams, behind our front and behind net/http alone,
// with sockets.
type crowd struct {
	*Server
	t            *testing.T
	front        *front
	ours, theirs func() net.Conn
	byHTTP       atomic.Int64 // streams that our front left to net/http
	stop         func()       // ends both in order
	shown        int
}

// gather starts one. Streams of the front must be its loops'.
func gather(t *testing.T, secure bool, ts times, change func(*Config)) *crowd {
	t.Helper()
	c := &crowd{t: t, Server: testServer(t, func(cfg *Config) {
		cfg.Deltas = DeltasStrict
		if change != nil {
			change(cfg)
		}
	})}
	c.front = newFront(c.Server, ts)
	c.front.http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == pathStream || r.URL.Path == pathEvents {
			c.byHTTP.Add(1)
		}
		c.ServeHTTP(w, r)
	})
	ctx, cancel := context.WithCancel(context.Background())
	alone := newHTTPServer(c.Server, c.cfg.Log)
	alone.BaseContext = func(net.Listener) context.Context { return ctx }
	a, b := listen(t), listen(t)
	ours, theirs := a, b
	dial := func(ln net.Listener) func() net.Conn {
		return func() net.Conn { return dialTCP(t, ln) }
	}
	c.ours, c.theirs = dial(a), dial(b)
	if secure {
		ca, err := devca.New()
		if err != nil {
			t.Fatal(err)
		}
		pair, err := ca.Certificate()
		if err != nil {
			t.Fatal(err)
		}
		ours, theirs = NewTLSListener(a, TLS(pair)), tls.NewListener(b, TLS(pair))
		client := &tls.Config{RootCAs: ca.Pool(), ServerName: "127.0.0.1"}
		greet := func(ln net.Listener) func() net.Conn {
			return func() net.Conn { return tls.Client(dialTCP(t, ln), client) }
		}
		c.ours, c.theirs = greet(a), greet(b)
	}
	var parts sync.WaitGroup
	parts.Go(func() {
		if err := c.front.serve(ctx, 10*time.Second, ours); err != nil {
			t.Errorf("front: %v", err)
		}
	})
	parts.Go(func() { alone.Serve(theirs) })
	c.stop = sync.OnceFunc(func() {
		cancel()
		alone.Shutdown(context.Background())
		parts.Wait()
		if st := c.Stats(); st.Connections != 0 || st.Streams != 0 {
			t.Errorf("%d connections and %d streams are booked after the end", st.Connections, st.Streams)
		}
	})
	t.Cleanup(c.stop)
	return c
}

// show codes another picture, small and of noise: it costs little, and many
// bytes for what it costs.
func (c *crowd) show() {
	c.shown++
	r := rand.New(rand.NewPCG(uint64(c.shown), 3))
	g := image.NewGray(image.Rect(0, 0, 16, 16))
	for i := range g.Pix {
		g.Pix[i] = byte(r.Uint32())
	}
	c.showDeltas(g)
}

// watcher is the other end of a stream.
type watcher struct {
	net.Conn
	t     *testing.T
	r     *bufio.Reader
	dec   delta.Decoder
	name  string
	keys  int
	bytes int // of chunks
}

func (c *crowd) watch(conn net.Conn, request string) *watcher {
	c.t.Helper()
	conn.SetDeadline(time.Now().Add(5 * time.Minute))
	if _, err := io.WriteString(conn, request); err != nil {
		c.t.Fatal(err)
	}
	return &watcher{Conn: conn, t: c.t, r: bufio.NewReader(conn)}
}

// head reads the head of the answer.
func (w *watcher) head() string {
	w.t.Helper()
	var b strings.Builder
	for {
		line, err := w.r.ReadString('\n')
		b.WriteString(line)
		if err != nil {
			w.t.Fatalf("%v behind %q", err, b.String())
		}
		if line == "\r\n" {
			return dateLine.ReplaceAllString(b.String(), "")
		}
	}
}

// chunk reads one chunk, as it was sent.
func (w *watcher) chunk() ([]byte, error) {
	line, err := w.r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(line, "\r\n"), 16, 31)
	if err != nil {
		return nil, err
	}
	b := make([]byte, len(line)+int(n)+2)
	copy(b, line)
	w.bytes += len(b)
	_, err = io.ReadFull(w.r, b[len(line):])
	return b, err
}

// frames reads one chunk and decodes what is in it.
func (w *watcher) frames() error {
	b, err := w.chunk()
	if err != nil {
		return err
	}
	_, data, _ := bytes.Cut(b, []byte("\r\n"))
	s := streamed{t: w.t}
	for body := bytes.NewReader(data[:len(data)-2]); body.Len() > 0; {
		s.body = body
		record := s.record()
		if record == nil || record[0] == lineMark {
			if record != nil {
				w.name = s.nameOf(record)
			}
			continue
		}
		if h, _, err := delta.ReadHeader(record); err != nil {
			return err
		} else if h.Key {
			w.keys++
		}
		if err := w.dec.Decode(record); err != nil {
			return err
		}
	}
	return nil
}

// catchUp reads until the viewer has the newest picture of a feed.
func (w *watcher) catchUp(f *delta.Feed) {
	w.t.Helper()
	for {
		newest, _ := f.Seq()
		if seq, ok := w.dec.Seq(); ok && seq == newest {
			return
		}
		if err := w.frames(); err != nil {
			w.t.Fatal(err)
		}
	}
}

// eventually waits until something is so.
func eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

const (
	getStream = "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n"
	getEvents = "GET /events HTTP/1.1\r\nHost: a\r\n\r\n"
)

// TestStreamBytes: a stream of the loops is that of net/http to the last byte,
// over TLS and without, however it begins and ends.
func TestStreamBytes(t *testing.T) {
	const origin = "https://www.example.org"
	for _, tt := range []struct {
		name, request string
		serving       Serving
		byHTTP        bool
	}{
		{"plain", getStream, Serving{}, false},
		{"like a browser", "GET /stream HTTP/1.1\r\nHost: a:8443\r\nConnection: keep-alive\r\nPragma: no-cache\r\nCache-Control: no-cache\r\nAccept: */*\r\nOrigin: " + origin + "\r\nAccept-Encoding: gzip\r\n\r\n", Serving{}, false},
		{"a site that may read", "GET /stream HTTP/1.1\r\nHost: a\r\nOrigin: " + origin + "\r\n\r\n", Serving{Origins: []string{"https://a.example", origin}}, false},
		{"a site that may not", "GET /stream HTTP/1.1\r\nHost: a\r\nOrigin: https://b.example\r\n\r\n", Serving{Origins: []string{origin}, Cache: CacheEdge}, false},
		{"no site may", getStream, Serving{Origins: []string{}}, false},
		{"taken up", "GET /stream?from=%s&seq=%d HTTP/1.1\r\nHost: a\r\n\r\n", Serving{}, false},
		{"forged name", "GET /stream?from=AAAAAAAAAAAAAAAAAAAAAA&seq=1 HTTP/1.1\r\nHost: a\r\n\r\n", Serving{}, false},
		{"number too large", "GET /stream?from=AAAAAAAAAAAAAAAAAAAAAA&seq=99999999999 HTTP/1.1\r\nHost: a\r\n\r\n", Serving{}, false},
		{"empty query", "GET /stream?from=&seq= HTTP/1.1\r\nHost: a\r\n\r\n", Serving{}, false},
		{"other query", "GET /stream?seq=1 HTTP/1.1\r\nHost: a\r\n\r\n", Serving{}, true},
		{"encoded query", "GET /stream?from=A%%41&seq=1 HTTP/1.1\r\nHost: a\r\n\r\n", Serving{}, true},
		{"to be closed", "GET /stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", Serving{}, true},
		{"with a request behind it", getStream + getStream, Serving{}, true},
	} {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, TLS %v", tt.name, secure), func(t *testing.T) {
				t.Parallel()
				c := gather(t, secure, publicTimes, func(cfg *Config) { cfg.Serving = tt.serving })
				for range 3 {
					c.show()
				}
				request := tt.request
				if strings.Contains(request, "%s") {
					first := c.watch(c.theirs(), getStream)
					first.head()
					first.catchUp(c.deltas.feed)
					first.Close()
					seq, _ := first.dec.Seq()
					c.show()
					c.show()
					request = fmt.Sprintf(request, first.name, seq)
				}
				pair := [2]*watcher{c.watch(c.ours(), request), c.watch(c.theirs(), request)}
				defer pair[0].Close()
				defer pair[1].Close()
				if a, b := pair[0].head(), pair[1].head(); a != b {
					t.Fatalf("head %q, want %q", a, b)
				}
				same := func() {
					t.Helper()
					a, err := pair[0].chunk()
					if err != nil {
						t.Fatal(err)
					}
					b, err := pair[1].chunk()
					if err != nil {
						t.Fatal(err)
					}
					if !bytes.Equal(a, b) {
						t.Fatalf("%d bytes %.60q, want %d bytes %.60q", len(a), a, len(b), b)
					}
				}
				same()
				for range 6 {
					c.show()
					same()
				}
				if got := c.byHTTP.Load() > 0; got != (tt.byHTTP || runtime.GOOS != "linux") {
					t.Errorf("answered by net/http: %v", got)
				}
				if strings.Count(request, "GET") > 1 || strings.Contains(request, "close") {
					return
				}
				// The end of the request, or of the server, is that of the stream.
				if secure {
					c.stop()
				} else {
					for _, w := range pair {
						w.Conn.(*net.TCPConn).CloseWrite()
					}
				}
				for _, w := range pair {
					if b, err := io.ReadAll(w.r); string(b) != string(lastChunk) || err != nil {
						t.Errorf("the stream ended with %q, %v", b, err)
					}
				}
			})
		}
	}
}

// TestEventBytes: so are event streams.
func TestEventBytes(t *testing.T) {
	for _, tt := range []struct {
		name, request string
		change        func(*Config)
	}{
		{"plain", getEvents, nil},
		{"like a browser, without changes", "GET /events HTTP/1.1\r\nHost: a:8443\r\nConnection: keep-alive\r\nAccept: text/event-stream\r\nCache-Control: no-cache\r\nOrigin: https://www.example.org\r\n\r\n", func(c *Config) { c.Deltas, c.Serving.Origins = DeltasOff, []string{"https://www.example.org"} }},
	} {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, TLS %v", tt.name, secure), func(t *testing.T) {
				t.Parallel()
				c := gather(t, secure, publicTimes, tt.change)
				publish := func() { c.Server.show(&picture.Result{JPEG: []byte("jpeg")}, event.FrameInfo{}) }
				// One that is parked before there is anything to tell of.
				early := c.ours()
				defer early.Close()
				if _, err := io.WriteString(early, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				eventually(t, "asked for the page", func() bool { return c.Stats().Requests[ClassPage] == 1 })
				publish()
				pair := [2]*watcher{c.watch(c.ours(), tt.request), c.watch(c.theirs(), tt.request)}
				defer pair[0].Close()
				defer pair[1].Close()
				if a, b := pair[0].head(), pair[1].head(); a != b {
					t.Fatalf("head %q, want %q", a, b)
				}
				for i := range 9 {
					switch {
					case i%3 == 2:
						if _, err := c.waves.add(time.Now()); err != nil {
							t.Fatal(err)
						}
					case i > 0:
						publish()
					}
					var chunks [2][]byte
					for k, w := range pair {
						b, err := w.chunk()
						if err != nil {
							t.Fatal(err)
						}
						chunks[k] = b
					}
					if !bytes.Equal(chunks[0], chunks[1]) {
						t.Fatalf("message %d: %q, want %q", i, chunks[0], chunks[1])
					}
				}
				if n := c.byHTTP.Load(); n != 0 && runtime.GOOS == "linux" {
					t.Errorf("%d by net/http", n)
				}
				if st := c.Stats(); st.Streams != 2 || st.Requests[ClassStream] != 2 {
					t.Errorf("%d streams, %d requests for one", st.Streams, st.Requests[ClassStream])
				}
				c.stop()
				for _, w := range pair {
					if b, err := io.ReadAll(w.r); string(b) != string(lastChunk) || err != nil {
						t.Errorf("the stream ended with %q, %v", b, err)
					}
				}
			})
		}
	}
}

// TestStreamRefused: where there is no stream the answer is that of net/http.
func TestStreamRefused(t *testing.T) {
	for _, tt := range []struct {
		name, request, status string
		change                func(*Config)
		shown                 bool
	}{
		{"only the head", strings.Replace(getStream, "GET", "HEAD", 1), "200", nil, true},
		{"no picture yet", getStream, "503", nil, false},
		{"no changes here", getStream, "204", func(c *Config) { c.Deltas = DeltasOff }, false},
		{"only the head of events", strings.Replace(getEvents, "GET", "HEAD", 1), "503", nil, false},
		{"no picture for events", getEvents, "503", nil, false},
		{"too many", getStream, "503", func(c *Config) { c.Serving.MaxStreams = 2 }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := gather(t, false, publicTimes, tt.change)
			if tt.shown {
				c.show()
			}
			if tt.status == "503" && tt.shown {
				for range 2 {
					w := c.watch(c.ours(), getStream)
					defer w.Close()
					w.head()
				}
			}
			got := exchange(c.ours(), [][]byte{[]byte(tt.request)}, func() {})
			want := exchange(c.theirs(), [][]byte{[]byte(tt.request)}, func() {})
			if a, b := dateLine.ReplaceAll(got, nil), dateLine.ReplaceAll(want, nil); !bytes.Equal(a, b) || !bytes.HasPrefix(a, []byte("HTTP/1.1 "+tt.status)) {
				t.Errorf("answered %q, want %q", a, b)
			}
		})
	}
}

// TestStreamBeats: a stream without pictures lives, and a picture between two
// beats moves the next.
func TestStreamBeats(t *testing.T) {
	ts := publicTimes
	ts.beat = 50 * time.Millisecond
	for _, secure := range []bool{false, true} {
		c := gather(t, secure, ts, nil)
		c.show()
		w := c.watch(c.ours(), getStream)
		w.head()
		w.catchUp(c.deltas.feed)
		for range 3 {
			if b, err := w.chunk(); !bytes.Equal(b, beatChunk) {
				t.Fatalf("%q, %v instead of a beat", b, err)
			}
		}
		c.show()
		w.catchUp(c.deltas.feed)
		if b, err := w.chunk(); !bytes.Equal(b, beatChunk) {
			t.Fatalf("%q, %v instead of a beat", b, err)
		}
		w.Close()
		c.Server.show(&picture.Result{JPEG: []byte("jpeg")}, event.FrameInfo{})
		e := c.watch(c.ours(), getEvents)
		e.head()
		for i := range 4 {
			if b, err := e.chunk(); err != nil || i > 0 && !bytes.Equal(b, eventBeatChunk) {
				t.Fatalf("%q, %v instead of a beat", b, err)
			}
		}
		e.Close()
	}
}
