// Package adminweb holds the status page of the private side: what the public
// sees and whether that is true, what the camera sends, the switch, and the
// figures.
//
// The files are embedded and hold no secrets, so they are sent without a token;
// what they ask for is not. Nothing is loaded from elsewhere, no script or style
// is inline, and texts become text only, never markup.
package adminweb

import (
	_ "embed"
	"net/http"
	"strconv"
)

//go:embed admin.html
var adminHTML string

//go:embed admin.css
var adminCSS string

//go:embed admin.js
var adminJS string

//go:embed icon.svg
var iconSVG string

// Policy is the Content-Security-Policy of the page. Pictures are fetched with
// the token and shown from memory (blob:).
const Policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// Paths are the files of the page. They may be sent to anybody.
func Paths() []string {
	return []string{"/admin/", "/admin/admin.css", "/admin/admin.js", "/admin/icon.svg"}
}

// Register adds the page to mux, under the paths of [Paths] and as / for those
// who know the port only.
func Register(mux *http.ServeMux) {
	mux.Handle("GET /admin/{$}", file(adminHTML, "text/html; charset=utf-8"))
	mux.Handle("GET /admin/admin.css", file(adminCSS, "text/css; charset=utf-8"))
	mux.Handle("GET /admin/admin.js", file(adminJS, "text/javascript; charset=utf-8"))
	mux.Handle("GET /admin/icon.svg", file(iconSVG, "image/svg+xml"))
	mux.Handle("GET /{$}", http.RedirectHandler("/admin/", http.StatusFound))
}

func file(content, contentType string) http.Handler {
	length := strconv.Itoa(len(content))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", contentType)
		h.Set("Content-Length", length)
		h.Set("Content-Security-Policy", Policy)
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if r.Method == http.MethodGet {
			w.Write([]byte(content))
		}
	})
}
