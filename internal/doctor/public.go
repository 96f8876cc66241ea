package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"porthole/internal/frame"
)

// expected are the headers that a picture may have. Whatever else there is was
// added by somebody on the way, and may tell something.
var expected = []string{
	"Etag", "Cache-Control", "Cdn-Cache-Control", "Cross-Origin-Resource-Policy", "X-Content-Type-Options", "Content-Type", "Content-Length", "Date", "Vary",
	"Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Strict-Transport-Security", "Alt-Svc", "Connection", "Keep-Alive",
}

// telling are the headers that must not be there, with the reason.
var telling = map[string]string{
	"Last-Modified": "tells recorded pictures from live ones",
	"Set-Cookie":    "makes viewers known, and keeps caches from working",
	"Expires":       "lets browsers keep a picture",
	"X-Powered-By":  "tells attackers what to try",
	"Server":        "tells attackers what to try",
	"Via":           "tells who is on the way",
	"Content-Range": "was not asked for",
}

// picture looks at one picture and its header.
func (e *examination) picture(ctx context.Context) {
	a, err := e.get(ctx, "/latest.jpg")
	if err != nil {
		e.fail("picture", "is the server running, and the proxy in front set up?", "%v", err)
		return
	}
	media, _, _ := mime.ParseMediaType(a.Header.Get("Content-Type"))
	if a.StatusCode != http.StatusOK || media != "image/jpeg" {
		e.fail("picture", "GET /latest.jpg must answer with the picture; look at the log", "%s, %q", a.Status, media)
		return
	}
	info, err := frame.Inspect(a.body, frame.Limits{MaxBytes: maxAnswer, MaxWidth: 8192, MaxHeight: 8192, Progressive: true})
	switch extra := metadata(a.body); {
	case err != nil:
		e.fail("picture", "something on the way changes pictures: switch off image optimisation", "not a whole JPEG: %v", err)
	case len(extra) > 0 || info.Trailing > 0:
		e.fail("picture", "something on the way adds to pictures: switch off image optimisation", "it carries more than a picture: %s, %d bytes behind its end", strings.Join(extra, ", "), info.Trailing)
	default:
		e.ok("picture", "%dx%d, %d bytes, nothing but the picture", info.Width, info.Height, len(a.body))
	}
	e.header(a)
	for range 3 { // a new one may come in between
		b, err := e.get(ctx, "/latest.jpg", "If-None-Match", a.Header.Get("ETag"))
		if err == nil && b.StatusCode == http.StatusNotModified {
			e.ok("conditional", "a picture that is there already is not sent again")
			return
		}
		if err == nil {
			a = b
		}
	}
	e.warn("conditional", "let If-None-Match and ETag pass unchanged", "a picture that is there already is sent again")
}

// header looks at what comes with a picture.
func (e *examination) header(a *answer) {
	good := true
	for name := range a.Header {
		why, bad := telling[name]
		switch {
		case name == "Server" || name == "Via":
			e.warn("header", "take it out where it is added, in the proxy or the CDN", "%s: %.60q %s", name, a.Header.Get(name), why)
		case bad:
			e.fail("header", "take it out where it is added, in the proxy or the CDN", "%s: %.60q %s", name, a.Header.Get(name), why)
		case !slices.Contains(expected, name):
			e.warn("header", "take it out where it is added, or make sure that it is the same on every answer", "%s: %.60q is not porthole's", name, a.Header.Get(name))
		default:
			continue
		}
		good = false
	}
	etag, kept := a.Header.Get("ETag"), a.Header.Get("Cache-Control")
	switch {
	case etag == "":
		e.fail("header", "let the ETag pass", "no ETag, so every look costs a whole picture")
	case strings.HasPrefix(etag, "W/"):
		e.warn("header", "do not compress pictures", "the ETag was made weak by a proxy that compresses")
	case kept != "no-store" && kept != "no-cache":
		e.fail("header", "let Cache-Control pass unchanged", "Cache-Control is %q: browsers would show old pictures", kept)
	case a.Header.Get("X-Content-Type-Options") != "nosniff":
		e.warn("header", "let X-Content-Type-Options pass", "no X-Content-Type-Options: nosniff")
	case good:
		e.ok("header", "%d headers, all of them known", len(a.Header))
	}
}

// metadata names the segments of a JPEG that are no part of the picture.
func metadata(jpeg []byte) (names []string) {
	for i := 2; i+4 <= len(jpeg) && jpeg[i] == 0xFF; {
		marker, length := jpeg[i+1], int(jpeg[i+2])<<8|int(jpeg[i+3])
		switch {
		case marker == 0xDA: // the picture's own bytes begin
			return names
		case marker == 0xFE:
			names = append(names, "a comment")
		case marker >= 0xE1 && marker <= 0xEF && marker != 0xEE: // Adobe's is about colour
			names = append(names, fmt.Sprintf("APP%d", marker-0xE0))
		}
		i += 2 + length
	}
	return names
}

