package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The tests of this file are named after what went wrong in other servers, with
// the advisory in their comment: whoever changes ingest should not have to learn
// it again. What lies with viewers, proxies or the private side is tested there.

// sources parses the files of this package that are built into the server.
func sources(t *testing.T) (*token.FileSet, map[string]*ast.File) {
	t.Helper()
	fset, files := token.NewFileSet(), make(map[string]*ast.File)
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = f
	}
	if len(files) < 15 {
		t.Fatalf("%d files found", len(files))
	}
	return fset, files
}

// TestAdvisoryNothingIsExecuted: CVE-2024-29192 and go2rtc #1878, CVE-2025-60787,
// CVE-2026-25643: settings that became commands.
func TestAdvisoryNothingIsExecuted(t *testing.T) {
	_, files := sources(t)
	for name, f := range files {
		for _, i := range f.Imports {
			switch i.Path.Value {
			case `"os/exec"`, `"plugin"`, `"text/template"`, `"html/template"`:
				t.Errorf("%s imports %s", name, i.Path.Value)
			}
		}
	}
}

// TestAdvisoryNothingIsFetched: CVE-2023-3188 and CVE-2023-46480, where a server
// asked for the addresses that a client named.
func TestAdvisoryNothingIsFetched(t *testing.T) {
	fset, files := sources(t)
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, ok := call.X.(*ast.Ident)
			if !ok {
				return true
			}
			switch pkg.Name + "." + call.Sel.Name {
			case "http.Get", "http.Post", "http.Head", "http.PostForm", "http.NewRequest", "http.NewRequestWithContext", "http.Client", "http.DefaultClient",
				"net.Dial", "net.DialTimeout", "net.Dialer", "tls.Dial", "tls.Dialer":
				t.Errorf("%v: %s.%s", fset.Position(n.Pos()), pkg.Name, call.Sel.Name)
			}
			return true
		})
	}
}

// TestAdvisoryTokenTiming: MediaMTX #5961, where a comparison of hashes stopped
// at the first that matched. A clock cannot test that reliably; the text can:
// every entry is compared, in constant time, and nothing leaves the loop early.
func TestAdvisoryTokenTiming(t *testing.T) {
	_, files := sources(t)
	compared := false
	ast.Inspect(files["token.go"], func(n ast.Node) bool {
		f, ok := n.(*ast.FuncDecl)
		if !ok || f.Name.Name != "Camera" {
			return true
		}
		ast.Inspect(f, func(n ast.Node) bool {
			loop, ok := n.(*ast.RangeStmt)
			if !ok {
				return true
			}
			ast.Inspect(loop.Body, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.ReturnStmt, *ast.BranchStmt, *ast.IfStmt, *ast.SwitchStmt:
					t.Errorf("the loop decides on the way: %T", n)
				case *ast.SelectorExpr:
					compared = compared || n.Sel.Name == "ConstantTimeCompare"
				}
				return true
			})
			return false
		})
		return false
	})
	if !compared {
		t.Error("tokens are not compared in constant time")
	}
}

// TestAdvisorySecretsStay: go2rtc #2298, where settings with passwords could be
// read without one. No answer, log line or event holds a token or its hash.
func TestAdvisorySecretsStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		srv := testServer(t, func(c *Config) {
			c.Log = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		})
		s := start(t, srv)
		events := srv.cfg.Events.Subscribe(1000)
		defer events.Close()
		var said bytes.Buffer
		const guess = "a-guess-of-some-token"
		s.upload(shot(4))
		for _, token := range []string{testToken, guess} {
			for _, path := range []string{"/upload", "/camera", "/wave", "/latest", "/nothing"} {
				resp, body := s.send(path, token, "text/plain", []byte("x"))
				resp.Header.Write(&said)
				said.WriteString(body)
			}
			for _, path := range []string{"/", "/latest", "/status", "/healthz", "/readyz", "/nothing"} {
				resp, body := s.get(path, "Authorization", "Bearer "+token)
				resp.Header.Write(&said)
				said.Write(body)
			}
		}
		for _, path := range []string{"/admin/truth", "/admin/cameras", "/admin/commands", "/healthz"} {
			rec := newRecorder()
			req := httptest.NewRequest("GET", "http://127.0.0.1:9100"+path, nil)
			srv.Admin().ServeHTTP(rec, req)
			if rec.status != 200 {
				t.Errorf("%s: %d", path, rec.status)
			}
			said.Write(rec.body.Bytes())
		}
		ctx := t.Context()
		for range srv.cfg.Events.Snapshot().Seq - 2 {
			if e, ok := events.Next(ctx); ok {
				fmt.Fprintf(&said, "%+v", e)
			}
		}
		said.Write(log.Bytes())
		if log.Len() == 0 {
			t.Error("nothing was logged")
		}
		for _, secret := range []string{testToken, guess} {
			sum := sha256.Sum256([]byte(secret))
			for _, form := range []string{secret, hex.EncodeToString(sum[:]), hex.EncodeToString(sum[:8])} {
				if strings.Contains(said.String(), form) {
					t.Errorf("%q was told", form)
				}
			}
		}
	})
}

