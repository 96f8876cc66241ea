package doctor

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"porthole/internal/event"
	"porthole/server"
)

// authority signs certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := new(authority)
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test root"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-1000 * time.Hour), NotAfter: time.Now().Add(1000 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// sign returns a certificate for loopback that ends after valid.
func (a *authority) sign(t *testing.T, valid time.Duration, useRSA bool, names ...string) tls.Certificate {
	t.Helper()
	var key interface {
		Public() any
	}
	if useRSA {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		key = rsaKey{k}
	} else {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		key = ecKey{k}
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "site"}, DNSNames: names, NotBefore: time.Now().Add(-100 * time.Hour), NotAfter: time.Now().Add(valid),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if len(names) == 0 {
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	pair := tls.Certificate{Certificate: [][]byte{der}}
	switch k := key.(type) {
	case rsaKey:
		pair.PrivateKey = k.PrivateKey
	case ecKey:
		pair.PrivateKey = k.PrivateKey
	}
	return pair
}

type rsaKey struct{ *rsa.PrivateKey }

func (k rsaKey) Public() any { return k.PrivateKey.Public() }

type ecKey struct{ *ecdsa.PrivateKey }

func (k ecKey) Public() any { return k.PrivateKey.Public() }

// feed is the real server, with a new picture every tenth of a second.
func feed(t *testing.T) *server.Server {
	t.Helper()
	tokens, err := server.TokensOf("porch", "secret")
	if err != nil {
		t.Fatal(err)
	}
	loop, err := server.EmbeddedLoop()
	if err != nil {
		t.Fatal(err)
	}
	srv, err := server.New(server.Config{Tokens: tokens, Loop: loop, Period: 100 * time.Millisecond, Events: new(event.Bus)})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); srv.Direct(t.Context()) }()
	t.Cleanup(func() { <-done })
	for begun := time.Now(); srv.Truth().Published == 0; time.Sleep(time.Millisecond) {
		if time.Since(begun) > 30*time.Second {
			t.Fatal("nothing was published within 30 s")
		}
	}
	return srv
}

// site serves h as a deployed server would and returns its address.
func site(t *testing.T, h http.Handler, settings *tls.Config) string {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	if settings == nil {
		srv.Start()
	} else {
		srv.Listener = tls.NewListener(srv.Listener, settings)
		srv.Start()
	}
	// Close would wait half a second for each connection whose body nobody read.
	t.Cleanup(func() { srv.Listener.Close(); srv.CloseClientConnections() })
	_, port, err := net.SplitHostPort(srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if settings == nil {
		return "http://127.0.0.1:" + port
	}
	return "https://127.0.0.1:" + port
}

func examine(t *testing.T, cfg Config) []Finding {
	t.Helper()
	var all []Finding
	if cfg.Patience == 0 {
		cfg.Patience = 2 * time.Second
	}
	if err := Examine(t.Context(), cfg, func(f Finding) { all = append(all, f) }); err != nil {
		t.Fatal(err)
	}
	return all
}

// bad lists what is not well.
func bad(all []Finding) (list []string) {
	for _, f := range all {
		if f.Level != OK {
			list = append(list, fmt.Sprintf("%s %s: %s", f.Level, f.Check, f.Text))
			if f.Hint == "" {
				list = append(list, "no hint for "+f.Check)
			}
		}
	}
	return list
}

// TestHealthy: nothing is found where there is nothing, and each check speaks.
func TestHealthy(t *testing.T) {
	ca := newAuthority(t)
	url := site(t, feed(t), server.TLS(ca.sign(t, 1000*time.Hour, false)))
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(url, "https://"))
	all := examine(t, Config{URL: url, Roots: ca.pool(), Plain: site(t, server.Redirect(port), nil), Origin: "https://www.example.org"})
	if list := bad(all); len(list) > 0 {
		t.Errorf("found on a healthy server: %q", list)
	}
	spoke := map[string]bool{}
	for _, f := range all {
		spoke[f.Check] = true
	}
	for _, check := range []string{"name", "certificate", "protocol", "board", "tickets", "plain HTTP", "picture", "header", "conditional", "fresh", "clock", "other sites", "leaks", "upload", "events"} {
		if !spoke[check] {
			t.Errorf("check %q said nothing", check)
		}
	}
}

// through lets f change answers before they are sent.
func through(h http.Handler, f func(w http.ResponseWriter, r *http.Request, rec *httptest.ResponseRecorder)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/events" {
			h.ServeHTTP(w, r)
			return
		}
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		maps.Copy(w.Header(), rec.Header())
		f(w, r, rec)
	})
}

