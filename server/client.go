package server

import (
	"net/http"
	"net/netip"
)

// clientAddr is the address that limits of requests are counted by. It is
// invalid where there is none.
func (s *Server) clientAddr(r *http.Request) netip.Addr {
	if a, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return a.Addr()
	}
	return netip.Addr{}
}
