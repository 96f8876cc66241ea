package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"image"
	"image/jpeg"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"porthole/internal/devca"
	"porthole/server"
)

// process is `porthole serve` as a process of its own.
type process struct {
	*watched
	cmd    *exec.Cmd
	tokens string
}

// spawn runs `porthole serve` with a token file that has one token, in the
// environment env, with the files as descriptors 3, 4, … It is killed at the end
// of the test if it still runs.
func spawn(t *testing.T, env []string, files []*os.File, args ...string) *process {
	t.Helper()
	dir := t.TempDir()
	p := &process{watched: &watched{news: make(chan struct{}, 1)}, tokens: filepath.Join(dir, "tokens")}
	if _, err := server.AddToken(p.tokens, "porch"); err != nil {
		t.Fatal(err)
	}
	// The shell's process number becomes the server's.
	p.cmd = exec.Command("/bin/sh", append([]string{"-c", `LISTEN_PID=$$ exec "$0" "$@"`, "porthole", "serve", "--tokens", p.tokens}, args...)...)
	p.cmd.Env = append(append(os.Environ(), "XDG_STATE_HOME="+dir), env...)
	p.cmd.ExtraFiles = files
	p.cmd.Stderr = p.watched
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		p.cmd.Wait()
		if t.Failed() {
			t.Logf("the server said:\n%s", p.text.String())
		}
	})
	return p
}

// end asks the process to end and waits until it has.
func (p *process) end(t *testing.T) {
	t.Helper()
	p.cmd.Process.Signal(syscall.SIGTERM)
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("end: %v", err)
	}
}

// socket returns a listener's address and its descriptor, for another process.
func socket(t *testing.T) (string, *os.File) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return ln.Addr().String(), f
}

