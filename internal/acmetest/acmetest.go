// Package acmetest runs a certificate authority on loopback for tests: Pebble,
// the one that the makers of Let's Encrypt test clients with, its strictness on,
// and a name server that knows every name as this machine.
package acmetest

import (
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"
)

// Authority is a running authority.
type Authority struct {
	// Directory is its address, for clients.
	Directory string
	// Client trusts its server.
	Client *http.Client
	// ServerRoot is the certificate of that server (DER).
	ServerRoot *x509.Certificate
	// Orders counts the orders that it got.
	Orders atomic.Int64

	ca    *ca.CAImpl
	db    *db.MemoryStore
	dns   string
	ready chan struct{}
	once  sync.Once
	front http.Handler
}

// New starts an authority that lets its clients wait until [Authority.Check]
// says where the site is to be checked. It ends with the test.
func New(t *testing.T) *Authority {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1") // else each check waits up to 5 s
	quiet := log.New(io.Discard, "", 0)
	store := db.NewMemoryStore()
	a := &Authority{
		db: store, dns: nameServer(t), ready: make(chan struct{}),
		ca: ca.New(quiet, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {ValidityPeriod: 90 * 24 * 3600}}),
	}
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-a.ready:
		case <-r.Context().Done():
			return
		}
		if r.URL.Path == "/order-plz" {
			a.Orders.Add(1)
		}
		a.front.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	a.Directory, a.Client, a.ServerRoot = srv.URL+"/dir", srv.Client(), srv.Certificate()
	return a
}

// Check says at which addresses of this machine the site is checked. It may be
// called once.
func (a *Authority) Check(plain, secure net.Addr) {
	a.once.Do(func() {
		quiet := log.New(io.Discard, "", 0)
		validator := va.New(quiet, port(plain), port(secure), true, a.dns, a.db)
		front := wfe.New(quiet, a.db, validator, a.ca, []string{"ca.test.example"}, true, false, 1, 1)
		a.front = front.Handler()
		close(a.ready)
	})
}

// Roots trusts what the authority signs.
func (a *Authority) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(a.ca.GetRootCert(0).PEM())
	return pool
}

func port(a net.Addr) int {
	_, p, err := net.SplitHostPort(a.String())
	if err != nil {
		panic(err)
	}
	n, err := strconv.Atoi(p)
	if err != nil {
		panic(err)
	}
	return n
}

// nameServer answers every question for an IPv4 address with 127.0.0.1.
func nameServer(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &dns.Server{Listener: ln, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		answer := new(dns.Msg)
		answer.SetReply(q)
		if len(q.Question) == 1 && q.Question[0].Qtype == dns.TypeA {
			answer.Answer = []dns.RR{&dns.A{
				Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET},
				A:   net.IPv4(127, 0, 0, 1),
			}}
		}
		w.WriteMsg(answer)
	})}
	done := make(chan struct{})
	go func() { defer close(done); srv.ActivateAndServe() }()
	t.Cleanup(func() { ln.Close(); <-done })
	return ln.Addr().String()
}
