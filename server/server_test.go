package server

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"porthole/internal/event"
	"porthole/internal/frame"
	"porthole/internal/netmem"
	"porthole/internal/scene"
	"porthole/server/picture"
)

var update = flag.Bool("update", false, "write golden files anew")

const testToken = "a-token-for-tests"

// shot returns a small JPEG that tells itself apart: its eight blocks are the
// bits of a number, dark or bright, so that no encoder on the way makes another
// number of it.
func shot(number byte) []byte {
	img := image.NewGray(image.Rect(0, 0, 32, 16))
	for i := range img.Pix {
		img.Pix[i] = 40
		if number>>(i%32/8+i/256*4)&1 == 1 {
			img.Pix[i] = 200
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// number reads it back, and holds every pixel against the error that the public
// encoder may make.
func number(t *testing.T, data []byte) (n byte) {
	t.Helper()
	img, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("decode picture: %v", err)
	}
	g, ok := img.(*image.Gray)
	if !ok || g.Rect != image.Rect(0, 0, 32, 16) {
		t.Fatalf("the public picture is %T of %v", img, img.Bounds())
	}
	for i, v := range g.Pix {
		bit := i%32/8 + i/256*4
		if i%8 == 0 && i/32%8 == 0 {
			n |= v >> 7 << bit
		}
		want := 40 + 160*int(n>>bit&1)
		if d := int(v) - want; d < -4 || d > 4 {
			t.Fatalf("level %d at (%d, %d), want %d", v, i%32, i/32, want)
		}
	}
	return n
}

func testLoop(t testing.TB, numbers ...byte) *Loop {
	t.Helper()
	files := fstest.MapFS{}
	for i, s := range numbers {
		files[fmt.Sprintf("%d.jpg", i+1)] = &fstest.MapFile{Data: shot(s)}
	}
	l, err := OpenLoop(files, frame.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func testServer(t testing.TB, change func(*Config)) *Server {
	t.Helper()
	tokens, err := TokensOf("cam", testToken)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Tokens: tokens, Loop: testLoop(t, 1, 2, 3), Events: new(event.Bus), Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// site is a running server on an in-memory network.
type site struct {
	*Server
	t      *testing.T
	client *http.Client
}

// start runs s until the end of the test. It works inside a synctest bubble.
func start(t *testing.T, s *Server) *site {
	t.Helper()
	ln := netmem.Listen()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, ln) }()
	transport := &http.Transport{DialContext: ln.DialContext}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return &site{s, t, &http.Client{Transport: transport}}
}

func (s *site) get(path string, header ...string) (*http.Response, []byte) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), "GET", "http://feed.example"+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return s.do(req)
}

func (s *site) do(req *http.Request) (*http.Response, []byte) {
	s.t.Helper()
	resp, err := s.client.Do(req)
	if err != nil {
		s.t.Fatalf("%s %s: %v", req.Method, req.URL.Path, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", req.Method, req.URL.Path, err)
	}
	return resp, body
}

func (s *site) upload(data []byte) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), "POST", "http://feed.example/upload", bytes.NewReader(data))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+testToken)
	req.Header.Set("Content-Type", "image/jpeg")
	if resp, body := s.do(req); resp.StatusCode != 200 {
		s.t.Fatalf("upload: %s %s", resp.Status, body)
	}
	synctest.Wait()
}

func (s *site) shown() byte {
	s.t.Helper()
	resp, body := s.get("/latest")
	if resp.StatusCode != 200 {
		s.t.Fatalf("latest: %s %s", resp.Status, body)
	}
	return number(s.t, body)
}

// TestOfflineSwitch walks through the life of a feed in virtual time.
func TestOfflineSwitch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, testServer(t, nil))
		synctest.Wait()
		want := func(mode event.Mode, picture byte) {
			t.Helper()
			synctest.Wait()
			if got := s.shown(); got != picture {
				t.Errorf("after %v: picture %d, want %d", time.Since(epoch), got, picture)
			}
			if got := s.Truth().Mode; got != mode {
				t.Errorf("after %v: mode %s, want %s", time.Since(epoch), got, mode)
			}
		}
		want(event.Loop, 1) // nothing uploaded yet: the page is not empty
		time.Sleep(2 * time.Second)
		want(event.Loop, 2)
		s.upload(shot(100))
		want(event.Live, 100)
		time.Sleep(9999 * time.Millisecond)
		want(event.Live, 100) // the last good frame stays for ten seconds
		time.Sleep(2 * time.Millisecond)
		want(event.Loop, 3) // the loop goes on where it was
		time.Sleep(2 * time.Second)
		want(event.Loop, 1) // … and around
		s.upload(shot(101))
		want(event.Live, 101) // live with the first good frame
		for range 10 {
			time.Sleep(2 * time.Second)
			s.upload(shot(102))
			want(event.Live, 102)
		}
	})
}

