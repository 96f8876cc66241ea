package server

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porthole/internal/event"
	"porthole/internal/netmem"
	"porthole/internal/wire"
)

// form returns a multipart body as curl and browsers send it.
func form(t *testing.T, field string, data []byte) (body []byte, contentType string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	part, err := w.CreateFormFile(field, "photo.jpg")
	if err != nil {
		t.Fatal(err)
	}
	part.Write(data)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), w.FormDataContentType()
}

// patched returns data with the frame header's size replaced.
func patched(t *testing.T, data []byte, width, height int) []byte {
	t.Helper()
	data = bytes.Clone(data)
	i := bytes.Index(data, []byte{0xFF, 0xC0})
	if i < 0 {
		t.Fatal("no baseline frame header")
	}
	binary.BigEndian.PutUint16(data[i+5:], uint16(height))
	binary.BigEndian.PutUint16(data[i+7:], uint16(width))
	return data
}

// progressive returns data marked as progressive.
func progressive(data []byte) []byte {
	return bytes.Replace(data, []byte{0xFF, 0xC0}, []byte{0xFF, 0xC2}, 1)
}

// TestRefusals sends every wrong upload to a running server: each gets its
// status and a hint, the last good frame stays, and the server lives.
func TestRefusals(t *testing.T) {
	good := shot(200)
	bearer := "Bearer " + testToken
	for _, tt := range []struct {
		name        string
		token       string
		data        []byte
		field       string // of the form
		contentType string // sends data as it is
		status      int
		hint        string
	}{
		{name: "no token", data: good, status: 401, hint: "Authorization: Bearer"},
		{name: "wrong token", token: "Bearer nonsense", data: good, status: 401, hint: "porthole token new"},
		{name: "empty token", token: "Bearer ", data: good, status: 401, hint: "porthole token new"},
		{name: "token without Bearer", token: testToken, data: good, status: 401, hint: "the word Bearer"},
		{name: "basic authentication", token: "Basic " + testToken, data: good, status: 401, hint: "the word Bearer"},
		{name: "text file", token: bearer, data: []byte("just some text\n"), status: 415, hint: "JPEG"},
		{name: "empty file", token: bearer, data: nil, status: 415, hint: "JPEG"},
		{name: "cut JPEG", token: bearer, data: good[:len(good)-20], status: 422, hint: "end is missing"},
		{name: "no EOI", token: bearer, data: good[:len(good)-2], status: 422, hint: "end is missing"},
		{name: "over the limit", token: bearer, data: make([]byte, 1_000_001), status: 413, hint: "--max-bytes"},
		{name: "far over the limit", token: bearer, data: make([]byte, 5_000_000), status: 413, hint: "--max-bytes"},
		{name: "65500x65500 header", token: bearer, data: patched(t, good, 65500, 65500), status: 422, hint: "resolution"},
		{name: "one pixel too wide", token: bearer, data: patched(t, good, 1601, 1200), status: 422, hint: "resolution"},
		{name: "zero size", token: bearer, data: patched(t, good, 0, 16), status: 422, hint: "baseline"},
		{name: "progressive", token: bearer, data: progressive(good), status: 422, hint: "baseline"},
		{name: "no img field", token: bearer, data: good, field: "photo", status: 400, hint: "field img"},
		{name: "wrong content type", token: bearer, data: good, contentType: "application/octet-stream", status: 415, hint: "multipart/form-data"},
		{name: "no content type", token: bearer, data: good, contentType: "-", status: 415, hint: "multipart/form-data"},
		{name: "no boundary", token: bearer, data: good, contentType: "multipart/form-data", status: 400, hint: "field img"},
		{name: "not a form", token: bearer, data: good, contentType: "multipart/form-data; boundary=x", status: 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := testServer(t, nil)
				s := start(t, srv)
				s.upload(shot(77))
				before := srv.cfg.Events.Snapshot()

				body, contentType := tt.data, tt.contentType
				if contentType == "" {
					field := tt.field
					if field == "" {
						field = "img"
					}
					body, contentType = form(t, field, tt.data)
				}
				req, err := http.NewRequestWithContext(t.Context(), "POST", "http://feed.example/upload", bytes.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				if tt.token != "" {
					req.Header.Set("Authorization", tt.token)
				}
				if contentType != "-" {
					req.Header.Set("Content-Type", contentType)
				}
				began := time.Now()
				resp, answer := s.do(req)
				if took := time.Since(began); took > time.Second {
					t.Errorf("answered after %v", took)
				}
				var p problem
				if err := json.Unmarshal(answer, &p); err != nil {
					t.Fatalf("answer %s %q: %v", resp.Status, answer, err)
				}
				if resp.StatusCode != tt.status || p.Error == "" || !strings.Contains(p.Hint, tt.hint) {
					t.Errorf("answered %d %q hint %q, want %d hint with %q", resp.StatusCode, p.Error, p.Hint, tt.status, tt.hint)
				}
				if resp.StatusCode == 401 && resp.Header.Get("WWW-Authenticate") != "Bearer" {
					t.Error("no WWW-Authenticate")
				}
				synctest.Wait()
				if got := s.shown(); got != 77 {
					t.Errorf("the last good frame is gone: picture %d", got)
				}
				after := srv.cfg.Events.Snapshot()
				if after.Rejected != before.Rejected+1 || after.Accepted != before.Accepted {
					t.Errorf("events count %d rejected, %d accepted", after.Rejected-before.Rejected, after.Accepted-before.Accepted)
				}
			})
		})
	}
}