// TestAdvisoryForgedRequests: CVE-2024-29192, Motion #709, CVE-2023-45671: what
// a page of another site makes a browser send changes nothing. It can send forms
// and simple requests with cookies, and no Authorization header.
func TestAdvisoryForgedRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := testServer(t, nil)
		s := start(t, srv)
		s.upload(shot(4))
		body, contentType := form(t, "img", shot(5))
		for _, tt := range []struct {
			name, method, path, contentType string
			body                            []byte
			status                          int
		}{
			{"upload by form", "POST", "/upload", contentType, body, 401},
			{"token in the query", "POST", "/upload?token=" + testToken + "&access_token=" + testToken, contentType, body, 401},
			{"notice as text", "POST", "/camera", "text/plain", []byte(`{"state":"off"}`), 401},
			{"notice by GET", "GET", "/camera?state=off", "", nil, 405},
			{"upload by GET", "GET", "/upload", "", nil, 405},
			{"wave by GET", "GET", "/wave", "", nil, 405},
		} {
			req, err := http.NewRequestWithContext(t.Context(), tt.method, "http://feed.example"+tt.path, bytes.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Origin", "https://evil.example")
			req.Header.Set("Cookie", "token="+testToken+"; Authorization=Bearer "+testToken)
			if tt.contentType != "" {
				req.Header.Set("Content-Type", tt.contentType)
			}
			if resp, answer := s.do(req); resp.StatusCode != tt.status {
				t.Errorf("%s: %s %s, want %d", tt.name, resp.Status, answer, tt.status)
			}
			synctest.Wait()
			if got := s.shown(); got != 4 || srv.Cameras()[0].Off || srv.Cameras()[0].Sequence != 1 {
				t.Errorf("%s: picture %d, %+v", tt.name, got, srv.Cameras()[0])
			}
		}
		if total, _ := srv.Waves(); total != 0 {
			t.Errorf("%d waves", total)
		}
	})
}

// TestAdvisoryReflectedText: CVE-2024-29191, CVE-2024-29193, CVE-2023-45671: text
// of a request that comes back is data, never a page.
func TestAdvisoryReflectedText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, testServer(t, nil))
		const script = `<script>alert(1)</script>`
		for _, tt := range []struct{ path, contentType string }{
			{"/upload", "text/html" + script},
			{"/upload", `multipart/form-data; boundary="` + script + `"`},
			{"/camera", script},
			{"/" + strings.ReplaceAll(script, " ", "%20"), "text/plain"},
			{"/upload?" + script, script},
		} {
			resp, body := s.send(tt.path, testToken, tt.contentType, []byte(script))
			if resp.StatusCode < 400 || resp.Header.Get("Content-Type") != "application/json" || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s %s: %s %v", tt.path, tt.contentType, resp.Status, resp.Header)
			}
			if strings.ContainsAny(body, "<>") {
				t.Errorf("%s %s: answered %s", tt.path, tt.contentType, body)
			}
		}
	})
}