// manager receives notifications as systemd does.
func manager(t *testing.T) (path string, next func() string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return path, func() string {
		var b [512]byte
		conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		n, _, err := conn.ReadFrom(b[:])
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
}

// TestService is the life of a service under systemd: sockets are handed over,
// readiness, a reload that is refused and one that is not, the watchdog, and a
// drained end.
func TestService(t *testing.T) {
	https, a := socket(t)
	redirect, b := socket(t)
	admin, c := socket(t)
	notify, next := manager(t)
	p := spawn(t, []string{
		"LISTEN_FDS=3", "LISTEN_FDNAMES=listen:redirect:admin", "NOTIFY_SOCKET=" + notify, "WATCHDOG_USEC=60000000",
		"PORTHOLE_ADMIN_TOKEN=a-long-token-of-the-operator",
	}, []*os.File{a, b, c}, "--dev", "--drain", "2s", "--period", "50ms")

	seen := map[string]bool{}
	for !seen["READY=1\nSTATUS=serving"] || !seen["WATCHDOG=1"] {
		seen[next()] = true
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	get := func(url string) (int, string) {
		t.Helper()
		resp, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode, resp.Header.Get("Location")
	}
	if status, _ := get("https://" + https + "/readyz"); status != 200 {
		t.Errorf("ready: %d", status)
	}
	_, port, _ := net.SplitHostPort(https)
	if status, to := get("http://" + redirect + "/x"); status != 301 || to != "https://127.0.0.1:"+port+"/x" {
		t.Errorf("redirect: %d to %q", status, to)
	}
	if status, _ := get("http://" + admin + "/admin/truth"); status != 401 {
		t.Errorf("private side without a token: %d", status)
	}

	ask := func(args ...string) (string, error) {
		out, err := exec.Command("porthole", append(args, "--admin", admin, "--admin-token", "a-long-token-of-the-operator")...).CombinedOutput()
		return string(out), err
	}
	good, err := os.ReadFile(p.tokens)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.tokens, []byte("nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := ask("reload")
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 || !strings.Contains(out, "reload refused, everything stays as it was: tokens: ") || !strings.Contains(out, "line 1") {
		t.Errorf("reload of nonsense: %v\n%s", err, out)
	}
	if err := os.WriteFile(p.tokens, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := server.AddToken(p.tokens, "desk"); err != nil {
		t.Fatal(err)
	}
	if out, err := ask("reload"); err != nil || !strings.Contains(out, "tokens of 2 cameras") {
		t.Errorf("reload: %v\n%s", err, out)
	}
	for _, want := range []string{"RELOADING=1", "READY=1\nSTATUS=serving", "RELOADING=1", "READY=1\nSTATUS=serving"} {
		got := next()
		for got == "WATCHDOG=1" {
			got = next()
		}
		if got != want {
			t.Errorf("service manager was told %q, want %q", got, want)
		}
	}
	p.cmd.Process.Signal(syscall.SIGHUP)
	p.find(t, `(?s)reloaded: tokens of 2 cameras.*(reloaded: tokens of 2 cameras)`)
	if out, err := ask("ask", "server.mode", "mode=replay"); err != nil || out != "public mode: replay\n" {
		t.Errorf("ask: %v\n%s", err, out)
	}
	if out, err := ask("ask", "list"); err != nil || !strings.Contains(out, "server.reload\n") {
		t.Errorf("ask list: %v\n%s", err, out)
	}

	p.cmd.Process.Signal(syscall.SIGTERM)
	p.find(t, `(draining)`)
	if status, _ := get("https://" + https + "/readyz"); status != 503 {
		t.Errorf("ready while draining: %d", status)
	}
	if status, _ := get("https://" + https + "/latest"); status != 200 {
		t.Errorf("picture while draining: %d", status)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("end: %v", err)
	}
}

// upload posts a picture and returns the status.
func upload(t *testing.T, client *http.Client, url, token string) int {
	t.Helper()
	var picture bytes.Buffer
	if err := jpeg.Encode(&picture, image.NewGray(image.Rect(0, 0, 64, 48)), nil); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequest("POST", url+"/upload", &picture)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "image/jpeg")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp.StatusCode
}

// TestReload: a token that was retired stops working with a reload and not
// before, one that was made begins to; certificates likewise.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_STATE_HOME", dir)
	tokens, cert, key := filepath.Join(dir, "tokens"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	old, err := server.AddToken(tokens, "porch")
	if err != nil {
		t.Fatal(err)
	}
	first := writeCertificate(t, cert, key)
	out := serve(t, "--cert", cert, "--key", key, "--tokens", tokens)
	https := out.find(t, `url=(https://127\.0\.0\.1:\d+)/`)
	admin := out.find(t, `url=(http://127\.0\.0\.1:\d+)/admin`)
	client := func() *http.Client {
		return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	}
	shown := func() *x509.Certificate {
		t.Helper()
		conn, err := tls.Dial("tcp", strings.TrimPrefix(https, "https://"), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0]
	}
	reload := func() (int, string) {
		t.Helper()
		resp, err := http.Post(admin+"/admin/commands", "application/json", strings.NewReader(`{"name":"server.reload"}`))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var reply struct{ Text, Error string }
		if err := json.NewDecoder(resp.Body).Decode(&reply); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, reply.Text + reply.Error
	}
	fresh, err := server.AddToken(tokens, "porch")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.RetireTokens(tokens, "porch", false); err != nil {
		t.Fatal(err)
	}
	second := writeCertificate(t, cert, key)
	want := func(when string, oldStatus, freshStatus int, cert *x509.Certificate) {
		t.Helper()
		if got := upload(t, client(), https, old); got != oldStatus {
			t.Errorf("%s: the old token gets %d, want %d", when, got, oldStatus)
		}
		if got := upload(t, client(), https, fresh); got != freshStatus {
			t.Errorf("%s: the new token gets %d, want %d", when, got, freshStatus)
		}
		if !shown().Equal(cert) {
			t.Errorf("%s: the wrong certificate", when)
		}
	}
	want("before the reload", 200, 401, first)

	// One bad file keeps everything as it was, also the tokens, which are good.
	good, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, text := reload(); status != http.StatusConflict || !strings.Contains(text, "everything stays as it was: certificate: ") {
		t.Errorf("bad key: %d %s", status, text)
	}
	want("after a refused reload", 200, 401, first)
	if err := os.WriteFile(key, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if status, text := reload(); status != 200 || !strings.Contains(text, "reloaded: tokens of 1 camera, certificate until ") {
		t.Errorf("reload: %d %s", status, text)
	}
	want("after the reload", 401, 200, second)
	// A file without the public camera's tokens would lock it out.
	if err := os.WriteFile(tokens, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if status, text := reload(); status != http.StatusConflict || !strings.Contains(text, "is empty") {
		t.Errorf("no tokens: %d %s", status, text)
	}
	want("after a refused reload of no tokens", 401, 200, second)
}

// writeCertificate writes a certificate of localhost and its key, and returns it.
func writeCertificate(t *testing.T, cert, key string) *x509.Certificate {
	t.Helper()
	ca, err := devca.New()
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	var chain []byte
	for _, c := range pair.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c})...)
	}
	for path, content := range map[string][]byte{cert: chain, key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}
