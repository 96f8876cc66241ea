package deploy

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"porthole/internal/devca"
)

// binary builds the server as the container does.
func binary(t *testing.T, path string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s", "-o", path, "./cmd/porthole")
	cmd.Dir, cmd.Env = "..", append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// replace replaces each old text, which must be there.
func replace(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("the file no longer has %q", pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// TestUnit lets systemd look at its files, and at how exposed the service is.
func TestUnit(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "porthole")
	binary(t, program)
	var files []string
	for _, name := range []string{"porthole.service", "porthole.socket", "porthole-redirect.socket"} {
		text := read(t, name)
		if name == "porthole.service" {
			text = replace(t, text, "/usr/local/bin/porthole", program)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
	}
	if out := run(t, "systemd-analyze", append([]string{"verify", "--man=no"}, files...)...); strings.Contains(out, dir) {
		t.Errorf("systemd-analyze verify: %s", out)
	}
	out := run(t, "systemd-analyze", "security", "--offline=true", "--threshold=20", files[0])
	m := regexp.MustCompile(`Overall exposure level for porthole.service: (\S+)`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("systemd-analyze security: %s", out)
	}
	t.Logf("exposure %s of 10, 2.0 allowed", m[1])

	// Each socket takes the place of a flag that there is.
	help := run(t, program, "serve", "--help")
	for _, name := range files[1:] {
		flag := regexp.MustCompile(`(?m)^FileDescriptorName=(.*)$`).FindStringSubmatch(read(t, filepath.Base(name)))
		if flag == nil || !strings.Contains(help, "--"+flag[1]+"=HOST:PORT") {
			t.Errorf("%s is for no flag: %q", filepath.Base(name), flag)
		}
	}
}

// started is a server of the built binary on free ports.
type started struct {
	url map[string]string // by what the log calls it: https, http
	log bytes.Buffer
}

// serve runs the command until the end of the test and reads where it listens.
func serve(t *testing.T, cmd *exec.Cmd, listeners int) *started {
	t.Helper()
	s := &started{url: map[string]string{}}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		r.Close()
		if t.Failed() {
			t.Logf("the server said:\n%s", s.log.String())
		}
	})
	r.SetReadDeadline(time.Now().Add(30 * time.Second))
	public := regexp.MustCompile(`url=(https?)://([0-9.:]+)/\n`)
	var b [4096]byte
	for len(s.url) < listeners {
		n, err := r.Read(b[:])
		s.log.Write(b[:n])
		for _, m := range public.FindAllStringSubmatch(s.log.String(), -1) {
			s.url[m[1]] = m[2]
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, s.log.String())
		}
	}
	r.SetReadDeadline(time.Time{})
	go io.Copy(io.Discard, r)
	return s
}

// get asks until the answer has the status, for at most 20 s.
func get(t *testing.T, client *http.Client, url string, status int, header ...string) (http.Header, []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := client.Do(req)
		if err == nil {
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode == status {
				return resp.Header, body
			}
			err = errors.New(resp.Status)
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %v", url, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// TestContainer runs the binary in a root that holds what the container holds,
// as the container's user.
func TestContainer(t *testing.T) {
	file := read(t, "Containerfile")
	for _, want := range []string{"FROM scratch", "USER 65532:65532", `ENTRYPOINT ["/porthole"]`, "ENV XDG_STATE_HOME=/state", "CGO_ENABLED=0"} {
		if !strings.Contains(file, want) {
			t.Errorf("Containerfile lacks %q", want)
		}
	}
	root := t.TempDir()
	binary(t, filepath.Join(root, "porthole"))
	if err := os.MkdirAll(filepath.Join(root, "state", "porthole"), 0o700); err != nil {
		t.Fatal(err)
	}
	in := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), "/porthole", args...)
		cmd.Dir, cmd.Env = "/", []string{"XDG_STATE_HOME=/state"}
		cmd.SysProcAttr = contained(t, root, 65532)
		return cmd
	}
	out, err := in("token", "new", "porch").CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("stored the hash")) {
		t.Fatalf("token new: %v\n%s", err, out)
	}
	s := serve(t, in("serve", "--dev", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"), 1)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	if _, body := get(t, client, "https://"+s.url["https"]+"/latest", 200); !bytes.HasPrefix(body, []byte{0xff, 0xd8}) {
		t.Error("the container shows no picture")
	}
}