func TestAcceptedForms(t *testing.T) {
	withMetadata := append([]byte{0xFF, 0xD8, 0xFF, 0xE1, 0, 12}, "Exif\x00\x00home"...)
	withMetadata = append(withMetadata, shot(120)[2:]...)
	withMetadata = append(withMetadata, "<script>trailing</script>"...)
	formBody, formType := form(t, "img", shot(120))
	metaBody, metaType := form(t, "img", withMetadata)
	for _, tt := range []struct {
		name, contentType string
		body              []byte
		chunked           bool
	}{
		{name: "form", contentType: formType, body: formBody},
		{name: "chunked form", contentType: formType, body: formBody, chunked: true},
		{name: "plain JPEG", contentType: "image/jpeg", body: shot(120)},
		{name: "chunked JPEG", contentType: "image/jpeg", body: shot(120), chunked: true},
		{name: "metadata and trailing bytes", contentType: metaType, body: metaBody},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t, testServer(t, nil))
				var body io.Reader = bytes.NewReader(tt.body)
				if tt.chunked {
					body = io.MultiReader(body) // hides the length
				}
				req, err := http.NewRequestWithContext(t.Context(), "POST", "http://feed.example/upload", body)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Authorization", "bearer "+testToken) // the scheme has no case
				req.Header.Set("Content-Type", tt.contentType)
				if resp, answer := s.do(req); resp.StatusCode != 200 || string(answer) != "Success\n" {
					t.Fatalf("answered %s %q", resp.Status, answer)
				}
				synctest.Wait()
				_, public := s.get("/latest")
				if got := number(t, public); got != 120 {
					t.Errorf("shown %d", got)
				}
				for _, secret := range []string{"Exif", "home", "script"} {
					if bytes.Contains(public, []byte(secret)) {
						t.Errorf("%q reached the public", secret)
					}
				}
			})
		})
	}
}

// rawConn speaks to a server byte by byte.
func rawConn(t *testing.T, s *Server) (conn io.ReadWriter, answer func() (*http.Response, string)) {
	t.Helper()
	ln := netmem.Listen()
	ctx := t.Context()
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, ln) }()
	c, err := ln.Dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); <-done })
	return c, func() (*http.Response, string) {
		t.Helper()
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatalf("read answer: %v", err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(body)
	}
}

