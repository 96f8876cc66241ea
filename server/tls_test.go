package server

import (
	"crypto/tls"
	"io"
	"net"
	"testing"

	"porthole/internal/devca"
)

// handshake lets a client and a server with the given settings meet and returns
// what the client saw. One byte from the server makes sure that the client read
// its ticket.
func handshake(t *testing.T, server, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer b.Close()
		conn := tls.Server(b, server)
		if conn.Handshake() == nil {
			conn.Write([]byte{1})
			io.Copy(io.Discard, conn)
		}
	}()
	conn := tls.Client(a, client)
	_, err := conn.Read(make([]byte, 1))
	state := conn.ConnectionState()
	conn.Close()
	a.Close()
	<-done
	return state, err
}

func TestTLS(t *testing.T) {
	ca, err := devca.New()
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	one, both := TLS(pair), TLSWith(func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &pair, nil }, "h2", "http/1.1")
	browser := []string{"h2", "http/1.1"}
	for _, tt := range []struct {
		name     string
		server   *tls.Config
		client   *tls.Config
		protocol string
		group    tls.CurveID // 0: not looked at
		refused  bool
	}{
		{"a browser gets HTTP/1.1", one, &tls.Config{NextProtos: browser}, "http/1.1", tls.X25519, false},
		{"a browser gets HTTP/2 where it is offered", both, &tls.Config{NextProtos: browser}, "h2", 0, false},
		{"a client without ALPN", both, &tls.Config{}, "", 0, false},
		// Arduino core 2.0.x: TLS 1.2, its largest group first (esp32-wire 2.6).
		{"the board gets its fastest group", one, &tls.Config{MaxVersion: tls.VersionTLS12, CurvePreferences: []tls.CurveID{tls.CurveP521, tls.CurveP384, tls.CurveP256}}, "", tls.CurveP256, false},
		{"no group in common", one, &tls.Config{CurvePreferences: []tls.CurveID{tls.CurveP521}}, "", 0, true},
		{"TLS 1.1 is too old", one, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, "", 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.client.RootCAs, tt.client.ServerName = ca.Pool(), "localhost"
			state, err := handshake(t, tt.server, tt.client)
			if (err != nil) != tt.refused {
				t.Fatalf("error %v", err)
			}
			if !tt.refused && (state.NegotiatedProtocol != tt.protocol || tt.group != 0 && state.CurveID != tt.group) {
				t.Errorf("protocol %q, group %v", state.NegotiatedProtocol, state.CurveID)
			}
		})
	}
}

// TestTLSResumes: a board and a browser that come again shake hands with a
// ticket, also after the certificate was renewed.
func TestTLSResumes(t *testing.T) {
	ca, err := devca.New()
	if err != nil {
		t.Fatal(err)
	}
	var pair tls.Certificate
	renew := func() {
		if pair, err = ca.Certificate(); err != nil {
			t.Fatal(err)
		}
	}
	renew()
	settings := TLSWith(func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &pair, nil })
	for name, version := range map[string]uint16{"board": tls.VersionTLS12, "browser": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			client := &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost", MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
			for visit, want := range []bool{false, true, true} {
				if visit == 2 {
					renew()
				}
				state, err := handshake(t, settings, client)
				if err != nil || state.DidResume != want {
					t.Errorf("visit %d: resumed %v, want %v; %v", visit+1, state.DidResume, want, err)
				}
			}
		})
	}
}
