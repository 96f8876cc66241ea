package conformance

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"testing"
	"time"

	"porthole/internal/boardcfg"
	"porthole/internal/wire"
	"porthole/server"
	"porthole/sim"
)

// closing is a server that takes every frame and ends the connection behind it.
func closing(*server.Server) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Connection", "close")
		w.Header().Set("Content-Type", wire.ReplyType)
		io.WriteString(w, "{}")
	})
}

// TestSessions: where sessions are asked for, porthole-fw and the simulator offer
// the last one alike, and a resumed handshake has no key exchange (esp32-wire 2.6).
func TestSessions(t *testing.T) {
	fw := hostFirmware(t)
	frame := sized(t, 3000)
	shape := func(captures []*capture) (s string) {
		for _, c := range captures {
			s += fmt.Sprintf("hello of %d bytes, session id of %d:", len(c.hello), c.hello[43])
			for _, r := range c.records {
				s += fmt.Sprintf(" %d/%d", r.kind, r.length)
			}
			s += "\n"
		}
		return s
	}
	b := newFWBench(t, closing)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, fw, "--nvs", settings(t, b, nil), "--camera", pictures(t, frame), "--frames", "2", "--resume").CombinedOutput()
	if err != nil {
		t.Fatalf("porthole-fw: %v\n%s", err, out)
	}
	host := b.take()
	camera, err := sim.New(sim.Config{
		Target: sim.Target{TLS: true, Host: "localhost", Port: b.port, Path: "/upload", Token: b.token},
		Dial: func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", b.port))
		},
		TLS: &tls.Config{RootCAs: b.ca.Pool()}, Source: still(frame), Profile: sim.Firmware, Resume: true,
		Interval: boardcfg.MinInterval, Frames: 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := camera.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	simulated := b.take()
	if left, right := shape(host), shape(simulated); left != right {
		t.Errorf("not the same on the wire:\n%s", beside("porthole-fw", left, "simulator", right))
	}
	if len(host) != 2 {
		t.Fatalf("%d connections", len(host))
	}
	first, second := host[0].records, host[1].records
	// Hello, key exchange, change of cipher, finished; resumed without the second.
	if first[1].kind != 22 || first[2].kind != 20 || second[1].kind != 20 || second[2].kind != 22 || host[1].hello[43] != 32 {
		t.Errorf("handshakes:\n%s", shape(host))
	}
}

// still is a source of one picture.
type still []byte

func (s still) Next(context.Context, uint64, time.Duration) ([]byte, error) { return s, nil }
