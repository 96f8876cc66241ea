package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// name looks where the name leads.
func (e *examination) name(ctx context.Context) {
	host := e.url.Hostname()
	if net.ParseIP(host) != nil {
		e.ok("name", "%s is an address", host)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Answer)
	defer cancel()
	found, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		e.fail("name", "make an A or AAAA record for it, or wait until it is known everywhere", "%s is not known: %v", host, err)
		return
	}
	for _, a := range found {
		if a.IP.IsPrivate() || a.IP.IsLoopback() && host != "localhost" {
			e.warn("name", "visitors need a public address; forward the ports 443 and 80 to this machine", "%s leads to %s, which is not on the internet", host, a.IP)
			return
		}
	}
	e.ok("name", "%s leads to %d addresses", host, len(found))
}

// handshake connects by TLS with changed settings.
func (e *examination) handshake(ctx context.Context, change func(*tls.Config)) (tls.ConnectionState, error) {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Answer)
	defer cancel()
	cfg := &tls.Config{ServerName: e.url.Hostname(), RootCAs: e.cfg.Roots}
	change(cfg)
	conn, err := (&tls.Dialer{Config: cfg}).DialContext(ctx, "tcp", e.address())
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	c := conn.(*tls.Conn)
	if cfg.ClientSessionCache != nil {
		// A ticket of TLS 1.3 comes after the handshake, with the first answer.
		c.SetDeadline(time.Now().Add(e.cfg.Answer))
		c.Write([]byte("GET /healthz HTTP/1.1\r\nHost: " + e.url.Host + "\r\nConnection: close\r\n\r\n"))
		c.Read(make([]byte, 1))
	}
	return c.ConnectionState(), nil
}

// soon is when a certificate should have been renewed long ago: authorities'
// clients do that thirty days before the end.
const soon = 14 * 24 * time.Hour

// certificate looks at what browsers and boards verify.
func (e *examination) certificate(ctx context.Context) {
	if e.url.Scheme != "https" {
		e.warn("certificate", "serve HTTPS: without it everybody on the way sees the token and the room", "plain HTTP")
		return
	}
	state, err := e.handshake(ctx, func(*tls.Config) {})
	if err != nil {
		e.badCertificate(ctx, err)
		e.tls.InsecureSkipVerify = true // no secret is sent
		return
	}
	leaf := state.PeerCertificates[0]
	left := time.Until(leaf.NotAfter)
	switch {
	case left < soon:
		e.warn("certificate", "find out why it is not renewed: porthole's log, or the timer of certbot", "ends in %d days, %s", int(left.Hours()/24), leaf.NotAfter.UTC().Format(time.DateOnly))
	case leaf.PublicKeyAlgorithm == x509.RSA:
		e.warn("certificate", "use an ECDSA key (P-256): a new connection costs the server a quarter then", "RSA, until %s", leaf.NotAfter.UTC().Format(time.DateOnly))
	default:
		e.ok("certificate", "%s, until %s, %d days", leaf.PublicKeyAlgorithm, leaf.NotAfter.UTC().Format(time.DateOnly), int(left.Hours()/24))
	}
	if state.Version < tls.VersionTLS13 {
		e.warn("protocol", "allow TLS 1.3", "%s is the best that is offered", tls.VersionName(state.Version))
	} else if old, err := e.handshake(ctx, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }); err == nil {
		e.fail("protocol", "allow TLS 1.2 and 1.3 only", "%s, which is broken, is offered", tls.VersionName(old.Version))
	} else {
		e.ok("protocol", "%s, and nothing below TLS 1.2", tls.VersionName(state.Version))
	}
}

