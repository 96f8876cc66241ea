package devca

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestVerifiedHandshake(t *testing.T) {
	ca, err := New()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		host string
		pool *x509.CertPool
		ok   bool
	}{
		{"name", "localhost", ca.Pool(), true},
		{"IPv4", "127.0.0.1", ca.Pool(), true},
		{"IPv6", "::1", ca.Pool(), true},
		{"another host", "camera.example.org", ca.Pool(), false},
		{"another root", "localhost", x509.NewCertPool(), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := net.Pipe()
			var wg sync.WaitGroup
			wg.Go(func() {
				s := tls.Server(a, &tls.Config{Certificates: []tls.Certificate{cert}})
				io.Copy(io.Discard, s)
				s.Close()
			})
			c := tls.Client(b, &tls.Config{ServerName: tt.host, RootCAs: tt.pool})
			if err := c.HandshakeContext(t.Context()); (err == nil) != tt.ok {
				t.Errorf("handshake: %v, want ok %v", err, tt.ok)
			}
			b.Close()
			wg.Wait()
		})
	}
}

func TestOpenKeepsOneRoot(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	var wg sync.WaitGroup
	for range 4 { // several starts at once on a fresh machine
		wg.Go(func() {
			if _, _, err := Open(dir); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	first, path, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.RootPEM, again.RootPEM) {
		t.Error("the second start has another root")
	}
	if _, err := again.Certificate(); err != nil {
		t.Error(err)
	}
	for _, name := range []string{path, filepath.Join(dir, keyFile)} {
		st, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if st.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", filepath.Base(name), st.Mode())
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Open(dir); err != nil {
		t.Fatal(err)
	}
	if shown, err := os.ReadFile(path); err != nil || !bytes.Equal(shown, first.RootPEM) {
		t.Errorf("the root certificate was not put back: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, keyFile), []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "delete it") {
		t.Errorf("damaged key file: %v", err)
	}
}

func TestDir(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", "/var/state")
	if d, _ := Dir(); d != "/var/state/porthole" {
		t.Errorf("got %q", d)
	}
	t.Setenv("XDG_STATE_HOME", "relative")
	t.Setenv("HOME", "/home/x")
	if d, _ := Dir(); d != "/home/x/.local/state/porthole" {
		t.Errorf("got %q", d)
	}
}
