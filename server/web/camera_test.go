package web

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"porthole/internal/browsertest"
)

// patience bounds a wait for requests.
const patience = 30 * time.Second

// camera is a site with a feed whose behaviour a test changes while a browser looks at it. Every new
// picture has another shade, so that a test can tell from the pixels which one is shown.
type camera struct {
	*httptest.Server

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at each request
	mode    mode
	reply   func(w http.ResponseWriter) // mode other
	seq     int
	asked   int      // GET requests of the feed
	cond    []string // their If-None-Match, "" without
	flight  int      // of them, not yet answered
	most    int      // highest flight
	kept    int      // answers 304
	served  []int    // shades, in order
	others  []string // methods of requests that were no GET
	beats   int      // requests of beat.js
	waves   int
	tired   bool // of waves: refuses them
}

type mode int

const (
	fresh   mode = iota // a new picture for each request
	still               // the same picture, 304 for those who have it
	hanging             // no answer until the client gives up
	other               // reply
)

// beat is the period in which a page with beat.js shows that time goes by, and that of its feeds.
const beat = 100 * time.Millisecond

// strict is the policy of the pages. The feed must not need more than connect-src.
const strict = "default-src 'none'; script-src 'self' %[1]s; style-src 'self'; connect-src 'self' %[1]s; base-uri 'none'; require-trusted-types-for 'script'"

// newCamera serves pages by path. Each is wrapped in a document that loads the module from host,
// its own by default.
func newCamera(t *testing.T, pages map[string]string, host string) *camera {
	t.Helper()
	c := &camera{changed: make(chan struct{})}
	mux := http.NewServeMux()
	Register(mux)
	mux.HandleFunc("/latest", c.latest)
	mux.HandleFunc("GET /stream", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("POST /wave", c.waved)
	mux.HandleFunc("GET /beat", func(w http.ResponseWriter, r *http.Request) {
		c.note(func() { c.beats++ })
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /beat.js", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		fmt.Fprintf(w, "setInterval(() => fetch('/beat'), %d);", beat.Milliseconds())
	})
	mux.HandleFunc("GET /test.css", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/css")
		fmt.Fprint(w, "body { margin: 0 } porthole-feed { --porthole-fade: 20ms } .tall { height: 3000px }",
			" #small { width: 160px } a { display: block; height: 300px; background: rgb(200 0 0) }")
	})
	mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })
	for path, content := range pages {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Header().Set("Content-Security-Policy", fmt.Sprintf(strict, host))
			fmt.Fprintf(w, `<!doctype html><title>test</title><link rel="stylesheet" href="/test.css">`+
				`<script type="module" src="%s/feed.js"></script><script src="/beat.js"></script>%s`, host, content)
		})
	}
	c.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		c.CloseClientConnections() // a hanging request must not hold Close
		c.Close()
	})
	return c
}

