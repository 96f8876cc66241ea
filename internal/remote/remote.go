// Package remote is the other end of a server's admin handler: it follows the
// events of a server elsewhere, asks it to carry out commands, and fetches the
// pictures, so that a dashboard that is attached sees what one in the same
// process sees.
package remote

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"porthole/internal/cli"
	"porthole/internal/event"
)

// Limits of what a server may send.
const (
	maxLine    = 64 << 10
	maxAnswer  = 64 << 10
	maxPicture = 8 << 20
)

// silence is after how long without a line a stream counts as dead. The server
// says something every ten seconds.
const silence = 30 * time.Second

// Picture names one of the two pictures of a feed.
type Picture string

const (
	Sent   Picture = "/admin/upload.jpg" // the camera's newest, as it arrived
	Public Picture = "/latest"           // what viewers see; on the public address
)

// Client follows one server. Close it.
type Client struct {
	admin, public *url.URL
	token         string
	http          *http.Client
	stream        io.Closer
	lines         *bufio.Scanner
	watchdog      *time.Timer

	mu      sync.Mutex
	snap    event.Snapshot
	dropped uint64
	err     error
}

// Config says where a server is.
type Config struct {
	Admin  string         // http://host:port of the admin listener
	Public string         // of the public side; may be empty, then there is no public picture
	Token  string         // of the admin listener; may be empty
	Roots  *x509.CertPool // for https; nil for the system's
}

// Dial connects and waits for the state so far.
func Dial(ctx context.Context, cfg Config) (*Client, error) {
	admin, err := parse(cfg.Admin)
	if err != nil {
		return nil, err
	}
	c := &Client{admin: admin, token: cfg.Token, http: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: cfg.Roots}}}}
	if cfg.Public != "" {
		if c.public, err = parse(cfg.Public); err != nil {
			return nil, err
		}
	}
	// The stream outlives ctx, which bounds the dialling only.
	streaming, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, cancel)
	resp, err := c.do(streaming, "GET", c.admin, "/admin/events", nil)
	if err != nil {
		cancel()
		return nil, err
	}
	c.stream = closer{resp.Body, cancel}
	c.lines = bufio.NewScanner(resp.Body)
	c.lines.Buffer(nil, maxLine)
	c.watchdog = time.AfterFunc(silence, cancel)
	var first struct{ Snapshot *event.Snapshot }
	if !c.lines.Scan() || json.Unmarshal(c.lines.Bytes(), &first) != nil || first.Snapshot == nil {
		c.Close()
		return nil, fmt.Errorf("attach to %s: it does not send events", cfg.Admin)
	}
	c.snap = *first.Snapshot
	if !stop() {
		c.Close()
		return nil, fmt.Errorf("attach to %s: %w", cfg.Admin, ctx.Err())
	}
	return c, nil
}

type closer struct {
	io.Closer
	cancel context.CancelFunc
}

func (c closer) Close() error { c.cancel(); return c.Closer.Close() }

func parse(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, cli.Usage(cli.Hint(fmt.Errorf("address %q is not a server's", address), "for example http://127.0.0.1:9100"))
	}
	return u, nil
}

// Next returns the next event. It returns false when the server is gone, for
// which see [Client.Err], or ctx has ended; it is for one goroutine.
func (c *Client) Next(ctx context.Context) (event.Event, bool) {
	stop := context.AfterFunc(ctx, func() { c.stream.Close() })
	defer stop()
	for c.lines.Scan() {
		c.watchdog.Reset(silence)
		line := bytes.TrimSpace(c.lines.Bytes())
		if len(line) == 0 {
			continue // a sign of life
		}
		var e struct {
			event.Event
			Dropped *uint64 `json:"dropped"`
		}
		if err := json.Unmarshal(line, &e); err != nil {
			c.fail(fmt.Errorf("follow %s: %w", c.admin.Host, err))
			return event.Event{}, false
		}
		c.mu.Lock()
		if e.Dropped != nil {
			c.dropped = *e.Dropped
			c.mu.Unlock()
			continue
		}
		c.snap.Apply(e.Event)
		c.mu.Unlock()
		return e.Event, true
	}
	err := c.lines.Err()
	if err == nil {
		err = errors.New("the server ended the connection")
	}
	c.fail(fmt.Errorf("follow %s: %w", c.admin.Host, err))
	return event.Event{}, false
}

func (c *Client) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
}

// Err says why Next returned false.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Snapshot is the state that the events so far add up to.
func (c *Client) Snapshot() event.Snapshot {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.snap
}

// Dropped is how many events were lost because this end was slow.
func (c *Client) Dropped() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dropped
}

// Commands lists what the server can be asked for.
func (c *Client) Commands(ctx context.Context) ([]string, error) {
	var names []string
	return names, c.json(ctx, "GET", "/admin/commands", nil, &names)
}

// Do asks the server to carry out a command.
func (c *Client) Do(ctx context.Context, command event.Command) (event.Reply, error) {
	var reply event.Reply
	return reply, c.json(ctx, "POST", "/admin/commands", command, &reply)
}

// Picture fetches one of the pictures, as JPEG. It is an error when there is none
// yet.
func (c *Client) Picture(ctx context.Context, which Picture) ([]byte, error) {
	base := c.admin
	if which == Public {
		if base = c.public; base == nil {
			return nil, errors.New("the public address is not known")
		}
	}
	resp, err := c.do(ctx, "GET", base, string(which), nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(io.LimitReader(resp.Body, maxPicture))
}

// Close ends the connection.
func (c *Client) Close() error {
	c.watchdog.Stop()
	err := c.stream.Close()
	c.http.CloseIdleConnections()
	return err
}

func (c *Client) json(ctx context.Context, method, path string, body, answer any) error {
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		r = bytes.NewReader(b)
	}
	resp, err := c.do(ctx, method, c.admin, path, r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(answer); err != nil {
		return fmt.Errorf("read answer of %s: %w", c.admin.Host, err)
	}
	return nil
}

// do sends a request. An answer other than 200 is an error with the server's own
// words and hint.
func (c *Client) do(ctx context.Context, method string, base *url.URL, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(base.String(), "/")+path, body)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", base.Host, err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" && base == c.admin {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, cli.Hint(fmt.Errorf("ask %s: %w", base.Host, err), "is the server running, and is this its admin address?")
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	var p struct{ Error, Hint string }
	if json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&p) != nil || p.Error == "" {
		return nil, fmt.Errorf("ask %s: answered %s", base.Host, resp.Status)
	}
	return nil, cli.Hint(fmt.Errorf("ask %s: %s", base.Host, p.Error), p.Hint)
}
