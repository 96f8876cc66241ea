package sim

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"porthole/internal/devca"
)

// secureServer is a TLS server with sessions that answers every request and keeps
// connections.
func secureServer(t *testing.T) (address string, ca *devca.CA) {
	t.Helper()
	ca, err := devca.New()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{cert}}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				conn.SetDeadline(time.Now().Add(20 * time.Second))
				secure := tls.Server(conn, config)
				r := bufio.NewReader(secure)
				for {
					req, err := http.ReadRequest(r)
					if err != nil {
						return
					}
					io.Copy(io.Discard, req.Body)
					io.WriteString(secure, success)
				}
			})
		}
	})
	t.Cleanup(func() { ln.Close(); serving.Wait() })
	return ln.Addr().String(), ca
}

// tappedLink is a link whose connections are recorded.
func tappedLink(t *testing.T, address string, ca *devca.CA, change func(*Config)) (*Link, *[]*tap) {
	t.Helper()
	var taps []*tap
	cfg := Config{
		Target: Target{TLS: true, Host: "camera.example.org", Port: 443, Path: "/upload", Token: "t"},
		TLS:    &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost"},
		Dial: func(ctx context.Context) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
			taps = append(taps, &tap{Conn: conn})
			return taps[len(taps)-1], err
		},
	}
	change(&cfg)
	link, err := NewLink(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(link.Close)
	return link, &taps
}

func always() bool { return true }

// Templates of the two cores for the name camera.example.org, R for the random
// bytes (esp32-wire 2.3).
var helloTemplates = map[Core][3]string{
	Core2: {"160301012c010001280303", "00009a" + suitesCore2 + "01000065" + "000000170015000012", "000d001600140603060105030501040304010303030102030201" +
		"000a001a00180019001c0018001b00170016001a0015001400130012001d" + "000b00020100" + "00160000" + "00170000" + "00230000"},
	Core3: {"160303012201" + "00011e0303", "0000a2" + suitesCore3 + "01000053" + "000000170015000012", "000a0010000e001d001700180019001a001b001c" +
		"000d000e000c060306010503050104030401" + "000b00020100" + "00160000" + "00170000" + "00230000"},
}

// TestHello: the ClientHello is that of the core to the byte, but for the random
// ones, whose first four count from the start of the board.
func TestHello(t *testing.T) {
	address, ca := secureServer(t)
	for core, want := range helloTemplates {
		t.Run(string(core), func(t *testing.T) {
			for _, profile := range []Profile{Sketch, Firmware} {
				link, taps := tappedLink(t, address, ca, func(c *Config) { c.Core, c.Profile = core, profile })
				if _, err := link.Upload(t.Context(), make([]byte, 2000), always); err != nil {
					t.Fatal(err)
				}
				hello := (*taps)[0].writes[0]
				middle := want[1] + hex.EncodeToString([]byte("camera.example.org"))
				text := hex.EncodeToString(hello)
				head, rest := text[:len(want[0])], text[len(want[0]):]
				random, rest := rest[:64], rest[64:]
				if head != want[0] || rest != middle+want[2] {
					t.Errorf("profile %s: hello\n%s\n%s\nwant\n%s\n%s", profile, head, rest, want[0], middle+want[2])
				}
				if !strings.HasPrefix(random, "0000000") {
					t.Errorf("random bytes %s do not begin with the board's time", random)
				}
			}
		})
	}
}

