package conformance

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"porthole/internal/devca"
	"porthole/internal/event"
	"porthole/server"
)

// record is one TLS record that a board sent.
type record struct {
	kind    byte
	version uint16
	length  int
	plain   []byte // of application data
}

func (r record) String() string {
	text := ""
	if r.kind == 23 {
		text = fmt.Sprintf("%d %.40q", len(r.plain), r.plain)
	}
	return fmt.Sprintf("%d %04x %5d %s", r.kind, r.version, r.length, text)
}

// capture is what a board sent on one connection.
type capture struct {
	hello   []byte // the first record, with its header
	records []record
}

// fwBench is the production server behind a recording proxy: the proxy ends TLS with
// the server's own settings and hands the plaintext on, so that both sides of the
// encryption are seen.
//
//	board ─ TLS ─▶ raw records ─▶ TLS ends ─▶ plaintext records ─ HTTP ─▶ server
type fwBench struct {
	token   string
	rootPEM []byte
	port    int
	ca      *devca.CA
	bus     *event.Bus

	mu       sync.Mutex
	captures []*capture
	// between is called with the plaintext of each record before it is handed on.
	between func(plain []byte)
}

func newFWBench(t *testing.T, handler func(*server.Server) http.Handler) *fwBench {
	t.Helper()
	ca, err := devca.New()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	b := &fwBench{token: server.NewToken(), rootPEM: ca.RootPEM, ca: ca, bus: new(event.Bus)}
	tokens, err := server.TokensOf("bench", b.token)
	if err != nil {
		t.Fatal(err)
	}
	loop, err := server.EmbeddedLoop()
	if err != nil {
		t.Fatal(err)
	}
	srv, err := server.New(server.Config{Tokens: tokens, Loop: loop, Events: b.bus})
	if err != nil {
		t.Fatal(err)
	}
	var h http.Handler = srv
	if handler != nil {
		h = handler(srv)
	}
	behind := httptest.NewServer(h)
	t.Cleanup(behind.Close)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.port = ln.Addr().(*net.TCPAddr).Port
	config := server.TLS(cert) // one for all: it holds the keys of tickets
	ctx, stop := context.WithCancel(t.Context())
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { b.serve(ctx, conn, config, behind.Listener.Addr().String()) })
		}
	})
	t.Cleanup(func() { ln.Close(); stop(); serving.Wait() })
	return b
}

// serve is one connection of a board.
func (b *fwBench) serve(ctx context.Context, conn net.Conn, config *tls.Config, to string) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	conn.SetDeadline(time.Now().Add(2 * time.Minute))
	c := new(capture)
	b.mu.Lock()
	b.captures = append(b.captures, c)
	b.mu.Unlock()
	raw := &recorder{Conn: conn, bench: b, into: c}
	secure := tls.Server(raw, config)
	if secure.HandshakeContext(ctx) != nil {
		return
	}
	behind, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer behind.Close()
	go func() {
		io.Copy(secure, behind) // answers
		conn.Close()
	}()
	buf := make([]byte, 16<<10)
	for {
		n, err := secure.Read(buf) // at most one record
		if n > 0 {
			plain := bytes.Clone(buf[:n])
			b.mu.Lock()
			c.attach(plain)
			between := b.between
			b.mu.Unlock()
			if between != nil {
				between(plain)
			}
			if _, err := behind.Write(plain); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// attach gives the plaintext to the oldest application record that lacks it.
func (c *capture) attach(plain []byte) {
	for i := range c.records {
		if r := &c.records[i]; r.kind == 23 && r.plain == nil {
			r.plain = plain
			return
		}
	}
}

// recorder takes raw records apart as they are read.
type recorder struct {
	net.Conn
	bench *fwBench
	into  *capture
	rest  []byte
}

func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.bench.mu.Lock()
	defer r.bench.mu.Unlock()
	r.rest = append(r.rest, p[:n]...)
	for len(r.rest) >= 5 {
		length := int(binary.BigEndian.Uint16(r.rest[3:]))
		if len(r.rest) < 5+length {
			break
		}
		if r.into.hello == nil {
			r.into.hello = bytes.Clone(r.rest[:5+length])
		}
		r.into.records = append(r.into.records, record{kind: r.rest[0], version: binary.BigEndian.Uint16(r.rest[1:]), length: length})
		r.rest = r.rest[5+length:]
	}
	return n, err
}

// take returns the captures so far and forgets them.
func (b *fwBench) take() []*capture {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.captures
	b.captures = nil
	return all
}

// ja3 gives the JA3 string and hash of a ClientHello record.
func ja3(t *testing.T, hello []byte) (text, hash string) {
	t.Helper()
	b := hello[5+4:] // record and handshake headers
	version := binary.BigEndian.Uint16(b)
	b = b[2+32:]
	b = b[1+int(b[0]):] // session id
	u16s := func(b []byte) (s []string) {
		for ; len(b) > 1; b = b[2:] {
			s = append(s, fmt.Sprint(binary.BigEndian.Uint16(b)))
		}
		return s
	}
	n := int(binary.BigEndian.Uint16(b))
	suites := u16s(b[2 : 2+n])
	b = b[2+n:]
	b = b[1+int(b[0]):] // compression
	b = b[2:]
	var extensions, groups, points []string
	for len(b) >= 4 {
		id, n := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		extensions = append(extensions, fmt.Sprint(id))
		switch body := b[4 : 4+n]; id {
		case 10:
			groups = u16s(body[2:])
		case 11:
			for _, p := range body[1:] {
				points = append(points, fmt.Sprint(p))
			}
		}
		b = b[4+n:]
	}
	text = fmt.Sprintf("%d,%s,%s,%s,%s", version, strings.Join(suites, "-"), strings.Join(extensions, "-"), strings.Join(groups, "-"), strings.Join(points, "-"))
	return text, fmt.Sprintf("%x", md5.Sum([]byte(text)))
}