// TestSketchShortBody: the sketch loses 1,024 bytes of a picture that is a
// multiple of them. The server must answer within a second instead of waiting
// for them, and must not publish what it has.
func TestSketchShortBody(t *testing.T) {
	for _, tt := range []struct {
		name   string
		n      int // of the JPEG
		status int
	}{
		{"1 below", 2047, 200},
		{"multiple of 1024", 2048, 422},
		{"1 above", 2049, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := testServer(t, nil)
				conn, answer := rawConn(t, srv)
				began := time.Now()
				go wire.Request{Host: "feed.example", Path: "/upload", Token: testToken, JPEG: padded(tt.n)}.Sketch(conn, wire.SketchOptions{})
				resp, body := answer()
				if resp.StatusCode != tt.status {
					t.Errorf("answered %s %s, want %d", resp.Status, body, tt.status)
				}
				if took := time.Since(began); took > time.Second {
					t.Errorf("answered after %v", took)
				}
				synctest.Wait()
				if got, want := srv.Truth().Mode == event.Live, tt.status == 200; got != want {
					t.Errorf("published %v, want %v", got, want)
				}
			})
		})
	}
}

// padded returns a JPEG of exactly n bytes: a comment fills it up.
func padded(n int) []byte {
	p := shot(90)
	fill := n - len(p) - 4
	out := append([]byte{0xFF, 0xD8, 0xFF, 0xFE, byte((fill + 2) >> 8), byte(fill + 2)}, make([]byte, fill)...)
	return append(out, p[2:]...)
}

// TestSlowBody: a body below the minimum rate ends with 408, a slow but honest
// one is taken.
func TestSlowBody(t *testing.T) {
	for _, tt := range []struct {
		name   string
		gap    time.Duration // between two pieces of 100 bytes
		status int
	}{
		{"stalled", time.Hour, 408},
		{"a drip", 2 * time.Second, 408},
		{"slow but honest", 25 * time.Millisecond, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn, answer := rawConn(t, testServer(t, nil))
				data := padded(30_000)
				began := time.Now()
				go func() {
					fmt.Fprintf(conn, "POST /upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n", testToken, len(data))
					for len(data) > 0 {
						n := min(100, len(data))
						if _, err := conn.Write(data[:n]); err != nil {
							return
						}
						data = data[n:]
						time.Sleep(tt.gap)
					}
				}()
				resp, body := answer()
				if resp.StatusCode != tt.status {
					t.Errorf("answered %s %s, want %d", resp.Status, body, tt.status)
				}
				if took := time.Since(began); took > 20*time.Second {
					t.Errorf("answered after %v", took)
				}
				conn.(io.Closer).Close()
				time.Sleep(2 * time.Hour) // the writer's last sleep
			})
		})
	}
}

// TestTokenBeforeBody: nothing of a stranger's body is read.
func TestTokenBeforeBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, answer := rawConn(t, testServer(t, nil))
		go fmt.Fprintf(conn, "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: 900000\r\n\r\n")
		if resp, body := answer(); resp.StatusCode != 401 {
			t.Errorf("answered %s %s", resp.Status, body)
		}
	})
}

// TestEndlessBody: a chunked body, which announces no length, is cut off at the
// limit, also where the bytes hide in fields that nobody wants.
func TestEndlessBody(t *testing.T) {
	for name, head := range map[string]string{
		"picture":     "--b\r\nContent-Disposition: form-data; name=\"img\"\r\n\r\n",
		"other field": "--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n",
		"preamble":    "",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn, answer := rawConn(t, testServer(t, nil))
				sent := new(counter)
				go func() {
					fmt.Fprintf(conn, "POST /upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked\r\n\r\n", testToken)
					chunks := httputil.NewChunkedWriter(io.MultiWriter(conn, sent))
					io.WriteString(chunks, head)
					for err := error(nil); err == nil; {
						_, err = chunks.Write(make([]byte, 4096))
					}
				}()
				resp, body := answer()
				if want := map[bool]int{true: 413, false: 400}[name != "preamble"]; resp.StatusCode != want {
					t.Errorf("answered %s %s, want %d", resp.Status, body, want)
				}
				conn.(io.Closer).Close()
				synctest.Wait()
				if sent.n > 1_500_000 {
					t.Errorf("%d bytes were taken", sent.n)
				}
			})
		})
	}
}

