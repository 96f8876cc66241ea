package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// ACMEProtocol is offered in the TLS handshake beside the site's own, for the
// authority's challenge.
const ACMEProtocol = acme.ALPNProto

// ACMEConfig says what an authority is asked for.
type ACMEConfig struct {
	// Domains are the names of the site; nobody gets a certificate for another.
	Domains []string
	// Email is told to the authority, for warnings; may be empty.
	Email string
	// Directory is the authority's address; empty for Let's Encrypt.
	Directory string
	// Cache is the folder that keys and certificates are kept in. It is made, for
	// its owner only.
	Cache string
	// Client speaks to the authority; nil for a usual one.
	Client *http.Client
}

// ACME gets certificates from an authority, keeps them, and renews them thirty
// days before their end.
type ACME struct {
	manager *autocert.Manager
	domains []string
}

// OpenACME returns an ACME for cfg. Nothing is asked for yet. That the
// authority's terms of service are agreed to is for the caller to find out.
func OpenACME(cfg ACMEConfig) (*ACME, error) {
	if len(cfg.Domains) == 0 {
		return nil, errors.New("set up ACME: no domain given")
	}
	for _, d := range cfg.Domains {
		if err := checkDomain(d); err != nil {
			return nil, fmt.Errorf("set up ACME: %w", err)
		}
	}
	if err := os.MkdirAll(cfg.Cache, 0o700); err != nil {
		return nil, fmt.Errorf("set up ACME: make folder for certificates: %w", err)
	}
	client := cfg.Client
	if client == nil {
		client = &http.Client{Timeout: time.Minute}
	}
	return &ACME{
		manager: &autocert.Manager{
			Prompt:     autocert.AcceptTOS,
			Cache:      autocert.DirCache(cfg.Cache),
			HostPolicy: autocert.HostWhitelist(cfg.Domains...),
			Email:      cfg.Email,
			Client:     &acme.Client{DirectoryURL: cfg.Directory, HTTPClient: client, UserAgent: "porthole"},
		},
		domains: slices.Clone(cfg.Domains),
	}, nil
}

// checkDomain refuses what no authority can check from outside.
func checkDomain(name string) error {
	labels := strings.Split(name, ".")
	ok := len(labels) > 1 && len(name) <= 253
	for _, l := range labels {
		ok = ok && len(l) > 0 && len(l) <= 63 && l[0] != '-' && l[len(l)-1] != '-'
		for _, c := range []byte(l) {
			ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-')
		}
	}
	digits := strings.Trim(labels[len(labels)-1], "0123456789") == ""
	if !ok || digits {
		return fmt.Errorf("domain %.100q: want a name like cam.example.org, in lower case", name)
	}
	return nil
}

// Get is for [tls.Config.GetCertificate]. Clients that name no site get the
// first domain's certificate.
func (a *ACME) Get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if hello.ServerName == "" {
		named := *hello
		named.ServerName = a.domains[0]
		hello = &named
	}
	return a.manager.GetCertificate(hello)
}

// challenges is where the authority asks, over plain HTTP (RFC 8555 section 8.3).
const challenges = "/.well-known/acme-challenge/"

// Challenges answers the authority's questions over plain HTTP and leaves
// everything else to next.
func (a *ACME) Challenges(next http.Handler) http.Handler {
	answer := a.manager.HTTPHandler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, challenges) {
			next.ServeHTTP(w, r)
			return
		}
		if host, _, err := net.SplitHostPort(r.Host); err == nil {
			named := *r // it was asked at a port that is forwarded to us
			named.Host = host
			r = &named
		}
		answer.ServeHTTP(w, r)
	})
}

// Obtain makes sure that there is a certificate for every domain, so that the
// first visitor, or the board with its short patience, does not wait for it.
// It returns their ends, by domain, and an error for those that there is none for.
func (a *ACME) Obtain(ctx context.Context) (map[string]time.Time, error) {
	ends := make(map[string]time.Time, len(a.domains))
	var errs []error
	for _, d := range a.domains {
		if ctx.Err() != nil {
			return ends, ctx.Err()
		}
		cert, err := a.manager.GetCertificate(anyClient(d))
		if err != nil {
			errs = append(errs, fmt.Errorf("get a certificate for %s: %w", d, err))
			continue
		}
		ends[d] = cert.Leaf.NotAfter
	}
	return ends, errors.Join(errs...)
}

// anyClient is the hello of a client that knows ECDSA, as the board and all
// browsers do.
func anyClient(domain string) *tls.ClientHelloInfo {
	return &tls.ClientHelloInfo{
		ServerName:        domain,
		CipherSuites:      []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
		SupportedCurves:   []tls.CurveID{tls.CurveP256},
		SupportedPoints:   []uint8{0},
		SignatureSchemes:  []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256},
		SupportedVersions: []uint16{tls.VersionTLS13, tls.VersionTLS12},
	}
}
