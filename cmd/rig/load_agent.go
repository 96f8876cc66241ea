package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	"porthole/internal/cli"
	"porthole/loadtest"
)

type loadAgentCmd struct {
	Listen     string   `default:"127.0.0.1:7070" placeholder:"HOST:PORT" help:"Address to listen on (default: ${default}, this machine only)."`
	Token      string   `env:"RIG_AGENT_TOKEN" placeholder:"TOKEN" help:"What the coordinator must know (default: a new one, which is printed). Better in the environment."`
	Allow      []string `placeholder:"HOST" help:"Hosts that may be loaded from here (default: this machine only)."`
	Admin      string   `placeholder:"URL" help:"Private side of the server under test, http://host:port: tells live from loop."`
	AdminToken string   `placeholder:"TOKEN" help:"Token of the private side, if it asks for one. Better in the environment."`
	CA         string   `name:"ca" placeholder:"FILE" help:"Root certificate (PEM) for --admin (default: the system's)."`
}

// Help is the long text of rig load agent --help.
func (loadAgentCmd) Help() string {
	return `Plays a part of the viewers when a coordinator asks for it. Both know one token;
the agent's certificate is derived from it, so nothing else has to be set up. What
the agents counted is added up without loss: two of them see what one would.

  rig load agent --listen 10.0.0.2:7070 --allow cam.example.org
  RIG_AGENT_TOKEN=… rig load --url https://cam.example.org/latest --agents 10.0.0.2:7070,10.0.0.3:7070`
}

// Run serves until it is ended.
func (c *loadAgentCmd) Run(ctx context.Context, std cli.IO) error {
	token := c.Token
	if token == "" {
		token = loadtest.NewAgentToken()
	}
	var roots *x509.CertPool
	var err error
	if c.CA != "" {
		if roots, err = loadRoots(c.CA); err != nil {
			return err
		}
	}
	truth, stop, err := (&crowdFlags{Admin: c.Admin, AdminToken: c.AdminToken}).truth(ctx, roots)
	if err != nil {
		return err
	}
	defer stop()
	agent, settings, err := loadtest.NewAgentServer(loadtest.AgentConfig{
		Token: token, Allow: c.Allow, Truth: truth,
		Log: func(format string, a ...any) {
			fmt.Fprintf(std.Out, "%s  %s\n", time.Now().Format(time.TimeOnly), cli.Printable(fmt.Sprintf(format, a...)))
		},
	})
	if err != nil {
		return cli.Usage(err)
	}
	ln, err := cli.Listen(c.Listen, "--listen")
	if err != nil {
		return err
	}
	fmt.Fprintf(std.Out, "agent       %s\n", ln.Addr())
	if c.Token == "" {
		fmt.Fprintf(std.Out, "token       %s\n", token)
	}
	if len(c.Allow) == 0 && !ln.Addr().(*net.TCPAddr).IP.IsLoopback() {
		fmt.Fprintln(std.Out, "note        only targets on this machine are allowed; --allow names others")
	}
	fmt.Fprintf(std.Out, "stop        Ctrl-C\n\n")
	if err := agent.Serve(ctx, ln, settings); err != nil {
		return fmt.Errorf("serve agent: %w", err)
	}
	return errors.Join(ctx.Err())
}
