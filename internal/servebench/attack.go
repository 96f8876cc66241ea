package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// attack measures what viewers notice while somebody tries to keep them out.
type attack struct {
	viewers int
	window  time.Duration
	rounds  int
	conns   int
	only    string
	factor  float64
	secure  bool
}

func (a *attack) flags(fs *flag.FlagSet) {
	fs.IntVar(&a.viewers, "viewers", 1000, "polling viewers")
	fs.DurationVar(&a.window, "window", 3*time.Second, "measured time of a run")
	fs.IntVar(&a.rounds, "rounds", 3, "how often each attack is run, with a quiet run before each")
	fs.IntVar(&a.conns, "conns", 500, "connections of an attacker")
	fs.StringVar(&a.only, "only", "", "the attack to run")
	fs.BoolVar(&a.secure, "tls", false, "viewers and attackers come by TLS, with a full handshake each time")
	fs.Float64Var(&a.factor, "factor", 2, "how much slower the slowest percent of answers may be")
}

// assault is one kind of attack: what each of the attacker's connections does,
// again and again until ctx ends, at least pace apart.
type assault struct {
	name string
	pace time.Duration
	do   func(ctx context.Context, conn net.Conn)
}

// trickle sends text a byte at a time.
func trickle(ctx context.Context, conn net.Conn, head, text string) {
	if _, err := io.WriteString(conn, head); err != nil {
		return
	}
	for i := 0; ctx.Err() == nil; i++ {
		if _, err := conn.Write([]byte{text[i%len(text)]}); err != nil {
			return
		}
		sleep(ctx, 200*time.Millisecond)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

const getPicture = "GET /latest HTTP/1.1\r\nHost: a\r\n\r\n"

var assaults = []assault{
	{"slow head", 100 * time.Millisecond, func(ctx context.Context, c net.Conn) {
		trickle(ctx, c, "GET /latest HTTP/1.1\r\nHost: a\r\n", "X-Header: abcdef\r\n")
	}},
	{"slow body", 100 * time.Millisecond, func(ctx context.Context, c net.Conn) {
		trickle(ctx, c, "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\nContent-Length: 100000\r\nAuthorization: Bearer wrong\r\n\r\n", "body")
	}},
	{"half an upload", 100 * time.Millisecond, func(ctx context.Context, c net.Conn) {
		io.WriteString(c, "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Type: image/jpeg\r\nContent-Length: 100000\r\nAuthorization: Bearer wrong\r\n\r\n\xff\xd8")
		sleep(ctx, 100*time.Millisecond)
	}},
	{"slow reader", 100 * time.Millisecond, func(ctx context.Context, c net.Conn) {
		if tcp, ok := c.(*net.TCPConn); ok {
			tcp.SetReadBuffer(2048)
		}
		// More and more answers that nobody reads.
		for ctx.Err() == nil {
			c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
			if _, err := io.WriteString(c, getPicture); err != nil {
				sleep(ctx, 500*time.Millisecond)
				return
			}
			sleep(ctx, 300*time.Millisecond)
		}
	}},
	{"connection flood", 20 * time.Millisecond, func(context.Context, net.Conn) {}},
	{"silent connections", 100 * time.Millisecond, func(ctx context.Context, _ net.Conn) { <-ctx.Done() }},
	{"pipelining", 50 * time.Millisecond, func(ctx context.Context, c net.Conn) {
		go io.Copy(io.Discard, c)
		io.WriteString(c, strings.Repeat("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", 10))
		sleep(ctx, 300*time.Millisecond)
	}},
	{"smuggling", 100 * time.Millisecond, func(ctx context.Context, c net.Conn) {
		go io.Copy(io.Discard, c)
		io.WriteString(c, "POST /latest HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n24\r\n"+getPicture+"\r\n0\r\n\r\n"+getPicture)
		sleep(ctx, 300*time.Millisecond)
	}},
	{"nonsense", 100 * time.Millisecond, func(ctx context.Context, c net.Conn) {
		go io.Copy(io.Discard, c)
		io.WriteString(c, strings.Repeat("\x00\xff\r\n", 500))
		sleep(ctx, 300*time.Millisecond)
	}},
}

func (a *attack) run(ctx context.Context, out io.Writer) error {
	b, err := newBench(ctx)
	if err != nil {
		return err
	}
	defer b.close()
	p, err := b.start(ctx, serverOptions{kind: ours, tls: a.secure, period: 2 * time.Second, admin: true})
	if err != nil {
		return err
	}
	defer p.stop()
	viewers := load{conns: a.viewers, rate: 0.5, tls: a.secure, warmup: 300 * time.Millisecond, window: a.window}
	base, err := p.state()
	if err != nil {
		return err
	}
	rss, err := p.memory("VmRSS")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%d viewers poll every 2 s while %d connections attack; before: %d kB resident, %d goroutines\n\n", a.viewers, a.conns, rss, base.Goroutines)
	fmt.Fprintln(out, "| attack | quiet p99 µs | attacked p99 µs | times | begun | kB resident at the end | kB after | goroutines after |\n|---|---|---|---|---|---|---|---|")
	var missed []string
	for _, s := range assaults {
		if a.only != "" && s.name != a.only {
			continue
		}
		var quiet, under, ratios []float64
		var begun uint64
		peak := 0
		for range a.rounds {
			q, err := b.load(ctx, p, viewers)
			if err != nil {
				return err
			}
			stop := a.begin(ctx, p, s, &begun)
			u, err := b.load(ctx, p, viewers)
			if kb, memErr := p.memory("VmRSS"); memErr == nil {
				peak = max(peak, kb)
			}
			stop()
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			quiet, under, ratios = append(quiet, q.P99), append(under, u.P99), append(ratios, u.P99/q.P99)
		}
		for _, v := range [][]float64{quiet, under, ratios} {
			slices.Sort(v)
		}
		after, err := a.settle(p, base)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		kb, err := p.memory("VmRSS")
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "| %s | %.0f | %.0f | %.2f | %d | %d | %d | %d |\n", s.name, middle(quiet), middle(under), middle(ratios), begun, peak, kb, after.Goroutines)
		if middle(ratios) > a.factor {
			missed = append(missed, fmt.Sprintf("%s: %.2f times", s.name, middle(ratios)))
		}
	}
	if len(missed) > 0 {
		return fmt.Errorf("%w: %s", errGate, strings.Join(missed, "; "))
	}
	return nil
}

// begin starts an attack; the returned function ends it and waits.
func (a *attack) begin(ctx context.Context, p *process, s assault, begun *uint64) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	var count atomic.Uint64
	// At most 500 new connections a second: the attacker's own work is done on the
	// same processors.
	pause := max(s.pace, time.Duration(a.conns)*2*time.Millisecond)
	for i := range a.conns {
		all.Go(func() {
			sleep(ctx, pause*time.Duration(i)/time.Duration(a.conns)) // not all at once
			for ctx.Err() == nil {
				conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", fmt.Sprint("127.0.0.1:", p.port))
				if err == nil {
					count.Add(1)
					conn.(*net.TCPConn).SetLinger(0)
					if a.secure {
						secure := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
						secure.SetDeadline(time.Now().Add(20 * time.Second))
						if secure.Handshake() == nil {
							s.do(ctx, secure)
						}
						conn.Close()
						sleep(ctx, pause)
						continue
					}
					s.do(ctx, conn)
					conn.Close()
				}
				sleep(ctx, pause)
			}
		})
	}
	return func() {
		cancel()
		all.Wait()
		*begun += count.Load()
	}
}

// settle waits until the server is as it was before, for at most 15 s.
func (a *attack) settle(p *process, base state) (s state, err error) {
	for begun := time.Now(); time.Since(begun) < 15*time.Second; time.Sleep(200 * time.Millisecond) {
		if s, err = p.state(); err != nil {
			return s, err
		}
		if s.Stats.Connections == 0 && s.Goroutines <= base.Goroutines+3 && s.HeapKB <= base.HeapKB+4<<10 {
			return s, nil
		}
	}
	return s, fmt.Errorf("%d connections, %d goroutines and %d kB of heap are left; before it were %d and %d kB", s.Stats.Connections, s.Goroutines, s.HeapKB, base.Goroutines, base.HeapKB)
}
