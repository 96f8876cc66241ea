package server

import "crypto/tls"

// TLS returns the settings of a public HTTPS listener with fixed certificates.
func TLS(certificates ...tls.Certificate) *tls.Config {
	c := TLSWith(nil)
	c.Certificates = certificates
	return c
}

// TLSWith returns the settings of a public HTTPS listener whose certificate get
// chooses for each connection. Protocols are offered in the handshake (ALPN), in
// that order; none means HTTP/1.1 alone: one URL is polled again and again, and
// HTTP/2 would cost more than it saves.
//
// The groups are named so that a board of Arduino core 2.0.x, whose list begins
// with P-521, gets P-256 instead of its slowest (esp32-wire 2.6). Tickets for
// abbreviated handshakes are sent, with keys that change daily.
func TLSWith(get func(*tls.ClientHelloInfo) (*tls.Certificate, error), protocols ...string) *tls.Config {
	if len(protocols) == 0 {
		protocols = []string{"http/1.1"}
	}
	return &tls.Config{
		GetCertificate:   get,
		MinVersion:       tls.VersionTLS12,
		CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256},
		NextProtos:       protocols,
	}
}
