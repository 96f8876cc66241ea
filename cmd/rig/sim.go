package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"

	"porthole/internal/cli"
	"porthole/internal/event"
	"porthole/sim"
)

type simCmd struct {
	To     string `placeholder:"URL" help:"Upload to this server, https://host:port, instead of running one."`
	Token  string `placeholder:"TOKEN" help:"Upload token for --to. Better in the environment, where the process list does not show it."`
	Boards int    `default:"1" placeholder:"N" help:"Boards, each with its own token, seed and phase; with more than one nothing but their network side is simulated."`
	Tokens string `placeholder:"FILE" help:"Upload tokens for --to and --boards, one a line."`
	CA     string `name:"ca" placeholder:"FILE" help:"Root certificate (PEM) that the server of --to is verified by (default: the system's)."`

	Host      string `default:"127.0.0.1" help:"Address that the public side listens on; 0.0.0.0 shows it to your network."`
	Port      int    `default:"8443" help:"HTTPS port."`
	HTTPPort  int    `name:"http-port" default:"8080" help:"HTTP port, for browsers that do not know the development CA."`
	AdminPort int    `default:"9100" help:"Port of the private side."`
	Serial    string `default:"127.0.0.1:2217" placeholder:"HOST:PORT" help:"Serial port of the board over the network (RFC 2217), for flashers and monitors (default: ${default}); 'off' for none."`
	PTY       string `name:"pty" placeholder:"LINK" help:"Also publish the serial port as a pseudo-terminal under this name."`

	sourceFlags `embed:""`
	uploadFlags `embed:""`
}