func (c *camera) waved(w http.ResponseWriter, r *http.Request) {
	tired, n := false, 0
	c.note(func() {
		if tired = c.tired; !tired {
			c.waves++
		}
		n = c.waves
	})
	w.Header().Set("Access-Control-Allow-Origin", "*")
	if tired || r.ContentLength != 0 || len(r.Header["Content-Type"]) > 0 {
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	fmt.Fprintf(w, `{"waves":%d}`, n)
}

// note changes the state and wakes everybody who waits for a change.
func (c *camera) note(change func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change()
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *camera) set(m mode, reply func(http.ResponseWriter)) {
	c.note(func() { c.mode, c.reply = m, reply })
}

func (c *camera) latest(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Access-Control-Expose-Headers", "ETag")
	w.Header().Set("Cache-Control", "no-store")
	if r.Method != http.MethodGet {
		c.note(func() { c.others = append(c.others, r.Method) })
		w.WriteHeader(http.StatusNoContent)
		return
	}
	var m mode
	var reply func(http.ResponseWriter)
	var seq int
	c.note(func() {
		c.asked++
		c.flight++
		c.most = max(c.most, c.flight)
		c.cond = append(c.cond, r.Header.Get("If-None-Match"))
		m, reply = c.mode, c.reply
		if m == fresh {
			c.seq++
		}
		seq = c.seq
	})
	defer c.note(func() { c.flight-- })

	switch m {
	case hanging:
		<-r.Context().Done()
	case other:
		reply(w)
	default:
		etag := `"` + strconv.Itoa(seq) + `"`
		w.Header().Set("ETag", etag)
		if r.Header.Get("If-None-Match") == etag {
			c.note(func() { c.kept++ })
			w.WriteHeader(http.StatusNotModified)
			return
		}
		c.note(func() { c.served = append(c.served, shade(seq)) })
		w.Header().Set("Content-Type", "image/png")
		_, _ = w.Write(picture(shade(seq)))
	}
}

// shade is the gray level of a picture; neighbours differ by much.
func shade(seq int) int { return 20 + seq*67%200 }

// picture is a small PNG of one shade.
func picture(level int) []byte {
	m := image.NewGray(image.Rect(0, 0, 32, 24))
	for i := range m.Pix {
		m.Pix[i] = color.Gray{Y: uint8(level)}.Y
	}
	var b bytes.Buffer
	_ = png.Encode(&b, m) // a bytes.Buffer takes every write
	return b.Bytes()
}

// wait returns once the condition holds; it is checked, under the lock, at each request.
func (c *camera) wait(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		c.mu.Lock()
		ok, changed := condition(), c.changed
		c.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// active waits for n more requests of the feed.
func (c *camera) active(t *testing.T, n int) {
	t.Helper()
	until := c.count() + n
	c.wait(t, fmt.Sprintf("%d more requests", n), func() bool { return c.asked >= until })
}

// quiet fails unless the feed rests for twelve of its periods. The page's own beat is the clock, so
// that a stalled browser cannot pass for a resting feed.
func (c *camera) quiet(t *testing.T) {
	t.Helper()
	c.pass(t, 2) // what was on its way has come
	asked := c.count()
	c.pass(t, 12)
	if got := c.count(); got != asked {
		t.Errorf("feed made %d requests, want none", got-asked)
	}
}

// pass waits for n beats of the page.
func (c *camera) pass(t *testing.T, n int) {
	t.Helper()
	c.mu.Lock()
	until := c.beats + n
	c.mu.Unlock()
	c.wait(t, "the page's beat", func() bool { return c.beats >= until })
}

func (c *camera) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked
}

func (c *camera) shades() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.served)
}

// watch runs before the page: it records events, and offers what tests look at.
const watch = `
globalThis.seen = { frame: 0, unreachable: 0, shades: [], violations: [] };
addEventListener('securitypolicyviolation', (e) => seen.violations.push(e.violatedDirective + ' ' + e.blockedURI));
globalThis.feed = () => document.querySelector('porthole-feed');
globalThis.inside = (selector, of = feed()) => of.shadowRoot.querySelector(selector);
// The gray level in the middle of the layer that is shown, -1 without one.
globalThis.shade = (of = feed()) => {
  const layer = inside('canvas.front', of);
  if (!layer) return -1;
  const copy = new OffscreenCanvas(layer.width, layer.height).getContext('2d');
  copy.drawImage(layer, 0, 0);
  return copy.getImageData(layer.width / 2, layer.height / 2, 1, 1).data[0];
};
document.addEventListener('DOMContentLoaded', () => {
  for (const of of document.querySelectorAll('porthole-feed')) {
    of.addEventListener('frame', () => { seen.frame++; seen.shades.push(shade(of)); });
    of.addEventListener('unreachable', () => seen.unreachable++);
  }
});`

// visit opens a page of the camera in a new tab and at the end checks that nothing went wrong in it
// but failed requests, and those only if the test allows them.
func (c *camera) visit(t *testing.T, b *browsertest.Browser, path string, failures bool, scripts ...string) *browsertest.Tab {
	t.Helper()
	tab := b.Tab(t, 800, 600)
	for _, script := range append([]string{watch}, scripts...) {
		tab.Script(script)
	}
	tab.Open(c.URL + path)
	t.Cleanup(func() {
		if v := browsertest.Eval[[]string](tab, `seen.violations`); len(v) > 0 {
			t.Errorf("policy violations: %q", v)
		}
		for _, problem := range tab.Problems() {
			if !failures || !strings.HasPrefix(problem, "network:") {
				t.Errorf("problem in the page: %s", problem)
			}
		}
	})
	return tab
}
