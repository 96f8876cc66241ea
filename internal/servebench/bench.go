package main

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	_ "embed"

	"porthole/internal/devca"
	"porthole/internal/scene"
)

//go:embed feedload/feedload.c
var feedloadC []byte

// bench is the folder with all that the servers and the clients need.
type bench struct {
	dir      string // in memory
	self     string // this program
	feedload string
	pinned   bool
}

// newBench makes the picture, a certificate and the load client.
func newBench(ctx context.Context) (_ *bench, err error) {
	base := "/dev/shm"
	if _, err := os.Stat(base); err != nil {
		base = os.TempDir()
	}
	b := &bench{}
	if b.dir, err = os.MkdirTemp(base, "servebench"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	if b.self, err = os.Executable(); err != nil {
		return nil, err
	}
	for _, tool := range []string{"nginx", "h2load", "taskset", "gcc"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, fmt.Errorf("%s is missing: make bench-serve installs it on Debian", tool)
		}
	}
	sc, err := scene.New(scene.Config{Seed: 1})
	if err != nil {
		return nil, err
	}
	shot := sc.JPEG(1, 0)
	loop := filepath.Join(b.dir, "loop")
	if err := os.Mkdir(loop, 0o755); err != nil {
		return nil, err
	}
	if err := os.Chmod(b.dir, 0o755); err != nil { // nginx's worker may be somebody else
		return nil, err
	}
	ca, err := devca.New()
	if err != nil {
		return nil, err
	}
	pair, err := ca.Certificate()
	if err != nil {
		return nil, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		return nil, err
	}
	var chain []byte
	for _, der := range pair.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	for name, data := range map[string][]byte{
		"latest": shot, "loop/1.jpg": shot, "cert.pem": chain, "feedload.c": feedloadC,
		"key.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
	} {
		if err := os.WriteFile(filepath.Join(b.dir, name), data, 0o644); err != nil {
			return nil, err
		}
	}
	b.feedload = filepath.Join(b.dir, "feedload")
	if out, err := exec.CommandContext(ctx, "gcc", "-O2", "-o", b.feedload, b.feedload+".c", "-lssl", "-lcrypto").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("compile the load client (libssl-dev has the headers): %w\n%s", err, out)
	}
	return b, nil
}

func (b *bench) close() { os.RemoveAll(b.dir) }

// process is a running server.
type process struct {
	port  int
	pids  []int
	stop  func()
	ask   io.Writer
	lines *bufio.Reader
}

// serverOptions say how a server is started.
type serverOptions struct {
	kind       string
	tls, http2 bool
	period     time.Duration
	admin      bool
	cpu        string // that it is pinned to; empty for all
}

// start runs a server until the returned process is stopped.
func (b *bench) start(ctx context.Context, o serverOptions) (*process, error) {
	if o.kind == nginx {
		return b.startNginx(ctx, o)
	}
	args := []string{"serve", "-kind", o.kind, "-dir", b.dir, "-tls=" + strconv.FormatBool(o.tls), "-h2=" + strconv.FormatBool(o.http2),
		"-admin=" + strconv.FormatBool(o.admin), "-period", o.period.String()}
	cmd := pin(ctx, o.cpu, b.self, args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{pids: []int{cmd.Process.Pid}, ask: in, lines: bufio.NewReader(out)}
	p.stop = func() { cmd.Process.Signal(syscall.SIGKILL); cmd.Wait() }
	line, err := p.lines.ReadString('\n')
	if err == nil {
		_, err = fmt.Sscanf(line, "ready %d", &p.port)
	}
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("start %s: %w", o.kind, err)
	}
	return p, nil
}

// pin returns a command that runs on one processor, or on all.
func pin(ctx context.Context, cpu, name string, args ...string) *exec.Cmd {
	if cpu == "" {
		return exec.CommandContext(ctx, name, args...)
	}
	return exec.CommandContext(ctx, "taskset", append([]string{"-c", cpu, name}, args...)...)
}

