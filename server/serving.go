package server

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Defaults of [Serving].
const (
	DefaultMaxConnsPerAddr = 256
	DefaultMaxStreams      = 8192
	// MaxWait is the longest that a poll is kept waiting for a new picture.
	MaxWait = 30 * time.Second
)

// Serving says how the public side answers its viewers. The zero value of every
// field means its default.
type Serving struct {
	// Cache says who may keep a picture.
	Cache CacheMode
	// Origins are the sites whose scripts may read pictures, as a browser sends
	// them: https://www.example.org. Nil means every site, empty means none.
	Origins []string
	// TrustedProxies are the networks of proxies whose X-Forwarded-For is
	// believed. Without any the header is ignored.
	TrustedProxies []netip.Prefix
	// MaxConns bounds the connections of the public side; the default is what
	// the process may open, less a reserve. Negative means no bound.
	MaxConns int
	// MaxConnsPerAddr bounds the connections from one address, or from one /64
	// of IPv6. Trusted proxies are exempt; the default exempts this machine too,
	// where a proxy or a bench is. Negative means no bound.
	MaxConnsPerAddr int
	// MaxStreams bounds the event streams and waiting polls at the same time.
	MaxStreams int
}

// CacheMode says who may keep a picture.
type CacheMode string

const (
	// CachePrivate: nobody. Every viewer asks this server.
	CachePrivate CacheMode = "private"
	// CacheEdge: a cache in front of the server, for a second, named by
	// CDN-Cache-Control (RFC 9213). Browsers still ask each time (server 6).
	CacheEdge CacheMode = "edge"
)

// Check says what is wrong with c, nil for nothing.
func (c Serving) Check() error {
	_, err := c.withDefaults()
	return err
}

func (c Serving) withDefaults() (Serving, error) {
	switch c.Cache {
	case "":
		c.Cache = CachePrivate
	case CachePrivate, CacheEdge:
	default:
		return c, fmt.Errorf("cache mode %q: want private or edge", c.Cache)
	}
	for _, o := range c.Origins {
		u, err := url.Parse(o)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.Scheme+"://"+u.Host != o || strings.ToLower(o) != o {
			return c, fmt.Errorf("origin %q: want scheme and host in lower case, as in https://www.example.org", o)
		}
	}
	for _, p := range c.TrustedProxies {
		if !p.IsValid() {
			return c, fmt.Errorf("trusted proxy %v is no network", p)
		}
	}
	if c.MaxConns == 0 {
		c.MaxConns = descriptorBudget()
	}
	if c.MaxStreams == 0 {
		c.MaxStreams = DefaultMaxStreams
	}
	if c.MaxStreams < 0 {
		return c, fmt.Errorf("negative limit of %d streams", c.MaxStreams)
	}
	return c, nil
}

// descriptorReserve is kept free for uploads, files, the private side and what
// the runtime opens.
const descriptorReserve = 256

// descriptorBudget returns how many connections the process can have.
func descriptorBudget() int {
	return max(int(min(descriptorLimit(), 1<<20))-descriptorReserve, 64)
}

// Header values shared by all answers. They are never changed.
var (
	typeJPEG    = []string{"image/jpeg"}
	typeWebP    = []string{"image/webp"}
	typeEvents  = []string{"text/event-stream"}
	noStore     = []string{"no-store"}
	noCache     = []string{"no-cache"}
	edgeSecond  = []string{"public, max-age=1, stale-while-revalidate=2, stale-if-error=10"}
	anyOrigin   = []string{"*"}
	exposeETag  = []string{"ETag"}
	crossOrigin = []string{"cross-origin"}
	sameOrigin  = []string{"same-origin"}
	noSniff     = []string{"nosniff"}
	noBuffering = []string{"no"} // a proxy that collects an answer would hold a stream for ever
)

// policy is the part of every answer's header that follows from the
// configuration alone.
type policy struct {
	edge    bool
	any     bool       // every origin may read
	origins [][]string // that may read, as header values
}

func newPolicy(c Serving) *policy {
	p := &policy{edge: c.Cache == CacheEdge, any: c.Origins == nil}
	for _, o := range c.Origins {
		p.origins = append(p.origins, []string{o})
	}
	return p
}

// audiences is how many different answers there are by Origin.
func (p *policy) audiences() int { return 1 + len(p.origins) }

// audience returns which of them a request with this Origin header gets. 0 is
// for everybody who is not named.
func (p *policy) audience(origin string) int {
	if p.any || origin == "" {
		return 0
	}
	return 1 + slices.IndexFunc(p.origins, func(o []string) bool { return o[0] == origin })
}

// share sets what other sites may do with an answer.
func (p *policy) share(h http.Header, audience int) {
	h["Cross-Origin-Resource-Policy"] = crossOrigin
	switch {
	case p.any:
		h["Access-Control-Allow-Origin"] = anyOrigin
		h["Access-Control-Expose-Headers"] = exposeETag
	case len(p.origins) == 0:
		h["Cross-Origin-Resource-Policy"] = sameOrigin
	case audience > 0:
		h["Access-Control-Allow-Origin"] = p.origins[audience-1]
		h["Access-Control-Expose-Headers"] = exposeETag
	}
}

// vary returns which request headers an answer depends on, nil for none.
func (p *policy) vary(byAccept bool) []string {
	byOrigin := len(p.origins) > 0
	switch {
	case byAccept && byOrigin:
		return varyBoth
	case byAccept:
		return varyAccept
	case byOrigin:
		return varyOrigin
	}
	return nil
}

var (
	varyAccept = []string{"Accept"}
	varyOrigin = []string{"Origin"}
	varyBoth   = []string{"Accept, Origin"}
)

// keep sets who may keep a picture.
func (p *policy) keep(h http.Header) {
	if !p.edge {
		h["Cache-Control"] = noStore
		return
	}
	h["Cache-Control"] = noCache
	h["Cdn-Cache-Control"] = edgeSecond
}

// transient sets the header of an answer that nobody keeps in any mode.
func (p *policy) transient(h http.Header, r *http.Request) {
	p.transientTo(h, p.audience(r.Header.Get("Origin")))
}

func (p *policy) transientTo(h http.Header, audience int) {
	h["Cache-Control"] = noStore
	p.share(h, audience)
	if v := p.vary(false); v != nil {
		h["Vary"] = v
	}
}

// preflight answers a browser that asks whether a script of another site may
// ask for a picture conditionally.
func (s *Server) preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	s.policy.transient(h, r)
	if h["Access-Control-Allow-Origin"] != nil {
		h.Set("Access-Control-Allow-Methods", "GET, HEAD")
		h.Set("Access-Control-Allow-Headers", "If-None-Match, Cache-Control")
		h.Set("Access-Control-Max-Age", "86400")
	}
	w.WriteHeader(http.StatusNoContent)
}
