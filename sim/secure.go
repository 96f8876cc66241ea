package sim

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	utls "github.com/refraction-networking/utls"
)

// secured is a board's TLS over a socket.
type secured struct {
	core  Core
	name  string // of the server, as the board was told
	base  *tls.Config
	cache *oneSession  // nil: every handshake is a full one
	fault func() error // instead of the certificate's own
	boot  time.Time    // start of the board, which its clock counts from
}

// handshake makes raw secure. Records are what a board's are: TLS 1.2 with
// AES-GCM, one record per write, never split (esp32-wire 1.3, 2).
func (s *secured) handshake(ctx context.Context, raw *recordConn) (net.Conn, error) {
	cfg := &utls.Config{
		ServerName: s.name, DynamicRecordSizingDisabled: true,
		// Verification is below: a board has an alert for each way to fail, and
		// looks at no dates.
		InsecureSkipVerify:     true,
		SessionTicketsDisabled: s.cache == nil,
	}
	if s.cache != nil {
		cfg.ClientSessionCache = s.cache
	}
	cfg.VerifyPeerCertificate = func(certificates [][]byte, _ [][]*x509.Certificate) error {
		err := s.fault()
		if err == nil {
			err = s.verify(certificates)
		}
		_, raw.unknownCA = errors.AsType[x509.UnknownAuthorityError](err)
		return err
	}
	conn := utls.UClient(raw, cfg, utls.HelloCustom)
	if err := conn.ApplyPreset(s.core.spec(s.name)); err != nil {
		return nil, fmt.Errorf("prepare hello: %w", err)
	}
	if s.cache == nil || s.cache.session == nil {
		conn.HandshakeState.Hello.SessionId = nil // one is made up where a ticket is offered only
	}
	if err := conn.SetClientRandom(s.random()); err != nil {
		return nil, fmt.Errorf("prepare hello: %w", err)
	}
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return conn, nil
}

// oneSession keeps the session of the last connection, as the firmware does.
type oneSession struct{ session *utls.ClientSessionState }

// Get implements utls.ClientSessionCache.
func (c *oneSession) Get(string) (*utls.ClientSessionState, bool) {
	return c.session, c.session != nil
}

// Put implements utls.ClientSessionCache.
func (c *oneSession) Put(_ string, s *utls.ClientSessionState) { c.session = s }

// random begins with the time, as Mbed TLS has it: without SNTP that is seconds
// since the start (esp32-wire 2.1).
func (s *secured) random() []byte {
	b := make([]byte, 32)
	rand.Read(b) // never fails
	binary.BigEndian.PutUint32(b, uint32(time.Since(s.boot)/time.Second))
	return b
}

// verify checks chain and name. Dates are not looked at (esp32-wire 2.6).
func (s *secured) verify(raw [][]byte) error {
	var chain []*x509.Certificate
	for _, der := range raw {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("x509: %w", err)
		}
		chain = append(chain, c)
	}
	opts := x509.VerifyOptions{Intermediates: x509.NewCertPool(), DNSName: s.name, CurrentTime: chain[0].NotBefore}
	if s.base != nil {
		opts.Roots = s.base.RootCAs
		if s.base.ServerName != "" {
			opts.DNSName = s.base.ServerName
		}
	}
	for _, c := range chain[1:] {
		opts.Intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(opts)
	return err
}
