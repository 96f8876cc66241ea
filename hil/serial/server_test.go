package serial

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"porthole/hil"
	"porthole/hil/hiltest"
	"porthole/internal/cli"
)

// listen serves a port until the test ends or the port fails.
func listen(t *testing.T, cfg ServerConfig) (address string, ended <-chan error) {
	t.Helper()
	s, err := NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	result := make(chan error, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		result <- s.Serve(ctx, ln)
	}()
	t.Cleanup(func() { stop(); <-done })
	return ln.Addr().String(), result
}

// TestShareAdmits: who gets in.
func TestShareAdmits(t *testing.T) {
	const token = "GOODTOKEN"
	for _, tt := range []struct {
		name, user string
		open       bool
		want, hint string // "" gets in
	}{
		{"right token", "GOODTOKEN@", false, "", ""},
		{"wrong token", "BADTOKEN@", false, "the token is wrong", "rig share prints"},
		{"longer token", "GOODTOKENX@", false, "the token is wrong", ""},
		{"shorter token", "GOODTOKE@", false, "the token is wrong", ""},
		{"endless token", strings.Repeat("A", maxToken+1) + "@", false, "the token is none of ours", ""},
		{"no token", "", false, "closed", "rfc2217://TOKEN@"},
		{"open, no token", "", true, "", ""},
		{"open, any token", "whatever@", true, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			port, far := hiltest.Pipe()
			cfg := ServerConfig{Port: port, Token: token}
			if tt.open {
				cfg = ServerConfig{Port: port, Open: true}
			}
			address, _ := listen(t, cfg)
			before := len(far.Changes())
			p, err := DialRemote(t.Context(), "rfc2217://"+tt.user+address, RemoteConfig{})
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				p.Close()
				return
			}
			if err == nil {
				p.Close()
				t.Fatal("got in")
			}
			if !strings.Contains(err.Error(), tt.want) || !strings.Contains(cli.HintOf(err), tt.hint) {
				t.Errorf("got %v, hint %q, want %q, %q", err, cli.HintOf(err), tt.want, tt.hint)
			}
			if strings.Contains(err.Error()+cli.HintOf(err), "TOKEN@"+address) {
				t.Errorf("the token is in the error: %v", err)
			}
			if got := len(far.Changes()); got != before {
				t.Errorf("who was kept out has changed the port: %v", far.Changes()[before:])
			}
		})
	}
}

// TestShareRaw: what else may come over the network instead of a client.
func TestShareRaw(t *testing.T) {
	port, far := hiltest.Pipe()
	address, _ := listen(t, ServerConfig{Port: port, Token: "GOODTOKEN", GreetTimeout: 50 * time.Millisecond})
	for _, tt := range []struct{ name, send, want string }{
		{"nothing", "", ""},
		{"half a greeting", greeting + "GOODTO", "denied\n"},
		{"no greeting", "GET / HTTP/1.1\r\n\r\n", "denied\n"},
		{"no end of line", strings.Repeat("x", 10<<10), "denied\n"},
		{"empty token", greeting + "\n", "denied\n"},
		{"token with a return", greeting + "GOODTOKEN\r\n", "denied\n"},
		{"telnet", "\xff\xfb\x2c", ""},
		{"telnet after rubbish", "x\xff\xfb\x2c\n", "denied\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			io.WriteString(conn, tt.send)
			conn.SetReadDeadline(time.Now().Add(10 * time.Second))
			got, err := io.ReadAll(conn)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal("kept waiting")
			}
			// A reset may swallow the answer to more than was read.
			if string(got) != tt.want && len(tt.send) < 1000 {
				t.Errorf("answer %q, want %q", got, tt.want)
			}
		})
	}
	if far.SetReadDeadline(time.Unix(1, 0)); true {
		if n, err := far.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("something reached the board: %d, %v", n, err)
		}
	}
	// The one that comes after them all gets in.
	p, err := DialRemote(t.Context(), "rfc2217://GOODTOKEN@"+address, RemoteConfig{})
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
}

