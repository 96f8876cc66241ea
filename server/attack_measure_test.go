package server

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// attack is somebody who means harm, from his connection or connections on. It
// ends with ctx. What it can do is bounded: it must not win by using up the
// machine that it shares with the server.
type attack struct {
	name string
	many int // at the same time
	run  func(ctx context.Context, addr string)
}

func dialed(ctx context.Context, addr string, use func(net.Conn)) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	use(conn)
}

// every calls f until it says no more.
func every(ctx context.Context, d time.Duration, f func() bool) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for f() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

const badUpload = "POST /upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer guess\r\nContent-Type: image/jpeg\r\n"

var attacks = []attack{
	{"headers byte by byte", 200, func(ctx context.Context, addr string) {
		dialed(ctx, addr, func(c net.Conn) {
			io.WriteString(c, "GET /latest HTTP/1.1\r\nHost: x\r\nX-A: ")
			every(ctx, 100*time.Millisecond, func() bool { _, err := c.Write([]byte("a")); return err == nil })
		})
	}},
	{"bodies byte by byte", 200, func(ctx context.Context, addr string) {
		every(ctx, 50*time.Millisecond, func() bool {
			dialed(ctx, addr, func(c net.Conn) {
				io.WriteString(c, badUpload+"Content-Length: 900000\r\n\r\n")
				every(ctx, 100*time.Millisecond, func() bool { _, err := c.Write([]byte("a")); return err == nil })
			})
			return ctx.Err() == nil
		})
	}},
	{"half uploads with a good token", 8, func(ctx context.Context, addr string) {
		every(ctx, 20*time.Millisecond, func() bool {
			dialed(ctx, addr, func(c net.Conn) {
				io.WriteString(c, strings.Replace(badUpload, "guess", testToken, 1)+"Content-Length: 900000\r\n\r\n\xff\xd8\xff")
			})
			return ctx.Err() == nil
		})
	}},
	{"wrong tokens", 4, func(ctx context.Context, addr string) {
		every(ctx, 10*time.Millisecond, func() bool {
			dialed(ctx, addr, func(c net.Conn) {
				io.WriteString(c, badUpload+"Content-Length: 0\r\n\r\n")
				io.Copy(io.Discard, c)
			})
			return ctx.Err() == nil
		})
	}},
	{"connections opened and closed", 4, func(ctx context.Context, addr string) {
		every(ctx, 4*time.Millisecond, func() bool { dialed(ctx, addr, func(net.Conn) {}); return ctx.Err() == nil })
	}},
	{"connections that say nothing", 500, func(ctx context.Context, addr string) {
		dialed(ctx, addr, func(c net.Conn) { <-ctx.Done() })
	}},
	{"readers that do not read", 100, func(ctx context.Context, addr string) {
		dialed(ctx, addr, func(c net.Conn) {
			c.(*net.TCPConn).SetReadBuffer(4096)
			every(ctx, 100*time.Millisecond, func() bool {
				_, err := io.WriteString(c, strings.Repeat("GET /latest HTTP/1.1\r\nHost: x\r\n\r\n", 10))
				return err == nil
			})
		})
	}},
	{"fifty requests in one write", 2, func(ctx context.Context, addr string) {
		dialed(ctx, addr, func(c net.Conn) {
			go io.Copy(io.Discard, c)
			every(ctx, 50*time.Millisecond, func() bool {
				_, err := io.WriteString(c, strings.Repeat("GET /latest HTTP/1.1\r\nHost: x\r\n\r\n", 50))
				return err == nil
			})
		})
	}},
	{"requests that can be read in two ways", 4, func(ctx context.Context, addr string) {
		every(ctx, 10*time.Millisecond, func() bool {
			dialed(ctx, addr, func(c net.Conn) {
				io.WriteString(c, badUpload+"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /latest HTTP/1.1\r\nX: ")
				io.CopyN(io.Discard, c, 100)
			})
			return ctx.Err() == nil
		})
	}},
	{"waves", 4, func(ctx context.Context, addr string) {
		every(ctx, 10*time.Millisecond, func() bool {
			dialed(ctx, addr, func(c net.Conn) {
				io.WriteString(c, "POST /wave HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
				io.Copy(io.Discard, c)
			})
			return ctx.Err() == nil
		})
	}},
}

// viewers poll for d, each on a connection of its own, and return the 99th
// percentile of the time to a whole answer, and how many there were.
func viewers(t *testing.T, addr string, d time.Duration) (p99 time.Duration, n int) {
	t.Helper()
	const many, think = 20, 20 * time.Millisecond
	ctx, stop := context.WithTimeout(t.Context(), d)
	defer stop()
	var mu sync.Mutex
	var took []time.Duration
	var all sync.WaitGroup
	for range many {
		all.Go(func() {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			r := bufio.NewReader(conn)
			every(ctx, think, func() bool {
				conn.SetDeadline(time.Now().Add(10 * time.Second))
				began := time.Now()
				io.WriteString(conn, "GET /latest HTTP/1.1\r\nHost: x\r\n\r\n")
				resp, err := http.ReadResponse(r, nil)
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
				}
				if err != nil || resp.StatusCode != 200 {
					t.Errorf("a viewer got %v", err)
					return false
				}
				mu.Lock()
				took = append(took, time.Since(began))
				mu.Unlock()
				return true
			})
		})
	}
	all.Wait()
	slices.Sort(took)
	if len(took) == 0 {
		t.Fatal("no answers")
	}
	return took[len(took)*99/100], len(took)
}

