package server

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porthole/internal/event"
	"porthole/server/picture"
)

// still returns a server that shows one picture and does not run.
func still(t *testing.T, serving Serving, r *picture.Result) *Server {
	t.Helper()
	s := testServer(t, func(c *Config) { c.Serving = serving })
	s.show(r, event.FrameInfo{})
	return s
}

// ask asks a server that does not run.
func ask(s *Server, method, target string, header ...string) *http.Response {
	req := httptest.NewRequest(method, "http://feed.example"+target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	s.ServeHTTP(rec, req)
	return rec.Result()
}

// fields writes the header fields of an answer that the server sets, sorted.
func fields(h http.Header) string {
	var lines []string
	for name, values := range h {
		if name != "Etag" && name != "Content-Length" {
			lines = append(lines, name+": "+strings.Join(values, ", "))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func TestHeaderSets(t *testing.T) {
	const site, other = "https://www.example.org", "https://evil.example"
	edge := "Cache-Control: no-cache\nCdn-Cache-Control: public, max-age=1, stale-while-revalidate=2, stale-if-error=10\n"
	private := "Cache-Control: no-store\n"
	open := "Access-Control-Allow-Origin: *\nAccess-Control-Expose-Headers: ETag\n"
	end := "X-Content-Type-Options: nosniff"
	both := &picture.Result{JPEG: []byte("jpeg"), WebP: []byte("webp")}
	for _, tt := range []struct {
		name    string
		serving Serving
		result  *picture.Result
		path    string
		header  []string
		want    string
		status  int
		body    string
	}{
		{"private", Serving{}, &picture.Result{JPEG: []byte("jpeg")}, "/latest", nil,
			open + private + "Content-Type: image/jpeg\nCross-Origin-Resource-Policy: cross-origin\n" + end, 200, "jpeg"},
		{"edge", Serving{Cache: CacheEdge}, &picture.Result{JPEG: []byte("jpeg")}, "/latest.jpg", nil,
			open + edge + "Content-Type: image/jpeg\nCross-Origin-Resource-Policy: cross-origin\n" + end, 200, "jpeg"},
		{"edge, unchanged", Serving{Cache: CacheEdge}, &picture.Result{JPEG: []byte("jpeg")}, "/latest.jpg", []string{"If-None-Match", "*"},
			open + edge + "Cross-Origin-Resource-Policy: cross-origin\n" + end, 304, ""},
		{"allowed site", Serving{Origins: []string{site}}, &picture.Result{JPEG: []byte("jpeg")}, "/latest", []string{"Origin", site},
			"Access-Control-Allow-Origin: " + site + "\nAccess-Control-Expose-Headers: ETag\n" + private + "Content-Type: image/jpeg\nCross-Origin-Resource-Policy: cross-origin\nVary: Origin\n" + end, 200, "jpeg"},
		{"other site", Serving{Origins: []string{site}}, &picture.Result{JPEG: []byte("jpeg")}, "/latest", []string{"Origin", other},
			private + "Content-Type: image/jpeg\nCross-Origin-Resource-Policy: cross-origin\nVary: Origin\n" + end, 200, "jpeg"},
		{"no site", Serving{Origins: []string{}}, &picture.Result{JPEG: []byte("jpeg")}, "/latest", []string{"Origin", site},
			private + "Content-Type: image/jpeg\nCross-Origin-Resource-Policy: same-origin\n" + end, 200, "jpeg"},
		{"WebP by Accept", Serving{}, both, "/latest", []string{"Accept", "image/avif,image/webp;q=0.9,*/*"},
			open + private + "Content-Type: image/webp\nCross-Origin-Resource-Policy: cross-origin\nVary: Accept\n" + end, 200, "webp"},
		{"JPEG by Accept", Serving{}, both, "/latest", []string{"Accept", "image/*, image/webp;q=0"},
			open + private + "Content-Type: image/jpeg\nCross-Origin-Resource-Policy: cross-origin\nVary: Accept\n" + end, 200, "jpeg"},
		{"JPEG by name", Serving{}, both, "/latest.jpg", []string{"Accept", "image/webp"},
			open + private + "Content-Type: image/jpeg\nCross-Origin-Resource-Policy: cross-origin\n" + end, 200, "jpeg"},
		{"WebP by name", Serving{}, both, "/latest.webp", nil,
			open + private + "Content-Type: image/webp\nCross-Origin-Resource-Policy: cross-origin\n" + end, 200, "webp"},
		{"WebP asked for, there is none", Serving{}, &picture.Result{JPEG: []byte("jpeg")}, "/latest", []string{"Accept", "image/webp"},
			open + private + "Content-Type: image/jpeg\nCross-Origin-Resource-Policy: cross-origin\n" + end, 200, "jpeg"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := still(t, tt.serving, tt.result)
			resp := ask(s, "GET", tt.path, tt.header...)
			body, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != tt.status || string(body) != tt.body {
				t.Errorf("%s %q, want %d %q", resp.Status, body, tt.status, tt.body)
			}
			if got := fields(resp.Header); got != tt.want {
				t.Errorf("header\n%s\nwant\n%s", got, tt.want)
			}
			head := ask(s, "HEAD", tt.path, tt.header...)
			if n, _ := io.Copy(io.Discard, head.Body); n != 0 || head.StatusCode != tt.status || fields(head.Header) != tt.want {
				t.Errorf("HEAD: %s with %d bytes\n%s", head.Status, n, fields(head.Header))
			}
			s.show(tt.result, event.FrameInfo{})
			if again := ask(s, "GET", tt.path); again.Header.Get("ETag") == resp.Header.Get("ETag") {
				t.Errorf("the next publication has the same ETag %s", again.Header.Get("ETag"))
			}
		})
	}
	if resp := ask(still(t, Serving{}, &picture.Result{JPEG: []byte("jpeg")}), "GET", "/latest.webp"); resp.StatusCode != 404 {
		t.Errorf("WebP where there is none: %s", resp.Status)
	}
	a, b := ask(still(t, Serving{}, both), "GET", "/latest.jpg"), ask(still(t, Serving{}, both), "GET", "/latest.webp")
	if a.Header.Get("ETag") == b.Header.Get("ETag") {
		t.Error("two renditions have one ETag")
	}
}

func TestPreflight(t *testing.T) {
	s := still(t, Serving{Origins: []string{"https://www.example.org"}}, &picture.Result{JPEG: []byte("jpeg")})
	for origin, want := range map[string]string{"https://www.example.org": "GET, HEAD", "https://evil.example": ""} {
		resp := ask(s, "OPTIONS", "/latest", "Origin", origin, "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "if-none-match")
		if got := resp.Header.Get("Access-Control-Allow-Methods"); resp.StatusCode != 204 || got != want {
			t.Errorf("%s: %s, methods %q, want %q", origin, resp.Status, got, want)
		}
		if resp.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: credentials are allowed", origin)
		}
	}
}

func TestServingRefuses(t *testing.T) {
	for name, c := range map[string]Serving{
		"cache mode":        {Cache: "public"},
		"origin with path":  {Origins: []string{"https://www.example.org/"}},
		"origin in capital": {Origins: []string{"https://WWW.example.org"}},
		"wildcard origin":   {Origins: []string{"*"}},
		"null origin":       {Origins: []string{"null"}},
		"zero prefix":       {TrustedProxies: []netip.Prefix{{}}},
		"streams":           {MaxStreams: -1},
	} {
		if _, err := c.withDefaults(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestLongPoll: a poll waits for the next picture, whoever shows it, and says
// that there is none when its time is over.
func TestLongPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, testServer(t, func(c *Config) { c.Period = 4 * time.Second }))
		synctest.Wait()
		first, _ := s.get("/latest")
		etag := first.Header.Get("ETag")
		bare := strings.Trim(etag, `"`)
		began := time.Now()
		for _, tt := range []struct {
			name, query string
			status      int
			took        time.Duration
		}{
			{"another picture", "after=other&wait=20", 200, 0},
			{"no picture yet", "wait=20", 200, 0},
			{"no time", "after=" + bare + "&wait=0", 304, 0},
			{"no wait named", "after=" + bare, 304, 0},
			{"time over", "after=" + bare + "&wait=1.5", 304, 1500 * time.Millisecond},
			{"bad wait", "after=" + bare + "&wait=soon", 400, 0},
			{"wait is not a number", "after=" + bare + "&wait=NaN", 400, 0},
			{"negative wait", "after=" + bare + "&wait=-1", 400, 0},
			{"next picture", "after=%22" + bare + "%22&wait=100000", 200, 2500 * time.Millisecond},
		} {
			at := time.Now()
			resp, body := s.get("/latest?" + tt.query)
			if took := time.Since(at); resp.StatusCode != tt.status || took != tt.took {
				t.Errorf("%s: %s after %v, want %d after %v", tt.name, resp.Status, took, tt.status, tt.took)
			}
			if (len(body) == 0) != (tt.status == 304) {
				t.Errorf("%s: %d bytes", tt.name, len(body))
			}
			if tt.status == 304 && resp.Header.Get("ETag") != etag {
				t.Errorf("%s: ETag %s, want %s", tt.name, resp.Header.Get("ETag"), etag)
			}
		}
		if since := time.Since(began); since != 4*time.Second {
			t.Errorf("the next picture came after %v", since)
		}
		// Beyond the deadlines of an ordinary exchange, and seen in the figures.
		resp, _ := s.get("/latest")
		done := make(chan int)
		go func() {
			resp, err := s.client.Get("http://feed.example/latest?wait=30&after=" + strings.Trim(resp.Header.Get("ETag"), `"`))
			if err != nil {
				t.Errorf("long poll: %v", err)
				done <- 0
				return
			}
			resp.Body.Close()
			done <- resp.StatusCode
		}()
		synctest.Wait()
		if st := s.Stats(); st.Waiting != 1 {
			t.Errorf("%d polls wait, want 1", st.Waiting)
		}
		s.upload(shot(5))
		if status := <-done; status != 200 {
			t.Errorf("after an upload: %d", status)
		}
		if st := s.Stats(); st.Waiting != 0 {
			t.Errorf("%d polls wait, want 0", st.Waiting)
		}
	})
}

// events reads an event stream as its messages.
func events(t *testing.T, s *site, ctx context.Context) (<-chan string, *http.Response) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, "GET", "http://feed.example/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	messages := make(chan string, 100)
	go func() {
		defer close(messages)
		defer resp.Body.Close()
		sc := bufio.NewScanner(resp.Body)
		sc.Split(func(data []byte, atEOF bool) (int, []byte, error) {
			if i := bytes.Index(data, []byte("\n\n")); i >= 0 {
				return i + 2, data[:i], nil
			}
			return 0, nil, nil
		})
		for sc.Scan() {
			messages <- sc.Text()
		}
	}()
	return messages, resp
}

// TestEventStream: one message for each picture and each wave; nothing in them
// tells live from loop, and a stream ends with its viewer.
func TestEventStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, testServer(t, func(c *Config) { c.Serving.MaxStreams = 1 }))
		synctest.Wait()
		s.waves.bell.ring(41)
		ctx, leave := context.WithCancel(t.Context())
		messages, resp := events(t, s, ctx)
		if got := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || got != "text/event-stream" {
			t.Fatalf("%s, type %s", resp.Status, got)
		}
		frame := func() string {
			synctest.Wait() // of two that come now, the later
			latest, _ := s.get("/latest")
			return fmt.Sprintf("event: frame\ndata: {\"tag\":%s,\"image\":\"/latest\"}", latest.Header.Get("ETag"))
		}
		next := func(want string) {
			t.Helper()
			synctest.Wait()
			select {
			case got := <-messages:
				if got != want {
					t.Errorf("message %q, want %q", got, want)
				}
			default:
				t.Errorf("no message, want %q", want)
			}
		}
		next("retry: 2000")
		next(frame())
		next("event: wave\ndata: {\"count\":41}")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		next(frame()) // of the loop
		s.upload(shot(8))
		next(frame()) // live, told the same way
		s.waves.bell.ring(42)
		next("event: wave\ndata: {\"count\":42}")
		if st := s.Stats(); st.Streams != 1 || st.Viewers < 1 {
			t.Errorf("%d streams, %d viewers", st.Streams, st.Viewers)
		}
		if resp, _ := s.get("/events"); resp.StatusCode != 503 {
			t.Errorf("one stream too many: %s", resp.Status)
		}
		// A quiet stream shows that it lives.
		time.Sleep(9 * time.Second)
		for len(messages) > 0 {
			<-messages
		}
		leave()
		for range messages {
		}
		synctest.Wait()
		if st := s.Stats(); st.Streams != 0 {
			t.Errorf("%d streams after the viewer left", st.Streams)
		}
	})
}

func TestStreamBeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, testServer(t, func(c *Config) { c.Period = time.Hour }))
		synctest.Wait()
		messages, _ := events(t, s, t.Context())
		time.Sleep(61 * time.Second)
		synctest.Wait()
		beats := 0
		for len(messages) > 0 {
			if m := <-messages; m == ":" {
				beats++
			}
		}
		if beats != 4 {
			t.Errorf("%d beats in a minute, want 4", beats)
		}
	})
}

func TestClientAddr(t *testing.T) {
	s := still(t, Serving{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:1::/48")}}, &picture.Result{})
	for _, tt := range []struct {
		name, peer string
		forwarded  []string
		want       string
	}{
		{"direct", "203.0.113.9:5000", nil, "203.0.113.9"},
		{"a stranger's header", "203.0.113.9:5000", []string{"198.51.100.1"}, "203.0.113.9"},
		{"through a proxy", "10.0.0.1:80", []string{"203.0.113.9"}, "203.0.113.9"},
		{"a client that lies to the proxy", "10.0.0.1:80", []string{"192.0.2.1, 203.0.113.9"}, "203.0.113.9"},
		{"through two proxies", "10.0.0.1:80", []string{"192.0.2.1, 203.0.113.9, 10.9.9.9"}, "203.0.113.9"},
		{"two header lines", "10.0.0.1:80", []string{"203.0.113.9", "10.9.9.9"}, "203.0.113.9"},
		{"no addresses", "10.0.0.1:80", []string{"203.0.113.9, unknown"}, "10.0.0.1"},
		{"empty", "10.0.0.1:80", []string{""}, "10.0.0.1"},
		{"proxies only", "10.0.0.1:80", []string{"10.0.0.7, 10.0.0.8"}, "10.0.0.7"},
		{"with port", "10.0.0.1:80", []string{"203.0.113.9:1234"}, "203.0.113.9"},
		{"IPv6", "[2001:db8:1::5]:80", []string{"[2001:db8:2::7]:99"}, "2001:db8:2::7"},
		{"IPv4 in IPv6", "[::ffff:10.0.0.1]:80", []string{"::ffff:203.0.113.9"}, "203.0.113.9"},
	} {
		r := httptest.NewRequest("GET", "/latest", nil)
		r.RemoteAddr = tt.peer
		for _, f := range tt.forwarded {
			r.Header.Add("X-Forwarded-For", f)
		}
		if got := s.clientAddr(r); got.String() != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, got, tt.want)
		}
	}
	if got := network(netip.MustParseAddr("2001:db8:2:3:4:5:6:7")); got != netip.MustParseAddr("2001:db8:2:3::") {
		t.Errorf("network of an IPv6 address: %v", got)
	}
}