// TestSick breaks one thing after the other in a healthy server.
func TestSick(t *testing.T) {
	srv := feed(t)
	header := func(name, value string) http.Handler {
		return through(srv, func(w http.ResponseWriter, _ *http.Request, rec *httptest.ResponseRecorder) {
			if w.Header().Set(name, value); value == "" {
				w.Header().Del(name)
			}
			w.WriteHeader(rec.Code)
			w.Write(rec.Body.Bytes())
		})
	}
	body := func(change func([]byte) []byte) http.Handler {
		return through(srv, func(w http.ResponseWriter, r *http.Request, rec *httptest.ResponseRecorder) {
			b := rec.Body.Bytes()
			if strings.HasPrefix(r.URL.Path, "/latest") && rec.Code == 200 {
				b = change(bytes.Clone(b))
				w.Header().Del("Content-Length")
			}
			w.WriteHeader(rec.Code)
			w.Write(b)
		})
	}
	path := func(prefix string, f http.HandlerFunc) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, prefix) {
				f(w, r)
				return
			}
			srv.ServeHTTP(w, r)
		})
	}
	first := httptest.NewRecorder()
	srv.ServeHTTP(first, httptest.NewRequest("GET", "/latest.jpg", nil))
	count := 0
	for _, tt := range []struct {
		name string
		h    http.Handler
		want string // in what is found
	}{
		{"a proxy names itself", header("Server", "nginx"), `warn header: Server: "nginx" tells attackers`},
		{"file times", header("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT"), "fail header: Last-Modified: "},
		{"cookies", header("Set-Cookie", "id=1"), "fail header: Set-Cookie: "},
		{"an unknown header", header("X-Camera-Online", "1"), `warn header: X-Camera-Online: "1" is not porthole's`},
		{"no ETag", header("ETag", ""), "fail header: no ETag"},
		{"weak ETag", header("ETag", `W/"x"`), "warn header: the ETag was made weak"},
		{"browsers keep it", header("Cache-Control", "max-age=60"), `fail header: Cache-Control is "max-age=60"`},
		{"sniffing", header("X-Content-Type-Options", ""), "warn header: no X-Content-Type-Options"},
		{"credentials", header("Access-Control-Allow-Credentials", "true"), "fail other sites: scripts of "},
		{"other clock", header("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)), "fail clock: the server's clock is off by"},
		{"a comment in the picture", body(func(b []byte) []byte { return append([]byte("\xff\xd8\xff\xfe\x00\x06home"), b[2:]...) }), "fail picture: it carries more than a picture: a comment"},
		{"EXIF in the picture", body(func(b []byte) []byte { return append([]byte("\xff\xd8\xff\xe1\x00\x08Exif\x00\x00"), b[2:]...) }), "fail picture: it carries more than a picture: APP1"},
		{"bytes behind the picture", body(func(b []byte) []byte { return append(b, "<html>"...) }), "6 bytes behind its end"},
		{"half a picture", body(func(b []byte) []byte { return b[:len(b)/2] }), "fail picture: not a whole JPEG"},
		{"a page instead of the picture", path("/latest", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") }), `fail picture: 200 OK, "text/html"`},
		{"no picture", path("/latest", http.NotFound), "fail picture: 404"},
		{"a picture that stands still", path("/latest", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "image/jpeg")
			w.Header().Set("ETag", `"same"`)
			w.Write(first.Body.Bytes())
		}), "fail fresh: the picture stands still"},
		{"a picture that comes again", path("/latest", func(w http.ResponseWriter, r *http.Request) {
			count++
			w.Header().Set("Content-Type", "image/jpeg")
			w.Header().Set("ETag", fmt.Sprintf(`"%d"`, count))
			w.Write(first.Body.Bytes())
		}), "fail fresh: the same bytes came under a new ETag"},
		{"validators are ignored", through(srv, func(w http.ResponseWriter, r *http.Request, rec *httptest.ResponseRecorder) {
			r.Header.Del("If-None-Match")
			again := httptest.NewRecorder()
			srv.ServeHTTP(again, r)
			w.Write(again.Body.Bytes())
		}), "warn conditional: a picture that is there already is sent again"},
		{"the private side in public", path("/admin", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "{}") }), "fail leaks: GET /admin/truth answers 200"},
		{"metrics in public", path("/metrics", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "up 1") }), "fail leaks: GET /metrics answers 200"},
		{"uploads are collected", path("/upload", func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); srv.ServeHTTP(w, r) }), "warn upload: a stranger's upload is read"},
		{"uploads are too large", path("/upload", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(413) }), "fail upload: pictures of 1 MB are refused"},
		{"uploads go elsewhere", path("/upload", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) }), "fail upload: without a token the answer is 200"},
		{"no events", path("/events", http.NotFound), "warn events: 404"},
		{"events end at once", path("/events", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "x") }), "warn events: events are held back"},
		{"no status", path("/status", http.NotFound), "warn clock: no status"},
		{"odd status", path("/status", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "up") }), "warn clock: the status is not JSON"},
		{"plain HTTP", srv, "warn certificate: plain HTTP"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // it is waiting, mostly
			patience := time.Second
			if strings.Contains(tt.want, "stands still") {
				patience = 200 * time.Millisecond
			}
			h := tt.h
			if !strings.Contains(tt.want, "upload") { // the server takes its time for strangers
				h = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Method == http.MethodPost {
						w.WriteHeader(http.StatusUnauthorized)
						return
					}
					tt.h.ServeHTTP(w, r)
				})
			}
			list := bad(examine(t, Config{URL: site(t, h, nil), Patience: patience, Answer: 2 * time.Second}))
			if !strings.Contains(strings.Join(list, "\n"), tt.want) || strings.Contains(strings.Join(list, "\n"), "no hint") {
				t.Errorf("%q was not found, but:\n%s", tt.want, strings.Join(list, "\n"))
			}
		})
	}
	t.Run("another site is shut out", func(t *testing.T) {
		list := bad(examine(t, Config{URL: site(t, header("Access-Control-Allow-Origin", "https://other.example"), nil), Origin: "https://www.example.org"}))
		if !strings.Contains(strings.Join(list, "\n"), "fail other sites: https://www.example.org may not read pictures") {
			t.Errorf("not found, but %q", list)
		}
	})
}