// badCertificate says what is wrong with one.
func (e *examination) badCertificate(ctx context.Context, err error) {
	unknown, isUnknown := errors.AsType[x509.UnknownAuthorityError](err)
	invalid, isInvalid := errors.AsType[x509.CertificateInvalidError](err)
	_, isForeign := errors.AsType[x509.HostnameError](err)
	switch {
	case isUnknown && unknown.Cert != nil && e.onlyLeaf(ctx):
		e.fail("certificate", "send the whole chain: fullchain.pem, not cert.pem; boards and old phones do not find the rest themselves", "the chain is not complete: %q alone is sent", unknown.Cert.Subject.CommonName)
	case isUnknown:
		e.fail("certificate", "get one with --acme, or name the root of your own authority with --ca", "signed by nobody who is trusted: %v", err)
	case isInvalid && invalid.Reason == x509.Expired:
		e.fail("certificate", "renew it: porthole's log says why that did not happen, or check the clock", "out of its time: %v", err)
	case isForeign:
		e.fail("certificate", "get one for this name", "%v", err)
	default:
		e.fail("certificate", "is the server running, and port 443 forwarded to it?", "no TLS connection: %v", err)
	}
}

// onlyLeaf reports whether a certificate is sent without who signed it.
func (e *examination) onlyLeaf(ctx context.Context) bool {
	state, err := e.handshake(ctx, func(c *tls.Config) { c.InsecureSkipVerify = true })
	if err != nil || len(state.PeerCertificates) != 1 {
		return false
	}
	leaf := state.PeerCertificates[0]
	return leaf.CheckSignatureFrom(leaf) != nil
}

// board shakes hands as a board of Arduino core 2 does: TLS 1.2, its largest
// group first (esp32-wire 2.6).
func (e *examination) board(ctx context.Context) {
	if e.url.Scheme != "https" {
		return
	}
	state, err := e.handshake(ctx, func(c *tls.Config) {
		c.MaxVersion = tls.VersionTLS12
		c.CurvePreferences = []tls.CurveID{tls.CurveP521, tls.CurveP384, tls.CurveP256}
		c.InsecureSkipVerify = true // looked at already
	})
	switch {
	case err != nil:
		e.fail("board", "allow TLS 1.2 and the group P-256 (nginx: ssl_ecdh_curve X25519:prime256v1)", "a board cannot connect: %v", err)
		return
	case state.CurveID != tls.CurveP256:
		e.warn("board", "offer X25519 and P-256 only (nginx: ssl_ecdh_curve X25519:prime256v1)", "a board is made to calculate with %s, which takes it seconds", state.CurveID)
	default:
		e.ok("board", "a board gets %s", state.CurveID)
	}
	cache := tls.NewLRUClientSessionCache(1)
	resumed := false
	for range 2 {
		if state, err = e.handshake(ctx, func(c *tls.Config) { c.InsecureSkipVerify, c.ClientSessionCache = true, cache }); err == nil {
			resumed = state.DidResume
		}
	}
	if resumed {
		e.ok("tickets", "who comes again shakes hands in short")
	} else {
		e.warn("tickets", "send session tickets, with the same key on every server behind the name", "every connection is a full handshake")
	}
}

// plain looks at port 80.
func (e *examination) plain(ctx context.Context) {
	if e.cfg.Plain == "" {
		return
	}
	a, err := e.get(ctx, e.cfg.Plain+"/latest?x=1")
	if err != nil {
		e.warn("plain HTTP", "serve port 80 with --redirect 0.0.0.0:80, so that who types the name finds the page", "nobody answers: %v", err)
		return
	}
	to, err := url.Parse(a.Header.Get("Location"))
	switch {
	case a.StatusCode == http.StatusOK:
		e.fail("plain HTTP", "redirect it: --redirect instead of --http on this port", "pictures are served in the clear")
	case a.StatusCode/100 != 3 || err != nil || to.Scheme != "https" || !strings.EqualFold(to.Hostname(), e.url.Hostname()):
		e.warn("plain HTTP", "let it lead to "+e.url.String(), "answers %s and leads to %q", a.Status, a.Header.Get("Location"))
	default:
		e.ok("plain HTTP", "leads to HTTPS")
	}
}
