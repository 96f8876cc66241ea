// Package doctor examines a deployed server from outside, as its visitors, its
// camera and a curious stranger see it, and says what to mend. It sends nothing
// secret, changes nothing, and asks a bounded number of questions.
//
// What is looked at comes from the list of leaks and the modes of caching of
// this project's notes (server 3, 5 and 6) and from what boards need
// (esp32-wire 2).
package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Level says how bad a finding is.
type Level string

const (
	OK   Level = "ok"
	Warn Level = "warn" // works, and could be better
	Fail Level = "fail" // must be mended
)

// Finding is the result of one check.
type Finding struct {
	Check string `json:"check"`
	Level Level  `json:"level"`
	Text  string `json:"text"`
	Hint  string `json:"hint,omitempty"` // what to do about it
}

// Config says what is examined.
type Config struct {
	// URL is the public address, https://host or http://host for a server that is
	// not on the internet.
	URL string
	// Roots verify it; nil for the system's.
	Roots *x509.CertPool
	// Origin is the site that shows the pictures, where it is another one.
	Origin string
	// Patience is how long a new picture is waited for (default 15 s).
	Patience time.Duration
	// Answer is how long a single answer may take (default 10 s).
	Answer time.Duration
	// Plain is the address for plain HTTP; by default port 80 of the host where
	// URL has no port.
	Plain string
	// Private is the default port of the private side, which must not be
	// reachable; "" for 9100.
	Private string
}

// answerTime is the default of Config.Answer.
const answerTime = 10 * time.Second

// maxAnswer bounds what is read of one.
const maxAnswer = 4 << 20

// examination is one run.
type examination struct {
	cfg    Config
	url    *url.URL
	client *http.Client
	report func(Finding)
	// tls is what the client connects with. A certificate that was found to be
	// wrong is no longer looked at, so that the other checks can go on.
	tls *tls.Config
}

// Examine reports what it finds, check by check, until done or ctx ends. Its
// error means that the examination itself was not possible.
func Examine(ctx context.Context, cfg Config, report func(Finding)) error {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.User != nil {
		return fmt.Errorf("address %q: want https://host", cfg.URL)
	}
	u.Path = ""
	if cfg.Patience == 0 {
		cfg.Patience = 15 * time.Second
	}
	if cfg.Answer == 0 {
		cfg.Answer = answerTime
	}
	if cfg.Private == "" {
		cfg.Private = "9100"
	}
	if cfg.Plain == "" && u.Scheme == "https" && u.Port() == "" {
		cfg.Plain = "http://" + u.Host
	}
	// HTTP/1.1, as the camera speaks it and polling is cheapest.
	settings := &tls.Config{RootCAs: cfg.Roots, ServerName: u.Hostname(), NextProtos: []string{"http/1.1"}}
	transport := &http.Transport{
		TLSClientConfig:       settings,
		ResponseHeaderTimeout: cfg.Answer, TLSHandshakeTimeout: cfg.Answer,
		DisableCompression: true,
	}
	defer transport.CloseIdleConnections()
	e := &examination{cfg: cfg, url: u, report: report, tls: settings, client: &http.Client{
		Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	checks := []func(context.Context){e.name, e.certificate, e.board, e.plain, e.picture, e.fresh, e.clock, e.shared, e.leaks, e.privatePort, e.upload, e.events}
	for _, check := range checks {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		check(ctx)
	}
	return nil
}

func (e *examination) ok(check, format string, args ...any) {
	e.report(Finding{Check: check, Level: OK, Text: fmt.Sprintf(format, args...)})
}

func (e *examination) warn(check, hint, format string, args ...any) {
	e.report(Finding{Check: check, Level: Warn, Text: fmt.Sprintf(format, args...), Hint: hint})
}

func (e *examination) fail(check, hint, format string, args ...any) {
	e.report(Finding{Check: check, Level: Fail, Text: fmt.Sprintf(format, args...), Hint: hint})
}

// answer is what came back, read whole.
type answer struct {
	*http.Response
	body       []byte
	sent, came time.Time
}

// get asks for a path of the site, or for a whole address.
func (e *examination) get(ctx context.Context, path string, header ...string) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Answer+e.cfg.Patience)
	defer cancel()
	address := path
	if len(path) > 0 && path[0] == '/' {
		address = e.url.String() + path
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	a := &answer{sent: time.Now()}
	if a.Response, err = e.client.Do(req); err != nil {
		return nil, plainError(err)
	}
	defer a.Body.Close()
	a.came = time.Now()
	a.body, err = io.ReadAll(io.LimitReader(a.Body, maxAnswer))
	return a, plainError(err)
}

// plainError leaves out the address, which everybody knows.
func plainError(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// address is host and port of the public side.
func (e *examination) address() string {
	port := e.url.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[e.url.Scheme]
	}
	return net.JoinHostPort(e.url.Hostname(), port)
}