// epoch is when every synctest bubble starts.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// TestAnswersTellNothing compares every public answer during live and loop.
func TestAnswersTellNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, testServer(t, func(c *Config) { c.Loop = testLoop(t, 7) }))
		synctest.Wait()
		etags := make(map[string]bool)
		headers := func() string {
			resp, body := s.get("/latest")
			etag := resp.Header.Get("ETag")
			if etags[etag] {
				t.Errorf("ETag %s came twice", etag)
			}
			etags[etag] = true
			for _, name := range []string{"Last-Modified", "Server", "Age", "Expires"} {
				if v := resp.Header.Get(name); v != "" {
					t.Errorf("header %s: %s", name, v)
				}
			}
			resp.Header.Del("ETag")
			resp.Header.Del("Date")
			resp.Header.Set("Content-Length", fmt.Sprint(len(body) > 0))
			var b bytes.Buffer
			resp.Header.Write(&b)
			return b.String()
		}
		loop := headers()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		again := headers() // the same picture of a loop of one, published anew
		s.upload(shot(50))
		live := headers()
		if loop != live || loop != again {
			t.Errorf("headers differ\nloop:\n%s\nlive:\n%s", loop, live)
		}
		_, loopStatus := s.get("/status")
		if want := `{"CreatedAt":"2000-01-01T00:00:02Z","Image":"/latest"}` + "\n"; string(loopStatus) != want {
			t.Errorf("status %s, want %s", loopStatus, want)
		}
	})
}

func TestConditional(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, testServer(t, nil))
		synctest.Wait()
		resp, _ := s.get("/latest")
		etag := resp.Header.Get("ETag")
		for _, tt := range []struct {
			name, header string
			status       int
		}{
			{"same", etag, 304},
			{"weak", "W/" + etag, 304},
			{"in a list", `"x", ` + etag + `, "y"`, 304},
			{"any", "*", 304},
			{"other", `"x"`, 200},
			{"not quoted", etag[1 : len(etag)-1], 200},
			{"empty", "", 200},
		} {
			resp, body := s.get("/latest", "If-None-Match", tt.header)
			if resp.StatusCode != tt.status || (len(body) == 0) != (tt.status == 304) {
				t.Errorf("%s: %s with %d bytes, want %d", tt.name, resp.Status, len(body), tt.status)
			}
			if got := resp.Header.Get("ETag"); got != etag {
				t.Errorf("%s: ETag %s", tt.name, got)
			}
		}
		head, err := s.client.Head("http://feed.example/latest")
		if err != nil {
			t.Fatal(err)
		}
		head.Body.Close()
		if head.StatusCode != 200 || head.ContentLength <= 0 || head.Header.Get("Content-Type") != "image/jpeg" {
			t.Errorf("HEAD: %s, %d bytes, %q", head.Status, head.ContentLength, head.Header)
		}
		s.upload(shot(9))
		if resp, _ := s.get("/latest", "If-None-Match", etag); resp.StatusCode != 200 {
			t.Errorf("a new picture was not sent: %s", resp.Status)
		}
	})
}

// TestETagSurvivesRestart: a tag of the server before a restart must not match
// another picture of the server after it.
func TestETagSurvivesRestart(t *testing.T) {
	a, err := newPublisher(newPolicy(Serving{}))
	if err != nil {
		t.Fatal(err)
	}
	b, err := newPublisher(newPolicy(Serving{}))
	if err != nil {
		t.Fatal(err)
	}
	if x, y := a.publish(new(picture.Result), epoch).tag, b.publish(new(picture.Result), epoch).tag; x == y {
		t.Errorf("two servers begin with the same ETag %s", x)
	}
}