// state asks one of our servers how it is.
func (p *process) state() (s state, err error) {
	if _, err := io.WriteString(p.ask, "\n"); err != nil {
		return s, err
	}
	line, err := p.lines.ReadBytes('\n')
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(line, &s)
}

// memory returns a field of /proc/PID/status in kB, added up.
func (p *process) memory(field string) (kb int, err error) {
	for _, pid := range p.pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return 0, err
		}
		_, rest, ok := strings.Cut(string(text), field+":")
		var n int
		if _, err := fmt.Sscanf(rest, "%d", &n); !ok || err != nil {
			return 0, fmt.Errorf("no %s of process %d", field, pid)
		}
		kb += n
	}
	return kb, nil
}

func (p *process) pidList() string {
	var s []string
	for _, pid := range p.pids {
		s = append(s, strconv.Itoa(pid))
	}
	return strings.Join(s, ",")
}

// load is one run of the load client.
type load struct {
	tls, busy, conditional bool
	conns                  int
	rate                   float64 // of each connection; 0 as fast as it can
	warmup, window         time.Duration
	cpu                    string
}

// figures are what the load client saw.
type figures struct {
	Requests   uint64
	Seconds    float64
	CPUSeconds float64 `json:"cpu_seconds"`
	Bytes      uint64
	Failed     uint64
	Bad        uint64
	Skipped    uint64
	P50        float64 `json:"p50_us"`
	P99        float64 `json:"p99_us"`
	Answer     int     `json:"answer_bytes"`
}

// micros is the server's CPU time per request.
func (f figures) micros() float64 { return f.CPUSeconds / float64(f.Requests) * 1e6 }

func (f figures) rate() float64 { return float64(f.Requests) / f.Seconds }

func (l load) args(p *process) []string {
	args := []string{"-p", strconv.Itoa(p.port), "-c", strconv.Itoa(l.conns), "-w", fmt.Sprint(l.warmup.Seconds()), "-t", fmt.Sprint(l.window.Seconds()), "-P", p.pidList()}
	if l.tls {
		args = append(args, "-T")
	}
	if l.busy {
		args = append(args, "-b")
	}
	if l.conditional {
		args = append(args, "-n")
	}
	if l.rate > 0 {
		args = append(args, "-r", fmt.Sprint(l.rate))
	}
	return args
}

// load runs the client against a server.
func (b *bench) load(ctx context.Context, p *process, l load) (f figures, err error) {
	cmd := pin(ctx, l.cpu, b.feedload, l.args(p)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return f, fmt.Errorf("load: %w", err)
	}
	if err := json.Unmarshal(out, &f); err != nil {
		return f, fmt.Errorf("load: %w: %s", err, out)
	}
	if f.Requests == 0 {
		return f, errNothing
	}
	if f.Bad > 0 || f.Failed > 0 {
		return f, fmt.Errorf("load: %d requests, %d failed, %d wrong answers", f.Requests, f.Failed, f.Bad)
	}
	return f, nil
}

// idle opens connections that ask once and stay until the returned function is
// called.
func (b *bench) idle(ctx context.Context, p *process, secure bool, conns int) (leave func(), err error) {
	args := []string{"-i", "-p", strconv.Itoa(p.port), "-c", strconv.Itoa(conns)}
	if secure {
		args = append(args, "-T")
	}
	cmd := exec.CommandContext(ctx, b.feedload, args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	leave = func() { in.Close(); cmd.Wait() }
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		leave()
		return nil, fmt.Errorf("%d idle connections: %q %w", conns, line, err)
	}
	return leave, nil
}

// freePort returns a port that was free a moment ago, for a server that cannot
// choose one itself.
func freePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil
}

var (
	errGate    = errors.New("a gate was missed")
	errNothing = errors.New("nothing was answered within the window")
)