// TestMeasureAttacks measures what viewers notice of an attack: the 99th
// percentile of their answers during it against the quiet runs before and after,
// interleaved. The better of two pairs counts, as the machine has other things
// to do. Afterwards nothing is left: no goroutine, no memory, no wrong picture.
func TestMeasureAttacks(t *testing.T) {
	rounds, length := 1, 100*time.Millisecond
	if os.Getenv("PORTHOLE_LONG") != "" {
		rounds, length = 2, 2*time.Second
	}
	s := testServer(t, func(c *Config) { c.Log = nil })
	addr := listening(t, s)
	viewers(t, addr, length/2) // warm
	base := figuresNow()
	for _, a := range attacks {
		var ratio, quiet, during float64
		for range rounds {
			before, _ := viewers(t, addr, length)
			ctx, stop := context.WithCancel(t.Context())
			var attackers sync.WaitGroup
			for range a.many {
				attackers.Go(func() { a.run(ctx, addr) })
			}
			under, _ := viewers(t, addr, length)
			stop()
			attackers.Wait()
			after, _ := viewers(t, addr, length)
			calm := (before + after) / 2
			if r := float64(under) / float64(calm); ratio == 0 || r < ratio {
				ratio, quiet, during = r, calm.Seconds(), under.Seconds()
			}
		}
		t.Logf("%-40s %3d at once: p99 %6.2f ms, quiet %6.2f ms, ratio %.2f", a.name, a.many, during*1e3, quiet*1e3, ratio)
		if os.Getenv("PORTHOLE_LONG") != "" && ratio > 2 {
			t.Errorf("%s: p99 of viewers is %.2f times that of quiet runs, want at most 2", a.name, ratio)
		}
	}
	var now figures
	for began := time.Now(); time.Since(began) < 20*time.Second; runtime.Gosched() {
		if now = figuresNow(); now.goroutines <= base.goroutines+2 {
			break
		}
	}
	t.Logf("goroutines %d, before the attacks %d; heap %.1f MB, before %.1f MB", now.goroutines, base.goroutines, float64(now.heap)/1e6, float64(base.heap)/1e6)
	if now.goroutines > base.goroutines+2 || now.heap > base.heap+8<<20 {
		t.Errorf("left behind: %+v, before %+v", now, base)
	}
	if c := s.Cameras()[0]; c.Sequence != 0 || s.Truth().Mode == "live" {
		t.Errorf("an attacker's frame was taken: %+v", c)
	}
}

type figures struct {
	goroutines int
	heap       uint64
}

func figuresNow() figures {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return figures{runtime.NumGoroutine(), m.HeapAlloc}
}
