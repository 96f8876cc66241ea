package server

import (
	"net/http"
	"testing"
)

func TestRedirect(t *testing.T) {
	for _, tt := range []struct {
		name, port, method, host, target string
		hosts                            []string
		status                           int
		location                         string
	}{
		{"page", "443", "GET", "cam.example", "/latest?x=1", nil, 301, "https://cam.example/latest?x=1"},
		{"head", "443", "HEAD", "cam.example", "/", nil, 301, "https://cam.example/"},
		{"port of the request is not HTTPS's", "443", "GET", "cam.example:80", "/", nil, 301, "https://cam.example/"},
		{"other port", "8443", "GET", "cam.example:8080", "/", nil, 301, "https://cam.example:8443/"},
		{"address", "443", "GET", "192.0.2.1", "/", nil, 301, "https://192.0.2.1/"},
		{"IPv6", "443", "GET", "[2001:db8::1]:80", "/", nil, 301, "https://[2001:db8::1]/"},
		{"IPv6, other port", "8443", "GET", "[2001:db8::1]", "/", nil, 301, "https://[2001:db8::1]:8443/"},
		{"escapes stay", "443", "GET", "cam.example", "/a%2fb%20c", nil, 301, "https://cam.example/a%2fb%20c"},
		{"path like a host", "443", "GET", "cam.example", "//evil.example/x", nil, 301, "https://cam.example//evil.example/x"},
		{"upload", "443", "POST", "cam.example", "/upload", nil, 403, ""},
		{"own host", "443", "GET", "CAM.example.", "/", []string{"cam.example"}, 301, "https://cam.example/"},
		{"foreign host", "443", "GET", "evil.example", "/", []string{"cam.example"}, 421, ""},
		{"no host", "443", "GET", "", "/", nil, 400, ""},
		{"host with a path", "443", "GET", "evil.example/x", "/", nil, 400, ""},
		{"host with a user", "443", "GET", "cam.example@evil.example", "/", nil, 400, ""},
		{"host with a line", "443", "GET", "cam.example\r\nSet-Cookie: a", "/", nil, 400, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req, err := http.NewRequest(tt.method, "http://x"+tt.target, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = tt.host
			rec := newRecorder()
			Redirect(tt.port, tt.hosts...).ServeHTTP(rec, req)
			if got := rec.header.Get("Location"); rec.status != tt.status || got != tt.location {
				t.Errorf("%d to %q, want %d to %q", rec.status, got, tt.status, tt.location)
			}
		})
	}
}

func FuzzRedirect(f *testing.F) {
	f.Add("cam.example", "/latest", "443")
	f.Add("[::1]:80", "//evil.example/%2e%2e/", "8443")
	f.Add("a@b", "/\\evil.example", "443")
	f.Add("A..", "/", "8443") // no host: one dot too many
	f.Fuzz(func(t *testing.T, host, path, port string) {
		req, err := http.NewRequest("GET", "http://x/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if port != "443" {
			port = "8443"
		}
		req.Host, req.URL.Path = host, path
		rec := newRecorder()
		Redirect(port).ServeHTTP(rec, req)
		if rec.status != http.StatusMovedPermanently {
			return
		}
		// Wherever it goes, it is the host that was asked for, by HTTPS.
		to, err := req.URL.Parse(rec.header.Get("Location"))
		if err != nil {
			t.Fatalf("location %q: %v", rec.header.Get("Location"), err)
		}
		want, ok := hostName(host)
		if got, _ := hostName(to.Host); !ok || to.Scheme != "https" || got != want || to.User != nil {
			t.Errorf("host %q was sent to %q", host, to)
		}
	})
}