// TestShareOneAtATime: the second client is told, the next one finds the port as
// after an open.
func TestShareOneAtATime(t *testing.T) {
	port, far := hiltest.Pipe()
	address, _ := listen(t, ServerConfig{Port: port, Token: "T"})
	name := "rfc2217://T@" + address
	first, err := DialRemote(t.Context(), name, RemoteConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(first.SetBaud(921600), first.SetLines(true, false)); err != nil {
		t.Fatal(err)
	}
	if _, err := DialRemote(t.Context(), name, RemoteConfig{}); err == nil || !strings.Contains(err.Error(), "another client has the port") {
		t.Errorf("second client: %v", err)
	}
	if err := first.SetLines(false, true); err != nil {
		t.Errorf("the first one was disturbed: %v", err)
	}
	first.Close()
	var second *Remote
	for start := time.Now(); time.Since(start) < 10*time.Second; {
		if second, err = DialRemote(t.Context(), name, RemoteConfig{}); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if dtr, rts, baud := far.State(); dtr || rts || baud != hil.DefaultBaud {
		t.Errorf("found dtr %t, rts %t, %d", dtr, rts, baud)
	}
	for _, c := range far.Changes() {
		if c.DTR != c.RTS && c.Baud != 921600 {
			t.Errorf("a reset that nobody asked for: %v", c)
		}
	}
}

// TestShareUnplugged: the port fails while it is shared.
func TestShareUnplugged(t *testing.T) {
	port, far := hiltest.Pipe()
	address, ended := listen(t, ServerConfig{Port: port, Open: true})
	p, err := DialRemote(t.Context(), "rfc2217://"+address, RemoteConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	gone := errors.New("pulled out")
	far.Unplug(gone)
	if err := <-ended; !errors.Is(err, gone) {
		t.Errorf("server: %v", err)
	}
	if _, err := p.Read(make([]byte, 1)); err == nil {
		t.Error("the client heard nothing of it")
	}
}

// TestShareRefuses: a configuration that cannot work.
func TestShareRefuses(t *testing.T) {
	port, far := hiltest.Pipe()
	for _, token := range []string{"", "a\nb", "a@b", "a:b", "a b", strings.Repeat("a", maxToken+1)} {
		if _, err := NewServer(ServerConfig{Port: port, Token: token}); err == nil {
			t.Errorf("token %.10q was taken", token)
		}
	}
	far.FailLines(io.ErrUnexpectedEOF)
	if _, err := NewServer(ServerConfig{Port: port, Token: "t"}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("over failing lines: %v", err)
	}
	if a, b := NewToken(), NewToken(); len(a) < 20 || a == b {
		t.Errorf("tokens %q and %q", a, b)
	}
}

// TestShareThroughput: a megabyte of boot log through the network, whole.
func TestShareThroughput(t *testing.T) {
	port, far := hiltest.Pipe()
	address, _ := listen(t, ServerConfig{Port: port, Open: true})
	p, err := DialRemote(t.Context(), "rfc2217://"+address, RemoteConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	line := bytes.Repeat([]byte("I (29) boot: \xff\xff\x00 line\r\n"), 40)
	const lines = 1000
	go func() {
		for range lines {
			far.Write(line)
		}
	}()
	p.SetReadDeadline(time.Now().Add(20 * time.Second))
	got := make([]byte, len(line))
	for i := range lines {
		if _, err := io.ReadFull(p, got); err != nil || !bytes.Equal(got, line) {
			t.Fatalf("line %d: %v", i, err)
		}
	}
}

// FuzzParseRemote: no name of a remote port panics, and no error shows a token.
func FuzzParseRemote(f *testing.F) {
	for _, s := range []string{"rfc2217://h", "rfc2217://tok@h:1", "rfc2217://@[::1]:2217", "rfc2217://a:b@h", "rfc2217://%zz@h", "rfc2217:h", "rfc2217://h:port", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		address, _, _, err := parseRemote(s)
		if (err == nil) == (address == "") {
			t.Errorf("%q: address %q, %v", s, address, err)
		}
		if err != nil && len(err.Error()) > 200 {
			t.Errorf("%q is repeated in %v", s, err)
		}
	})
}

// FuzzParseQuery: what is read is written the same way.
func FuzzParseQuery(f *testing.F) {
	for _, s := range []string{"10C4:EA60", "303a:1001:7C:DF:A1", "10c4:ea60:0001@1-1.4:1.0", "10c4:ea60@1-2", ":", "@", "::", "10c4:ea60:@"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q, err := ParseQuery(s)
		if err != nil {
			return
		}
		again, err := ParseQuery(strings.TrimPrefix(q.String(), "usb:"))
		if err != nil || again != q {
			t.Errorf("%q is %+v, written %q, read %+v, %v", s, q, q, again, err)
		}
	})
}
