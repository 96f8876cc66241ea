package server

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"porthole/internal/event"
	"porthole/server/picture"
)

// FuzzViewer throws what a viewer may write into its request at the handlers:
// nothing crashes, nothing but the known answers comes back, and no header of
// the answer is written by the viewer.
func FuzzViewer(f *testing.F) {
	f.Add("/latest", "after=x&wait=0", "image/webp,*/*", `"x", W/"y"`, "https://www.example.org", "10.0.0.1, 203.0.113.9")
	f.Add("/latest.webp", "wait=1e9", "image/webp;q=0", "*", "null", "unknown")
	f.Add("/latest.jpg", "wait=-0&after=%22%22", "image/webp; q=x", "", "https://www.example.org\r\nX: y", "[::1]:80,,")
	f.Add("/status", "wait=NaN", ",,;;", `W/`, "", strings.Repeat("10.0.0.1,", 100))
	s := testServer(f, func(c *Config) {
		c.Serving = Serving{Origins: []string{"https://www.example.org"}, TrustedProxies: prefixes("10.0.0.0/8")}
	})
	s.show(&picture.Result{JPEG: []byte("jpeg"), WebP: []byte("webp")}, event.FrameInfo{})
	f.Fuzz(func(t *testing.T, path, query, accept, match, origin, forwarded string) {
		if path != pathLatest && path != pathJPEG && path != pathWebP && path != "/status" {
			t.Skip("not a path of the feed")
		}
		r := httptest.NewRequest("GET", "http://feed.example/", nil)
		r.URL.Path, r.URL.RawQuery, r.RemoteAddr = path, query, "10.0.0.2:80"
		for name, value := range map[string]string{"Accept": accept, "If-None-Match": match, "Origin": origin, "X-Forwarded-For": forwarded} {
			r.Header[name] = []string{value}
		}
		if a := s.clientAddr(r); !a.IsValid() {
			t.Errorf("no address from %q", forwarded)
		} else if a != netip.MustParseAddr("10.0.0.2") && !strings.Contains(forwarded, ".") && !strings.Contains(forwarded, ":") {
			t.Errorf("%v from %q", a, forwarded)
		}
		if _, wait, problem := parseWait(r.URL.Query()); problem == nil && (wait < 0 || wait > MaxWait) {
			t.Errorf("waits %v by %q", wait, query)
		}
		rec := httptest.NewRecorder()
		s.ServeHTTP(rec, r)
		switch rec.Code {
		case http.StatusOK, http.StatusNotModified, http.StatusBadRequest:
		default:
			t.Errorf("answered %d", rec.Code)
		}
		if got := rec.Header().Get("Access-Control-Allow-Origin"); got != "" && got != "https://www.example.org" {
			t.Errorf("allows %q", got)
		}
		for name, values := range rec.Header() {
			for _, v := range values {
				if strings.ContainsAny(v, "\r\n") {
					t.Errorf("%s: %q", name, v)
				}
			}
		}
		if rec.Code == http.StatusNotModified && rec.Body.Len() > 0 {
			t.Error("a 304 with a body")
		}
	})
}
