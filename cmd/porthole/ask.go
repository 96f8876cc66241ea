package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"porthole/internal/cli"
	"porthole/internal/event"
	"porthole/internal/remote"
)

// askFlags say how a running server's private side is reached. They have the
// names, and so the variables in the environment, of `porthole serve`.
type askFlags struct {
	Admin      string `default:"127.0.0.1:9100" placeholder:"HOST:PORT" help:"Private side of the server (default: ${default})."`
	AdminToken string `placeholder:"TOKEN" help:"Token of the private side, where it asks for one. Better in the environment."`
}

// askTime bounds a question to the private side.
const askTime = 10 * time.Second

// dial connects to the private side.
func (f *askFlags) dial(ctx context.Context) (*remote.Client, error) {
	url, err := f.url()
	if err != nil {
		return nil, err
	}
	c, err := remote.Dial(ctx, remote.Config{Admin: url, Token: f.AdminToken})
	if err != nil {
		return nil, cli.Hint(err, "is the server running, and is --admin the address of its private side?")
	}
	return c, nil
}

// url makes an address of what `porthole serve --admin` takes: an address to
// listen on at every network is reached on this machine.
func (f *askFlags) url() (string, error) {
	if f.Admin == "off" || f.Admin == "" {
		return "", cli.Usage(errors.New("the server has no private side to ask (--admin off)"))
	}
	if strings.Contains(f.Admin, "://") {
		return f.Admin, nil
	}
	host, port, err := net.SplitHostPort(f.Admin)
	if err != nil {
		return "", cli.Usage(cli.Hint(fmt.Errorf("--admin %q: want host:port", f.Admin), "for example 127.0.0.1:9100"))
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port), nil
}

type askCmd struct {
	Command  string   `arg:"" help:"What to do, for example server.mode; 'list' lists what there is."`
	Argument []string `arg:"" optional:"" placeholder:"NAME=VALUE" help:"Arguments, for example mode=dark."`

	askFlags `embed:""`
}

func (c *askCmd) Run(ctx context.Context, std cli.IO) error {
	args := make(map[string]string, len(c.Argument))
	for _, a := range c.Argument {
		name, value, ok := strings.Cut(a, "=")
		if !ok {
			return cli.Usage(cli.Hint(fmt.Errorf("argument %q: want name=value", a), "for example: porthole ask server.mode mode=dark"))
		}
		args[name] = value
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	client, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	if c.Command == "list" && len(args) == 0 {
		names, err := client.Commands(ctx)
		if err != nil {
			return err
		}
		for _, name := range names {
			fmt.Fprintln(std.Out, cli.Printable(name))
		}
		return nil
	}
	return ask(ctx, std, client, event.Command{Name: c.Command, Args: args})
}

func ask(ctx context.Context, std cli.IO, client *remote.Client, c event.Command) error {
	reply, err := client.Do(ctx, c)
	if err != nil {
		return err
	}
	fmt.Fprintln(std.Out, cli.Printable(reply.Text))
	return nil
}

type reloadCmd struct {
	askFlags `embed:""`
}

func (c *reloadCmd) Run(ctx context.Context, std cli.IO) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	client, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	return ask(ctx, std, client, event.Command{Name: "server.reload"})
}
