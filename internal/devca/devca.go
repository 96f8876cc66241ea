// Package devca is a certificate authority for one developer's machine: it
// makes a root once, keeps it in the user's state folder, and signs short-lived
// certificates for loopback with it. It is what `porthole serve --dev` and
// `rig sim` use, so that TLS is real and verified from the first minute. It is
// not for a server that strangers reach.
package devca

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	rootValid   = 10 * 365 * 24 * time.Hour
	leafValid   = 30 * 24 * time.Hour
	renewBefore = 30 * 24 * time.Hour // a root about to end is replaced
)

// CA is a certificate authority. It is safe for concurrent use.
type CA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	// RootPEM is the root certificate, for clients that are to trust it.
	RootPEM []byte
}

// New returns a CA that exists in memory only.
func New() (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make root key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: "Porthole development CA"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(rootValid),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
		// Even a stolen root can vouch for nothing but this machine. Not marked
		// critical: Mbed TLS on the board knows no name constraints and would
		// refuse the certificate.
		PermittedDNSDomains: []string{"localhost"},
		PermittedIPRanges: []*net.IPNet{
			{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)},
			{IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)},
		},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make root certificate: %w", err)
	}
	return fromDER(der, key)
}

func fromDER(der []byte, key *ecdsa.PrivateKey) (*CA, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse root certificate: %w", err)
	}
	return &CA{cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}, nil
}

// Dir returns the folder where the CA of this user lives:
// $XDG_STATE_HOME/porthole, or ~/.local/state/porthole.
func Dir() (string, error) {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "porthole"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find state folder: %w", err)
	}
	return filepath.Join(home, ".local", "state", "porthole"), nil
}

// Files of a CA's folder. Both are readable by their owner only.
const (
	certFile = "dev-ca.pem"
	keyFile  = "dev-ca-key.pem"
)

// Open returns the CA kept in dir and makes it first where there is none, or
// where its time is almost over. The path of the root certificate is returned
// for people and for curl --cacert.
func Open(dir string) (ca *CA, rootPath string, err error) {
	rootPath = filepath.Join(dir, certFile)
	ca, err = load(dir)
	if err == nil && time.Until(ca.cert.NotAfter) > renewBefore {
		// What people are told to trust must be there and must be this one.
		if shown, readErr := os.ReadFile(rootPath); readErr != nil || !bytes.Equal(shown, ca.RootPEM) {
			err = replace(rootPath, ca.RootPEM)
		}
		return ca, rootPath, err
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, "", err
	}
	if ca, err = New(); err != nil {
		return nil, "", err
	}
	if err := ca.save(dir); err != nil {
		return nil, "", fmt.Errorf("keep development CA: %w", err)
	}
	// Two processes may have started at once: what is on disk is what counts.
	ca, err = load(dir)
	return ca, rootPath, err
}

// load reads the pair. The certificate is derived from the key's file, so that
// two processes that write at once cannot leave a pair that does not match.
func load(dir string) (*CA, error) {
	path := filepath.Join(dir, keyFile)
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("load development CA: %w", err)
	}
	broken := func(err error) (*CA, error) {
		return nil, fmt.Errorf("load development CA: file %q is damaged (%w); delete it and it is made anew", path, err)
	}
	keyBlock, rest := pem.Decode(content)
	if keyBlock == nil {
		return broken(errors.New("no key"))
	}
	key, err := x509.ParseECPrivateKey(keyBlock.Bytes)
	if err != nil {
		return broken(err)
	}
	certBlock, _ := pem.Decode(rest)
	if certBlock == nil {
		return broken(errors.New("no certificate"))
	}
	ca, err := fromDER(certBlock.Bytes, key)
	if err != nil {
		return broken(err)
	}
	if !key.PublicKey.Equal(ca.cert.PublicKey) {
		return broken(errors.New("key and certificate do not belong together"))
	}
	return ca, nil
}

func (ca *CA) save(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	der, err := x509.MarshalECPrivateKey(ca.key)
	if err != nil {
		return err
	}
	pair := append(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), ca.RootPEM...)
	if err := replace(filepath.Join(dir, keyFile), pair); err != nil {
		return err
	}
	return replace(filepath.Join(dir, certFile), ca.RootPEM)
}

// replace writes a file that only its owner can read, whole or not at all.
func replace(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".dev-ca-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// Certificate signs a certificate for localhost and the loopback addresses.
func (ca *CA) Certificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: "localhost"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(leafValid),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, key.Public(), ca.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("sign certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der, ca.cert.Raw}, PrivateKey: key}, nil
}

// Pool returns a pool with the root alone.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	return pool
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err) // crypto/rand does not fail on supported systems
	}
	return n.Add(n, big.NewInt(1))
}
