package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"porthole/internal/devca"
	"porthole/internal/event"
	"porthole/internal/netmem"
	"porthole/server/picture"
)

// mirror is a handler that shows how a stream of bytes was understood: pictures
// are served, everything else is sent back, with its body.
func mirror(s *Server) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if classOf(r.URL.Path) == ClassFeed {
			s.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<10))
		w.Header()["X-Content-Type-Options"] = noSniff
		fmt.Fprintf(w, "%s %q host %q, %d fields, body %q %v\n", r.Method, r.RequestURI, r.Host, len(r.Header), body, err)
	})
}

// streams are what clients send: ordinary, odd and hostile. %s is the ETag.
var streams = []struct{ name, data string }{
	{"plain", "GET /latest HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"like a browser", "GET /latest HTTP/1.1\r\nHost: cam.example.org:8443\r\nConnection: keep-alive\r\nsec-ch-ua: \"Chromium\";v=\"126\"\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nIf-None-Match: %s\r\nAccept: */*\r\nOrigin: https://www.example.org\r\nReferer: https://www.example.org/\r\nAccept-Encoding: gzip, deflate, br\r\nAccept-Language: en\r\n\r\n"},
	{"head", "HEAD /latest.jpg HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"no WebP", "GET /latest.webp HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"unchanged", "GET /latest HTTP/1.1\r\nHost: a\r\nIf-None-Match: %s\r\n\r\n"},
	{"unchanged, weak, in a list", "GET /latest HTTP/1.1\r\nHost: a\r\nif-none-match: \"x\", W/%s\r\n\r\n"},
	{"unchanged, head", "HEAD /latest HTTP/1.1\r\nHost: a\r\nIf-None-Match: *\r\n\r\n"},
	{"changed", "GET /latest HTTP/1.1\r\nHost: a\r\nIf-None-Match: \"x\"\r\n\r\n"},
	{"two conditions", "GET /latest HTTP/1.1\r\nHost: a\r\nIf-None-Match: \"x\"\r\nIf-None-Match: %s\r\n\r\n"},
	{"one after the other", "GET /latest HTTP/1.1\r\nHost: a\r\n\r\n|GET /latest HTTP/1.1\r\nHost: a\r\n\r\n|HEAD /latest HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"pipelined", "GET /latest HTTP/1.1\r\nHost: a\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\nGET /latest HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"page and picture", "GET / HTTP/1.1\r\nHost: a\r\n\r\n|GET /latest HTTP/1.1\r\nHost: a\r\n\r\n|GET /x HTTP/1.1\r\nHost: a\r\n\r\n|GET /latest HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"in pieces", "GET /lat|est HTTP/1.1\r\nHo|st: a\r\n\r|\n"},
	{"a picture's head as the end of another", "GET /x HTTP/1.1\r\nHost: a\r\nX-Y: z\r\n|GET /latest HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"a picture's head as a body", "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 37\r\n\r\n|GET /latest HTTP/1.1\r\nHost: a\r\n\r\nxxxx|GET /latest HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"a picture's head as the body of a GET", "GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: 33\r\n\r\n|GET /latest HTTP/1.1\r\nHost: a\r\n\r\n|GET /latest HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"content length of a picture", "GET /latest HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n|hello|GET /latest HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"chunked", "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n|GET /latest HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"both lengths", "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n21\r\nGET /latest HTTP/1.1\r\nHost: a\r\n\r\n\r\n0\r\n\r\n"},
	{"two lengths", "GET /latest HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\nhello"},
	{"obscured encoding", "GET /latest HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"},
	{"space before the colon", "GET /latest HTTP/1.1\r\nHost : a\r\n\r\n"},
	{"folded line", "GET /latest HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n"},
	{"bare line feeds", "GET /latest HTTP/1.1\nHost: a\n\n"},
	{"line feed in a line", "GET /latest HTTP/1.1\r\nHost: a\nContent-Length: 4\r\n\r\nabcd"},
	{"carriage return in a value", "GET /latest HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n"},
	{"zero byte", "GET /latest HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n"},
	{"no host", "GET /latest HTTP/1.1\r\n\r\n"},
	{"empty host", "GET /latest HTTP/1.1\r\nHost:\r\n\r\n"},
	{"two hosts", "GET /latest HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"},
	{"odd host", "GET /latest HTTP/1.1\r\nHost: a/b\r\n\r\n"},
	{"old protocol", "GET /latest HTTP/1.0\r\nHost: a\r\n\r\n"},
	{"close", "GET /latest HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"},
	{"close and more", "GET /latest HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, close\r\n\r\n"},
	{"expectation", "GET /latest HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n"},
	{"upgrade", "GET /latest HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"},
	{"absolute form", "GET http://a/latest HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"query", "GET /latest?after=x&wait=1 HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"dots", "GET /x/../latest HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"encoded", "GET /%6catest HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"two spaces", "GET  /latest HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"lower case method", "get /latest HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
	{"a TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"},
	{"long head", "GET /latest HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("y", 5000) + "\r\n\r\n"},
	{"head beyond the limit", "GET /latest HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("y", 20000) + "\r\n\r\n"},
	{"empty name", "GET /latest HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n"},
	{"nothing", ""},
	{"three bytes", "GET"},
	{"three bytes after a picture", "GET /latest HTTP/1.1\r\nHost: a\r\n\r\n|GET"},
	{"three bytes after a page, one by one", "GET / HTTP/1.1\r\nHost: a\r\n\r\n|G|E|T"},
	{"four bytes after a page", "GET / HTTP/1.1\r\nHost: a\r\n\r\n|GET "},
	{"a page in pieces after a picture", "GET /latest HTTP/1.1\r\nHost: a\r\n\r\n|G|ET|  / HTTP/1.1\r\nHost: a\r\n\r\n|GET /latest HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"line breaks first", "\r\n\r\nGET /latest HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"stream", "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"stream taken up", "GET /stream?from=AAAAAAAAAAAAAAAAAAAAAA&seq=1 HTTP/1.1\r\nHost: a\r\n\r\nGET /latest HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"stream with another query", "HEAD /stream?seq=1&from=A HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"other origin", "GET /latest HTTP/1.1\r\nHost: a\r\nOrigin: https://www.example.org\r\nAccept: image/webp\r\n\r\n"},
}

// exchange sends the pieces of a stream on a connection and returns all that
// comes back until it ends.
func exchange(conn net.Conn, pieces [][]byte, between func()) []byte {
	var got bytes.Buffer
	var reading sync.WaitGroup
	reading.Go(func() { io.Copy(&got, conn) })
	for _, p := range pieces {
		if _, err := conn.Write(p); err != nil {
			break // it has ended
		}
		between()
	}
	if c, ok := conn.(interface{ CloseWrite() error }); ok {
		c.CloseWrite()
	} else {
		time.Sleep(10 * time.Minute) // of virtual time: every wait of a server is over
	}
	reading.Wait()
	conn.Close()
	return got.Bytes()
}

// pair is our front and net/http alone, with the same handler.
type pair struct{ ours, theirs func() net.Conn }

// stillPair starts both on listeners; stop ends them.
func stillPair(t testing.TB, s *Server, ours, theirs net.Listener) (stop func()) {
	f := newFront(s, publicTimes)
	f.http.Handler = mirror(s)
	ctx, cancel := context.WithCancel(context.Background())
	srv := newHTTPServer(mirror(s), s.cfg.Log)
	var parts sync.WaitGroup
	parts.Go(func() {
		if err := f.serve(ctx, time.Second, ours); err != nil {
			t.Errorf("front: %v", err)
		}
	})
	parts.Go(func() { srv.Serve(theirs) })
	return func() {
		cancel()
		srv.Close()
		parts.Wait()
		// A connection on its way back from net/http is net/http's to finish, which
		// nobody waits for.
		eventually(t, "no connection is booked after the end", func() bool { return s.Stats().Connections == 0 })
	}
}

// cut divides data at each | and, where cuts says so, elsewhere.
func cut(data []byte, cuts uint16) [][]byte {
	var pieces [][]byte
	for p := range bytes.SplitSeq(data, []byte("|")) {
		if n := int(cuts) % (len(p) + 1); cuts != 0 && n > 0 {
			pieces = append(pieces, p[:n])
			p = p[n:]
		}
		if len(p) > 0 {
			pieces = append(pieces, p)
		}
	}
	return pieces
}

func fuzzSeeds(f *testing.F) {
	for i, s := range streams {
		f.Add([]byte(s.data), uint16(0), uint8(i%4))
		f.Add([]byte(s.data), uint16(i+1), uint8(0))
	}
}

// variant returns the serving configuration and the picture for a fuzz input.
func variant(n uint8) (Serving, *picture.Result) {
	r := &picture.Result{JPEG: bytes.Repeat([]byte("j"), 6000)}
	var c Serving
	if n&1 != 0 {
		c.Origins = []string{"https://www.example.org"}
	}
	if n&2 != 0 {
		c.Cache = CacheEdge
		r.WebP = []byte("webp")
	}
	return c, r
}

// endless reports whether a stream of events may be asked for, of which these
// tests would see no end; TestEventBytes looks at them.
func endless(data []byte) bool { return bytes.Contains(data, []byte(pathEvents)) }

// FuzzFront holds the front against net/http: the same bytes for every stream
// of bytes, however it is cut.
func FuzzFront(f *testing.F) {
	fuzzSeeds(f)
	f.Fuzz(func(t *testing.T, data []byte, cuts uint16, v uint8) {
		if len(data) > 64<<10 || endless(data) {
			t.Skip("too long, or a stream without an end, which TestEventBytes compares")
		}
		synctest.Test(t, func(t *testing.T) {
			serving, r := variant(v)
			s := still(t, serving, r)
			data := bytes.ReplaceAll(data, []byte("%s"), []byte(s.current.Load().jpeg.etag))
			ours, theirs := netmem.Listen(), netmem.Listen()
			defer stillPair(t, s, ours, theirs)()
			var got, want []byte
			var both sync.WaitGroup
			for _, side := range []struct {
				ln   *netmem.Listener
				into *[]byte
			}{{ours, &got}, {theirs, &want}} {
				conn, err := side.ln.Dial(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				both.Go(func() { *side.into = exchange(conn, cut(data, cuts), func() { time.Sleep(time.Millisecond) }) })
			}
			both.Wait()
			if !bytes.Equal(got, want) {
				t.Errorf("sent %q\nours   %q\ntheirs %q", data, got, want)
			}
		})
	})
}

var dateLine = regexp.MustCompile(`Date: [^\r]*\r\n`)

// FuzzLoop does the same on real sockets, where links are parked in a loop.
func FuzzLoop(f *testing.F) {
	fuzzSeeds(f)
	dial := make(map[uint8]pair)
	for v := range uint8(4) {
		serving, r := variant(v)
		s := testServer(f, func(c *Config) { c.Serving = serving })
		s.show(r, event.FrameInfo{})
		etags[v] = s.current.Load().jpeg.etag
		ours, theirs := listen(f), listen(f)
		f.Cleanup(stillPair(f, s, ours, theirs))
		dial[v] = pair{func() net.Conn { return dialTCP(f, ours) }, func() net.Conn { return dialTCP(f, theirs) }}
	}
	f.Fuzz(func(t *testing.T, data []byte, cuts uint16, v uint8) {
		if len(data) > 64<<10 || endless(data) {
			t.Skip("too long, or a stream without an end, which TestEventBytes compares")
		}
		data = bytes.ReplaceAll(data, []byte("%s"), []byte(etags[v%4]))
		d := dial[v%4]
		// One piece: when the system delivers several is not ours to say.
		pieces := [][]byte{bytes.ReplaceAll(data, []byte("|"), nil)}
		got := dateLine.ReplaceAll(exchange(d.ours(), pieces, func() {}), nil)
		want := dateLine.ReplaceAll(exchange(d.theirs(), pieces, func() {}), nil)
		if !bytes.Equal(got, want) {
			t.Errorf("sent %q\nours   %q\ntheirs %q", data, got, want)
		}
	})
}

var etags [4]string

func listen(t testing.TB) net.Listener {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func dialTCP(t testing.TB, ln net.Listener) net.Conn {
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// TestStreamsOverTLS sends every stream through TLS, where several requests may
// come in one record and one request in several.
func TestStreamsOverTLS(t *testing.T) {
	ca, err := devca.New()
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	s := testServer(t, nil)
	s.show(&picture.Result{JPEG: bytes.Repeat([]byte("j"), 40_000)}, event.FrameInfo{})
	ours, theirs := listen(t), listen(t)
	defer stillPair(t, s, NewTLSListener(ours, TLS(pair)), tls.NewListener(theirs, TLS(pair)))()
	client := &tls.Config{RootCAs: ca.Pool(), ServerName: "127.0.0.1"}
	for _, st := range streams {
		t.Run(st.name, func(t *testing.T) {
			data := strings.ReplaceAll(st.data, "%s", s.current.Load().jpeg.etag)
			var answers [2][]byte
			for i, ln := range []net.Listener{ours, theirs} {
				conn := tls.Client(dialTCP(t, ln), client)
				if err := conn.Handshake(); err != nil {
					t.Fatal(err)
				}
				answers[i] = dateLine.ReplaceAll(exchange(conn, [][]byte{[]byte(strings.ReplaceAll(data, "|", ""))}, func() {}), nil)
			}
			if !bytes.Equal(answers[0], answers[1]) {
				t.Errorf("sent %.300q\nours   %.600q\ntheirs %.600q", data, answers[0], answers[1])
			}
		})
	}
}

// TestBackAndForth: a connection that asks for the page between pictures goes to
// net/http and comes back each time; uploads stay there.
func TestBackAndForth(t *testing.T) {
	s := testServer(t, nil)
	s.show(&picture.Result{JPEG: []byte("jpeg")}, event.FrameInfo{})
	ours, theirs := listen(t), listen(t)
	defer stillPair(t, s, ours, theirs)()
	transport := &http.Transport{MaxConnsPerHost: 1}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	get := func(path string, want string) {
		t.Helper()
		resp, err := client.Get("http://" + ours.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if body, _ := io.ReadAll(resp.Body); !strings.Contains(string(body), want) {
			t.Errorf("%s: %q", path, body)
		}
	}
	// Some pictures after a page are net/http's: it may have read their first byte.
	// How many is the scheduler's affair, so this goes on until it came back often.
	pictures := 0
	for s.Stats().Fast < 20 && pictures < 10_000 {
		get("/latest", "jpeg")
		get("/page", "GET \"/page\"")
		get("/latest", "jpeg")
		pictures += 2
	}
	st := s.Stats()
	if st.Accepted != 1 || st.Fast < 20 || st.Connections != 1 || st.Viewers != 1 {
		t.Errorf("%d connections, %d of %d pictures answered fast, %d open, %d viewers", st.Accepted, st.Fast, pictures, st.Connections, st.Viewers)
	}
	for range 3 {
		resp, err := client.Post("http://"+ours.Addr().String()+"/x", "text/plain", strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if !strings.Contains(string(body), `body "body"`) {
			t.Errorf("POST: %q", body)
		}
		get("/latest", "jpeg")
	}
	if after := s.Stats(); after.Accepted != 1 || after.Fast != st.Fast {
		t.Errorf("after a body: %d connections, %d fast answers", after.Accepted, after.Fast)
	}
}
