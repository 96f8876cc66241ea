package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"porthole/hil/serial"
	"porthole/internal/cli"
)

type shareCmd struct {
	Port   string `arg:"" help:"The port to share; see rig ports."`
	Listen string `default:"127.0.0.1:2217" placeholder:"HOST:PORT" help:"Address to listen on (default: ${default}, this machine only)."`
	Token  string `env:"RIG_SHARE_TOKEN" placeholder:"TOKEN" help:"What a client must know (default: a new one, which is printed). Better in the environment, where the process list does not show it."`
	Open   bool   `help:"Let in clients without a token, such as esptool and pyserial. On this machine only."`
}

// Help implements kong's interface.
func (shareCmd) Help() string {
	return `Serves a port to one client at a time over RFC 2217, reset lines included. Other rig commands take the printed name as --port.

RFC 2217 knows no passwords, so the token goes before it, in one line, unencrypted. Across a network that you do not trust, leave --listen alone and use ssh:

  ssh -L 2217:127.0.0.1:2217 bench rig share usb:10C4:EA60`
}

func (c *shareCmd) Run(ctx context.Context, std cli.IO) error {
	ln, err := cli.Listen(c.Listen, "--listen")
	if err != nil {
		return err
	}
	defer ln.Close()
	address := ln.Addr().(*net.TCPAddr)
	if c.Open && !address.IP.IsLoopback() {
		return cli.Usage(cli.Hint(fmt.Errorf("--open on %s would let everybody on the network flash the board", c.Listen),
			"listen on 127.0.0.1, or leave --open out"))
	}
	if c.Open && c.Token != "" {
		return cli.Usage(errors.New("--open and --token exclude each other"))
	}
	given := c.Token != ""
	if !given && !c.Open {
		c.Token = serial.NewToken()
	}
	port, err := openPort(ctx, c.Port)
	if err != nil {
		return err
	}
	defer port.Close()
	log := slog.New(slog.NewTextHandler(std.Err, nil))
	server, err := serial.NewServer(serial.ServerConfig{Port: port, Token: c.Token, Open: c.Open, Log: log})
	if err != nil {
		return cli.Usage(err)
	}
	name := "rfc2217://"
	switch {
	case given:
		name += "@" // RIG_SHARE_TOKEN has it on the other side too
	case !c.Open:
		name += c.Token + "@"
	}
	if address.IP.IsUnspecified() {
		name += fmt.Sprintf("THIS-MACHINE:%d", address.Port)
	} else {
		name += address.String()
	}
	fmt.Fprintf(std.Out, "shares      %s\nname        %s\nstop        Ctrl-C\n\n", cli.Printable(c.Port), name)
	if err := server.Serve(ctx, ln); err != nil {
		return err
	}
	return port.Close()
}
