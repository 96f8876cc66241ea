package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"porthole/internal/boardcfg"
	"porthole/internal/cli"
	"porthole/internal/nvs"
)

type provisionCmd struct {
	Port string `arg:"" placeholder:"PORT" help:"Serial port; see rig ports."`

	SSID     string        `name:"ssid" placeholder:"NAME" help:"Name of the Wi-Fi network."`
	Open     bool          `name:"open-network" help:"The network has no password."`
	Server   string        `placeholder:"URL" help:"Where frames go: https://HOST[:PORT][/PATH]. http:// is for a bench only."`
	CA       string        `name:"ca" placeholder:"FILE" help:"Certificates (PEM) that the server is verified by."`
	Interval time.Duration `placeholder:"TIME" help:"From frame to frame, such as 2s."`
	Crop     string        `placeholder:"WxH+X+Y" help:"Part of the picture that is sent; 'none' for all of it."`
	Name     string        `placeholder:"TEXT" help:"Name of the board."`

	Secrets   string `placeholder:"FILE" help:"File with lines 'wifi-password = …' and 'token = …', readable only by you."`
	Partition string `default:"nvs" placeholder:"LABEL" help:"Partition of the configuration (default: ${default})."`

	// The two that people try, to tell them why not.
	Password     string `name:"password" hidden:"" env:"-"`
	WifiPassword string `name:"wifi-password" hidden:"" env:"-"`
	Token        string `name:"token" hidden:"" env:"-"`

	flasherFlags `embed:""`
}

// Help is the long text of rig provision --help.
func (c *provisionCmd) Help() string {
	return `Writes what is given and keeps the rest, other programs' keys included; only
sectors that change are written, and compared afterwards.

Secrets are never arguments, since every user of a machine can read those.
Set RIG_WIFI_PASSWORD and RIG_TOKEN, or use --secrets FILE (chmod 600 FILE).

  RIG_WIFI_PASSWORD=… RIG_TOKEN=… rig provision /dev/ttyUSB0 \
      --ssid Home --server https://camera.example --ca ca.pem`
}

func (c *provisionCmd) Run(ctx context.Context, std cli.IO) error {
	change, err := c.change(true)
	if err != nil {
		return err
	}
	f, d, err := c.flasher(c.Port, std)
	if err != nil {
		return err
	}
	var now boardcfg.Config
	report, err := f.EditNVS(ctx, c.Partition, func(s *nvs.Store) (err error) {
		now, err = change.apply(s)
		return err
	})
	if err != nil {
		return d.failed(err)
	}
	d.report("provisioned", report)
	if !c.JSON {
		printConfig(std, now)
	}
	return nil
}

// printConfig shows what the board knows now, secrets left out.
func printConfig(std cli.IO, c boardcfg.Config) {
	set := func(s, none string) string {
		if s == "" {
			return none
		}
		return "set, not shown"
	}
	fmt.Fprintf(std.Out, "network     %s, password %s\n", cli.Printable(c.SSID), set(c.Password, "none: an open network"))
	fmt.Fprintf(std.Out, "server      %s port %d, path %s, %s\n", cli.Printable(c.Host), c.Port, cli.Printable(c.Path), set(c.CA, "WITHOUT TLS"))
	fmt.Fprintf(std.Out, "token       %s\n", set(c.Token, "none"))
	fmt.Fprintf(std.Out, "frames      every %v\n", c.Interval)
	if crop := c.Crop.String(); crop != "" {
		fmt.Fprintf(std.Out, "crop        %s\n", crop)
	}
	if c.Name != "" {
		fmt.Fprintf(std.Out, "name        %s\n", cli.Printable(c.Name))
	}
}

// boardChange is what was given; nil pointers are not.
type boardChange struct {
	ssid, password, token, ca, crop, name, path *string
	host                                        *string
	port                                        uint16
	interval                                    time.Duration
}

