package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"porthole/internal/cli"
	"porthole/internal/devca"
	"porthole/internal/event"
	"porthole/loadtest"
	"porthole/server"
	"porthole/server/picture"
)

// serverSettings tell the process of a server what to serve. They go over its
// standard input: secrets are not arguments.
type serverSettings struct {
	HTTPS, Admin string // addresses; a port of 0 is any free one
	Certificate  [][]byte
	Key          []byte // PKCS #8
	Token        string
	HTTP2        bool // offer it
	Deltas       bool // offer changes
}

// serverReady is what it answers when it serves.
type serverReady struct{ HTTPS, Admin string }

// loadServerCmd is the frame server in a process of its own, so that a load test
// can stop, kill and freeze it, and tell its memory and CPU from the viewers'.
type loadServerCmd struct{}

// Run serves until standard input ends, as it does when the load test dies.
func (loadServerCmd) Run(ctx context.Context, std cli.IO) error {
	in := bufio.NewReader(io.LimitReader(std.In, 1<<20))
	var s serverSettings
	line, err := in.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &s)
	}
	if err != nil {
		return cli.Usage(cli.Hint(fmt.Errorf("read settings: %w", err), "rig load starts this by itself; a server for people is: porthole serve"))
	}
	key, err := x509.ParsePKCS8PrivateKey(s.Key)
	if err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	tokens, err := server.TokensOf("load", s.Token)
	if err != nil {
		return err
	}
	loop, err := server.EmbeddedLoop()
	if err != nil {
		return err
	}
	config := server.Config{Tokens: tokens, Loop: loop, Events: new(event.Bus)}
	if s.Deltas {
		config.Deltas = server.DeltasStrict
		if config.Pipeline, err = picture.New(picture.Config{Denoise: true}); err != nil {
			return err
		}
	}
	srv, err := server.New(config)
	if err != nil {
		return err
	}
	public, err := listenAgain(ctx, s.HTTPS)
	if err != nil {
		return err
	}
	defer public.Close()
	admin, err := listenAgain(ctx, s.Admin)
	if err != nil {
		return err
	}
	defer admin.Close()
	settings := server.TLS(tls.Certificate{Certificate: s.Certificate, PrivateKey: key})
	if s.HTTP2 {
		settings.NextProtos = []string{"h2", "http/1.1"}
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() { // ends with the process
		defer stop()
		_, _ = in.WriteTo(io.Discard)
	}()
	if err := json.NewEncoder(std.Out).Encode(serverReady{public.Addr().String(), admin.Addr().String()}); err != nil {
		return err
	}
	var parts sync.WaitGroup
	var serverErr, adminErr error
	parts.Go(func() {
		defer stop()
		serverErr = srv.Run(ctx, tls.NewListener(public, settings))
	})
	parts.Go(func() { defer stop(); adminErr = server.Serve(ctx, srv.Admin(), nil, admin) })
	parts.Wait()
	return errors.Join(serverErr, adminErr)
}

// listenAgain listens on an address that a process which was just killed had.
func listenAgain(ctx context.Context, address string) (net.Listener, error) {
	var config net.ListenConfig
	for try := 0; ; try++ {
		ln, err := config.Listen(ctx, "tcp", address)
		if err == nil || try == 50 || !errors.Is(err, syscall.EADDRINUSE) {
			return ln, err
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// serverProcess starts and ends a server, again and again at the same addresses.
type serverProcess struct {
	settings serverSettings
	ca       *devca.CA
	errors   io.Writer

	mu   sync.Mutex
	cmd  *exec.Cmd // nil while none runs
	gone chan struct{}
	used loadtest.ServerUse
	died string // how a server ended that nobody had told to
}

func newServerProcess(errors io.Writer, protocol loadtest.Protocol) (*serverProcess, error) {
	ca, err := devca.New()
	if err != nil {
		return nil, err
	}
	cert, err := ca.Certificate()
	if err != nil {
		return nil, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		return nil, err
	}
	return &serverProcess{ca: ca, errors: errors, settings: serverSettings{
		HTTPS: "127.0.0.1:0", Admin: "127.0.0.1:0", Certificate: cert.Certificate, Key: key, Token: server.NewToken(),
		HTTP2: protocol == loadtest.H2, Deltas: protocol.Decodes(),
	}}, nil
}

// patience of a server's start and end.
const serverPatience = 15 * time.Second

// start starts a server unless one runs, and waits until it serves.
func (p *serverProcess) start(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("start server: find this program: %w", err)
	}
	settings, err := json.Marshal(p.settings)
	if err != nil {
		return err
	}
	cmd := &exec.Cmd{Path: self, Args: []string{"rig", "load", "server"}, Stderr: p.errors}
	// A Ctrl-C is for the load test, which ends the server when it is done.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("start server: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("start server: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start server: %w", err)
	}
	gone := make(chan struct{})
	ready := make(chan serverReady, 1)
	go func() {
		defer close(gone)
		if _, err := in.Write(append(settings, '\n')); err == nil {
			var r serverReady
			if json.NewDecoder(io.LimitReader(out, 4<<10)).Decode(&r) == nil {
				ready <- r
			}
		}
		_ = cmd.Wait() // how it ended is in its usage, and often our doing
	}()
	select {
	case r := <-ready:
		p.settings.HTTPS, p.settings.Admin = r.HTTPS, r.Admin
		p.cmd, p.gone = cmd, gone
		return nil
	case <-gone:
		return errors.New("start server: it ended at once")
	case <-time.After(serverPatience):
		err = errors.New("start server: it does not get ready")
	case <-ctx.Done():
		err = ctx.Err()
	}
	_ = cmd.Process.Kill()
	<-gone
	return err
}

// stop ends the server with a signal, and with SIGKILL if that does not help.
func (p *serverProcess) stop(sig os.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return nil
	}
	err := p.cmd.Process.Signal(sig)
	done := errors.Is(err, os.ErrProcessDone)
	if done {
		err = nil
	}
	if sig == syscall.SIGTERM {
		_ = p.cmd.Process.Signal(syscall.SIGCONT) // a frozen one would not notice
	}
	select {
	case <-p.gone:
	case <-time.After(serverPatience):
		err = errors.Join(err, fmt.Errorf("the server did not end within %v", serverPatience), p.cmd.Process.Kill())
		<-p.gone
	}
	p.used.Add(p.cmd.ProcessState)
	if done {
		p.died = p.cmd.ProcessState.String()
	}
	p.cmd = nil
	return err
}

// signal sends a signal to the server that runs.
func (p *serverProcess) signal(sig os.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return errors.New("no server runs")
	}
	return p.cmd.Process.Signal(sig)
}

// url is the address of the picture.
func (p *serverProcess) url() string { return "https://" + p.settings.HTTPS + "/latest" }

// death says how a server ended that nobody had told to; "" if none did.
func (p *serverProcess) death() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.died
}

// usage is what all servers have used that have ended.
func (p *serverProcess) usage() *loadtest.ServerUse {
	p.mu.Lock()
	defer p.mu.Unlock()
	u := p.used
	return &u
}