// TestNginx lets nginx read its file, and a picture go through it.
func TestNginx(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "porthole")
	binary(t, program)
	tokens := filepath.Join(dir, "tokens")
	token := strings.Fields(run(t, program, "token", "new", "porch", "--tokens", tokens))[0]
	cmd := exec.CommandContext(t.Context(), program, "serve", "--http", "127.0.0.1:0", "--admin", "off", "--tokens", tokens, "--trusted-proxy", "127.0.0.1/32", "--period", "100ms")
	cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+filepath.Join(dir, "state"))
	s := serve(t, cmd, 1)

	cert, key := writeCertificate(t, dir)
	site := replace(t, read(t, "nginx.conf"),
		"server 127.0.0.1:8080;", "server "+s.url["http"]+";",
		"listen 80;", "listen unix:"+filepath.Join(dir, "80")+";",
		"listen 443 ssl", "listen unix:"+filepath.Join(dir, "443")+" ssl",
		"/etc/letsencrypt/live/cam.example.org/fullchain.pem", cert,
		"/etc/letsencrypt/live/cam.example.org/privkey.pem", key,
		"/var/cache/nginx/porthole", filepath.Join(dir, "cache"))
	config := filepath.Join(dir, "nginx.conf")
	// What Debian's main file has around it.
	var whole strings.Builder
	fmt.Fprintf(&whole, "pid %s/pid; error_log %s/error.log; events {}\nhttp {\n%s", dir, dir, "access_log off;\n")
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&whole, "%s_temp_path %s/%s;\n", kind, dir, kind)
	}
	if err := os.WriteFile(config, []byte(whole.String()+site+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := run(t, "nginx", "-t", "-q", "-c", config, "-p", dir, "-e", filepath.Join(dir, "early.log")); strings.Contains(out, "warn") {
		t.Errorf("nginx -t: %s", out)
	}
	proxy := exec.CommandContext(t.Context(), "nginx", "-c", config, "-p", dir, "-e", filepath.Join(dir, "early.log"), "-g", "daemon off; master_process off;")
	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		proxy.Process.Kill()
		proxy.Wait()
		if t.Failed() {
			t.Logf("nginx said:\n%s", read(t, filepath.Join(dir, "error.log")))
		}
	})

	client := &http.Client{
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true,
			// The ports are sockets in the folder, so that none can be taken.
			DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
				_, port, err := net.SplitHostPort(address)
				if err != nil {
					return nil, err
				}
				return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(dir, port))
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	const url, plain = "https://cam.example.org", "http://cam.example.org"
	header, body := get(t, client, url+"/latest.jpg", 200)
	etag := header.Get("ETag")
	if !bytes.HasPrefix(body, []byte{0xff, 0xd8}) || etag == "" || header.Get("Cache-Control") != "no-store" || header.Get("Last-Modified") != "" {
		t.Errorf("picture of %d bytes, header %v", len(body), header)
	}
	// Within the second that nginx keeps it, the same picture is not sent twice.
	if cached, _ := get(t, client, url+"/latest.jpg", 304, "If-None-Match", etag); cached.Get("ETag") != etag {
		t.Errorf("304 with ETag %s, want %s", cached.Get("ETag"), etag)
	}
	// Later there is another one: it is not kept for longer.
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		if h, _ := get(t, client, url+"/latest.jpg", 200); h.Get("ETag") != etag {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if ctx.Err() != nil {
		t.Error("nginx keeps the picture for ever")
	}
	for _, path := range []string{"/admin/truth", "/metrics", "/debug/pprof/"} {
		get(t, client, url+path, 404)
	}
	if to, _ := get(t, client, plain+"/x", 301); to.Get("Location") != "https://cam.example.org/x" {
		t.Errorf("plain HTTP goes to %q", to.Get("Location"))
	}
	post := func(base, token string, want int) {
		t.Helper()
		req, err := http.NewRequest("POST", base+"/upload", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "image/jpeg")
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("upload: %s, want %d", resp.Status, want)
		}
	}
	post(url, token, 200)
	post(url, "guess", 401)
	post(plain, token, 403)

	// Events come through at once.
	req, err := http.NewRequestWithContext(ctx, "GET", url+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var first [16]byte
	if _, err := io.ReadFull(resp.Body, first[:]); err != nil || !bytes.HasPrefix(first[:], []byte("retry: ")) {
		t.Errorf("events begin with %q, %v", first, err)
	}
}

func writeCertificate(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	ca, err := devca.New()
	if err != nil {
		t.Fatal(err)
	}
	pair, err := ca.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	return write(t, dir, pair)
}
