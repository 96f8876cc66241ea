package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// issuer signs certificates for tests.
type issuer struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newIssuer(t *testing.T, name string) *issuer {
	i := &issuer{t: t}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	i.cert, i.key = i.sign(template, time.Now().Add(24*time.Hour))
	return i
}

var serial int64

func (i *issuer) sign(template *x509.Certificate, end time.Time) (*x509.Certificate, *ecdsa.PrivateKey) {
	i.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		i.t.Fatal(err)
	}
	serial++
	template.SerialNumber, template.NotAfter = big.NewInt(serial), end
	if template.NotBefore.IsZero() {
		template.NotBefore = time.Now().Add(-time.Hour)
	}
	parent, signer := i.cert, i.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		i.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		i.t.Fatal(err)
	}
	return cert, key
}

// leaf returns the PEM chain of a site's certificate, and its key.
func (i *issuer) leaf(template x509.Certificate, end time.Time, chain ...*x509.Certificate) (cert, key []byte) {
	leaf, k := i.sign(&template, end)
	for _, c := range append([]*x509.Certificate{leaf}, chain...) {
		cert = append(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		i.t.Fatal(err)
	}
	return cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

type files struct {
	t         *testing.T
	cert, key string
}

func newFiles(t *testing.T) *files {
	dir := t.TempDir()
	return &files{t, filepath.Join(dir, "chain.pem"), filepath.Join(dir, "key.pem")}
}

func (f *files) write(cert, key []byte) {
	f.t.Helper()
	for path, content := range map[string][]byte{f.cert: cert, f.key: key} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			f.t.Fatal(err)
		}
	}
}

func TestFiles(t *testing.T) {
	ca, other := newIssuer(t, "first"), newIssuer(t, "second")
	named := x509.Certificate{DNSNames: []string{"cam.example"}}
	tomorrow := time.Now().Add(24 * time.Hour)
	cert, key := ca.leaf(named, tomorrow, ca.cert)
	on := newFiles(t)
	on.write(cert, key)
	f, err := Open(on.cert, on.key)
	if err != nil {
		t.Fatal(err)
	}
	if changed, err := f.Changed(); changed || err != nil {
		t.Errorf("changed at once: %v, %v", changed, err)
	}
	first, err := f.Get(nil)
	if err != nil || f.Current().Issuer() != "CN=first" {
		t.Fatalf("issuer %q, %v", f.Current().Issuer(), err)
	}

	newer, newerKey := other.leaf(named, tomorrow, other.cert)
	ended, endedKey := ca.leaf(named, time.Now().Add(-time.Minute))
	future, futureKey := ca.leaf(x509.Certificate{DNSNames: []string{"cam.example"}, NotBefore: tomorrow}, tomorrow.Add(time.Hour))
	wrongChain, wrongChainKey := ca.leaf(named, tomorrow, other.cert)
	nameless, namelessKey := ca.leaf(x509.Certificate{Subject: pkix.Name{CommonName: "cam.example"}}, tomorrow)
	for _, tt := range []struct {
		name      string
		cert, key []byte
		want      string
	}{
		{"key of another certificate", newer, key, "private key does not match"},
		{"key is missing", newer, nil, "failed to find any PEM data"},
		{"half a certificate", newer[:len(newer)/3], newerKey, "failed to find"},
		{"ended", ended, endedKey, "ended"},
		{"not begun", future, futureKey, "begins"},
		{"chain of somebody else", wrongChain, wrongChainKey, "did not sign the one before it"},
		{"for no name", nameless, namelessKey, "for no name"},
		{"far too large", append([]byte(strings.Repeat("#\n", maxFile)), newer...), newerKey, "more than"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			on.write(tt.cert, tt.key)
			if _, err := f.Load(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if now, _ := f.Get(nil); now != first {
				t.Error("a bad file replaced the certificate")
			}
		})
	}
	if err := os.Remove(on.key); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Changed(); err == nil {
		t.Error("a missing file is not told")
	}

	on.write(newer, newerKey)
	if changed, err := f.Changed(); !changed || err != nil {
		t.Errorf("renewal not seen: %v, %v", changed, err)
	}
	pair, err := f.Load()
	if err != nil {
		t.Fatal(err)
	}
	if now, _ := f.Get(nil); now != first {
		t.Error("load alone replaced the certificate")
	}
	if !f.Use(pair) || f.Use(pair) {
		t.Error("use does not tell what changed")
	}
	if now, _ := f.Get(nil); now == first || f.Current().Issuer() != "CN=second" {
		t.Error("the renewed certificate is not in use")
	}
}

// TestFilesAtStart: a server whose certificate has just ended starts all the
// same; one whose files are no pair does not.
func TestFilesAtStart(t *testing.T) {
	ca := newIssuer(t, "first")
	on := newFiles(t)
	on.write(ca.leaf(x509.Certificate{DNSNames: []string{"cam.example"}}, time.Now().Add(-time.Minute)))
	if f, err := Open(on.cert, on.key); err != nil || time.Until(f.Current().Expires()) > 0 {
		t.Errorf("ended certificate: %v", err)
	}
	if _, err := Open(on.cert, on.cert); err == nil {
		t.Error("a certificate was taken for a key")
	}
	if _, err := Open(on.cert, filepath.Join(t.TempDir(), "nowhere")); err == nil {
		t.Error("a missing key was not told")
	}
}

// TestFilesWhileServing renews while connections are made; for the race
// detector.
func TestFilesWhileServing(t *testing.T) {
	ca := newIssuer(t, "first")
	on := newFiles(t)
	renew := func() {
		on.write(ca.leaf(x509.Certificate{DNSNames: []string{"cam.example"}}, time.Now().Add(time.Hour)))
	}
	renew()
	f, err := Open(on.cert, on.key)
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if c, err := f.Get(new(tls.ClientHelloInfo)); err != nil || c.Leaf == nil {
					t.Error("no certificate")
					return
				}
			}
		})
	}
	for range 20 {
		renew()
		p, err := f.Load()
		if err != nil {
			t.Fatal(err)
		}
		f.Use(p)
	}
	close(stop)
	readers.Wait()
}