// TestSickCertificate does so with what is before HTTP.
func TestSickCertificate(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	srv := http.NotFoundHandler()
	good, chain := ca.sign(t, 1000*time.Hour, false), other.sign(t, 1000*time.Hour, false)
	chain.Certificate = append(chain.Certificate, other.cert.Raw)
	with := func(pair tls.Certificate, change func(*tls.Config)) *tls.Config {
		c := server.TLS(pair)
		if change != nil {
			change(c)
		}
		return c
	}
	for _, tt := range []struct {
		name string
		tls  *tls.Config
		want string
	}{
		{"ends soon", with(ca.sign(t, 100*time.Hour, false), nil), "warn certificate: ends in 4 days"},
		{"ended", with(ca.sign(t, -time.Hour, false), nil), "fail certificate: out of its time"},
		{"RSA", with(ca.sign(t, 1000*time.Hour, true), nil), "warn certificate: RSA"},
		{"for another name", with(ca.sign(t, 1000*time.Hour, false, "other.example"), nil), "fail certificate: tls: failed to verify certificate: x509: cannot validate"},
		{"nobody knows who signed", with(other.sign(t, 1000*time.Hour, false), nil), "fail certificate: the chain is not complete"},
		{"signed by somebody else, whole chain", with(chain, nil), "fail certificate: signed by nobody who is trusted"},
		{"TLS 1.0", with(good, func(c *tls.Config) { c.MinVersion = tls.VersionTLS10 }), "fail protocol: "},
		{"no TLS 1.3", with(good, func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }), "warn protocol: TLS 1.2 is the best"},
		{"no TLS 1.2", with(good, func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }), "fail board: a board cannot connect"},
		{"the board's slowest group", with(good, func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP521, tls.X25519} }), "warn board: a board is made to calculate with CurveP521"},
		{"no tickets", with(good, func(c *tls.Config) { c.SessionTicketsDisabled = true }), "warn tickets: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			list := bad(examine(t, Config{URL: site(t, srv, tt.tls), Roots: ca.pool(), Patience: 10 * time.Millisecond}))
			if !strings.Contains(strings.Join(list, "\n"), tt.want) || strings.Contains(strings.Join(list, "\n"), "no hint") {
				t.Errorf("%q was not found, but:\n%s", tt.want, strings.Join(list, "\n"))
			}
		})
	}
	for name, h := range map[string]struct {
		handler http.Handler
		want    string
	}{
		"pictures in the clear": {http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "x") }), "fail plain HTTP: pictures are served in the clear"},
		"leads elsewhere":       {http.RedirectHandler("https://evil.example/", 301), "warn plain HTTP: answers 301"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			list := bad(examine(t, Config{URL: site(t, srv, server.TLS(good)), Roots: ca.pool(), Patience: 10 * time.Millisecond, Plain: site(t, h.handler, nil)}))
			if !strings.Contains(strings.Join(list, "\n"), h.want) {
				t.Errorf("%q was not found, but:\n%s", h.want, strings.Join(list, "\n"))
			}
		})
	}
}

