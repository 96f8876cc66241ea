package loadtest

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"crypto/tls"
)

// nuisance is a kind of client that a server has to bear beside its viewers. It
// is not part of the figures: those say what it did to the viewers.
type nuisance struct {
	kind string
	n    int // how many at the same time, or a second
}

// nuisances says what each does.
var nuisances = map[string]string{
	"slow":      "N clients that read a picture at 1 kB a second",
	"abort":     "N clients that hang up in the middle of a picture, again and again",
	"storm":     "N connections a second that ask once and hang up",
	"slowloris": "N clients that send a byte of a request every second and never finish",
}

// maxNuisance bounds how many clients one step adds.
const maxNuisance = 10_000

// parseNuisance reads "slow 20". It returns nil for anything else.
func parseNuisance(do []string) (*nuisance, error) {
	if _, ok := nuisances[do[0]]; !ok {
		return nil, nil
	}
	if len(do) != 2 {
		return nil, fmt.Errorf("%q: want %s N", strings.Join(do, " "), do[0])
	}
	n, err := strconv.Atoi(do[1])
	if err != nil || n < 1 || n > maxNuisance {
		return nil, fmt.Errorf("%s %q: want a number from 1 to %d", do[0], do[1], maxNuisance)
	}
	return &nuisance{do[0], n}, nil
}

// run disturbs the server for a time, or until ctx ends.
func (n *nuisance) run(ctx context.Context, r *run, lasts time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, lasts)
	defer cancel()
	var clients sync.WaitGroup
	defer clients.Wait()
	if n.kind == "storm" {
		every := time.NewTicker(max(time.Second/time.Duration(n.n), 100*time.Microsecond))
		defer every.Stop()
		open := make(chan struct{}, n.n) // no more than a second's worth at once
		for {
			select {
			case <-ctx.Done():
				return
			case <-every.C:
			}
			select {
			case open <- struct{}{}:
				clients.Go(func() { n.once(ctx, r); <-open })
			default:
			}
		}
	}
	for range n.n {
		clients.Go(func() {
			for ctx.Err() == nil {
				if !n.once(ctx, r) { // refused: not in a tight loop
					if sleepUntil(ctx, time.Now().Add(time.Duration(rand.Int64N(int64(time.Second))))) != nil {
						return
					}
				}
			}
		})
	}
}

// nuisancePatience bounds one connection.
const nuisancePatience = 30 * time.Second

// once opens a connection, misbehaves, and says whether it came so far.
func (n *nuisance) once(ctx context.Context, r *run) bool {
	ctx, cancel := context.WithTimeout(ctx, nuisancePatience)
	defer cancel()
	conn, err := r.plainDial(ctx)
	if err != nil {
		return false
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	head := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s (%s)\r\n", r.target.RequestURI(), r.hostHeader(), userAgent, n.kind)
	if n.kind == "slowloris" {
		for i := range len(head) {
			if _, err := conn.Write([]byte{head[i]}); err != nil {
				return true // the server had enough of it
			}
			if sleepUntil(ctx, time.Now().Add(time.Second)) != nil {
				return true
			}
		}
		return true
	}
	if _, err := io.WriteString(conn, head+"Connection: close\r\n\r\n"); err != nil {
		return true
	}
	switch n.kind {
	case "slow":
		buf := make([]byte, 1<<10)
		for {
			if _, err := conn.Read(buf); err != nil {
				return true
			}
			if sleepUntil(ctx, time.Now().Add(time.Second)) != nil {
				return true
			}
		}
	case "abort":
		_, _ = io.ReadFull(conn, make([]byte, 1<<10))
		// A pause, or it would be a storm.
		_ = sleepUntil(ctx, time.Now().Add(100*time.Millisecond))
	case "storm":
		_, _ = io.Copy(io.Discard, io.LimitReader(conn, int64(r.cfg.MaxPicture)))
	}
	return true
}

// plainDial opens a connection to the target that belongs to no viewer.
func (r *run) plainDial(ctx context.Context) (net.Conn, error) {
	conn, err := r.dialer.open(ctx, "tcp", r.dialer.target)
	if err != nil || r.target.Scheme != "https" {
		return conn, err
	}
	config := r.transport.tls.Clone()
	config.NextProtos = []string{"http/1.1"}
	c := tls.Client(conn, config)
	if err := c.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}