// counter counts the bytes written to it.
type counter struct{ n int }

func (c *counter) Write(p []byte) (int, error) {
	c.n += len(p)
	return len(p), nil
}

// TestMissingBody: a client that announces a body and never sends it gets its
// answer, where there is one to give, and loses its connection.
func TestMissingBody(t *testing.T) {
	for _, tt := range []struct {
		name, request string
		status        int
	}{
		{"upload without a token", "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", 401},
		{"upload of a wrong type", "POST /upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + testToken + "\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\n", 415},
		{"upload", "POST /upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + testToken + "\r\nContent-Type: image/jpeg\r\nContent-Length: 1000\r\n\r\n", 408},
		{"GET with a body", "GET /latest HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", 0},
		{"HEAD with a body", "HEAD /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", 0},
		{"nowhere", "POST /nope HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", 0},
		{"half a chunk", "GET /latest HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n400\r\nabc", 0},
		{"half a header", "GET /latest HTTP/1.1\r\nHo", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn, answer := rawConn(t, testServer(t, nil))
				began := time.Now()
				go io.WriteString(conn, tt.request)
				if tt.status != 0 {
					if resp, body := answer(); resp.StatusCode != tt.status {
						t.Errorf("answered %s %s, want %d", resp.Status, body, tt.status)
					}
				}
				io.Copy(io.Discard, conn) // until the server closes
				if took := time.Since(began); took > 15*time.Second {
					t.Errorf("the connection was held for %v", took)
				}
			})
		})
	}
}

// TestTooManyUploads: more uploads at once than allowed are told to wait.
func TestTooManyUploads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := testServer(t, func(c *Config) { c.MaxUploads = 2 })
		s := start(t, srv)
		var hold []*io.PipeWriter
		results := make(chan int, 2)
		post := func(body io.Reader) int {
			req, err := http.NewRequestWithContext(t.Context(), "POST", "http://feed.example/upload", body)
			if err != nil {
				t.Error(err)
				return 0
			}
			req.Header.Set("Authorization", "Bearer "+testToken)
			req.Header.Set("Content-Type", "image/jpeg")
			resp, _ := s.do(req)
			return resp.StatusCode
		}
		for range 2 {
			r, w := io.Pipe()
			hold = append(hold, w)
			go func() { results <- post(r) }()
		}
		synctest.Wait()
		if status := post(bytes.NewReader(shot(1))); status != 429 {
			t.Errorf("third upload: %d, want 429", status)
		}
		for _, w := range hold {
			w.Write(shot(2))
			w.Close()
			if status := <-results; status != 200 {
				t.Errorf("held upload: %d", status)
			}
		}
		if status := post(bytes.NewReader(shot(3))); status != 200 {
			t.Errorf("after the others: %d", status)
		}
	})
}

// TestMethods: every path knows its methods.
func TestMethods(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, testServer(t, nil))
		synctest.Wait()
		for _, tt := range []struct {
			method, path string
			status       int
		}{
			{"GET", "/upload", 405}, {"PUT", "/upload", 405}, {"POST", "/latest", 405}, {"DELETE", "/latest", 405},
			{"GET", "/nothing", 404}, {"GET", "/healthz", 200}, {"GET", "/readyz", 200}, {"HEAD", "/latest", 200},
			{"GET", "/", 200}, {"GET", "/feed.js", 200}, {"GET", "/latest.jpg", 200}, {"GET", "/../etc/passwd", 404}, {"GET", "//nothing", 404}, {"POST", "/nothing/../else", 404},
		} {
			req, err := http.NewRequestWithContext(t.Context(), tt.method, "http://feed.example"+tt.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if resp, _ := s.do(req); resp.StatusCode != tt.status {
				t.Errorf("%s %s: %s, want %d", tt.method, tt.path, resp.Status, tt.status)
			}
		}
	})
}