func TestBadAddress(t *testing.T) {
	for _, url := range []string{"", "cam.example.org", "ftp://cam.example.org", "https://", "https://user:secret@cam.example.org", "https://cam.example.org/path", "https://cam.example.org/?x"} {
		if err := Examine(t.Context(), Config{URL: url}, func(Finding) {}); err == nil {
			t.Errorf("%q was examined", url)
		}
	}
}

func TestPrivate(t *testing.T) {
	const now = `"now":"2026-03-01T12:00:00Z","truth":{"mode":"live","order":"auto","since":"2026-03-01T11:00:00Z"}`
	for _, tt := range []struct {
		name, state, want string
	}{
		{"well", `{` + now + `,"cameras":[{"name":"desk"},{"name":"porch","public":true,"frame_at":"2026-03-01T11:59:58Z"}]}`, ""},
		{"off", `{` + now + `,"cameras":[{"name":"porch","public":true,"off":true}]}`, ""},
		{"never sent", `{` + now + `,"cameras":[{"name":"porch","public":true}]}`, "fail camera: porch has sent nothing"},
		{"refused", `{` + now + `,"cameras":[{"name":"porch","public":true}],"uploads":{"problem":"wrong token"}}`, "the last refusal: wrong token"},
		{"a stranger was refused", `{` + now + `,"cameras":[{"name":"porch","public":true}],"uploads":{"problem":"no token"}}`, "fail camera: porch has sent nothing"},
		{"silent", `{` + now + `,"cameras":[{"name":"porch","public":true,"frame_at":"2026-03-01T11:00:00Z"}]}`, "fail camera: the last frame of porch came 1h0m0s ago"},
		{"refused since", `{` + now + `,"cameras":[{"name":"porch","public":true,"frame_at":"2026-03-01T11:00:00Z"}],"uploads":{"problem":"too large","at":"2026-03-01T11:30:00Z"}}`, "since then: too large"},
		{"no camera", `{` + now + `,"cameras":[]}`, "fail camera: no camera has a token"},
		{"somebody's order", strings.Replace(`{`+now+`,"cameras":[{"name":"porch","public":true,"off":true}]}`, "auto", "dark", 1), `warn mode: the operator's order is "dark"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			url := site(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "Bearer secret" {
					w.WriteHeader(401)
					return
				}
				io.WriteString(w, tt.state)
			}), nil)
			var all []Finding
			if err := ExaminePrivate(t.Context(), Private{URL: url, Token: "secret"}, func(f Finding) { all = append(all, f) }); err != nil {
				t.Fatal(err)
			}
			if list := bad(all); (tt.want == "") != (len(list) == 0) || !strings.Contains(strings.Join(list, "\n"), tt.want) {
				t.Errorf("found %q, want %q", list, tt.want)
			}
			if err := ExaminePrivate(t.Context(), Private{URL: url, Token: "guess"}, func(Finding) {}); err == nil || !strings.Contains(err.Error(), "wrong or no token") {
				t.Errorf("wrong token: %v", err)
			}
		})
	}
	// The state that it reads is the one that the server writes.
	srv := feed(t)
	admin := httptest.NewServer(srv.Admin())
	defer admin.Close()
	var all []Finding
	if err := ExaminePrivate(t.Context(), Private{URL: admin.URL}, func(f Finding) { all = append(all, f) }); err != nil {
		t.Fatal(err)
	}
	if list := bad(all); len(list) != 1 || !strings.Contains(list[0], "porch has sent nothing") {
		t.Errorf("a server without a camera: %q", list)
	}
}

func FuzzMetadata(f *testing.F) {
	f.Add([]byte("\xff\xd8\xff\xfe\x00\x06home\xff\xe1\x00\x04ab\xff\xda"))
	f.Add([]byte("\xff\xd8\xff\xfe\x00\x00"))
	f.Add([]byte("\xff\xd8\xff\xfe\xff\xff"))
	f.Fuzz(func(t *testing.T, jpeg []byte) { metadata(jpeg) })
}