// TestPublicFigures: once a second while anybody listens, and never else.
func TestPublicFigures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := testServer(t, nil)
		s := start(t, srv)
		time.Sleep(3500 * time.Millisecond)
		synctest.Wait()
		if f := srv.cfg.Events.Snapshot().Public; f != (event.PublicFigure{}) {
			t.Errorf("figures for nobody: %+v", f)
		}
		sub := srv.cfg.Events.Subscribe(100)
		defer sub.Close()
		resp, _ := s.get("/latest")
		s.get("/latest", "If-None-Match", resp.Header.Get("ETag"))
		s.get("/status")
		time.Sleep(3 * time.Second)
		synctest.Wait()
		var figures []event.PublicFigure
		for e, ok := sub.TryNext(); ok; e, ok = sub.TryNext() {
			if e.Kind == event.PublicSide {
				figures = append(figures, e.Public)
			}
		}
		if len(figures) != 3 {
			t.Fatalf("%d figures in three seconds", len(figures))
		}
		if f := figures[0]; f.Requests != 3 || f.Pictures != 2 || f.Unchanged != 1 {
			t.Errorf("first second: %+v", f)
		}
		if f := figures[2]; f.Requests != 0 || f.Span != time.Second {
			t.Errorf("last second: %+v", f)
		}
	})
}

func TestLatencyBuckets(t *testing.T) {
	var c counters
	for _, d := range []time.Duration{-1, 0, 3999 * time.Nanosecond, 4 * time.Microsecond, 7 * time.Microsecond, 8 * time.Microsecond, time.Second, time.Hour} {
		c.took(d)
	}
	want := map[int]uint64{0: 3, 1: 2, 2: 1, 18: 1, LatencyBuckets - 1: 1}
	for i := range c.latency {
		if got := c.latency[i].Load(); got != want[i] {
			t.Errorf("bucket below %v: %d, want %d", LatencyBound(i), got, want[i])
		}
	}
}
