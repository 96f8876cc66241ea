package server

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Redirect answers plain HTTP with the way to HTTPS on the given port. Only
// pages are sent there: an upload over plain HTTP has shown its token to
// everybody on the way already, and its sender must learn that.
//
// Where hosts are given, a request for another host is refused; so no cache on
// the way learns a wrong answer.
func Redirect(port string, hosts ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		host, ok := hostName(r.Host)
		switch {
		case !ok:
			(&problem{http.StatusBadRequest, "no host given", "ask for https://"}).serve(w)
		case len(hosts) > 0 && !slices.Contains(hosts, host):
			(&problem{http.StatusMisdirectedRequest, "another host's", "this server answers for its own names only"}).serve(w)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Connection", "close") // the body is not read
			(&problem{http.StatusForbidden, "plain HTTP", "use https://; a token that was sent in the clear is to be replaced: porthole token new"}).serve(w)
		default:
			if port != "443" {
				host = net.JoinHostPort(host, port)
			} else if strings.Contains(host, ":") {
				host = "[" + host + "]"
			}
			to := url.URL{Scheme: "https", Host: host, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
			w.Header().Set("Cache-Control", "max-age=3600")
			w.Header().Set("Location", to.String())
			w.WriteHeader(http.StatusMovedPermanently)
		}
	})
}

// hostName returns the name or address in a Host header, if it is one.
func hostName(host string) (string, bool) {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if ip := net.ParseIP(strings.Trim(host, "[]")); ip != nil {
		return ip.String(), true
	}
	ok := len(host) > 0 && len(host) <= 253 && host[0] != '.' && host[len(host)-1] != '.' && !strings.Contains(host, "..")
	for _, c := range []byte(host) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.')
	}
	return host, ok
}
