package sim

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// Target is where frames go.
type Target struct {
	TLS   bool
	Host  string // name or address, without port: the sketch's Host header has none
	Port  int
	Path  string // "/upload"
	Token string
}

// ParseTarget reads the address of a server, https://host[:port][/path]. The
// path defaults to /upload.
func ParseTarget(rawURL, token string) (Target, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return Target{}, fmt.Errorf("parse address %q: not a URL", rawURL)
	}
	t := Target{TLS: u.Scheme == "https", Host: u.Hostname(), Path: u.EscapedPath(), Token: token}
	switch u.Scheme {
	case "https":
		t.Port = 443
	case "http":
		t.Port = 80
	default:
		return t, fmt.Errorf("parse address %q: want https://host:port", rawURL)
	}
	if p := u.Port(); p != "" {
		if t.Port, err = strconv.Atoi(p); err != nil {
			return t, fmt.Errorf("parse address %q: bad port", rawURL)
		}
	}
	if u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return t, fmt.Errorf("parse address %q: want https://host:port/path and nothing more", rawURL)
	}
	if t.Path == "" || t.Path == "/" {
		t.Path = "/upload"
	}
	return t, t.check()
}

// Address returns host:port for dialling.
func (t Target) Address() string { return net.JoinHostPort(t.Host, strconv.Itoa(t.Port)) }

// hostHeader is the Host header of our firmware: with the port where it is not the
// scheme's own.
func (t Target) hostHeader() string {
	own := 80
	if t.TLS {
		own = 443
	}
	host := t.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if t.Port != own {
		host += ":" + strconv.Itoa(t.Port)
	}
	return host
}

// check refuses what would not survive being written into a header line.
func (t Target) check() error {
	switch {
	case t.Host == "":
		return errors.New("target has no host")
	case t.Port < 1 || t.Port > 65535:
		return fmt.Errorf("target port %d: want 1 to 65535", t.Port)
	case !strings.HasPrefix(t.Path, "/"):
		return fmt.Errorf("target path %q: want a leading slash", t.Path)
	}
	for _, s := range []string{t.Host, t.Path, t.Token} {
		if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return errors.New("target host, path or token holds a space, a control character or a letter outside ASCII")
		}
	}
	return nil
}