// TestAdvisoryPathNames: MediaMTX #5602, Node-Media-Server #689, GHSL-2023-277: a
// name that leads out of a folder. Cameras are named by the token file only, and
// no name there is a path.
func TestAdvisoryPathNames(t *testing.T) {
	hash := " sha256:" + strings.Repeat("0f", 32)
	for _, name := range []string{"..", ".", ".hidden", "../x", "a/b", `a\b`, "a\x00b", "%2e%2e", "~", "a:b", "-" + strings.Repeat("x", 40), ""} {
		if _, err := ReadTokens(strings.NewReader(name + hash)); err == nil {
			t.Errorf("a camera may be called %q", name)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		s := start(t, testServer(t, nil))
		synctest.Wait()
		for _, path := range []string{"/../server.go", "/%2e%2e/server.go", "/latest/..%2f..%2fetc/passwd", "/loop/01.jpg", "/upload/../camera/x", "//etc/passwd"} {
			if resp, body := s.get(path); resp.StatusCode == 200 {
				t.Errorf("%s: %s, %d bytes", path, resp.Status, len(body))
			}
		}
	})
}

// TestAdvisoryEndlessBodies: MediaMTX #5674 and #5675: every path ends a body
// that never does, and holds none of it.
func TestAdvisoryEndlessBodies(t *testing.T) {
	for _, tt := range []struct{ method, path, token, contentType string }{
		{"POST", "/upload", testToken, "image/jpeg"},
		{"POST", "/upload", "wrong", "image/jpeg"},
		{"POST", "/upload", testToken, "text/plain"},
		{"POST", "/camera", testToken, "application/json"},
		{"POST", "/camera", "wrong", "application/json"},
		{"POST", "/wave", "", "text/plain"},
		{"POST", "/nothing", "", "text/plain"},
		{"GET", "/latest", "", "text/plain"},
		{"PUT", "/latest", "", "text/plain"},
	} {
		t.Run(tt.method+" "+tt.path+" "+tt.token+" "+strings.ReplaceAll(tt.contentType, "/", " "), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn, answer := rawConn(t, testServer(t, nil))
				synctest.Wait()
				sent := new(counter)
				ended := make(chan struct{})
				began := time.Now()
				go func() {
					defer close(ended)
					fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n", tt.method, tt.path, tt.token, tt.contentType)
					chunks := httputil.NewChunkedWriter(io.MultiWriter(conn, sent))
					for err := error(nil); err == nil; {
						_, err = chunks.Write(make([]byte, 4096))
					}
				}()
				resp, body := answer()
				if want := map[bool]int{true: 200, false: resp.StatusCode}[tt.method == "GET"]; resp.StatusCode != want || tt.method != "GET" && resp.StatusCode < 400 {
					t.Errorf("answered %s %s", resp.Status, body)
				}
				io.Copy(io.Discard, conn) // until the server closes
				conn.(io.Closer).Close()
				<-ended
				if sent.n > 1_500_000 {
					t.Errorf("%d bytes were taken", sent.n)
				}
				if took := time.Since(began); took > 15*time.Second {
					t.Errorf("held for %v", took)
				}
			})
		})
	}
}

// TestAdvisoryCredentials: MediaMTX #5975, CVE-2024-29026: a foreign page is
// never let in with the visitor's credentials.
func TestAdvisoryCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, testServer(t, nil))
		synctest.Wait()
		for _, method := range []string{"GET", "POST", "OPTIONS", "HEAD"} {
			for _, path := range []string{"/latest", "/status", "/upload", "/camera", "/wave", "/", "/feed.js"} {
				req, err := http.NewRequestWithContext(t.Context(), method, "http://feed.example"+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Origin", "https://evil.example")
				req.Header.Set("Access-Control-Request-Method", "POST")
				req.Header.Set("Access-Control-Request-Headers", "authorization")
				resp, _ := s.do(req)
				h := resp.Header
				if h.Get("Access-Control-Allow-Credentials") != "" || h.Get("Access-Control-Allow-Origin") == "https://evil.example" || len(h["Set-Cookie"]) > 0 ||
					strings.Contains(strings.ToLower(h.Get("Access-Control-Allow-Headers")), "authorization") {
					t.Errorf("%s %s: %v", method, path, h)
				}
			}
		}
	})
}

// TestAdvisoryNoRenditionOnDemand: Frigate's latest.jpg scaled and encoded what a
// viewer asked for, of any size. Here a query changes nothing.
func TestAdvisoryNoRenditionOnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, testServer(t, nil))
		synctest.Wait()
		_, want := s.get("/latest.jpg")
		for _, query := range []string{"h=20000", "height=1&width=1", "quality=100", "format=png", "cache=0", "x=" + strings.Repeat("y", 2000)} {
			if resp, got := s.get("/latest.jpg?" + query); resp.StatusCode != 200 || !bytes.Equal(got, want) {
				t.Errorf("?%.20s: %s, %d bytes", query, resp.Status, len(got))
			}
		}
	})
}

