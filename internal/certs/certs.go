// Package certs keeps the certificate of a server that runs for years: from
// files that somebody else renews, or from a certificate authority by ACME. Both
// may change while connections are made, and a bad one never replaces a good
// one.
package certs

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"
)

// maxFile bounds a certificate or key file.
const maxFile = 1 << 20

// Files is a certificate whose chain and key are PEM files. It is safe for
// concurrent use.
type Files struct {
	cert, key string
	current   atomic.Pointer[Pair]
}

// Pair is a certificate that was loaded and checked.
type Pair struct {
	tls.Certificate
	digest [sha256.Size]byte // of both files
}

// Open loads the files. A certificate out of its time is taken, for somebody may
// be about to mend that; [Pair.Expires] tells.
func Open(cert, key string) (*Files, error) {
	f := &Files{cert: cert, key: key}
	p, err := f.read()
	if err != nil {
		return nil, err
	}
	f.current.Store(p)
	return f, nil
}

// Load reads the files anew and checks them, without using them yet. What could
// not serve is refused: a key of another certificate, a chain out of order, a
// certificate out of its time.
func (f *Files) Load() (*Pair, error) {
	p, err := f.read()
	if err != nil {
		return nil, err
	}
	switch now := time.Now(); {
	case now.After(p.Leaf.NotAfter):
		return nil, fmt.Errorf("certificate %q ended %s", f.cert, p.Leaf.NotAfter.Format(time.DateOnly))
	case now.Before(p.Leaf.NotBefore):
		return nil, fmt.Errorf("certificate %q begins %s", f.cert, p.Leaf.NotBefore.Format(time.DateTime))
	}
	return p, nil
}

// Use makes p the certificate of the connections to come. It reports whether
// that is another one than before.
func (f *Files) Use(p *Pair) (changed bool) { return f.current.Swap(p).digest != p.digest }

// Current returns the pair in use.
func (f *Files) Current() *Pair { return f.current.Load() }

// Get is for [tls.Config.GetCertificate].
func (f *Files) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return &f.current.Load().Certificate, nil
}

// Changed reports whether the files hold something else than what is in use. An
// error means that they cannot be read just now, as while they are replaced.
func (f *Files) Changed() (bool, error) {
	_, _, digest, err := f.content()
	return err == nil && digest != f.current.Load().digest, err
}

func (f *Files) content() (cert, key []byte, digest [sha256.Size]byte, err error) {
	if cert, err = readFile(f.cert); err == nil {
		key, err = readFile(f.key)
	}
	if err != nil {
		return nil, nil, digest, fmt.Errorf("load certificate: %w", err)
	}
	h := sha256.New()
	fmt.Fprintf(h, "%d\n", len(cert))
	h.Write(cert)
	h.Write(key)
	h.Sum(digest[:0])
	return cert, key, digest, nil
}

func (f *Files) read() (*Pair, error) {
	cert, key, digest, err := f.content()
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err == nil {
		err = checkChain(pair)
	}
	if err != nil {
		return nil, fmt.Errorf("load certificate %q with key %q: %w", f.cert, f.key, err)
	}
	return &Pair{pair, digest}, nil
}

// checkChain finds the mistakes that browsers forgive and boards do not: each
// certificate of the file must have signed the one before it.
func checkChain(pair tls.Certificate) error {
	previous := pair.Leaf
	for i, der := range pair.Certificate[1:] {
		next, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("certificate %d of the chain: %w", i+2, err)
		}
		if !bytes.Equal(previous.RawIssuer, next.RawSubject) || previous.CheckSignatureFrom(next) != nil {
			return fmt.Errorf("certificate %d of the chain (%s) did not sign the one before it (%s)", i+2, next.Subject, previous.Subject)
		}
		previous = next
	}
	if len(pair.Leaf.DNSNames)+len(pair.Leaf.IPAddresses) == 0 {
		return errors.New("it is for no name: clients ignore the common name")
	}
	return nil
}

// Expires is when the certificate ends.
func (p *Pair) Expires() time.Time { return p.Leaf.NotAfter }

// Issuer is the name of who is at the far end of the chain: a board that trusts
// one root only must know when that changes.
func (p *Pair) Issuer() string {
	last, err := x509.ParseCertificate(p.Certificate.Certificate[len(p.Certificate.Certificate)-1])
	if err != nil {
		return "" // checked by checkChain
	}
	return last.Issuer.String()
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("file %q has more than %d bytes", path, maxFile)
	}
	return b, err
}
