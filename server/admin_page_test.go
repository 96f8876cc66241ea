package server

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"porthole/internal/browsertest"
	"porthole/internal/event"
	"porthole/server/adminweb"
)

// private runs a server with its private side on loopback and one picture of a
// camera accepted.
func private(t *testing.T, change func(*Config)) (srv *Server, url string) {
	t.Helper()
	srv = testServer(t, change)
	done := make(chan struct{})
	go func() { defer close(done); srv.Direct(t.Context()) }()
	t.Cleanup(func() { <-done })
	public, admin := httptest.NewServer(srv), httptest.NewServer(srv.Admin())
	t.Cleanup(public.Close)
	t.Cleanup(admin.Close)
	for range 2 {
		req, err := http.NewRequest("POST", public.URL+"/upload", bytes.NewReader(shot(60)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+testToken)
		req.Header.Set("Content-Type", "image/jpeg")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Fatalf("upload: %s", resp.Status)
		}
	}
	eventually(t, "the camera is live", func() bool { return srv.Truth().Mode == event.Live })
	return srv, admin.URL
}

// TestAdminPageInBrowser works the status page as an operator does.
func TestAdminPageInBrowser(t *testing.T) {
	tokens, err := TokensOf("rob", "the operator's long token")
	if err != nil {
		t.Fatal(err)
	}
	browser := browsertest.New(t)
	for _, tt := range []struct {
		name   string
		width  int64
		change func(*Config)
	}{
		{"on a desk", 1250, nil},
		{"on a phone, with a token", 420, func(c *Config) { c.AdminTokens = tokens }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv, url := private(t, tt.change)
			tab := browser.Tab(t, tt.width, 900)
			tab.Open(url + "/")
			if tt.change != nil {
				tab.Wait(`!document.getElementById('login').hidden`)
				if text := browsertest.Eval[string](tab, `document.body.innerText`); strings.Contains(text, "cam (") || strings.Contains(text, "live") {
					t.Errorf("told without a token: %q", text)
				}
				enter := func(token string) {
					tab.Run(`document.getElementById('token').value = '` + strings.ReplaceAll(token, "'", `\'`) + `'; document.querySelector('#login button').click()`)
				}
				enter("guess")
				tab.Wait(`document.getElementById('refused').textContent === 'That is not the token.'`)
				enter("the operator's long token")
			}
			tab.Wait(`document.getElementById('mode').textContent === 'live' && document.getElementById('public').naturalWidth > 0 && document.getElementById('camera').naturalWidth > 0`)
			if wide := browsertest.Eval[float64](tab, `document.documentElement.scrollWidth`); wide > float64(tt.width) {
				t.Errorf("page is %v px wide in a window of %d", wide, tt.width)
			}
			tab.Run(`document.querySelector('[data-mode=replay]').click()`)
			tab.Wait(`document.getElementById('said').textContent === 'public mode: replay'`)
			tab.Wait(`document.getElementById('mode').textContent === 'the loop' && document.querySelector('[data-mode=replay]').getAttribute('aria-pressed') === 'true'`)
			if o := srv.Truth().Order; o != OnlyReplay {
				t.Errorf("order %q", o)
			}
			if tt.change != nil && browsertest.Eval[string](tab, `document.getElementById('admins').textContent`) != "rob" {
				t.Error("the names of admins are not shown")
			}
			if p := tab.Problems(); len(p) > 0 && tt.change == nil {
				t.Errorf("problems in the page: %q", p)
			}
		})
	}
}