func TestAdmin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := testServer(t, nil)
		s := start(t, srv)
		synctest.Wait()
		ask := func(path string) (int, []byte) {
			req, err := http.NewRequest("GET", "http://127.0.0.1:9100"+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			rec := newRecorder()
			srv.Admin().ServeHTTP(rec, req)
			return rec.status, rec.body.Bytes()
		}
		if status, _ := ask("/admin/upload.jpg"); status != 404 {
			t.Errorf("upload before any: %d", status)
		}
		sent := append(shot(60), "trailing garbage"...)
		s.upload(sent)
		if status, body := ask("/admin/upload.jpg"); status != 200 || !bytes.Equal(body, sent) {
			t.Errorf("upload: %d, equal %v", status, bytes.Equal(body, sent))
		}
		if _, public := s.get("/latest"); bytes.Contains(public, []byte("garbage")) {
			t.Error("bytes after EOI reached the public")
		}
		status, body := ask("/admin/truth")
		var truth Truth
		if err := json.Unmarshal(body, &truth); err != nil || status != 200 {
			t.Fatalf("truth: %d %s %v", status, body, err)
		}
		if want := (Truth{Mode: event.Live, Since: truth.Since, Accepted: 1, AcceptedAt: truth.AcceptedAt, Published: 2, Order: Auto}); truth != want {
			t.Errorf("truth %+v, want %+v", truth, want)
		}
		if resp, _ := s.get("/admin/truth"); resp.StatusCode != 404 {
			t.Errorf("the public side answers /admin/truth: %s", resp.Status)
		}
		for name, change := range map[string]func(*http.Request){
			"a page of another site": func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
			"a name of its own":      func(r *http.Request) { r.Host = "evil.example" },
			"a name like loopback":   func(r *http.Request) { r.Host = "127.0.0.1.evil.example:9100" },
		} {
			for _, path := range []string{"/admin/truth", "/admin/upload.jpg", "/admin/events"} {
				req, err := http.NewRequest("GET", "http://127.0.0.1:9100"+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				change(req)
				rec := newRecorder()
				srv.Admin().ServeHTTP(rec, req)
				if rec.status != 403 {
					t.Errorf("%s under %s: %d, want 403", path, name, rec.status)
				}
			}
		}
	})
}

// recorder is an http.ResponseWriter that knows no deadlines.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func newRecorder() *recorder                        { return &recorder{header: http.Header{}, status: 200} }
func (r *recorder) Header() http.Header             { return r.header }
func (r *recorder) WriteHeader(status int)          { r.status = status }
func (r *recorder) Write(p []byte) (int, error)     { return r.body.Write(p) }
func (r *recorder) SetReadDeadline(time.Time) error { return nil }

func TestNewRefuses(t *testing.T) {
	tokens, _ := TokensOf("cam", testToken)
	for _, tt := range []struct {
		name string
		cfg  Config
	}{
		{"no tokens", Config{Loop: testLoop(t, 1)}},
		{"no loop", Config{Tokens: tokens}},
		{"negative period", Config{Tokens: tokens, Loop: testLoop(t, 1), Period: -1}},
	} {
		if _, err := New(tt.cfg); err == nil {
			t.Errorf("%s: accepted", tt.name)
		}
	}
}

// TestRunEndsWithinASecond: an open viewer connection and a half-sent upload
// must not keep a stopping server.
func TestRunEndsWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := netmem.Listen()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- testServer(t, nil).Run(ctx, ln) }()
		conn, err := ln.Dial(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		go io.Copy(io.Discard, conn)
		fmt.Fprintf(conn, "POST /upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: image/jpeg\r\nContent-Length: 1000\r\n\r\nabc", testToken)
		synctest.Wait()
		began := time.Now()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("took %v to end", took)
		}
	})
}

// TestListenerFailure: a listener that breaks is an error of Run.
func TestListenerFailure(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if err := testServer(t, nil).Run(t.Context(), ln); err == nil {
		t.Error("no error from a closed listener")
	}
}

// TestEmbeddedLoop holds the built-in loop against the scene it is made from.
func TestEmbeddedLoop(t *testing.T) {
	const pictures = 15
	sc, err := scene.New(scene.Config{Seed: 1, Epoch: time.Date(2026, 1, 10, 19, 30, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	for i := range pictures {
		name := filepath.Join("loop", fmt.Sprintf("%02d.jpg", i+1))
		want := sc.JPEG(uint64(i+1), time.Duration(i)*DefaultPeriod)
		if *update {
			if err := os.WriteFile(name, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("%s differs from the scene; make loop writes it anew", name)
		}
	}
	l, err := EmbeddedLoop()
	if err != nil {
		t.Fatal(err)
	}
	if !*update && l.Len() != pictures {
		t.Errorf("%d pictures built in, want %d", l.Len(), pictures)
	}
}
