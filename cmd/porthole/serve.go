package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"porthole/internal/cli"
	"porthole/internal/devca"
	"porthole/internal/event"
	"porthole/internal/frame"
	"porthole/server"
)

type serveCmd struct {
	Listen string `default:"127.0.0.1:8443" placeholder:"HOST:PORT" help:"HTTPS address (default: ${default}). 0.0.0.0:443 serves the world."`
	HTTP   string `name:"http" placeholder:"HOST:PORT" help:"Also serve plain HTTP here, for a proxy in front or for development."`
	Admin  string `default:"127.0.0.1:9100" placeholder:"HOST:PORT" help:"Address of the private side, which tells live from loop (default: ${default}); 'off' for none. Never make it public."`

	AdminToken string `placeholder:"TOKEN" help:"Ask for this bearer token on the private side; required when --admin is not on loopback. Better in the environment."`

	Cert string `placeholder:"FILE" help:"Certificate chain (PEM)."`
	Key  string `placeholder:"FILE" help:"Private key (PEM)."`
	Dev  bool   `help:"Use a certificate of an own development CA, for this machine only."`

	Tokens  string        `placeholder:"FILE" help:"Token file (default: tokens in the state folder)."`
	Loop    string        `placeholder:"DIR" help:"Folder of JPEGs to play while the camera is silent (default: a built-in loop)."`
	Offline time.Duration `default:"10s" help:"Silence of the camera until the loop plays."`
	Period  time.Duration `default:"2s" help:"Time a picture of the loop is shown."`

	limitFlags   `embed:""`
	servingFlags `embed:""`

	Log string `default:"text" enum:"text,json" help:"Log format, text or json."`
}

// limitFlags raise or lower what a picture may be.
type limitFlags struct {
	MaxBytes    int  `default:"1000000" help:"Largest picture taken, in bytes."`
	MaxWidth    int  `default:"1600" help:"Widest picture taken."`
	MaxHeight   int  `default:"1200" help:"Highest picture taken."`
	Progressive bool `help:"Also take progressive JPEGs."`
}

func (l limitFlags) limits() (frame.Limits, error) {
	if l.MaxBytes < 1 || l.MaxWidth < 1 || l.MaxHeight < 1 {
		return frame.Limits{}, cli.Usage(fmt.Errorf("limits of %d bytes and %dx%d pixels: want at least 1 each", l.MaxBytes, l.MaxWidth, l.MaxHeight))
	}
	return frame.Limits{MaxBytes: l.MaxBytes, MaxWidth: l.MaxWidth, MaxHeight: l.MaxHeight, Progressive: l.Progressive}, nil
}

func (c *serveCmd) Run(ctx context.Context, std cli.IO) (err error) {
	if c.Offline <= 0 || c.Period <= 0 {
		return cli.Usage(fmt.Errorf("--offline %v and --period %v: want more than 0", c.Offline, c.Period))
	}
	limits, err := c.limits()
	if err != nil {
		return err
	}
	serving, err := c.serving()
	if err != nil {
		return err
	}
	if c.Admin != "off" && c.AdminToken == "" && !onLoopback(c.Admin) {
		return cli.Usage(cli.Hint(fmt.Errorf("--admin %s can be reached from other machines and has no token", c.Admin), "set PORTHOLE_ADMIN_TOKEN, or use 127.0.0.1"))
	}
	tokens, err := c.loadTokens()
	if err != nil {
		return err
	}
	loop, closeLoop, err := openLoop(c.Loop, limits)
	if err != nil {
		return err
	}
	defer closeLoop()
	secure, err := c.tlsConfig(std)
	if err != nil {
		return err
	}
	log := c.logger(std)
	srv, err := server.New(server.Config{Tokens: tokens, Loop: loop, Offline: c.Offline, Period: c.Period, Limits: limits, Serving: serving, Log: log,
		Events: new(event.Bus), AdminToken: c.AdminToken})
	if err != nil {
		return err
	}

	var public []net.Listener
	var admin net.Listener
	closeAll := func() {
		for _, ln := range public {
			ln.Close()
		}
	}
	if secure != nil {
		ln, err := cli.Listen(c.Listen, "--listen HOST:PORT")
		if err != nil {
			return err
		}
		public = append(public, tls.NewListener(ln, secure))
		log.Info("serving", "url", "https://"+ln.Addr().String()+"/")
	}
	if c.HTTP != "" {
		ln, err := cli.Listen(c.HTTP, "--http HOST:PORT")
		if err != nil {
			closeAll()
			return err
		}
		public = append(public, ln)
		log.Info("serving", "url", "http://"+ln.Addr().String()+"/")
	}
	if c.Admin != "off" {
		if admin, err = cli.Listen(c.Admin, "--admin HOST:PORT"); err != nil {
			closeAll()
			return err
		}
		log.Info("serving the private side", "url", "http://"+admin.Addr().String()+"/admin/truth")
	}

	// One side that fails ends the other.
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var sides sync.WaitGroup
	var publicErr, adminErr error
	sides.Go(func() { defer stop(); publicErr = srv.Run(ctx, public...) })
	if admin != nil {
		sides.Go(func() { defer stop(); adminErr = server.Serve(ctx, srv.Admin(), log, admin) })
	}
	sides.Wait()
	return errors.Join(publicErr, adminErr)
}