// fresh waits for another picture, which comes from a camera that is on or from
// recordings, and must be another one in every respect.
func (e *examination) fresh(ctx context.Context) {
	first, err := e.get(ctx, "/latest.jpg")
	if err != nil || first.StatusCode != http.StatusOK {
		return // told by picture
	}
	began := time.Now()
	for time.Since(began) < e.cfg.Patience {
		select {
		case <-ctx.Done():
			return
		case <-time.After(min(250*time.Millisecond, e.cfg.Patience/10)):
		}
		next, err := e.get(ctx, "/latest.jpg", "If-None-Match", first.Header.Get("ETag"))
		if err != nil || next.StatusCode == http.StatusNotModified || next.Header.Get("ETag") == first.Header.Get("ETag") {
			continue
		}
		if next.StatusCode == http.StatusOK && bytes.Equal(next.body, first.body) {
			e.fail("fresh", "no picture may come twice: it would tell recordings from the camera", "the same bytes came under a new ETag")
			return
		}
		e.ok("fresh", "a new picture came after %.1f s", time.Since(began).Seconds())
		return
	}
	e.fail("fresh", "look at the log, and at what a cache in front keeps", "the picture stands still for %v", e.cfg.Patience)
}

// tolerable is how far clocks may be apart; half a second is in the Date header's
// own grain.
const tolerable = 5 * time.Second

// clock compares clocks.
func (e *examination) clock(ctx context.Context) {
	a, err := e.get(ctx, "/status")
	if err != nil || a.StatusCode != http.StatusOK {
		e.warn("clock", "let /status pass", "no status: %v", err)
		return
	}
	there, err := http.ParseTime(a.Header.Get("Date"))
	if err != nil {
		e.warn("clock", "let the Date header pass", "no Date")
		return
	}
	skew := there.Add(500 * time.Millisecond).Sub(a.sent.Add(a.came.Sub(a.sent) / 2)).Round(time.Second)
	var status struct{ CreatedAt time.Time }
	if err := json.Unmarshal(a.body, &status); err != nil {
		e.warn("clock", "let /status pass unchanged", "the status is not JSON: %v", err)
		return
	}
	age := there.Sub(status.CreatedAt)
	switch {
	case skew.Abs() > tolerable:
		e.fail("clock", "set the server's clock by NTP (timedatectl set-ntp true), or this machine's", "the server's clock is off by %v", skew)
	case age < -2*time.Second || age > e.cfg.Patience+tolerable:
		e.warn("clock", "look at the log, and at what a cache in front keeps", "the picture is %v old by the server's own clock", age)
	default:
		e.ok("clock", "it agrees with this machine's")
	}
}

// shared looks at what other sites may do.
func (e *examination) shared(ctx context.Context) {
	stranger := "https://stranger.invalid"
	a, err := e.get(ctx, "/latest.jpg", "Origin", stranger)
	if err != nil {
		return
	}
	allowed := a.Header.Get("Access-Control-Allow-Origin")
	if a.Header.Get("Access-Control-Allow-Credentials") != "" {
		e.fail("other sites", "take Access-Control-Allow-Credentials out: there are no cookies here", "scripts of %s may act with a visitor's cookies", allowed)
		return
	}
	if e.cfg.Origin == "" {
		e.ok("other sites", "Access-Control-Allow-Origin for a stranger: %q", allowed)
		return
	}
	b, err := e.get(ctx, "/latest.jpg", "Origin", e.cfg.Origin)
	if err != nil {
		return
	}
	if got := b.Header.Get("Access-Control-Allow-Origin"); got != "*" && got != e.cfg.Origin {
		e.fail("other sites", "start the server with --cors "+e.cfg.Origin, "%s may not read pictures: %q", e.cfg.Origin, got)
		return
	}
	e.ok("other sites", "%s may read pictures", e.cfg.Origin)
}

// hidden must not be found from outside.
var hidden = []string{
	"/admin/", "/admin/truth", "/admin/state", "/admin/events", "/admin/commands", "/admin/upload.jpg", "/metrics", "/debug/pprof/", "/debug/vars",
	"/.git/config", "/.env", "/tokens", "/waves", "/server-status", "/nginx_status", "/..%2f..%2f..%2fetc%2fpasswd", "/upload",
}

// leaks asks for what strangers ask for.
func (e *examination) leaks(ctx context.Context) {
	found := 0
	for _, path := range hidden {
		a, err := e.get(ctx, path)
		if err != nil {
			continue // not answered is not found
		}
		if a.StatusCode/100 == 2 {
			found++
			e.fail("leaks", "let the proxy pass porthole's public port only; the private side has one of its own", "GET %s answers %s with %d bytes", path, a.Status, len(a.body))
		}
	}
	if found == 0 {
		e.ok("leaks", "%d addresses that strangers try, nothing found", len(hidden))
	}
}

// privatePort tries the private side's port.
func (e *examination) privatePort(ctx context.Context) {
	host := e.url.Hostname()
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return // from here it may be reached
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(host, e.cfg.Private))
	if err != nil {
		e.ok("private side", "port %s is not reachable", e.cfg.Private)
		return
	}
	conn.Close()
	e.fail("private side", "let --admin listen on 127.0.0.1, or close the port in the firewall", "port %s is open to everybody", e.cfg.Private)
}
