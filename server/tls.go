package server

import "crypto/tls"

// TLS returns the settings of a public HTTPS listener. The groups are named so
// that a board of Arduino core 2.0.x, whose list begins with P-521, gets P-256
// instead of its slowest (esp32-wire 2.6).
func TLS(certificates ...tls.Certificate) *tls.Config {
	return &tls.Config{
		Certificates:     certificates,
		MinVersion:       tls.VersionTLS12,
		CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256},
		// One URL is polled again and again: HTTP/2 would cost more than it saves.
		NextProtos: []string{"http/1.1"},
	}
}
