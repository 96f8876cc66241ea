package browsertest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func TestTab(t *testing.T) {
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'")
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, `<!doctype html><title>a page</title><p style="color:red">text<img src="http://elsewhere.example/x.png">`)
	}))
	t.Cleanup(site.Close)

	tab := New(t).Tab(t, 400, 300)
	tab.Script(`globalThis.early = document.readyState`)
	tab.Open(site.URL)
	if got := Eval[string](tab, `document.title`); got != "a page" {
		t.Errorf("title = %q", got)
	}
	if got := Eval[string](tab, `early`); got != "loading" {
		t.Errorf("script ran when the document was %q", got)
	}
	if got := Eval[int](tab, `Promise.resolve(innerWidth)`); got != 400 {
		t.Errorf("width = %d, want 400", got)
	}
	tab.Run(`setTimeout(() => { globalThis.later = true; console.error('from', 'console'); throw new Error('uncaught') }, 50)`)
	tab.Wait(`globalThis.later`)
	tab.Wait(`new Promise((go) => setTimeout(() => go(true)))`)
	for _, want := range []string{`console: "from" "console"`, "exception: Uncaught Error: uncaught", "inline style", "elsewhere.example"} {
		if !slices.ContainsFunc(tab.Problems(), func(p string) bool { return strings.Contains(p, want) }) {
			t.Errorf("problems lack %q: %q", want, tab.Problems())
		}
	}
	if png := tab.Screenshot(); !strings.HasPrefix(string(png), "\x89PNG") {
		t.Errorf("screenshot starts with %q", png[:min(len(png), 8)])
	}
}

func TestFind(t *testing.T) {
	t.Setenv("PORTHOLE_CHROMIUM", "no-such-browser-here")
	if _, err := Find(); err == nil || !strings.Contains(err.Error(), "PORTHOLE_CHROMIUM") {
		t.Errorf("wrong variable: error %v", err)
	}
	t.Setenv("PORTHOLE_CHROMIUM", "")
	t.Setenv("PATH", t.TempDir())
	if _, err := Find(); err == nil || !strings.Contains(err.Error(), "apt-get install chromium") {
		t.Errorf("no browser: error %v", err)
	}
}
