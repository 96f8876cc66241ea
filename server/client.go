package server

import (
	"net/http"
	"net/netip"
	"strings"
)

// clientAddr returns the address that a request comes from: of the connection,
// or, where that is a trusted proxy, the last one in X-Forwarded-For that no
// trusted proxy has. What a client writes there itself is never believed. The
// zero Addr means that the connection has none (a network in memory).
func (s *Server) clientAddr(r *http.Request) netip.Addr {
	peer := addrOf(r.RemoteAddr)
	if !s.trusted(peer) {
		return peer
	}
	lines := r.Header["X-Forwarded-For"]
	for i := len(lines) - 1; i >= 0; i-- {
		rest := lines[i]
		for rest != "" {
			var item string
			if j := strings.LastIndexByte(rest, ','); j >= 0 {
				item, rest = rest[j+1:], rest[:j]
			} else {
				item, rest = rest, ""
			}
			addr := addrOf(strings.TrimSpace(item))
			if !addr.IsValid() {
				return peer // a proxy that writes no addresses: what came before it is hearsay
			}
			if peer = addr; !s.trusted(peer) {
				return peer
			}
		}
	}
	return peer
}

func (s *Server) trusted(a netip.Addr) bool {
	for _, p := range s.cfg.Serving.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// addrOf returns the address in host:port, [host]:port or host; the zero Addr
// where there is none.
func addrOf(s string) netip.Addr {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone("")
	}
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

// network is what a limit per address counts by: the address, or the /64 of
// IPv6, all of which one client has.
func network(a netip.Addr) netip.Addr {
	if !a.Is6() {
		return a
	}
	p, _ := a.Prefix(64) // 64 fits every IPv6 address
	return p.Addr()
}
