package web

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// maxFeed is the promise of the documentation: the element and its decoder cost a page less than this.
const maxFeed = 6000 // bytes, gzipped

func newMux() *http.ServeMux {
	mux := http.NewServeMux()
	Register(mux)
	return mux
}

func get(t *testing.T, method, path string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	newMux().ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAssets(t *testing.T) {
	tests := []struct {
		path, contentType, content string
		shared                     bool
	}{
		{"/", "text/html; charset=utf-8", indexHTML, false},
		{"/site.css", "text/css; charset=utf-8", siteCSS, false},
		{"/icon.svg", "image/svg+xml", iconSVG, false},
		{"/feed.js", "text/javascript; charset=utf-8", joined(), true},
		{"/demo.js", "text/javascript; charset=utf-8", demoJS, false},
		{"/delta.js", "text/javascript; charset=utf-8", squeeze(deltaJS), true},
		{"/feed.d.ts", "text/plain; charset=utf-8", feedTypes, true},
	}
	for _, test := range tests {
		t.Run(test.path, func(t *testing.T) {
			plain := get(t, "GET", test.path)
			if plain.StatusCode != http.StatusOK || body(t, plain) != test.content || plain.ContentLength != int64(len(test.content)) {
				t.Errorf("GET: status %d, length %d, want 200 and the %d bytes of the file", plain.StatusCode, plain.ContentLength, len(test.content))
			}
			want := map[string]string{
				"Content-Type":            test.contentType,
				"X-Content-Type-Options":  "nosniff",
				"Cache-Control":           "no-cache",
				"Vary":                    "Accept-Encoding",
				"Referrer-Policy":         "no-referrer",
				"Content-Security-Policy": policy,
				"Content-Encoding":        "",
				"Last-Modified":           "",
				// Other sites load the module, not the page.
				"Access-Control-Allow-Origin":  map[bool]string{true: "*"}[test.shared],
				"Cross-Origin-Resource-Policy": map[bool]string{true: "cross-origin", false: "same-origin"}[test.shared],
			}
			for name, value := range want {
				if got := plain.Header.Get(name); got != value {
					t.Errorf("%s: %q, want %q", name, got, value)
				}
			}

			zipped := get(t, "GET", test.path, "Accept-Encoding", "br, gzip;q=0.8")
			if got := zipped.Header.Get("Content-Encoding"); got != "gzip" {
				t.Fatalf("Content-Encoding = %q, want gzip", got)
			}
			zr, err := gzip.NewReader(zipped.Body)
			if err != nil {
				t.Fatal(err)
			}
			if unzipped, err := io.ReadAll(zr); err != nil || string(unzipped) != test.content {
				t.Errorf("gzip body: error %v, %d bytes, want the %d of the file", err, len(unzipped), len(test.content))
			}
			if plain.Header.Get("ETag") == zipped.Header.Get("ETag") {
				t.Errorf("both encodings have the ETag %s", plain.Header.Get("ETag"))
			}

			head := get(t, "HEAD", test.path)
			if head.StatusCode != http.StatusOK || body(t, head) != "" || head.Header.Get("Content-Length") != plain.Header.Get("Content-Length") {
				t.Errorf("HEAD: status %d, Content-Length %q", head.StatusCode, head.Header.Get("Content-Length"))
			}
		})
	}
}

func TestNotModified(t *testing.T) {
	tag := get(t, "GET", "/feed.js").Header.Get("ETag")
	zipTag := get(t, "GET", "/feed.js", "Accept-Encoding", "gzip").Header.Get("ETag")
	tests := []struct {
		name, ifNoneMatch, acceptEncoding string
		status                            int
	}{
		{"same", tag, "", 304},
		{"weak", "W/" + tag, "", 304},
		{"star", "*", "", 304},
		{"in a list", `"x", W/"y" ,` + tag, "", 304},
		{"same of gzip", zipTag, "gzip", 304},
		{"other", `"x"`, "", 200},
		{"without quotes", strings.Trim(tag, `"`), "", 200},
		{"of the other encoding", zipTag, "", 200},
		{"empty", "", "", 200},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := get(t, "GET", "/feed.js", "If-None-Match", test.ifNoneMatch, "Accept-Encoding", test.acceptEncoding)
			if r.StatusCode != test.status {
				t.Fatalf("status = %d, want %d", r.StatusCode, test.status)
			}
			if test.status != http.StatusNotModified {
				return
			}
			if got := body(t, r); got != "" || r.Header.Get("Content-Encoding") != "" || r.Header.Get("Content-Length") != "" {
				t.Errorf("304 with body %q and header %v", got, r.Header)
			}
			for _, name := range []string{"ETag", "Cache-Control", "Vary", "Access-Control-Allow-Origin", "Content-Security-Policy"} {
				if r.Header.Get(name) == "" {
					t.Errorf("304 lacks %s", name)
				}
			}
		})
	}
}

func TestAcceptsGzip(t *testing.T) {
	tests := []struct {
		lines []string
		want  bool
	}{
		{nil, false},
		{[]string{""}, false},
		{[]string{"gzip"}, true},
		{[]string{"GZip"}, true},
		{[]string{"br", "gzip"}, true},
		{[]string{"deflate, gzip;q=1.0, *;q=0.5"}, true},
		{[]string{"gzip;q=0"}, false},
		{[]string{"gzip; Q=0.000"}, false},
		{[]string{"gzip;q=0, *"}, false},
		{[]string{"*"}, true},
		{[]string{"*;q=0"}, false},
		{[]string{"identity"}, false},
		{[]string{"gzipped"}, false},
		{[]string{"gzip;q=high"}, false},
		{[]string{",,;;=,"}, false},
	}
	for _, test := range tests {
		if got := acceptsGzip(test.lines); got != test.want {
			t.Errorf("acceptsGzip(%q) = %t, want %t", test.lines, got, test.want)
		}
	}
}

