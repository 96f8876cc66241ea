package doctor

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// upload announces a picture and sends none: the refusal must come all the same,
// since no token came.
func (e *examination) upload(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Answer)
	defer cancel()
	var conn net.Conn
	var err error
	if e.url.Scheme == "https" {
		conn, err = (&tls.Dialer{Config: e.tls.Clone()}).DialContext(ctx, "tcp", e.address())
	} else {
		conn, err = new(net.Dialer).DialContext(ctx, "tcp", e.address())
	}
	if err != nil {
		return // told by certificate
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(e.cfg.Answer / 2))
	// As large as the largest picture.
	fmt.Fprintf(conn, "POST /upload HTTP/1.1\r\nHost: %s\r\nContent-Type: image/jpeg\r\nContent-Length: 1000000\r\n\r\n", e.url.Host)
	resp, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, maxAnswer)), nil)
	if err != nil {
		e.warn("upload", "do not collect uploads in the proxy (nginx: proxy_request_buffering off)", "a stranger's upload is read before it is refused: %v", err)
		return
	}
	resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		e.ok("upload", "refused without a token, before anything is read")
	case http.StatusRequestEntityTooLarge:
		e.fail("upload", "allow 2 MB in the proxy (nginx: client_max_body_size 2m)", "pictures of 1 MB are refused as too large")
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		e.warn("upload", "try again in a minute", "refused for now: %s", resp.Status)
	default:
		e.fail("upload", "POST /upload must get to porthole", "without a token the answer is %s, want 401", resp.Status)
	}
}

// events waits for the first lines of the event stream.
func (e *examination) events(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Answer/2)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.url.String()+"/events", nil)
	if err != nil {
		return
	}
	resp, err := e.client.Do(req)
	if err != nil {
		e.warn("events", "stream it (nginx: proxy_buffering off)", "no event stream: %v", plainError(err))
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		e.warn("events", "let /events pass; the page polls without it", "%s", resp.Status)
		return
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, 8)); err != nil {
		e.warn("events", "stream it (nginx: proxy_buffering off)", "events are held back on the way: %v", err)
		return
	}
	e.ok("events", "they come at once")
}