// TestAdvisoryForwardedFor: CVE-2021-25827: who is not a trusted proxy does not
// choose its address, and so gets one budget of failures.
func TestAdvisoryForwardedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, testServer(t, nil))
		last := 0
		for i := range failureBurst + 3 {
			address := fmt.Sprintf("198.51.100.%d", i)
			resp, _ := s.send("/upload", "guess", "image/jpeg", nil, "X-Forwarded-For", address, "X-Real-Ip", address, "Forwarded", "for="+address)
			last = resp.StatusCode
		}
		if last != 429 {
			t.Errorf("a new X-Forwarded-For is a new budget: %d", last)
		}
	})
}

// TestAdvisoryMultipart: GO-2023-1705 and GO-2023-1569: forms of many parts, many
// and long header lines, and files that go to disk.
func TestAdvisoryMultipart(t *testing.T) {
	part := func(header string, n int) string {
		return strings.Repeat("--b\r\nContent-Disposition: form-data; name=\"x\""+header+"\r\n\r\n\r\n", n) + "--b--\r\n"
	}
	t.Setenv("TMPDIR", t.TempDir())
	for _, tt := range []struct{ name, body string }{
		{"many parts", part("", 10_000)},
		{"many header lines", part("\r\n"+strings.TrimSuffix(strings.Repeat("X-A: b\r\n", 10_000), "\r\n"), 1)},
		{"a long header line", part("; filename=\""+strings.Repeat("a", 500_000)+"\"", 1)},
		{"many header names", part(func() (s string) {
			for i := range 5000 {
				s += fmt.Sprintf("\r\nX-%d: b", i)
			}
			return s
		}(), 1)},
		{"a large field", "--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n" + strings.Repeat("a", 900_000) + "\r\n--b--\r\n"},
		{"nested forms", "--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n" + strings.Repeat("--c\r\n\r\n\r\n", 50_000) + "--b--\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t, testServer(t, nil))
				synctest.Wait()
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				resp, answer := s.send("/upload", testToken, "multipart/form-data; boundary=b", []byte(tt.body))
				runtime.ReadMemStats(&after)
				if resp.StatusCode != 400 {
					t.Errorf("answered %s %s", resp.Status, answer)
				}
				// The client's share is in it too.
				if n := after.TotalAlloc - before.TotalAlloc; n > 4<<20 {
					t.Errorf("%d bytes allocated", n)
				}
			})
		})
	}
	if files, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(files) > 0 {
		t.Errorf("files were written: %v, %v", files, err)
	}
}

// TestAdvisoryHeaderBomb: golang/go #10532, remark42 #2064: memory by what a
// header claims.
func TestAdvisoryHeaderBomb(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, testServer(t, nil))
		s.upload(shot(4))
		for _, bomb := range [][]byte{patched(t, shot(5), 65500, 65500), patched(t, shot(5), 65535, 1), patched(t, shot(5), 1600, 1200)} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			resp, answer := s.send("/upload", testToken, "image/jpeg", bomb)
			runtime.ReadMemStats(&after)
			if resp.StatusCode != 422 {
				t.Errorf("answered %s %s", resp.Status, answer)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
				t.Errorf("%d bytes allocated for %d", n, len(bomb))
			}
		}
		if got := s.shown(); got != 4 {
			t.Errorf("shown %d", got)
		}
	})
}

// TestAdvisoryPrivateState: motionEye and go2rtc kept passwords as they are. What
// the server writes is for its owner only, and holds hashes.
func TestAdvisoryPrivateState(t *testing.T) {
	dir := t.TempDir()
	token, err := AddToken(filepath.Join(dir, "tokens"), "cam")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newWaves(WaveConfig{File: filepath.Join(dir, "waves")}, time.Now()); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) < 2 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v, %v", f.Name(), info.Mode(), err)
		}
		if content, err := os.ReadFile(filepath.Join(dir, f.Name())); err != nil || bytes.Contains(content, []byte(token)) {
			t.Errorf("%s holds the token, or %v", f.Name(), err)
		}
	}
}
