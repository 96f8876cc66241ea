package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"porthole/internal/devca"
	"porthole/internal/netmem"
	"porthole/server"
)

// benchServer is the server of a simulated bench, which can be stopped, started
// and given a wrong certificate.
type benchServer struct {
	offline time.Duration
	token   string
	rootPEM []byte
	right   tls.Certificate
	wrong   tls.Certificate

	mu      sync.Mutex
	refused bool
	boards  []net.Conn       // connections of boards, to be broken with a new certificate
	public  *netmem.Listener // nil while stopped
	admin   *netmem.Listener
	end     context.CancelFunc
	parts   sync.WaitGroup
}

func newBenchServer(offline time.Duration) (*benchServer, error) {
	s := &benchServer{offline: offline, token: server.NewToken()}
	for _, cert := range []*tls.Certificate{&s.right, &s.wrong} {
		ca, err := devca.New()
		if err != nil {
			return nil, err
		}
		if *cert, err = ca.Certificate(); err != nil {
			return nil, err
		}
		if s.rootPEM == nil {
			s.rootPEM = ca.RootPEM
		}
	}
	return s, nil
}

func (s *benchServer) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.public != nil {
		return nil
	}
	tokens, err := server.TokensOf("bench", s.token)
	if err != nil {
		return err
	}
	loop, err := server.EmbeddedLoop()
	if err != nil {
		return err
	}
	srv, err := server.New(server.Config{Tokens: tokens, Loop: loop, Offline: s.offline})
	if err != nil {
		return err
	}
	var ctx context.Context
	ctx, s.end = context.WithCancel(context.Background())
	s.public, s.admin = netmem.ListenBuffered(), netmem.Listen()
	settings := server.TLS(s.right)
	settings.Certificates = nil
	settings.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.certificate(), nil }
	public := server.NewTLSListener(s.public, settings)
	admin := s.admin
	// Both end with their context, or with a listener nobody else closes.
	s.parts.Go(func() { _ = srv.Run(ctx, public) })
	s.parts.Go(func() { _ = server.Serve(ctx, srv.Admin(), nil, admin) })
	return nil
}

func (s *benchServer) certificate() *tls.Certificate {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused {
		return &s.wrong
	}
	return &s.right
}

func (s *benchServer) refuse(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused == on {
		return
	}
	s.refused = on
	// A board that keeps its connection would not look at the new certificate.
	for _, c := range s.boards {
		c.Close()
	}
	s.boards = nil
}

func (s *benchServer) stop() {
	s.mu.Lock()
	if s.public == nil {
		s.mu.Unlock()
		return
	}
	s.public, s.admin = nil, nil
	s.end()
	s.mu.Unlock()
	s.parts.Wait()
}

// dial is the way from the board's network to the server.
func (s *benchServer) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	s.mu.Lock()
	ln := s.public
	s.mu.Unlock()
	conn, err := dialMemory(ctx, ln)
	if err == nil {
		s.mu.Lock()
		s.boards = append(s.boards, conn)
		s.mu.Unlock()
	}
	return conn, err
}

// client is the way from the bench to the server's private side.
func (s *benchServer) client() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			s.mu.Lock()
			ln := s.admin
			s.mu.Unlock()
			return dialMemory(ctx, ln)
		},
	}}
}

// publicClient is the way from the bench to the public side.
func (s *benchServer) publicClient() *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.rootPEM)
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: trusting(roots), DialContext: s.dial}}
}

func dialMemory(ctx context.Context, ln *netmem.Listener) (net.Conn, error) {
	if ln == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	return ln.Dial(ctx)
}
