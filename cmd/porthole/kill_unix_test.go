//go:build unix

package main

import (
	"crypto/tls"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"porthole/server"
)

// TestKillWhileReloading kills the server at random moments while tokens and
// certificates are replaced and reloaded and visitors wave: started again, every
// token that was handed out is good, the certificate is whole, and no wave that
// was answered is lost.
func TestKillWhileReloading(t *testing.T) {
	rounds := 5
	if os.Getenv("PORTHOLE_LONG") != "" {
		rounds = 1000
	}
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 0))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	})
	dir := t.TempDir()
	tokens, cert, key := filepath.Join(dir, "tokens"), filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	token, err := server.AddToken(tokens, "porch")
	if err != nil {
		t.Fatal(err)
	}
	writeCertificate(t, cert, key)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}, Timeout: 20 * time.Second}
	waves := 0
	for round := range rounds {
		p := spawn(t, []string{"XDG_STATE_HOME=" + dir}, nil, "--tokens", tokens, "--cert", cert, "--key", key, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--admin", "off", "--waves", filepath.Join(dir, "waves"))
		https := p.find(t, `url=(https://127\.0\.0\.1:\d+)/`)
		plain := p.find(t, `url=(http://127\.0\.0\.1:\d+)/`)
		ready(t, client, plain)
		if status := upload(t, client, https, token); status != 200 {
			t.Fatalf("round %d: the token that was handed out last gets %d", round, status)
		}
		if n := waveCount(t, client, plain); n < waves {
			t.Fatalf("round %d: %d waves, %d were answered", round, n, waves)
		}
		killed := make(chan struct{})
		delay := time.Duration(rng.IntN(30)) * time.Millisecond
		go func() {
			defer close(killed)
			time.Sleep(delay)
			p.cmd.Process.Kill()
		}()
		for dead := false; !dead; {
			// What is handed out is good from the moment that it is shown.
			fresh, err := server.AddToken(tokens, "porch")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := server.RetireTokens(tokens, "porch", false); err != nil {
				t.Fatal(err)
			}
			token = fresh
			writeCertificate(t, cert, key)
			p.cmd.Process.Signal(syscall.SIGHUP)
			if resp, err := client.Post(plain+"/wave", "", nil); err == nil {
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if resp.StatusCode/100 == 2 {
					waves++
				}
			}
			select {
			case <-killed:
				dead = true
			default:
			}
		}
		p.cmd.Wait()
	}
	for _, pattern := range []string{".tokens-*", ".waves-*"} {
		if left, _ := filepath.Glob(filepath.Join(dir, pattern)); len(left) > 2*rounds {
			t.Errorf("%d files left over, such as %s", len(left), left[0])
		}
	}
}

// ready waits until the server has a picture.
func ready(t *testing.T, client *http.Client, url string) {
	t.Helper()
	for late := time.Now().Add(20 * time.Second); ; {
		resp, err := client.Get(url + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return
		}
		if time.Now().After(late) {
			t.Fatalf("not ready: %s", resp.Status)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// waveCount reads the count from the event stream.
func waveCount(t *testing.T, client *http.Client, url string) int {
	t.Helper()
	resp, err := client.Get(url + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var text strings.Builder
	var b [256]byte
	for {
		n, err := resp.Body.Read(b[:])
		text.Write(b[:n])
		if _, after, ok := strings.Cut(text.String(), `data: {"count":`); ok {
			if digits, _, ok := strings.Cut(after, "}"); ok {
				count := 0
				for _, c := range digits {
					count = 10*count + int(c-'0')
				}
				return count
			}
		}
		if err != nil {
			t.Fatalf("no count of waves: %v\n%s", err, text.String())
		}
	}
}
