package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"porthole/internal/boardcfg"
	"porthole/internal/cli"
	"porthole/internal/devca"
	"porthole/internal/event"
	"porthole/server"
	"porthole/server/picture"
	"porthole/sim"
	"porthole/sim/board"
)

// feed is the whole product in one process: the production server on loopback
// with a development certificate, and a simulated board that boots from its
// flash, finds its settings there and uploads to the server over TLS.
type feed struct {
	bus    *event.Bus
	server *server.Server
	device *device
	fleet  *fleet // nil for one board

	https, http, admin net.Listener // http and admin may be nil
	rootPath           string       // of the CA's certificate; empty where it is in memory only
	roots              *x509.CertPool
	rootPEM            []byte
	token              string
	certificate        tls.Certificate
}

// feedConfig says where a feed listens; an empty address means not at all, a
// port of 0 any free one.
type feedConfig struct {
	https, http, admin string
	keepCA             bool   // in the user's state folder, so that a browser trusts it next time too
	serial, pty        string // faces of the board
	interval           time.Duration
	frames             int
	seed               uint64
	source             sim.Source
	bus                *event.Bus
	offline, period    time.Duration // of the server; zero for its defaults
	upload             board.UploaderConfig
	boards             int        // with more than 1 the others have a network side only
	others             sim.Source // what those see
}

// The network of the simulated room.
const (
	roomSSID     = "porthole"
	roomPassword = "only-simulated"
)

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
	others := make([]string, max(cfg.boards, 1)-1)
	var list strings.Builder
	list.WriteString("sim " + tokenHash(f.token) + "\n")
	for i := range others {
		others[i] = server.NewToken()
		fmt.Fprintf(&list, "sim-%d %s\n", i+2, tokenHash(others[i]))
	}
	tokens, err := server.ReadTokens(strings.NewReader(list.String()))
	if err != nil {
		return nil, err
	}
	loop, err := server.EmbeddedLoop()
	if err != nil {
		return nil, err
	}
	pipeline, err := picture.New(picture.Config{Denoise: true})
	if err != nil {
		return nil, err
	}
	deltas := server.DeltasStrict
	if cfg.interval > 0 && cfg.interval < time.Second {
		deltas = server.DeltasOff // coding the pictures would be all this machine does
	}
	if f.server, err = server.New(server.Config{Tokens: tokens, Loop: loop, Events: cfg.bus, Offline: cfg.offline, Period: cfg.period,
		Pipeline: pipeline, Deltas: deltas,
		// Any number of simulated viewers comes from one address.
		Serving: server.Serving{MaxConnsPerAddr: -1}}); err != nil {
		return nil, err
	}
	addr := f.https.Addr().(*net.TCPAddr)
	if addr.IP.IsUnspecified() { // the board is on this machine
		addr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: addr.Port}
	}
	f.device, err = newDevice(deviceConfig{
		board:    board.Config{Seed: cfg.seed},
		firmware: board.FirmwareConfig{Speed: instant, Seed: cfg.seed},
		settings: &boardcfg.Config{
			SSID: roomSSID, Password: roomPassword, Host: addr.IP.String(), Port: uint16(addr.Port),
			Token: f.token, CA: string(f.rootPEM), Interval: cfg.interval, Name: "sim",
		},
		source: newFinite(cfg.source, cfg.frames),
		world:  &board.World{Points: []board.AccessPoint{{SSID: roomSSID, Password: roomPassword}}, JoinTime: time.Millisecond, ScanTime: time.Millisecond},
		bus:    cfg.bus, name: "", rfc2217: cfg.serial, pty: cfg.pty, upload: cfg.upload,
	})
	if err != nil || len(others) == 0 {
		return f, err
	}
	target := sim.Target{TLS: true, Host: addr.IP.String(), Port: addr.Port, Path: "/upload"}
	f.fleet, err = newFleet(fleetConfig{
		sim: sim.Config{
			Target: target, Dial: dialer(addr.String()), TLS: trusting(f.roots), Interval: cfg.interval, Frames: cfg.frames,
			Profile: cfg.upload.Profile, Core: cfg.upload.Core, Timing: cfg.upload.Timing, Faults: cfg.upload.Faults, Resume: cfg.upload.Resume,
		},
		tokens: others, boards: len(others), seed: cfg.seed, source: cfg.others,
	})
	return f, err
}

// tokenHash is a token as a token file has it.
func tokenHash(token string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(token))) }

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
	f.roots, f.rootPEM = ca.Pool(), ca.RootPEM
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
	public := []net.Listener{server.NewTLSListener(f.https, server.TLS(f.certificate))}
	if f.http != nil {
		public = append(public, f.http)
	}
	var parts sync.WaitGroup
	var serverErr, adminErr, deviceErr, fleetErr error
	parts.Go(func() { defer stop(); serverErr = f.server.Run(ctx, public...) })
	if f.admin != nil {
		parts.Go(func() { defer stop(); adminErr = server.Serve(ctx, f.server.Admin(), nil, f.admin) })
	}
	if f.fleet != nil {
		parts.Go(func() { fleetErr = f.fleet.run(ctx) })
	}
	parts.Go(func() { defer stop(); deviceErr = f.device.run(ctx) })
	parts.Wait()
	return errors.Join(serverErr, adminErr, deviceErr, fleetErr)
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
