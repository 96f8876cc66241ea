package main

import (
	"log/slog"
	"net"
	"net/http"
	"strconv"

	"porthole/internal/cli"
	"porthole/internal/sd"
	"porthole/server"
)

// addressFlags say where the public side listens.
type addressFlags struct {
	Listen   string `default:"127.0.0.1:8443" placeholder:"HOST:PORT" help:"HTTPS address (default: ${default}). 0.0.0.0:443 serves the world."`
	HTTP     string `name:"http" placeholder:"HOST:PORT" help:"Also serve plain HTTP here, for a proxy in front or for development."`
	Redirect string `placeholder:"HOST:PORT" help:"Answer plain HTTP here with the way to HTTPS, and the questions of an ACME authority; 0.0.0.0:80 for the world."`
}

// listeners are the process's open sockets, by the name of their flag.
type listeners struct {
	inherited sd.Sockets // from systemd, by FileDescriptorName=
	open      []net.Listener
}

// listen opens the address of a flag. A socket that systemd hands over under
// the flag's name comes first, then the address says nothing.
func (l *listeners) listen(flag, address string) (net.Listener, error) {
	ln := l.inherited.Take(flag)
	if ln == nil {
		var err error
		if ln, err = cli.Listen(address, "--"+flag+" HOST:PORT"); err != nil {
			return nil, err
		}
	}
	l.open = append(l.open, ln)
	return ln, nil
}

// has reports whether systemd hands a socket over under the flag's name.
func (l *listeners) has(flag string) bool { return l.inherited[flag] != nil }

// close closes all, for a start that fails half way.
func (l *listeners) close() {
	for _, ln := range l.open {
		ln.Close()
	}
	l.inherited.Close()
}

// opened are the listeners of a server and what answers on them.
type opened struct {
	public     []net.Listener
	redirect   net.Listener // nil for none
	redirected http.Handler
	admin      net.Listener // nil for none
}

// listen opens the server's listeners.
func (c *serveCmd) listen(sockets *listeners, cert *certificate, log *slog.Logger) (open opened, err error) {
	port := "443"
	if cert != nil {
		ln, err := sockets.listen("listen", c.Listen)
		if err != nil {
			return open, err
		}
		if a, ok := ln.Addr().(*net.TCPAddr); ok {
			port = strconv.Itoa(a.Port)
		}
		open.public = append(open.public, server.NewTLSListener(ln, cert.tls))
		log.Info("serving", "url", "https://"+ln.Addr().String()+"/")
	}
	if c.HTTP != "" || sockets.has("http") {
		ln, err := sockets.listen("http", c.HTTP)
		if err != nil {
			return open, err
		}
		open.public = append(open.public, ln)
		log.Info("serving", "url", "http://"+ln.Addr().String()+"/")
	}
	if c.Redirect != "" || sockets.has("redirect") {
		if open.redirect, err = sockets.listen("redirect", c.Redirect); err != nil {
			return open, err
		}
		open.redirected = server.Redirect(port, c.ACME...)
		if cert != nil && cert.acme != nil {
			open.redirected = cert.acme.Challenges(open.redirected)
		}
		log.Info("redirecting to HTTPS", "url", "http://"+open.redirect.Addr().String()+"/")
	}
	if c.Admin != "off" {
		if open.admin, err = sockets.listen("admin", c.Admin); err != nil {
			return open, err
		}
		log.Info("serving the private side", "url", "http://"+open.admin.Addr().String()+"/admin/")
	}
	if names := sockets.inherited.Names(); len(names) > 0 {
		log.Warn("sockets handed over for nobody; name them listen, http, redirect or admin (FileDescriptorName=)", "names", names)
	}
	return open, nil
}