func (c *simCmd) Run(ctx context.Context, std cli.IO) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	src, err := c.open(ctx, std)
	if err != nil {
		return err
	}
	defer src.close()
	bus := new(event.Bus)
	switch {
	case c.Boards < 1 || c.Boards > maxBoards:
		return cli.Usage(fmt.Errorf("--boards %d: want 1 to %d", c.Boards, maxBoards))
	case c.To == "" && c.Boards > maxOwnBoards:
		return cli.Usage(cli.Hint(fmt.Errorf("--boards %d: the server in this process knows at most %d tokens", c.Boards, maxOwnBoards), "run more against a server of their own: --to URL --tokens FILE"))
	case c.To != "" && c.Boards > 1:
		return c.runFleet(ctx, std, bus, src)
	case c.To != "":
		return c.runCamera(ctx, std, bus, src)
	}
	upload, err := c.config(c.Seed)
	if err != nil {
		return err
	}
	// The other boards have a source of their own: the first one's frames are its.
	others := src
	if c.Boards > 1 {
		if c.Source == "-" {
			return cli.Usage(cli.Hint(fmt.Errorf("--boards %d with --source -: standard input feeds one board", c.Boards), "give a folder or a file of frames"))
		}
		if others, err = c.open(ctx, std); err != nil {
			return err
		}
		defer others.close()
	}
	address := func(port int) string { return net.JoinHostPort(c.Host, strconv.Itoa(port)) }
	if c.Serial == "off" {
		c.Serial = ""
	}
	f, err := newFeed(feedConfig{
		https: address(c.Port), http: address(c.HTTPPort), admin: net.JoinHostPort("127.0.0.1", strconv.Itoa(c.AdminPort)),
		serial: c.Serial, pty: c.PTY,
		keepCA: true, interval: c.Interval, frames: c.Frames, seed: c.Seed, source: src, others: others, bus: bus, upload: upload, boards: c.Boards,
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(std.Out, "live page   http://%s/\n            https://%s/  (certificate authority: %s)\n", f.http.Addr(), f.https.Addr(), f.rootPath)
	fmt.Fprintf(std.Out, "private     http://%s/admin/truth\ncamera      %s\n", f.admin.Addr(), src.about)
	if f.device.serial != nil {
		fmt.Fprintf(std.Out, "serial      rfc2217://%s\n", f.device.serial.Addr())
	}
	if f.device.pty != nil {
		fmt.Fprintf(std.Out, "            %s (%s)\n", c.PTY, f.device.pty.Name())
	}
	if f.fleet != nil {
		fmt.Fprintf(std.Out, "boards      %d more, network side only\n", len(f.fleet.cameras))
	}
	fmt.Fprint(std.Out, "stop        Ctrl-C\n\n")
	if err := printed(std, bus, func() error { return f.run(ctx) }); err != nil {
		return err
	}
	if snap := bus.Snapshot(); c.Frames > 0 && snap.Accepted == 0 {
		return cli.Hint(fmt.Errorf("no frame was accepted; the last problem: %s", snap.LastProblem), "see the lines above")
	}
	return nil
}

// runCamera runs the camera alone.
func (c *simCmd) runCamera(ctx context.Context, std cli.IO, bus *event.Bus, src source) error {
	if _, err := sim.ParseTarget(c.To, c.Token); err != nil {
		return cli.Usage(cli.Hint(err, "--to takes https://host:port"))
	}
	if c.Token == "" {
		return cli.Usage(cli.Hint(errors.New("no token given"), "set RIG_TOKEN, or --token; the server makes one with: porthole token new"))
	}
	cfg, err := c.cameraConfig(c.Token)
	if err != nil {
		return err
	}
	cfg.Events, cfg.Seed = bus, c.Seed
	cfg.Source = &sim.Sensor{Source: src, Faults: cfg.Faults, Seed: c.Seed, Fresh: cfg.Profile == sim.Firmware}
	camera, err := sim.New(cfg)
	if err != nil {
		return err
	}
	fmt.Fprintf(std.Out, "camera      %s\nuploads to  %s\nstop        Ctrl-C\n\n", src.about, cli.Printable(c.To))
	err = printed(std, bus, func() error { return camera.Run(ctx) })
	if err != nil {
		return err
	}
	if snap := bus.Snapshot(); snap.Uploads == 0 {
		return cli.Hint(fmt.Errorf("no frame was accepted; the last problem: %s", snap.LastProblem), "check the address, the token and --ca")
	}
	return nil
}

// Boards of one process, and of one with a server in it.
const (
	maxBoards    = 10_000
	maxOwnBoards = 64 // tokens that a server knows
)

// cameraConfig is what all boards of --to have in common.
func (c *simCmd) cameraConfig(token string) (sim.Config, error) {
	target, err := sim.ParseTarget(c.To, token)
	if err != nil {
		return sim.Config{}, cli.Usage(cli.Hint(err, "--to takes https://host:port"))
	}
	roots, err := loadRoots(c.CA)
	if err != nil {
		return sim.Config{}, err
	}
	upload, err := c.config(c.Seed)
	if err != nil {
		return sim.Config{}, err
	}
	return sim.Config{
		Target: target, Dial: dialer(target.Address()), TLS: trusting(roots),
		Profile: upload.Profile, Core: upload.Core, Timing: upload.Timing, Faults: upload.Faults, Resume: upload.Resume,
		Interval: c.Interval, Frames: c.Frames,
	}, nil
}

// loadRoots returns the pool of one PEM file, nil for the system's.
func loadRoots(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, cli.Hint(fmt.Errorf("load root certificate: %w", err), "--ca names a PEM file")
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, cli.Hint(fmt.Errorf("load root certificate: no certificate in %q", path), "--ca names a PEM file")
	}
	return pool, nil
}

// printed runs work and prints every event as a line until it ends.
func printed(std cli.IO, bus *event.Bus, work func() error) error {
	sub := bus.Subscribe(256)
	var printing sync.WaitGroup
	printing.Go(func() {
		for {
			e, ok := sub.Next(context.Background())
			if !ok {
				break
			}
			if line := eventLine(e); line != "" {
				fmt.Fprintln(std.Out, line)
			}
		}
		if n := sub.Dropped(); n > 0 {
			fmt.Fprintf(std.Out, "(%d lines not shown: the terminal was too slow)\n", n)
		}
	})
	err := work()
	sub.Close()
	printing.Wait()
	return err
}
