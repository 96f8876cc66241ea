package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"porthole/internal/acmetest"
)

const domain = "cam.test.example"

// site is a web server with certificates by ACME, on two ports of loopback.
type site struct {
	acme          *ACME
	plain, secure net.Addr
}

func open(t *testing.T, a *acmetest.Authority, cache string, protocols ...string) *site {
	t.Helper()
	acme, err := OpenACME(ACMEConfig{Domains: []string{domain}, Email: "owner@test.example", Directory: a.Directory, Cache: cache, Client: a.Client})
	if err != nil {
		t.Fatal(err)
	}
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") })
	plain := httptest.NewServer(acme.Challenges(hello))
	t.Cleanup(plain.Close)
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: acme.Get, NextProtos: append([]string{"http/1.1"}, protocols...)})
	if err != nil {
		t.Fatal(err)
	}
	secure := &http.Server{Handler: hello, ErrorLog: log.New(t.Output(), "", 0)}
	go secure.Serve(ln)
	t.Cleanup(func() { secure.Close() })
	return &site{acme, plain.Listener.Addr(), ln.Addr()}
}

// visit connects as a client that trusts the authority.
func (s *site) visit(name string, roots *x509.CertPool) (*x509.Certificate, error) {
	conn, err := (&tls.Dialer{Config: &tls.Config{ServerName: name, RootCAs: roots}}).Dial("tcp", s.secure.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}

func TestACME(t *testing.T) {
	for _, tt := range []struct {
		name      string
		protocols []string // beside the site's own
	}{
		{"checked in the TLS handshake", []string{ACMEProtocol}},
		{"checked over plain HTTP", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			authority := acmetest.New(t)
			cache := filepath.Join(t.TempDir(), "made", "anew")
			s := open(t, authority, cache, tt.protocols...)
			authority.Check(s.plain, s.secure)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			ends, err := s.acme.Obtain(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if left := time.Until(ends[domain]); left < 80*24*time.Hour {
				t.Errorf("ends %v", ends)
			}
			cert, err := s.visit(domain, authority.Roots())
			if err != nil || cert.VerifyHostname(domain) != nil || cert.PublicKeyAlgorithm != x509.ECDSA {
				t.Errorf("visit: %v, %v", cert, err)
			}
			if _, err := s.visit("other.test.example", authority.Roots()); err == nil {
				t.Error("got a certificate for a foreign name")
			}
			if st, err := os.Stat(cache); err != nil || st.Mode().Perm() != 0o700 {
				t.Errorf("folder of keys: %v, %v", st, err)
			}
			if resp, err := http.Get("http://" + s.plain.String() + "/"); err != nil {
				t.Error(err)
			} else {
				resp.Body.Close()
				if resp.StatusCode != 200 {
					t.Errorf("plain HTTP besides challenges: %s", resp.Status)
				}
			}

			// After a restart the same certificate is there, without a new order.
			orders := authority.Orders.Load()
			again := open(t, authority, cache, tt.protocols...)
			restarted, err := again.visit(domain, authority.Roots())
			if err != nil || !restarted.Equal(cert) {
				t.Errorf("after a restart: another certificate, %v", err)
			}
			if n := authority.Orders.Load(); n != orders {
				t.Errorf("a restart ordered %d certificates", n-orders)
			}
		})
	}
}

// TestACMENotReachable: the authority looks at ports where nobody answers.
func TestACMENotReachable(t *testing.T) {
	authority := acmetest.New(t)
	s := open(t, authority, t.TempDir(), ACMEProtocol)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	authority.Check(ln.Addr(), ln.Addr())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if ends, err := s.acme.Obtain(ctx); err == nil || len(ends) != 0 || !strings.Contains(err.Error(), "get a certificate for "+domain) {
		t.Errorf("obtained %v, %v", ends, err)
	}
}

func TestACMERefuses(t *testing.T) {
	for _, name := range []string{"", "localhost", "cam", "192.0.2.1", "Cam.example.org", "*.example.org", "cam..example", "-a.example", "a_b.example", "cam.example.org.", "a/../b.example", strings.Repeat("a", 64) + ".example"} {
		if _, err := OpenACME(ACMEConfig{Domains: []string{name}, Cache: t.TempDir()}); err == nil {
			t.Errorf("domain %q was taken", name)
		}
	}
	if _, err := OpenACME(ACMEConfig{Cache: t.TempDir()}); err == nil {
		t.Error("no domain was taken")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenACME(ACMEConfig{Domains: []string{domain}, Cache: file}); err == nil {
		t.Error("a file was taken for the folder")
	}
}