func (c *serveCmd) loadTokens() (*server.Tokens, error) {
	tokens, path, err := readTokens(c.Tokens)
	if err != nil {
		return nil, err
	}
	if tokens.Len() == 0 {
		return nil, cli.Hint(fmt.Errorf("token file %q is empty, so no camera could upload", path), "make a token first: porthole token new --tokens "+path)
	}
	return tokens, nil
}

// openLoop opens the folder, or the built-in loop where none is named. The
// folder stays open until the returned function is called.
func openLoop(dir string, limits frame.Limits) (*server.Loop, func(), error) {
	if dir == "" {
		loop, err := server.EmbeddedLoop()
		return loop, func() {}, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, cli.Hint(fmt.Errorf("open loop folder: %w", err), "--loop names a folder of .jpg files")
	}
	loop, err := server.OpenLoop(root.FS(), limits)
	if err != nil {
		root.Close()
		return nil, nil, cli.Hint(fmt.Errorf("folder %q: %w", dir, err), "remove or replace the file; a loop is a folder of complete baseline .jpg files")
	}
	return loop, func() { root.Close() }, nil
}

// tlsConfig returns the settings of the HTTPS listener, nil where only plain
// HTTP was asked for.
func (c *serveCmd) tlsConfig(std cli.IO) (*tls.Config, error) {
	switch {
	case c.Dev && (c.Cert != "" || c.Key != ""):
		return nil, cli.Usage(errors.New("--dev and --cert/--key exclude each other"))
	case (c.Cert == "") != (c.Key == ""):
		return nil, cli.Usage(errors.New("--cert and --key belong together"))
	case c.Cert != "":
		pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
		if err != nil {
			return nil, cli.Hint(fmt.Errorf("load certificate %q with key %q: %w", c.Cert, c.Key, err), "both files are PEM; the certificate's file holds the whole chain")
		}
		return server.TLS(pair), nil
	case c.Dev:
		dir, err := devca.Dir()
		if err != nil {
			return nil, err
		}
		ca, root, err := devca.Open(dir)
		if err != nil {
			return nil, err
		}
		pair, err := ca.Certificate()
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(std.Err, "development certificate; clients trust it by %s (curl --cacert)\n", root)
		return server.TLS(pair), nil
	case c.HTTP != "":
		return nil, nil
	}
	return nil, cli.Usage(cli.Hint(errors.New("no certificate given"), "--cert FILE --key FILE, or --dev for this machine, or --http HOST:PORT behind a proxy"))
}

// onLoopback reports whether an address to listen on is this machine's only.
func onLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return true // refused later, with the reason
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (c *serveCmd) logger(std cli.IO) *slog.Logger {
	if c.Log == "json" {
		return slog.New(slog.NewJSONHandler(std.Err, nil))
	}
	return slog.New(slog.NewTextHandler(std.Err, nil))
}