func TestMethods(t *testing.T) {
	for _, path := range []string{"/", "/feed.js", "/feed.d.ts", "/site.css", "/icon.svg"} {
		for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "PATCH"} {
			r := get(t, method, path)
			if r.StatusCode != http.StatusMethodNotAllowed || r.Header.Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: status %d, Allow %q", method, path, r.StatusCode, r.Header.Get("Allow"))
			}
		}
	}
}

// TestExactPaths keeps the rest of the address space free for the server.
func TestExactPaths(t *testing.T) {
	for _, path := range []string{"/index.html", "/web.go", "/feed.js/", "/feed", "/latest", "/upload", "/..%2ffeed.js"} {
		if r := get(t, "GET", path); r.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s: status %d, want 404", path, r.StatusCode)
		}
	}
}

func TestFeedSize(t *testing.T) {
	n := len(body(t, get(t, "GET", "/feed.js", "Accept-Encoding", "gzip")))
	t.Logf("/feed.js: %d bytes with gzip", n)
	if n > maxFeed {
		t.Errorf("the element has %d bytes with gzip, want at most %d", n, maxFeed)
	}
}

// TestSqueeze: what the modules are made of comes out shorter and the same.
func TestSqueeze(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"spaces", "const a = 1;\n\n  if (b) return c;\n  else d();\n", "let e=1;if(b)return c;else d();"},
		{"comments", "a(); // 'no\n// b\nc(); // d", "a();c();"},
		{"strings", "const list = 1;\nx('  // list  ', list);", "let e=1;x('  // list  ',e);"},
		{"regular expression", "x.replace(/\\/ '/g, y) / 2;", "x.replace(/\\/ '/g,y)/2;"},
		{"signs", "a + +b - -c + b++ + d;", "a+ +b- -c+b++ +d;"},
		{"names by use", "let list = 1, long = [list, a, long, this.list, e, long?.list];", "let i=1,t=[i,a,t,this.list,e,t?.list];"},
		{"private names", "class A {\n  #first = 1;\n  second() { return #first in x; }\n}\n", "class e{#e=1;second(){return #e in x}}"},
		{"declarations", "const a = 1;\nlet b, c = a;\nd();\nconst f = c;\n", "let e=1,a,t=e;d();let i=t;"},
		{"declarations in a loop", "for (let i = 0; i < 2; i++) {\n  const a = i;\n  let b;\n  c(b, a, a);\n}\nlet z;\n", "for(let e=0;e<2;e++){let t=e,a;c(a,t,t)}let e;"},
		{"braces", "if (a) { b(); }\nconst c = (x) => { d(x); };\n", "if(a){b()}let e=e=>{d(e)};"},
		{"one name in two functions", "const f = (list) => list + 1;\nconst g = (long) => long + 2;\n", "let e=e=>e+1,t=e=>e+2;"},
		{"two names in one function", "const f = (list) => {\n  const x = 1;\n  return (long) => list;\n};\n", "let e=e=>{let t=1;return t=>e};"},
		{"names of outer functions", "const f = (a, b) => (c) => a(b, (d) => a + d);\n", "let e=(e,t)=>a=>e(t,t=>e+t);"},
		{"members", "export class Big extends Other {\n  static list = 1;\n  get wide() { return Big; }\n  async *go(to) { to.wide(); }\n}\n", "export class Big extends Other{static list=1;get wide(){return Big}async*go(e){e.wide()}}"},
		{"properties", "const headers = 1, list = 2;\nx({ headers, list: list }, { cache, list }, list, headers);\nconst { a: { b }, c = list } = y;\nz(b, b, c, c);\n", "let t=1,e=2;x({headers:t,list:e},{cache,list:e},e,t);let{a:{b:a},c:i=e}=y;z(a,a,i,i);"},
		{"names that stand for properties", "const f = ({ width, height: high }) => ({ width, high, high: high });\n", "let e=({width,height:e})=>({width,high:e,high:e});"},
		{"conditions", "const yes = 1, no = 2;\nx({ a: b ? yes : no }, b ? yes : no);\n", "let e=1,t=2;x({a:b?e:t},b?e:t);"},
		{"errors", "try { a(); } catch (reason) { throw reason; } finally { b(); }\nfor (const x of y)\n  try { x(); } catch { a(); }\nconst x = 1;\n", "try{a()}catch(e){throw e}finally{b()}for(let e of y)try{e()}catch{a()}let e=1;"},
		{"template", "const list = 1;\nx(`p {\n  a: b, c;\n}\n  ${ list + `n${ 1 }${list}` } c`);", "let e=1;x(`p{a:b,c}${e+`n${1}${e}`}c`);"},
	} {
		if got := squeeze(test.in); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// TestNothingForeign keeps the page free of other hosts and of anything the policy would refuse.
func TestNothingForeign(t *testing.T) {
	page := strings.ReplaceAll(indexHTML, "https://<i>cam.example.org</i>", "") // the text of the example
	for _, content := range []string{page, siteCSS} {
		for _, banned := range []string{"http:", "https:", "\"//", "url(", "@import", "style=", "<style", "onclick", "onload", "javascript:"} {
			if i := strings.Index(content, banned); i >= 0 {
				t.Errorf("found %q in %q", banned, content[max(0, i-30):min(len(content), i+30)])
			}
		}
	}
	if strings.Count(page, "<script") != 2 || !strings.Contains(page, `<script type="module" src="feed.js"></script>`) ||
		!strings.Contains(page, `<script type="module" src="demo.js"></script>`) {
		t.Error("the page has another script than feed.js and demo.js")
	}
}