func fetch(t *testing.T, h http.Handler, method, path string, change func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequest(method, "http://127.0.0.1:9100"+path, nil)
	if change != nil {
		change(req)
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	return rec
}

// TestAdminPageFiles: the page's files come without a token and tell nothing;
// their policy allows nothing inline and nothing from elsewhere.
func TestAdminPageFiles(t *testing.T) {
	srv := testServer(t, func(c *Config) { c.AdminToken = "long enough a token" })
	for _, path := range adminweb.Paths() {
		rec := fetch(t, srv.Admin(), "GET", path, nil)
		policy := rec.Header().Get("Content-Security-Policy")
		if rec.Code != 200 || strings.Contains(policy, "unsafe") || !strings.HasPrefix(policy, "default-src 'none'; script-src 'self'; style-src 'self';") {
			t.Errorf("%s: %d, policy %q", path, rec.Code, policy)
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin"} {
			if got := rec.Header().Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
	}
	for _, path := range []string{"/admin/state", "/admin/history", "/admin/public.jpg", "/admin/truth", "/admin/upload.jpg", "/admin/cameras", "/admin/events", "/admin/commands", "/metrics", "/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/profile"} {
		if rec := fetch(t, srv.Admin(), "GET", path, nil); rec.Code != 401 {
			t.Errorf("%s without a token: %d", path, rec.Code)
		}
	}
}

// TestAdminChangesNothingByGET: whatever is asked for by GET or HEAD, the state
// stays (go2rtc CVE-2024-29192, Motion #709: server 3).
func TestAdminChangesNothingByGET(t *testing.T) {
	srv := testServer(t, nil)
	handled := 0
	for _, name := range srv.cfg.Events.Commands() {
		t.Fatalf("command %s is handled before the server runs", name)
	}
	defer srv.cfg.Events.Handle("server.mode", srv.handleMode)()
	for _, method := range []string{"GET", "HEAD"} {
		for _, path := range []string{"/admin/commands?name=server.mode&mode=dark", "/admin/mode?mode=dark", "/admin/state?mode=dark", "/admin/?mode=dark", "/admin/commands/server.mode"} {
			fetch(t, srv.Admin(), method, path, func(r *http.Request) { r.Header.Set("Content-Type", "application/json") })
			handled++
		}
	}
	if o, _ := srv.control.get(); o != Auto || handled != 10 {
		t.Errorf("order is %q after %d requests", o, handled)
	}
}

// TestAdminRefusesForeignPages: no page of another site can switch anything, by
// any of the ways that a browser offers one (CSRF: server 3).
func TestAdminRefusesForeignPages(t *testing.T) {
	srv := testServer(t, nil)
	defer srv.cfg.Events.Handle("server.mode", srv.handleMode)()
	const body = `{"name":"server.mode","args":{"mode":"dark"}}`
	post := func(change func(*http.Request)) int {
		req := httptest.NewRequest("POST", "http://127.0.0.1:9100/admin/commands", strings.NewReader(body))
		req.Header.Set("Content-Type", "application/json")
		change(req)
		rec := httptest.NewRecorder()
		srv.Admin().ServeHTTP(rec, req)
		return rec.Code
	}
	for _, tt := range []struct {
		name   string
		change func(*http.Request)
		want   int
	}{
		{"another site", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403},
		{"another port of this machine", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") }, 403},
		{"an old browser on another site", func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }, 403},
		{"an old browser on another port", func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:8080") }, 403},
		{"a page without an origin", func(r *http.Request) { r.Header.Set("Origin", "null") }, 403},
		{"a form", func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, 415},
		{"a form of an upload", func(r *http.Request) { r.Header.Set("Content-Type", "multipart/form-data; boundary=x") }, 415},
		{"a name that was made to point here", func(r *http.Request) {
			r.Host = "evil.example:9100"
			r.Header.Set("Origin", "http://evil.example:9100")
			r.Header.Set("Sec-Fetch-Site", "same-origin")
		}, 403},
		{"PUT", func(r *http.Request) { r.Method = "PUT" }, 405},
		{"DELETE", func(r *http.Request) { r.Method = "DELETE" }, 405},
	} {
		if got := post(tt.change); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
		if o, _ := srv.control.get(); o != Auto {
			t.Fatalf("%s: the order is %q", tt.name, o)
		}
	}
	if got := post(func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-origin") }); got != 200 {
		t.Errorf("the page itself: %d", got)
	}
}

// TestAdminTraversal: no path and no camera's name reaches a file (MediaMTX
// #5602, Owncast GHSL-2023-277, Node-Media-Server #689: server 3).
func TestAdminTraversal(t *testing.T) {
	srv := testServer(t, nil)
	for _, h := range []http.Handler{srv, srv.Admin()} {
		for _, path := range []string{
			"/../../etc/passwd", "/admin/../../etc/passwd", "/admin/%2e%2e/%2e%2e/etc/passwd", "/admin/..%2f..%2fetc%2fpasswd", "/admin/admin.js/../../etc/passwd",
			"/admin/upload.jpg?camera=../../etc/passwd", "/admin/upload.jpg?camera=%00", "/latest/../../../etc/passwd", "//etc/passwd", "/.%00/etc/passwd", "/admin/.git/config",
		} {
			rec := fetch(t, h, "GET", path, nil)
			if rec.Code < 300 || strings.Contains(rec.Body.String(), "root:") {
				t.Errorf("%s: %d %s", path, rec.Code, rec.Body.String())
			}
			if to := rec.Header().Get("Location"); to != "" && !strings.HasPrefix(to, "/") {
				t.Errorf("%s: sent to %q", path, to)
			}
		}
	}
}

// TestAdminKeepsSecrets: no answer of the private side holds a token or a hash
// of one (go2rtc #2298: server 3).
func TestAdminKeepsSecrets(t *testing.T) {
	tokens, err := TokensOf("rob", "the operator's long token")
	if err != nil {
		t.Fatal(err)
	}
	srv, url := private(t, func(c *Config) { c.AdminTokens, c.AdminToken = tokens, "another long token" })
	secrets := []string{testToken, "the operator's long token", "another long token", "sha256:"}
	for _, path := range []string{"/admin/state", "/admin/history", "/admin/truth", "/admin/cameras", "/admin/commands", "/metrics", "/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=2", "/debug/pprof/heap?debug=1", "/debug/vars"} {
		req, err := http.NewRequest("GET", url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer the operator's long token")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var body bytes.Buffer
		body.ReadFrom(resp.Body)
		resp.Body.Close()
		for _, s := range secrets {
			if strings.Contains(body.String(), s) {
				t.Errorf("%s shows %q", path, s)
			}
		}
		if strings.HasSuffix(path, "cmdline") && resp.StatusCode != 404 {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	if names := srv.adminState().Admins; len(names) != 1 || names[0] != "rob" {
		t.Errorf("admins %q", names)
	}
}

func TestAdminTokens(t *testing.T) {
	first, err := TokensOf("rob", "the first token of rob")
	if err != nil {
		t.Fatal(err)
	}
	second, err := TokensOf("eve", "the token of eve")
	if err != nil {
		t.Fatal(err)
	}
	srv := testServer(t, func(c *Config) { c.AdminTokens, c.AdminToken = first, "from the environment" })
	ask := func(authorization string) int {
		return fetch(t, srv.Admin(), "GET", "/admin/truth", func(r *http.Request) { r.Host = "cam.example"; r.Header.Set("Authorization", authorization) }).Code
	}
	check := func(authorization string, want int) {
		t.Helper()
		if got := ask(authorization); got != want {
			t.Errorf("%q: %d, want %d", authorization, got, want)
		}
	}
	check("Bearer the first token of rob", 200)
	check("Bearer from the environment", 200)
	for _, wrong := range []string{"", "Bearer ", "Bearer", "the first token of rob", "Basic the first token of rob", "Bearer the token of eve", "bearer the first token of rob", "Bearer " + testToken} {
		check(wrong, 401)
	}
	srv.SetAdminTokens(second)
	check("Bearer the first token of rob", 401)
	check("Bearer the token of eve", 200)
	srv.SetAdminTokens(nil)
	check("Bearer the token of eve", 401)
	check("Bearer from the environment", 200)
}

// TestMetrics lets Prometheus' parser and linter look, and some figures be true.
func TestMetrics(t *testing.T) {
	_, url := private(t, nil)
	resp, err := http.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var text bytes.Buffer
	text.ReadFrom(resp.Body)
	problems, err := promlint.New(bytes.NewReader(text.Bytes())).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(&text)
	if err != nil {
		t.Fatal(err)
	}
	value := func(name string, labels ...string) float64 {
		t.Helper()
		for _, m := range families[name].GetMetric() {
			match := true
			for i := 0; i < len(labels); i += 2 {
				match = match && m.GetLabel()[i/2].GetName() == labels[i] && m.GetLabel()[i/2].GetValue() == labels[i+1]
			}
			if match {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
		t.Errorf("no %s %q", name, labels)
		return 0
	}
	for _, tt := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"porthole_upload_answers_total", []string{"status", "200"}, 2},
		{"porthole_upload_duration_seconds", nil, 2},
		{"porthole_frames_total", []string{"camera", "cam"}, 1}, // the second was the same again
		{"porthole_mode", []string{"mode", "live"}, 1},
		{"porthole_mode", []string{"mode", "loop"}, 0},
		{"porthole_order", []string{"order", "auto"}, 1},
		{"porthole_requests_total", []string{"class", "upload"}, 2},
		{"porthole_publications_total", nil, 2}, // the loop at the start, then the camera
	} {
		if got := value(tt.name, tt.labels...); got != tt.want {
			t.Errorf("%s %q: %v, want %v", tt.name, tt.labels, got, tt.want)
		}
	}
}

func TestHistory(t *testing.T) {
	var h history
	for i := range maxSamples + 10 {
		h.add(Sample{At: epoch.Add(time.Duration(i) * sampleEvery), Live: i%2 == 0, Published: uint64(i)})
	}
	all := h.all()
	if len(all) != maxSamples || all[0].Published != 10 || all[maxSamples-1].Published != maxSamples+9 {
		t.Errorf("%d samples from %d to %d", len(all), all[0].Published, all[len(all)-1].Published)
	}
	if live, other := h.spent(); live != 184*sampleEvery || other != 185*sampleEvery {
		t.Errorf("%v live, %v not", live, other)
	}
}

// TestProfileTimes: a profile gets the time that it asks for, within bounds.
func TestProfileTimes(t *testing.T) {
	srv := testServer(t, nil)
	for query, want := range map[string]int{"?seconds=61": 400, "?seconds=-1": 400, "?seconds=NaN": 400, "?seconds=1e9": 400, "?seconds=x": 400} {
		if rec := fetch(t, srv.Admin(), "GET", "/debug/pprof/profile"+query, nil); rec.Code != want {
			t.Errorf("%s: %d, want %d", query, rec.Code, want)
		}
	}
	if rec := fetch(t, srv.Admin(), "GET", "/debug/pprof/trace?seconds=0.01", nil); rec.Code != 200 || rec.Body.Len() == 0 {
		t.Errorf("trace: %d", rec.Code)
	}
}

// FuzzCommandBody: no body of a command panics, and none but a good one does
// anything.
func FuzzCommandBody(f *testing.F) {
	for _, seed := range []string{`{"name":"server.mode","args":{"mode":"dark"}}`, `{"name":"x"}`, `{"name":"server.mode","args":null}`, `{"name":1}`, `{}`, `[]`, `{"name":"server.mode"} {}`, `{"name":"server.mode","extra":1}`, "\x00", `{"name":"` + strings.Repeat("a", 300) + `"}`} {
		f.Add([]byte(seed), "application/json")
	}
	f.Add([]byte(`{"name":"server.mode"}`), "text/plain")
	srv := testServer(f, nil)
	var got event.Command
	f.Cleanup(srv.cfg.Events.Handle("server.mode", func(_ context.Context, c event.Command) (event.Reply, error) {
		got = c
		return event.Reply{Text: "done"}, nil
	}))
	admin := srv.Admin()
	f.Fuzz(func(t *testing.T, body []byte, contentType string) {
		got = event.Command{}
		req := httptest.NewRequest("POST", "http://127.0.0.1:9100/admin/commands", bytes.NewReader(body))
		req.Header.Set("Content-Type", contentType)
		rec := httptest.NewRecorder()
		admin.ServeHTTP(rec, req)
		var reply map[string]any
		if err := json.Unmarshal(rec.Body.Bytes(), &reply); err != nil {
			t.Fatalf("answer %q: %v", rec.Body.String(), err)
		}
		switch {
		case rec.Code == 200 && got.Name != "server.mode":
			t.Error("success without a command")
		case rec.Code != 200 && got.Name != "":
			t.Errorf("%d, and yet it was carried out", rec.Code)
		case rec.Code != 200 && (reply["error"] == "" || reply["hint"] == ""):
			t.Errorf("refused without a reason: %s", rec.Body.String())
		}
	})
}
