package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"porthole/internal/cli"
	"porthole/internal/doctor"
)

type doctorCmd struct {
	URL string `arg:"" help:"Public address of the server, https://cam.example.org."`

	CA       string        `name:"ca" placeholder:"FILE" help:"Root certificate (PEM) that it is verified by (default: the system's)."`
	Origin   string        `placeholder:"ORIGIN" help:"Site that shows the pictures, https://www.example.org."`
	Patience time.Duration `default:"15s" help:"How long a new picture is waited for."`
	JSON     bool          `name:"json" help:"Print the findings as JSON lines."`

	Admin      string `placeholder:"HOST:PORT" help:"Also ask the private side here, for the camera."`
	AdminToken string `placeholder:"TOKEN" help:"Token of the private side, where it asks for one. Better in the environment."`
}

// errUnwell is the outcome of an examination that found something to mend.
var errUnwell = errors.New("something is to be mended")

func (c *doctorCmd) Run(ctx context.Context, std cli.IO) error {
	if c.Patience <= 0 || c.Patience > 10*time.Minute {
		return cli.Usage(fmt.Errorf("--patience %v: want more than 0s and at most 10m", c.Patience))
	}
	cfg := doctor.Config{URL: c.URL, Origin: c.Origin, Patience: c.Patience}
	if c.CA != "" {
		root, err := os.ReadFile(c.CA)
		if err != nil {
			return fmt.Errorf("read root certificate: %w", err)
		}
		if cfg.Roots = x509.NewCertPool(); !cfg.Roots.AppendCertsFromPEM(root) {
			return fmt.Errorf("read root certificate: file %q holds none", c.CA)
		}
	}
	counts := map[doctor.Level]int{}
	lines := json.NewEncoder(std.Out)
	report := func(f doctor.Finding) {
		counts[f.Level]++
		if c.JSON {
			lines.Encode(f)
			return
		}
		fmt.Fprintf(std.Out, "%-5s %-13s %s\n", f.Level, f.Check, cli.Printable(f.Text))
		if f.Hint != "" {
			fmt.Fprintf(std.Out, "%19s %s\n", "→", cli.Printable(f.Hint))
		}
	}
	// First the private side: its newest refusal would be the examination's own.
	if c.Admin != "" {
		url, err := (&askFlags{Admin: c.Admin}).url()
		if err != nil {
			return err
		}
		if err := doctor.ExaminePrivate(ctx, doctor.Private{URL: url, Token: c.AdminToken}, report); err != nil {
			return cli.Hint(err, "is --admin the address of the private side, and its token right?")
		}
	}
	if err := doctor.Examine(ctx, cfg, report); err != nil {
		if ctx.Err() != nil {
			return err
		}
		return cli.Usage(err)
	}
	if !c.JSON {
		fmt.Fprintf(std.Out, "%d well, %d could be better, %d to be mended\n", counts[doctor.OK], counts[doctor.Warn], counts[doctor.Fail])
	}
	if counts[doctor.Fail] > 0 {
		return errUnwell
	}
	return nil
}
