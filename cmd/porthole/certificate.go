package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"porthole/internal/certs"
	"porthole/internal/cli"
	"porthole/internal/devca"
	"porthole/server"
)

// certificateFlags say what HTTPS is served with.
type certificateFlags struct {
	Cert string `placeholder:"FILE" help:"Certificate chain (PEM). A renewed file is used within a minute."`
	Key  string `placeholder:"FILE" help:"Private key (PEM)."`
	Dev  bool   `help:"Use a certificate of an own development CA, for this machine only."`

	ACME          []string `name:"acme" placeholder:"DOMAIN" help:"Get certificates for these names from Let's Encrypt, and renew them. Ports 443 or 80 of this machine must be reachable from the internet under them. Using it agrees to the authority's terms."`
	ACMEEmail     string   `name:"acme-email" placeholder:"ADDRESS" help:"Where the authority may write to about them."`
	ACMEDirectory string   `name:"acme-directory" placeholder:"URL" help:"Another ACME authority."`
	ACMECA        string   `name:"acme-ca" placeholder:"FILE" help:"Root certificate (PEM) of that authority's own server (default: the system's)."`
	ACMEDir       string   `name:"acme-dir" placeholder:"DIR" help:"Where keys and certificates are kept (default: acme in the state folder)."`

	HTTP2 bool `name:"http2" env:"PORTHOLE_HTTP2" help:"Also offer HTTP/2. Polling one address is cheaper by HTTP/1.1."`
}

// certificate is what HTTPS is served with. One of files and acme is set, or
// none for a development certificate.
type certificate struct {
	tls   *tls.Config
	files *certs.Files
	acme  *certs.ACME
}

// open returns the certificate, nil where none was asked for.
func (c *certificateFlags) open(std cli.IO) (*certificate, error) {
	ways := 0
	for _, set := range []bool{c.Dev, c.Cert != "" || c.Key != "", len(c.ACME) > 0} {
		if set {
			ways++
		}
	}
	switch {
	case ways > 1:
		return nil, cli.Usage(errors.New("--dev, --cert/--key and --acme exclude each other"))
	case (c.Cert == "") != (c.Key == ""):
		return nil, cli.Usage(errors.New("--cert and --key belong together"))
	case len(c.ACME) == 0 && (c.ACMEEmail != "" || c.ACMEDirectory != "" || c.ACMECA != "" || c.ACMEDir != ""):
		return nil, cli.Usage(cli.Hint(errors.New("ACME is set up, but for no domain"), "name the site with --acme cam.example.org"))
	case c.Cert != "":
		return c.fromFiles()
	case len(c.ACME) > 0:
		return c.fromACME()
	case c.Dev:
		return c.fromDevCA(std)
	}
	return nil, nil
}

// with returns the settings of the listener with the protocols asked for.
func (c *certificateFlags) with(get func(*tls.ClientHelloInfo) (*tls.Certificate, error), more ...string) *tls.Config {
	protocols := []string{"http/1.1"}
	if c.HTTP2 {
		protocols = []string{"h2", "http/1.1"}
	}
	return server.TLSWith(get, append(protocols, more...)...)
}

func (c *certificateFlags) fromFiles() (*certificate, error) {
	files, err := certs.Open(c.Cert, c.Key)
	if err != nil {
		return nil, cli.Hint(err, "both files are PEM; the certificate's file holds the whole chain, the site's own first")
	}
	return &certificate{tls: c.with(files.Get), files: files}, nil
}

func (c *certificateFlags) fromACME() (*certificate, error) {
	dir := c.ACMEDir
	if dir == "" {
		state, err := devca.Dir()
		if err != nil {
			return nil, cli.Hint(err, "name a folder with --acme-dir DIR")
		}
		dir = filepath.Join(state, "acme")
	}
	cfg := certs.ACMEConfig{Domains: c.ACME, Email: c.ACMEEmail, Directory: c.ACMEDirectory, Cache: dir}
	if c.ACMECA != "" {
		root, err := os.ReadFile(c.ACMECA)
		if err != nil {
			return nil, fmt.Errorf("read root certificate of the authority: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(root) {
			return nil, fmt.Errorf("read root certificate of the authority: file %q holds none", c.ACMECA)
		}
		cfg.Client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	}
	acme, err := certs.OpenACME(cfg)
	if err != nil {
		return nil, cli.Usage(err)
	}
	return &certificate{tls: c.with(acme.Get, certs.ACMEProtocol), acme: acme}, nil
}

func (c *certificateFlags) fromDevCA(std cli.IO) (*certificate, error) {
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
	return &certificate{tls: c.with(func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &pair, nil })}, nil
}

const (
	lookAtFiles = 30 * time.Second // how soon a renewed file is noticed
	askAgain    = 10 * time.Minute // an authority that did not give a certificate
	soon        = 14 * 24 * time.Hour
)

// watch keeps the certificate fresh until ctx ends.
func (c *certificate) watch(ctx context.Context, log *slog.Logger) {
	switch {
	case c.files != nil:
		c.watchFiles(ctx, log)
	case c.acme != nil:
		c.obtain(ctx, log)
	}
}

// watchFiles notices that the files were renewed, so that nobody has to tell.
func (c *certificate) watchFiles(ctx context.Context, log *slog.Logger) {
	warnOfEnd(log, c.files.Current().Expires())
	tick := time.NewTicker(lookAtFiles)
	defer tick.Stop()
	said := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		changed, err := c.files.Changed()
		var pair *certs.Pair
		if changed {
			pair, err = c.files.Load()
		}
		switch {
		case err != nil:
			if said != err.Error() { // once, not twice a minute
				said = err.Error()
				log.Error("certificate not renewed, the old one stays in use", "error", err)
			}
		case changed:
			said = ""
			use(c.files, pair, log)
		}
	}
}

// use puts a pair into use and says so.
func use(files *certs.Files, pair *certs.Pair, log *slog.Logger) (changed bool) {
	issuer := files.Current().Issuer()
	if !files.Use(pair) {
		return false
	}
	log.Info("certificate renewed", "until", pair.Expires().UTC().Format(time.DateOnly))
	if issuer != pair.Issuer() {
		log.Warn("the certificate's issuer changed: a board that trusts the old root only refuses it", "from", issuer, "to", pair.Issuer())
	}
	warnOfEnd(log, pair.Expires())
	return true
}

func warnOfEnd(log *slog.Logger, end time.Time) {
	if time.Until(end) < soon {
		log.Warn("certificate ends soon", "until", end.UTC().Format(time.DateTime))
	}
}

// obtain gets certificates before anybody asks for them; later ones are got in
// the background of connections.
func (c *certificate) obtain(ctx context.Context, log *slog.Logger) {
	for {
		ends, err := c.acme.Obtain(ctx)
		for domain, end := range ends {
			log.Info("certificate is ready", "domain", domain, "until", end.UTC().Format(time.DateOnly))
		}
		if err == nil || ctx.Err() != nil {
			return
		}
		log.Error("no certificate yet, asking again later", "error", err, "after", askAgain.String())
		select {
		case <-ctx.Done():
			return
		case <-time.After(askAgain):
		}
	}
}