// TestSession: our firmware offers the last session where it is told to, with the
// shape that the sheet measured; the sketch never does (esp32-wire 2.6).
func TestSession(t *testing.T) {
	address, ca := secureServer(t)
	for _, tt := range []struct {
		name    string
		profile Profile
		resume  bool
		resumed bool
	}{
		{"firmware", Firmware, true, true},
		{"firmware, not told to", Firmware, false, false},
		{"sketch", Sketch, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			link, taps := tappedLink(t, address, ca, func(c *Config) { c.Profile, c.Resume = tt.profile, tt.resume })
			for range 2 {
				if _, err := link.Upload(t.Context(), make([]byte, 2000), always); err != nil {
					t.Fatal(err)
				}
				link.Close()
			}
			if len(*taps) != 2 {
				t.Fatalf("%d connections", len(*taps))
			}
			first, second := (*taps)[0], (*taps)[1]
			if len(first.writes[0]) != 305 {
				t.Errorf("first hello has %d bytes", len(first.writes[0]))
			}
			hello := second.writes[0]
			id := int(hello[5+4+2+32])
			switch {
			case tt.resumed && (id != 32 || second.writes[1][0] != 20):
				t.Errorf("second hello: %d bytes, session id of %d, then a record of type %d", len(hello), id, second.writes[1][0])
			case !tt.resumed && (id != 0 || len(hello) != 305):
				t.Errorf("second hello: %d bytes, session id of %d", len(hello), id)
			}
		})
	}
}

// TestRefusedCertificate: the alerts are those of a board, one for a stranger's
// signature and one for another name; dates are not looked at.
func TestRefusedCertificate(t *testing.T) {
	address, ca := secureServer(t)
	other, err := devca.New()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		tls   *tls.Config
		alert []byte
	}{
		{"stranger", &tls.Config{RootCAs: other.Pool(), ServerName: "localhost"}, []byte{21, 3, 3, 0, 2, 2, 48}},
		{"other name", &tls.Config{RootCAs: ca.Pool(), ServerName: "example.org"}, []byte{21, 3, 3, 0, 2, 2, 42}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			link, taps := tappedLink(t, address, ca, func(c *Config) { c.TLS = tt.tls })
			_, err := link.Upload(t.Context(), make([]byte, 2000), always)
			if err == nil || !strings.Contains(err.Error(), "x509:") {
				t.Fatalf("upload: %v", err)
			}
			writes := (*taps)[0].writes
			if last := writes[len(writes)-1]; !bytes.Equal(last, tt.alert) {
				t.Errorf("the last record is % x, want % x", last, tt.alert)
			}
		})
	}
}

// TestOneWriteOneRecord: also in the handshake every record leaves by itself.
func TestOneWriteOneRecord(t *testing.T) {
	address, ca := secureServer(t)
	link, taps := tappedLink(t, address, ca, func(c *Config) { c.Profile = Firmware })
	for range 3 {
		if _, err := link.Upload(t.Context(), make([]byte, 9000), always); err != nil {
			t.Fatal(err)
		}
	}
	if len(*taps) != 1 {
		t.Fatalf("%d connections for three frames", len(*taps))
	}
	for i, w := range (*taps)[0].writes {
		if n := int(w[3])<<8 | int(w[4]); len(w) != n+recordHeader {
			t.Errorf("write %d of %d bytes holds a record of %d", i, len(w), n)
		}
	}
	// Hello, key exchange, change of cipher, finished; then 1+3+1 records a frame.
	if n := len((*taps)[0].writes); n != 4+3*5 {
		t.Errorf("%d records", n)
	}
}

// TestCutBetweenRecords: at whatever record the power goes, nothing more is sent
// and the connection is gone.
func TestCutBetweenRecords(t *testing.T) {
	address, ca := secureServer(t)
	for cut := range 5 {
		link, taps := tappedLink(t, address, ca, func(c *Config) { c.Profile = Firmware })
		asked := 0
		_, err := link.Upload(t.Context(), make([]byte, 9000), func() bool { asked++; return asked <= cut })
		if !errors.Is(err, errCut) {
			t.Errorf("cut at record %d: %v", cut, err)
		}
		if n := len((*taps)[0].writes) - 4; n != cut || link.conn != nil {
			t.Errorf("cut at record %d: %d records were sent, connection kept: %v", cut, n, link.conn != nil)
		}
	}
}