// change collects flags, environment and the file, in this order of precedence.
// ownToken says that RIG_TOKEN is the board's.
func (c *provisionCmd) change(ownToken bool) (boardChange, error) {
	var out boardChange
	for flag, value := range map[string]string{"password": c.Password, "wifi-password": c.WifiPassword, "token": c.Token} {
		if value != "" {
			return out, cli.Usage(cli.Hint(fmt.Errorf("--%s is refused: every user of this machine can read a command line", flag),
				"set RIG_WIFI_PASSWORD and RIG_TOKEN, or use --secrets FILE"))
		}
	}
	secrets, err := readSecrets(c.Secrets)
	if err != nil {
		return out, err
	}
	given := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	first := func(a *string, b string) *string {
		if a != nil {
			return a
		}
		return given(b)
	}
	out.ssid, out.name = given(c.SSID), given(c.Name)
	out.password = first(given(os.Getenv("RIG_WIFI_PASSWORD")), secrets["wifi-password"])
	token := ""
	if ownToken {
		token = os.Getenv("RIG_TOKEN")
	}
	out.token = first(given(token), secrets["token"])
	out.interval = c.Interval
	if c.Open {
		if out.password != nil {
			return out, cli.Usage(errors.New("--open-network, but there is a Wi-Fi password as well"))
		}
		out.password = new(string)
	}
	if c.Crop != "" {
		crop := strings.TrimSuffix(c.Crop, "none")
		if _, err := boardcfg.ParseCrop(crop); err != nil {
			return out, cli.Usage(cli.Hint(err, "--crop 400x296+200+152, or none"))
		}
		out.crop = &crop
	}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return out, cli.Hint(fmt.Errorf("read certificates: %w", err), "--ca names a PEM file")
		}
		out.ca = new(string(pem))
	}
	if c.Server != "" {
		if err := out.server(c.Server); err != nil {
			return out, cli.Usage(cli.Hint(err, "--server takes https://host:port/path"))
		}
	}
	return out, nil
}

// server takes a URL apart. Without TLS there is nothing to verify by.
func (c *boardChange) server(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("server %q is no address to upload to", text)
	}
	c.port = 443
	if u.Scheme == "http" {
		if c.ca != nil {
			return fmt.Errorf("server %q is without TLS, but --ca is given", text)
		}
		c.port, c.ca = 80, new(string)
	}
	if p := u.Port(); p != "" {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return fmt.Errorf("server %q: port %q is outside 1..65535", text, p)
		}
		c.port = uint16(n)
	}
	c.host = new(u.Hostname())
	if u.Path != "" && u.Path != "/" {
		c.path = &u.Path
	}
	return nil
}

// apply changes a store.
func (c boardChange) apply(s *nvs.Store) (boardcfg.Config, error) {
	cfg, err := boardcfg.Read(s)
	lacking := map[string]bool{}
	for _, f := range boardcfg.Faults(err) {
		lacking[f.Key] = true
	}
	set := func(key string, to *string, value *string) {
		if value != nil {
			*to = *value
			delete(lacking, key)
		}
	}
	set(boardcfg.KeySSID, &cfg.SSID, c.ssid)
	set(boardcfg.KeyPassword, &cfg.Password, c.password)
	set(boardcfg.KeyToken, &cfg.Token, c.token)
	set(boardcfg.KeyCA, &cfg.CA, c.ca)
	set(boardcfg.KeyName, &cfg.Name, c.name)
	set(boardcfg.KeyHost, &cfg.Host, c.host)
	set(boardcfg.KeyPath, &cfg.Path, c.path)
	if c.port != 0 {
		cfg.Port = c.port
		delete(lacking, boardcfg.KeyPort)
	}
	if c.interval != 0 {
		cfg.Interval = c.interval
		delete(lacking, boardcfg.KeyInterval)
	}
	if c.crop != nil {
		if cfg.Crop, err = boardcfg.ParseCrop(*c.crop); err != nil {
			return cfg, err
		}
		delete(lacking, boardcfg.KeyCrop)
	}
	for _, key := range []string{boardcfg.KeySSID, boardcfg.KeyPassword, boardcfg.KeyHost, boardcfg.KeyToken, boardcfg.KeyCA} {
		if lacking[key] {
			return cfg, cli.Usage(cli.Hint(fmt.Errorf("the board has no usable %q yet, and none is given", key), giveHint[key]))
		}
	}
	if c.host != nil && c.ca == nil && cfg.CA == "" {
		return cfg, cli.Usage(cli.Hint(errors.New("the server uses TLS, and the board has no certificate to verify it by"), giveHint[boardcfg.KeyCA]))
	}
	if err := cfg.Write(s); err != nil {
		for _, f := range boardcfg.Faults(err) {
			return cfg, cli.Usage(cli.Hint(fmt.Errorf("%s: %s", f.Key, f.Why), giveHint[f.Key]))
		}
		return cfg, err
	}
	return cfg, nil
}

var giveHint = map[string]string{
	boardcfg.KeySSID:     "give it with --ssid NAME",
	boardcfg.KeyPassword: "set RIG_WIFI_PASSWORD, or 'wifi-password' in --secrets FILE, or say --open-network",
	boardcfg.KeyHost:     "give it with --server https://HOST",
	boardcfg.KeyPort:     "give it with --server https://HOST:PORT",
	boardcfg.KeyPath:     "give it with --server https://HOST/PATH",
	boardcfg.KeyToken:    "set RIG_TOKEN, or 'token' in --secrets FILE; the server makes one with: porthole token new",
	boardcfg.KeyCA:       "give the server's root certificate with --ca FILE",
	boardcfg.KeyInterval: "give it with --interval 2s",
	boardcfg.KeyCrop:     "give it with --crop WxH+X+Y",
	boardcfg.KeyName:     "give it with --name TEXT",
}
