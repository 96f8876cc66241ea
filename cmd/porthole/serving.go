package main

import (
	"fmt"
	"net/netip"
	"strings"

	"porthole/internal/cli"
	"porthole/server"
)

// servingFlags say how viewers are answered.
type servingFlags struct {
	Cache           string   `default:"private" enum:"private,edge" help:"Who may keep a picture: private (nobody, the default) or edge (a CDN in front, for a second)."`
	CORS            []string `name:"cors" default:"*" placeholder:"ORIGIN" help:"Sites whose scripts may read pictures: https://www.example.org,… (default: '*', every site), or 'none'."`
	TrustedProxy    []string `placeholder:"CIDR" help:"Networks of proxies in front, whose X-Forwarded-For is believed: 127.0.0.1/32,…"`
	MaxConns        int      `placeholder:"N" help:"Connections at the same time (default: what the process may open; -1 for no limit)."`
	MaxConnsPerAddr int      `placeholder:"N" help:"Connections from one address (default: 256, but any number from this machine; -1 for no limit)."`
	MaxStreams      int      `placeholder:"N" help:"Event streams and waiting polls at the same time (default: 8192)."`
}

func (f *servingFlags) serving() (server.Serving, error) {
	s := server.Serving{Cache: server.CacheMode(f.Cache), MaxConns: f.MaxConns, MaxConnsPerAddr: f.MaxConnsPerAddr, MaxStreams: f.MaxStreams}
	switch {
	case len(f.CORS) == 1 && f.CORS[0] == "*":
	case len(f.CORS) == 1 && f.CORS[0] == "none":
		s.Origins = []string{}
	default:
		for _, o := range f.CORS {
			s.Origins = append(s.Origins, strings.TrimSuffix(o, "/"))
		}
	}
	for _, text := range f.TrustedProxy {
		p, err := netip.ParsePrefix(text)
		if a, addrErr := netip.ParseAddr(text); err != nil && addrErr == nil {
			p, err = a.Prefix(a.BitLen())
		}
		if err != nil {
			return s, cli.Usage(cli.Hint(fmt.Errorf("--trusted-proxy %q is no network", text), "write it as 127.0.0.1/32 or 10.0.0.0/8"))
		}
		s.TrustedProxies = append(s.TrustedProxies, p.Masked())
	}
	if err := s.Check(); err != nil {
		return s, cli.Usage(err)
	}
	return s, nil
}
