package sim

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"porthole/internal/devca"
	"porthole/internal/wire"
	"porthole/internal/wire/wiretest"
)

// tap records what is written to a connection.
type tap struct {
	net.Conn
	mu     sync.Mutex
	writes [][]byte
}

func (c *tap) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.writes = append(c.writes, slices.Clone(p))
	c.mu.Unlock()
	return c.Conn.Write(p)
}

// Application data; the other types are those of records.go.
const recordApplication = 23

// applicationRecords returns the length field of each application-data record
// and fails unless every one of them was a write of its own.
func (c *tap) applicationRecords(t *testing.T) []int {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	var lengths []int
	for i, w := range c.writes {
		for rest := w; len(rest) > 0; {
			if len(rest) < 5 {
				t.Fatalf("write %d: half a record", i)
			}
			n := int(binary.BigEndian.Uint16(rest[3:]))
			if len(rest) < 5+n {
				t.Fatalf("write %d: a record of %d bytes is cut", i, n)
			}
			switch rest[0] {
			case recordApplication:
				lengths = append(lengths, n)
				if len(w) != 5+n {
					t.Errorf("write %d holds %d bytes, its record %d: not one record a write", i, len(w), 5+n)
				}
			case recordAlert:
				t.Errorf("write %d: an alert; the board closes without close_notify", i)
			}
			rest = rest[5+n:]
		}
	}
	return lengths
}

// TestRecordsOnTheWire uploads over real TLS and compares the record lengths
// with the shared vectors.
func TestRecordsOnTheWire(t *testing.T) {
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
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				secure := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert}})
				secure.SetDeadline(time.Now().Add(10 * time.Second))
				r := bufio.NewReader(secure)
				req, err := http.ReadRequest(r)
				if err != nil {
					t.Errorf("read request: %v", err)
					return
				}
				if req.Host == "" || req.Header.Get("Authorization") == "" {
					t.Errorf("request without host or token: %v", req.Header)
				}
				// Up to the close-delimiter: the defect announces more than it sends.
				if _, err := wire.ReadUpload(req.Body, req.Header.Get("Content-Type"), wire.FieldName, wire.ReadLimits{}); err != nil && !strings.Contains(err.Error(), "EOF") {
					t.Errorf("read upload: %v", err)
				}
				io.WriteString(secure, success)
			})
		}
	})
	defer serving.Wait()
	defer ln.Close()

	for _, v := range wiretest.Load(t, "../internal/wire/testdata/vectors") {
		t.Run(v.Name, func(t *testing.T) {
			target := Target{TLS: true, Host: strings.TrimSuffix(v.Host, ":8443"), Port: 443, Path: v.Path, Token: v.Token}
			if strings.HasSuffix(v.Host, ":8443") {
				target.Port = 8443
			}
			image := v.Image
			if v.Profile == "firmware" && len(image) >= minFrame {
				// Our firmware sends what passes for a picture only.
				image = slices.Clone(image)
				copy(image, "\xff\xd8")
				copy(image[len(image)-2:], "\xff\xd9")
			} else if v.Profile == "firmware" {
				return // too small for our firmware; the writer has its own test
			}
			var line *tap
			cam, err := New(Config{
				Target: target, Source: fixed(image), Frames: 1, Profile: Profile(v.Profile),
				Sketch: wire.SketchOptions{FixLastKB: !v.DropLastKB},
				Dial: func(ctx context.Context) (net.Conn, error) {
					conn, err := new(net.Dialer).DialContext(ctx, "tcp", ln.Addr().String())
					line = &tap{Conn: conn}
					return line, err
				},
				// The certificate is loopback's; the name on the wire is the vector's.
				TLS: &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost"},
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := cam.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			// The first record is the encrypted Finished, a handshake record.
			if got := line.applicationRecords(t); !slices.Equal(got, v.Records) {
				t.Errorf("record lengths\n got %v\nwant %v", got, v.Records)
			}
		})
	}
}

type fixed []byte

func (f fixed) Next(context.Context, uint64, time.Duration) ([]byte, error) { return f, nil }
