package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"porthole/internal/cli"
	"porthole/internal/devca"
	"porthole/internal/event"
	"porthole/server"
	"porthole/sim"
)

// feed is the whole product in one process: the production server on loopback
// with a development certificate, and a simulated camera that uploads to it
// over TLS.
type feed struct {
	bus    *event.Bus
	server *server.Server
	camera *sim.Camera

	https, http, admin net.Listener // http and admin may be nil
	rootPath           string       // of the CA's certificate; empty where it is in memory only
	roots              *x509.CertPool
	token              string
	certificate        tls.Certificate
}

// feedConfig says where a feed listens; an empty address means not at all, a
// port of 0 any free one.
type feedConfig struct {
	https, http, admin string
	keepCA             bool // in the user's state folder, so that a browser trusts it next time too
	interval           time.Duration
	frames             int
	source             sim.Source
	bus                *event.Bus
	offline, period    time.Duration // of the server; zero for its defaults
	powered            func() bool   // the camera's supply; nil for always
}

func newFeed(cfg feedConfig) (_ *feed, err error) {
	f := &feed{bus: cfg.bus, token: server.NewToken()}
	defer func() {
		if err != nil {
			f.closeListeners()
		}
	}()
	if f.https, err = cli.Listen(cfg.https, "--port, or make sim PORT=9443"); err != nil {
		return nil, err
	}
	if cfg.http != "" {
		if f.http, err = cli.Listen(cfg.http, "--http-port, or make sim HTTP_PORT=9080"); err != nil {
			return nil, err
		}
	}
	if cfg.admin != "" {
		if f.admin, err = cli.Listen(cfg.admin, "--admin-port, or make sim ADMIN_PORT=9101"); err != nil {
			return nil, err
		}
	}
	if err := f.trust(cfg.keepCA); err != nil {
		return nil, err
	}
	tokens, err := server.TokensOf("sim", f.token)
	if err != nil {
		return nil, err
	}
	loop, err := server.EmbeddedLoop()
	if err != nil {
		return nil, err
	}
	if f.server, err = server.New(server.Config{Tokens: tokens, Loop: loop, Events: cfg.bus, Offline: cfg.offline, Period: cfg.period}); err != nil {
		return nil, err
	}
	target, err := sim.ParseTarget("https://"+f.https.Addr().String(), f.token)
	if err != nil {
		return nil, err
	}
	f.camera, err = sim.New(sim.Config{
		Target: target, Dial: dialer(target.Address()), TLS: trusting(f.roots),
		Source: cfg.source, Interval: cfg.interval, Frames: cfg.frames, Events: cfg.bus, Powered: cfg.powered,
	})
	return f, err
}

func (f *feed) trust(keep bool) error {
	ca, err := devca.New()
	if keep {
		dir, dirErr := devca.Dir()
		if dirErr != nil {
			return dirErr
		}
		ca, f.rootPath, err = devca.Open(dir)
	}
	if err != nil {
		return err
	}
	f.roots = ca.Pool()
	f.certificate, err = ca.Certificate()
	return err
}

func (f *feed) closeListeners() {
	for _, ln := range []net.Listener{f.https, f.http, f.admin} {
		if ln != nil {
			ln.Close()
		}
	}
}

// run serves and uploads until ctx ends, the camera has sent its frames, or one
// of the parts fails. It takes the listeners over.
func (f *feed) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	public := []net.Listener{tls.NewListener(f.https, server.TLS(f.certificate))}
	if f.http != nil {
		public = append(public, f.http)
	}
	var parts sync.WaitGroup
	var serverErr, adminErr, cameraErr error
	parts.Go(func() { defer stop(); serverErr = f.server.Run(ctx, public...) })
	if f.admin != nil {
		parts.Go(func() { defer stop(); adminErr = server.Serve(ctx, f.server.Admin(), nil, f.admin) })
	}
	parts.Go(func() { defer stop(); cameraErr = f.camera.Run(ctx) })
	parts.Wait()
	if errors.Is(cameraErr, context.Canceled) {
		cameraErr = nil // told to end
	}
	return errors.Join(serverErr, adminErr, cameraErr)
}

// dialer dials one TCP address.
func dialer(address string) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, fmt.Errorf("dial: %w", err)
		}
		return conn, nil
	}
}

// trusting returns client settings that know one CA.
func trusting(roots *x509.CertPool) *tls.Config { return &tls.Config{RootCAs: roots} }
