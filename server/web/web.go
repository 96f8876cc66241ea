// Package web holds what a browser gets: the <porthole-feed> element, its types, and the demo page.
//
// Everything is embedded, hashed and compressed once, when first asked for, and served from memory. No asset names another
// host and none needs inline script or style, so the policy sent with them is strict.
package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

//go:embed index.html
var indexHTML string

//go:embed site.css
var siteCSS string

//go:embed icon.svg
var iconSVG string

//go:embed feed.js
var feedJS string

//go:embed delta.js
var deltaJS string

//go:embed demo.js
var demoJS string

//go:embed feed.d.ts
var feedTypes string

// policy is the Content-Security-Policy of the page. Pictures are fetched and drawn on a canvas
// (connect-src); img-src is for the picture shown without script.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

// asset is one file and its prebuilt answers.
type asset struct {
	contentType string
	shared      bool // other sites may use it
	plain       variant
	gzip        variant
}

// variant is one encoding of an asset. Each has its own strong ETag, as the bytes differ.
type variant struct {
	body   []byte
	length string
	etag   string
}

// Register adds the page and its assets to mux, each under its exact path, for GET and HEAD; everything
// else is the caller's. The feed itself, /latest, is the caller's too.
func Register(mux *http.ServeMux) {
	mux.Handle("GET /{$}", made(func() *asset { return newAsset(indexHTML, "text/html; charset=utf-8", false) }))
	mux.Handle("GET /site.css", made(func() *asset { return newAsset(siteCSS, "text/css; charset=utf-8", false) }))
	mux.Handle("GET /icon.svg", made(func() *asset { return newAsset(iconSVG, "image/svg+xml", false) }))
	mux.Handle("GET /feed.js", made(func() *asset { return newAsset(joined(), "text/javascript; charset=utf-8", true) }))
	mux.Handle("GET /demo.js", made(func() *asset { return newAsset(demoJS, "text/javascript; charset=utf-8", false) }))
	mux.Handle("GET /delta.js", made(func() *asset { return newAsset(squeeze(deltaJS), "text/javascript; charset=utf-8", true) }))
	mux.Handle("GET /feed.d.ts", made(func() *asset { return newAsset(feedTypes, "text/plain; charset=utf-8", true) }))
}

// made makes an asset when it is first asked for: squeezing and compressing all
// of them would cost a starting server a third of its time.
func made(make func() *asset) http.Handler {
	get := sync.OnceValue(make)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { get().ServeHTTP(w, r) })
}

func newAsset(content, contentType string, shared bool) *asset {
	var zipped bytes.Buffer
	zw, err := gzip.NewWriterLevel(&zipped, gzip.BestCompression)
	if err != nil {
		panic(err) // the level is a constant of the same package
	}
	// A bytes.Buffer takes every write.
	_, _ = zw.Write([]byte(content))
	_ = zw.Close()

	sum := sha256.Sum256([]byte(content))
	tag := base64.RawURLEncoding.EncodeToString(sum[:12])
	return &asset{
		contentType: contentType,
		shared:      shared,
		plain:       newVariant([]byte(content), tag),
		gzip:        newVariant(zipped.Bytes(), tag+"-gzip"),
	}
}

func newVariant(body []byte, tag string) variant {
	return variant{body: body, length: strconv.Itoa(len(body)), etag: `"` + tag + `"`}
}

func (a *asset) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "no-referrer")
	if a.shared {
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	} else {
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
	}
	h.Set("Cache-Control", "no-cache")
	h.Set("Vary", "Accept-Encoding")

	v := a.plain
	zipped := acceptsGzip(r.Header.Values("Accept-Encoding"))
	if zipped {
		v = a.gzip
	}
	h.Set("ETag", v.etag)
	if matches(r.Header.Values("If-None-Match"), v.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if zipped {
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Content-Type", a.contentType)
	h.Set("Content-Length", v.length)
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodGet {
		_, _ = w.Write(v.body) // a client that left is no error of ours
	}
}

// acceptsGzip reports whether the Accept-Encoding lines allow gzip: named, or covered by *, with a
// weight above zero (RFC 9110, 12.5.3). A weight that is no number counts as zero.
func acceptsGzip(lines []string) bool {
	star := false
	for _, line := range lines {
		for item := range strings.SplitSeq(line, ",") {
			coding, params, _ := strings.Cut(item, ";")
			allowed := true
			if name, weight, ok := strings.Cut(params, "="); ok && strings.EqualFold(strings.TrimSpace(name), "q") {
				q, err := strconv.ParseFloat(strings.TrimSpace(weight), 64)
				allowed = err == nil && q > 0
			}
			switch strings.ToLower(strings.TrimSpace(coding)) {
			case "gzip", "x-gzip":
				return allowed
			case "*":
				star = allowed
			}
		}
	}
	return star
}

// matches reports whether If-None-Match names etag, by weak comparison (RFC 9110, 13.1.2). Our tags
// hold no comma, so that splitting at commas is safe.
func matches(lines []string, etag string) bool {
	for _, line := range lines {
		for tag := range strings.SplitSeq(line, ",") {
			tag = strings.TrimSpace(tag)
			if tag == "*" || strings.TrimPrefix(tag, "W/") == etag {
				return true
			}
		}
	}
	return false
}
