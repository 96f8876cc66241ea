package serial

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"time"

	"porthole/hil"
	"porthole/internal/cli"
	"porthole/internal/rfc2217"
)

// RemotePort is the TCP port of a shared serial port, if none is named.
const RemotePort = "2217"

// RemoteConfig says how to reach ports of other machines. The zero value is
// useful.
type RemoteConfig struct {
	// Token is for names that leave it out: rfc2217://@HOST. That keeps it out
	// of the process list.
	Token string

	// Timeout bounds the connection and every change of the line; 5 s if zero.
	Timeout time.Duration

	Dial func(ctx context.Context, network, address string) (net.Conn, error) // nil: a TCP dialer
	Log  *slog.Logger                                                         // nil discards
}

// Remote is a port of another machine, by RFC 2217.
type Remote struct {
	name    string
	client  *rfc2217.Client
	noLines bool
}

var _ hil.Port = (*Remote)(nil)

// DialRemote connects to the port rfc2217://[TOKEN@]HOST[:PORT] and sets the
// console's speed, 8N1, and both lines released.
//
// With a token the connection begins with a line of ours, see [Server]; without
// one it is plain RFC 2217, which any such server understands.
func DialRemote(ctx context.Context, name string, cfg RemoteConfig) (*Remote, error) {
	address, token, hasToken, err := parseRemote(name)
	if err != nil {
		return nil, cli.Usage(err)
	}
	shown := "rfc2217://" + address // without the token
	if hasToken && token == "" {
		if token = cfg.Token; token == "" {
			return nil, cli.Usage(cli.Hint(fmt.Errorf("open port %q: no token", shown), "set RIG_SHARE_TOKEN to what rig share printed"))
		}
	}
	cfg.Timeout = cmp.Or(cfg.Timeout, 5*time.Second)
	dial := cfg.Dial
	if dial == nil {
		dial = (&net.Dialer{KeepAliveConfig: rfc2217.KeepAlive()}).DialContext
	}
	r, err := dialRemote(ctx, shown, address, token, cfg, dial)
	if err != nil {
		return nil, fmt.Errorf("open port %q: %w", shown, err)
	}
	return r, nil
}

func dialRemote(ctx context.Context, shown, address, token string, cfg RemoteConfig, dial func(context.Context, string, string) (net.Conn, error)) (*Remote, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	conn, err := dial(ctx, "tcp", address)
	if err != nil {
		return nil, cli.Hint(err, "is rig share running there, and does it listen on that address?")
	}
	p := &Remote{name: shown}
	if token != "" {
		if conn, p.noLines, err = greet(ctx, conn, token); err != nil {
			return nil, err
		}
	}
	if p.client, err = rfc2217.NewClient(ctx, conn, rfc2217.ClientConfig{Timeout: cfg.Timeout, Signature: "porthole rig", Log: cfg.Log}); err != nil {
		if errors.Is(err, io.EOF) {
			err = cli.Hint(err, "the port is in use, or it wants a token: rfc2217://TOKEN@HOST:PORT")
		}
		return nil, err
	}
	err = p.client.SetLine(rfc2217.Line8N1(hil.DefaultBaud))
	if err == nil && !p.noLines {
		err = p.client.SetDTRRTS(false, false)
	}
	if err != nil {
		p.client.Close()
		return nil, err
	}
	return p, nil
}

func parseRemote(name string) (address, token string, hasToken bool, err error) {
	const form = "want rfc2217://[TOKEN@]HOST[:PORT]"
	u, err := url.Parse(name)
	if err != nil || u.Scheme != "rfc2217" || u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		// Not the text of url.Parse, which may have the token in it.
		return "", "", false, cli.Hint(errors.New("parse name of remote port: "+form), "for example rfc2217://127.0.0.1:2217")
	}
	if u.User != nil {
		if _, two := u.User.Password(); two {
			return "", "", false, cli.Hint(errors.New("parse name of remote port: a token has no colon; "+form), "rig share prints the whole name")
		}
		token, hasToken = u.User.Username(), true
	}
	return net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), RemotePort)), token, hasToken, nil
}

// greet proves that we may use the port, before Telnet begins. On failure the
// connection is closed.
func greet(ctx context.Context, conn net.Conn, token string) (net.Conn, bool, error) {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	fail := func(err error) (net.Conn, bool, error) {
		stop()
		conn.Close()
		return nil, false, err
	}
	if strings.ContainsAny(token, "\r\n") || len(token) > maxToken {
		return fail(errors.New("the token is none of ours"))
	}
	if _, err := io.WriteString(conn, greeting+token+"\n"); err != nil {
		return fail(fmt.Errorf("send token: %w", err))
	}
	r := bufio.NewReaderSize(conn, maxGreeting)
	line, err := r.ReadSlice('\n')
	answer := strings.TrimSuffix(string(line), "\n")
	switch {
	case err != nil:
		return fail(cli.Hint(fmt.Errorf("send token: no answer: %w", err), "a server that is not rig share takes no token: leave it out"))
	case answer == answerLines, answer == answerNoLines:
	case answer == answerDenied:
		return fail(cli.Hint(errors.New("the token is wrong"), "rig share prints the name with the right one"))
	case answer == answerBusy:
		return fail(cli.Hint(errors.New("another client has the port"), "one client at a time; try again later"))
	default:
		return fail(fmt.Errorf("send token: answer %q", answer))
	}
	if !stop() {
		return fail(context.Cause(ctx))
	}
	return &bufferedConn{conn, r}, answer == answerNoLines, nil
}

// bufferedConn is a connection whose first bytes have been read already.
type bufferedConn struct {
	net.Conn
	r *bufio.Reader
}

// Read implements [net.Conn].
func (c *bufferedConn) Read(p []byte) (int, error) { return c.r.Read(p) }

// Read implements [hil.Port].
func (p *Remote) Read(b []byte) (int, error) {
	n, err := p.client.Read(b)
	return n, p.wrap("read", err)
}

// Write implements [hil.Port].
func (p *Remote) Write(b []byte) (int, error) {
	n, err := p.client.Write(b)
	return n, p.wrap("write", err)
}

// SetReadDeadline implements [hil.Port].
func (p *Remote) SetReadDeadline(t time.Time) error { return p.client.SetReadDeadline(t) }

// SetLines implements [hil.Port].
func (p *Remote) SetLines(dtr, rts bool) error {
	if p.noLines {
		return fmt.Errorf("set lines of port %q: %w", p.name, hil.ErrNoLines)
	}
	return p.wrap("set lines of", p.client.SetDTRRTS(dtr, rts))
}

// SetBaud implements [hil.Port].
func (p *Remote) SetBaud(rate int) error {
	if rate <= 0 || int64(rate) > 1<<32-1 {
		return fmt.Errorf("set baud of port %q: %d is no speed", p.name, rate)
	}
	return p.wrap("set baud of", p.client.SetBaud(uint32(rate)))
}

// Discard implements [hil.Port]: here and on the other machine.
func (p *Remote) Discard() error {
	return p.wrap("discard", p.client.Purge(rfc2217.PurgeReceived))
}

// Close implements [hil.Port].
func (p *Remote) Close() error { return p.client.Close() }

// wrap names the port in an error. A deadline is no failure of the port and
// stays as it is.
func (p *Remote) wrap(what string, err error) error {
	if err == nil || what == "read" && isTimeout(err) {
		return err
	}
	return fmt.Errorf("%s port %q: %w", what, p.name, err)
}
