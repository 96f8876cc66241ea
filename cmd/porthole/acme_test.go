package main

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"porthole/internal/acmetest"
	"porthole/server"
)

// at is an address that was printed, for acmetest.
type at string

func (at) Network() string  { return "tcp" }
func (a at) String() string { return string(a) }

// TestACME: a server that is started with the name of a domain gets itself a
// certificate, says so, and serves with it.
func TestACME(t *testing.T) {
	for _, tt := range []struct {
		name  string
		plain bool // port 80 is open
	}{{"port 443 alone", false}, {"both ports", true}} {
		t.Run(tt.name, func(t *testing.T) {
			authority := acmetest.New(t)
			dir := t.TempDir()
			t.Setenv("XDG_STATE_HOME", dir)
			tokens, root := filepath.Join(dir, "tokens"), filepath.Join(dir, "authority.pem")
			if _, err := server.AddToken(tokens, "porch"); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(root, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.ServerRoot.Raw}), 0o600); err != nil {
				t.Fatal(err)
			}
			args := []string{"--tokens", tokens, "--acme", "cam.test.example", "--acme-directory", authority.Directory, "--acme-ca", root, "--http2"}
			if tt.plain {
				args = append(args, "--redirect", "127.0.0.1:0")
			}
			out := serve(t, args...)
			https := at(out.find(t, `url=https://(127\.0\.0\.1:\d+)/`))
			plain := https
			if tt.plain {
				plain = at(out.find(t, `redirecting to HTTPS" url=http://(127\.0\.0\.1:\d+)/`))
			}
			authority.Check(plain, https)
			out.find(t, `(certificate is ready" domain=cam\.test\.example until=)`)
			client := &http.Client{Transport: &http.Transport{
				TLSClientConfig: &tls.Config{RootCAs: authority.Roots()}, ForceAttemptHTTP2: true,
				DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, "tcp", string(https))
				},
			}, Timeout: 30 * time.Second}
			defer client.CloseIdleConnections()
			resp, err := client.Get("https://cam.test.example/healthz")
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != 200 || resp.ProtoMajor != 2 {
				t.Errorf("%s by %s", resp.Status, resp.Proto)
			}
			if kept, err := filepath.Glob(filepath.Join(dir, "porthole", "acme", "*")); err != nil || len(kept) < 2 || !strings.Contains(strings.Join(kept, " "), "cam.test.example") {
				t.Errorf("kept %q, %v", kept, err)
			}
		})
	}
}
