package server

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"porthole/internal/devca"
	"porthole/internal/event"
	"porthole/internal/netmem"
	"porthole/server/picture"
)

// TestFrontDeadlines: a connection that asks for nothing, or for half, ends.
func TestFrontDeadlines(t *testing.T) {
	for _, tt := range []struct {
		name, send string
		min, max   time.Duration
	}{
		{"silent from the start", "", 10 * time.Second, 10 * time.Second},
		{"half a head", "GET /latest HTTP/1.1\r\nHost", 5 * time.Second, 6 * time.Second},
		{"idle after a picture", "GET /latest HTTP/1.1\r\nHost: a\r\n\r\n", 75 * time.Second, 75 * time.Second},
		{"idle after a page", "GET /page HTTP/1.1\r\nHost: a\r\n\r\n", 75 * time.Second, 75 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := still(t, Serving{}, &picture.Result{JPEG: []byte("jpeg")})
				ours, theirs := netmem.Listen(), netmem.Listen()
				defer stillPair(t, s, ours, theirs)()
				conn, err := ours.Dial(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				began := time.Now()
				if tt.send != "" { // an empty write is seen on a pipe
					go io.WriteString(conn, tt.send)
				}
				io.Copy(io.Discard, conn)
				if took := time.Since(began); took < tt.min || took > tt.max {
					t.Errorf("ended after %v, want %v to %v", took, tt.min, tt.max)
				}
			})
		})
	}
}

// TestHandshakeDeadlines: a client that does not go on with TLS ends, and one
// that waits for its turn does not hold others up for longer.
func TestHandshakeDeadlines(t *testing.T) {
	ca, err := devca.New()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	hello := clientHello(t)
	for _, tt := range []struct {
		name  string
		send  []byte
		turns bool // all are taken
		took  time.Duration
	}{
		{"silent", nil, false, 5 * time.Second},
		{"half a hello", hello[:100], false, 5 * time.Second},
		{"no answer to the server's flight", hello, false, 5 * time.Second},
		{"no turn", hello, true, 5 * time.Second},
		{"no TLS", []byte("GET / HTTP/1.1\r\n\r\n"), false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := still(t, Serving{}, &picture.Result{JPEG: []byte("jpeg")})
				f := newFront(s, publicTimes)
				ctx, cancel := context.WithCancel(t.Context())
				ln := netmem.Listen()
				done := make(chan error)
				go func() { done <- f.serve(ctx, time.Second, NewTLSListener(ln, TLS(cert))) }()
				if tt.turns {
					for range cap(f.turns) {
						f.turns <- struct{}{}
					}
				}
				conn, err := ln.Dial(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				if tt.send != nil {
					go conn.Write(tt.send)
				}
				io.Copy(io.Discard, conn)
				if took := time.Since(began); took != tt.took {
					t.Errorf("ended after %v, want %v", took, tt.took)
				}
				conn.Close()
				synctest.Wait()
				if n := len(f.turns); !tt.turns && n != 0 {
					t.Errorf("%d turns are not given back", n)
				}
				if st := s.Stats(); st.Handshakes != 1 || st.Connections != 0 {
					t.Errorf("%d failed handshakes, %d connections", st.Handshakes, st.Connections)
				}
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// clientHello returns the first flight of a TLS client.
func clientHello(t *testing.T) []byte {
	a, b := net.Pipe()
	defer a.Close()
	go tls.Client(b, &tls.Config{ServerName: "a.example"}).Handshake()
	hello := make([]byte, 4096)
	n, err := a.Read(hello)
	if err != nil {
		t.Fatal(err)
	}
	return hello[:n]
}

// TestLoopDeadlines does the same where links are parked, with times that a test
// can wait for, and with a viewer that does not read.
func TestLoopDeadlines(t *testing.T) {
	s := testServer(t, nil)
	s.show(&picture.Result{JPEG: make([]byte, 16<<20)}, event.FrameInfo{})
	f := newFront(s, times{handshake: time.Second, first: time.Second, idle: time.Second, write: time.Second, beat: time.Second, tick: time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	ln := listen(t)
	done := make(chan error)
	go func() { done <- f.serve(ctx, time.Second, ln) }()
	silent, slow := dialTCP(t, ln), dialTCP(t, ln)
	defer slow.Close()
	io.WriteString(slow, "GET /latest HTTP/1.1\r\nHost: a\r\n\r\n")
	if n, err := io.Copy(io.Discard, silent); n != 0 || err != nil {
		t.Errorf("silent connection: %d bytes, %v", n, err)
	}
	silent.Close()
	for s.Stats().Slow == 0 { // ended by the test's own deadline otherwise
		if err := t.Context().Err(); err != nil {
			t.Fatal(err)
		}
		runtime.Gosched()
	}
	if n, _ := io.Copy(io.Discard, slow); n >= 16<<20 {
		t.Errorf("a viewer that did not read got all %d bytes", n)
	}
	// One that reads slowly, and with an answer on its way when the server ends.
	reader := dialTCP(t, ln)
	defer reader.Close()
	io.WriteString(reader, "GET /latest HTTP/1.1\r\nHost: a\r\n\r\n")
	if _, err := io.CopyN(io.Discard, reader, 1<<20); err != nil {
		t.Fatal(err)
	}
	cancel()
	if n, err := io.Copy(io.Discard, reader); n < 15<<20 {
		t.Errorf("the answer on its way at the end was cut after %d bytes: %v", n, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if st := s.Stats(); st.Connections != 0 {
		t.Errorf("%d connections after the end", st.Connections)
	}
}

// TestConnLimit: by address, by /64, together, and who is exempt.
func TestConnLimit(t *testing.T) {
	for _, tt := range []struct {
		name    string
		serving Serving
		addrs   []string
		in      int
	}{
		{"each", Serving{MaxConnsPerAddr: 2}, []string{"203.0.113.1", "203.0.113.1", "203.0.113.1", "203.0.113.2"}, 3},
		{"one network of IPv6", Serving{MaxConnsPerAddr: 2}, []string{"2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1"}, 3},
		{"together", Serving{MaxConns: 2}, []string{"203.0.113.1", "203.0.113.2", "203.0.113.3"}, 2},
		{"no limits", Serving{MaxConns: -1, MaxConnsPerAddr: -1}, []string{"203.0.113.1", "203.0.113.1", "203.0.113.1"}, 3},
		{"this machine by default", Serving{}, append(many("127.0.0.1", 300), many("203.0.113.1", 300)...), 300 + DefaultMaxConnsPerAddr},
		{"this machine where it is asked for", Serving{MaxConnsPerAddr: 10}, many("127.0.0.1", 300), 10},
		{"a trusted proxy", Serving{MaxConnsPerAddr: 10, TrustedProxies: prefixes("10.0.0.0/8")}, many("10.1.1.1", 30), 30},
	} {
		c, err := tt.serving.withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		l := newConnLimit(c)
		var in []string
		for _, a := range tt.addrs {
			if l.enter(addrOf(a)) {
				in = append(in, a)
			}
		}
		if len(in) != tt.in {
			t.Errorf("%s: %d let in, want %d", tt.name, len(in), tt.in)
		}
		for _, a := range in {
			l.leave(addrOf(a))
		}
		if l.n != 0 || len(l.per) != 0 {
			t.Errorf("%s: %d and %d addresses left over", tt.name, l.n, len(l.per))
		}
	}
}

func many(addr string, n int) []string { return slices.Repeat([]string{addr}, n) }

func prefixes(p string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(p)} }
