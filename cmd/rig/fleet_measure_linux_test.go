package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"porthole/internal/devca"
	"porthole/internal/scene"
	"porthole/server"
	"porthole/server/picture"
	"porthole/sim"
)

// fleetServerEnv makes the test binary a server for a measurement.
const fleetServerEnv = "RIG_TEST_FLEET_SERVER"

// fleetTokens is how many cameras the server of a measurement knows: the public one,
// whose pictures it does not decode here. The boards are what is measured.
const fleetTokens = 1

// TestFleetServer is no test: it is the server process of TestMeasureFleet. It
// writes its root certificate and its address, and ends with its input.
func TestFleetServer(t *testing.T) {
	if os.Getenv(fleetServerEnv) == "" {
		return
	}
	ca, err := devca.New()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	var list strings.Builder
	for i := range fleetTokens {
		fmt.Fprintf(&list, "c%d %s\n", i, tokenHash(fmt.Sprint("token-", i)))
	}
	tokens, err := server.ReadTokens(strings.NewReader(list.String()))
	if err != nil {
		t.Fatal(err)
	}
	loop, err := server.EmbeddedLoop()
	if err != nil {
		t.Fatal(err)
	}
	srv, err := server.New(server.Config{Tokens: tokens, Loop: loop, MaxUploads: 256, Pipeline: picture.PassThrough(),
		Serving: server.Serving{MaxConnsPerAddr: -1}})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		bufio.NewReader(os.Stdin).ReadString('\n') // until the other end is gone
		stop()
	}()
	fmt.Printf("%s\nADDRESS %s\n", ca.RootPEM, ln.Addr())
	if err := srv.Run(ctx, tls.NewListener(ln, server.TLS(cert))); err != nil {
		t.Fatal(err)
	}
}

// TestMeasureFleet prints what simulated boards cost at one picture of 25 kB every
// two seconds, over TLS to the server in another process: processor time and memory
// of a board, bytes on the wire. It asserts that pictures arrive, not how fast.
func TestMeasureFleet(t *testing.T) {
	boards, length := 20, 4*time.Second
	if os.Getenv("PORTHOLE_LONG") != "" {
		boards, length = 1000, 20*time.Second
	}
	sc, err := scene.New(scene.Config{Seed: 1, Epoch: time.Unix(0, 0), Interval: sim.DefaultInterval, Quality: 13})
	if err != nil {
		t.Fatal(err)
	}
	frame := sc.JPEG(1, 0)
	for _, profile := range []sim.Profile{sim.Firmware, sim.Sketch} {
		n := boards
		if profile == sim.Sketch {
			n = max(boards/5, 1) // a full handshake a picture, on both sides
		}
		t.Run(fmt.Sprintf("%s-%d", profile, n), func(t *testing.T) { measureFleet(t, profile, n, length, frame) })
	}
}

func measureFleet(t *testing.T, profile sim.Profile, boards int, length time.Duration, frame []byte) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestFleetServer$", "-test.timeout", "10m")
	cmd.Env = append(os.Environ(), fleetServerEnv+"=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { stdin.Close(); cmd.Wait() }()
	var root strings.Builder
	address := ""
	for lines := bufio.NewScanner(stdout); address == "" && lines.Scan(); {
		if a, ok := strings.CutPrefix(lines.Text(), "ADDRESS "); ok {
			address = a
		} else {
			fmt.Fprintln(&root, lines.Text())
		}
	}
	file := t.TempDir() + "/ca.pem"
	if err := os.WriteFile(file, []byte(root.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	roots, err := loadRoots(file)
	if err != nil {
		t.Fatal(err)
	}
	target, err := sim.ParseTarget("https://"+address, "token-0")
	if err != nil {
		t.Fatal(err)
	}
	var tokens []string
	for i := range fleetTokens {
		tokens = append(tokens, fmt.Sprint("token-", i))
	}
	var wire atomic.Int64
	dial := dialer(address)
	before := memory()
	f, err := newFleet(fleetConfig{
		sim: sim.Config{Target: target, TLS: trusting(roots), Profile: profile, Dial: func(ctx context.Context) (net.Conn, error) {
			conn, err := dial(ctx)
			return &meteredConn{conn, &wire}, err
		}},
		tokens: tokens, boards: boards, seed: 1,
		source: sourceFunc(func(context.Context, uint64, time.Duration) ([]byte, error) { return frame, nil }),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), length+3*time.Second)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- f.run(ctx) }()
	<-time.After(3 * time.Second) // every board has its connection
	ours, theirs, sent, uploads := cpu(t, os.Getpid()), cpu(t, cmd.Process.Pid), wire.Load(), f.uploads.Load()
	began := time.Now()
	after := memory()
	<-time.After(length - 100*time.Millisecond)
	took := time.Since(began)
	ours, theirs, sent, uploads = cpu(t, os.Getpid())-ours, cpu(t, cmd.Process.Pid)-theirs, wire.Load()-sent, f.uploads.Load()-uploads
	if err := <-done; err != nil {
		t.Error(err)
	}
	if uploads == 0 || f.failed.Load() > uint64(boards) {
		t.Fatalf("%d uploads, %d failed", uploads, f.failed.Load())
	}
	perUpload := ours / time.Duration(uploads)
	t.Logf("%d boards of profile %s for %v: %.0f uploads/s of %.1f kB, %d failed; %v of processor time an upload, %.0f boards a core, server %v an upload; %.1f kB of memory a board; %.2f MB/s on the wire",
		boards, profile, took.Round(time.Second), float64(uploads)/took.Seconds(), float64(len(frame))/1000, f.failed.Load(),
		perUpload.Round(time.Microsecond), float64(sim.DefaultInterval)/float64(perUpload), (theirs / time.Duration(uploads)).Round(time.Microsecond),
		float64(after-before)/float64(boards)/1000, float64(sent)/took.Seconds()/1e6)
}

// memory is what the process holds on heap and stacks after a collection.
func memory() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

// cpu is the processor time that a process has used.
func cpu(t *testing.T, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var ticks int64
	for _, f := range fields[11:13] { // utime and stime, in hundredths of a second
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	if pid == os.Getpid() {
		// Finer where the kernel tells.
		var u syscall.Rusage
		if syscall.Getrusage(syscall.RUSAGE_SELF, &u) == nil {
			return time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// meteredConn counts what is written and read.
type meteredConn struct {
	net.Conn
	n *atomic.Int64
}

func (c *meteredConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.n.Add(int64(n))
	return n, err
}

func (c *meteredConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.n.Add(int64(n))
	return n, err
}
