package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"porthole/server"
)

// TestServe: the binary's server, over real TLS on loopback, as curl uses it.
func TestServe(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_STATE_HOME", dir)
	tokens := filepath.Join(dir, "tokens")
	token, err := server.AddToken(tokens, "porch")
	if err != nil {
		t.Fatal(err)
	}
	out := serve(t, "--dev", "--tokens", tokens)
	https := out.find(t, `url=(https://127\.0\.0\.1:\d+)/`)
	admin := out.find(t, `url=(http://127\.0\.0\.1:\d+)/admin`)

	root, err := os.ReadFile(filepath.Join(dir, "porthole", "dev-ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	defer client.CloseIdleConnections()

	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	part, err := w.CreateFormFile("img", "photo.jpg")
	if err != nil {
		t.Fatal(err)
	}
	if err := jpeg.Encode(part, image.NewGray(image.Rect(0, 0, 64, 48)), nil); err != nil {
		t.Fatal(err)
	}
	w.Close()
	req, err := http.NewRequest("POST", https+"/upload", &form)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", w.FormDataContentType())
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != 200 || string(body) != "Success\n" {
		t.Fatalf("upload: %s %s", resp.Status, body)
	}
	out.find(t, `(public picture changed.*mode=live)`)

	resp, err = http.Get(admin + "/admin/truth")
	if err != nil {
		t.Fatal(err)
	}
	var truth server.Truth
	err = json.NewDecoder(resp.Body).Decode(&truth)
	resp.Body.Close()
	if err != nil || truth.Mode != "live" || truth.Accepted != 1 {
		t.Errorf("truth %+v, %v", truth, err)
	}
	out.mu.Lock()
	defer out.mu.Unlock()
	if strings.Contains(out.text.String(), token) {
		t.Error("the log shows the token")
	}
}

// TestTakenPort names the port and the flag that changes it.
func TestTakenPort(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_STATE_HOME", dir)
	tokens := filepath.Join(dir, "tokens")
	if _, err := server.AddToken(tokens, "porch"); err != nil {
		t.Fatal(err)
	}
	out := serve(t, "--dev", "--tokens", tokens)
	taken := strings.TrimPrefix(out.find(t, `url=(https://127\.0\.0\.1:\d+)/`), "https://")
	for flag, args := range map[string][]string{
		"--listen": {"--listen", taken},
		"--http":   {"--listen", "127.0.0.1:0", "--http", taken},
		"--admin":  {"--listen", "127.0.0.1:0", "--admin", taken},
	} {
		var errs bytes.Buffer
		args = append([]string{"serve", "--dev", "--tokens", tokens, "--admin", "off"}, args...)
		if flag == "--admin" {
			args = []string{"serve", "--dev", "--tokens", tokens, "--listen", "127.0.0.1:0", "--admin", taken}
		}
		code := runQuietly(t, &errs, args)
		_, port, _ := strings.Cut(taken, ":")
		if code != 1 || !strings.Contains(errs.String(), fmt.Sprintf("error: port %s on 127.0.0.1 is taken", port)) || !strings.Contains(errs.String(), "hint: choose another one with "+flag) {
			t.Errorf("%s: exit code %d\n%s", flag, code, errs.String())
		}
	}
}

// TestServePrivately: with --privacy=on there is a picture at once, the private
// side knows where it comes from, and the folder of clips has one owner.
func TestServePrivately(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_STATE_HOME", dir)
	tokens := filepath.Join(dir, "tokens")
	if _, err := server.AddToken(tokens, "porch"); err != nil {
		t.Fatal(err)
	}
	loop := filepath.Join(dir, "loop")
	var small bytes.Buffer
	if err := jpeg.Encode(&small, image.NewGray(image.Rect(0, 0, 64, 48)), nil); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Mkdir(loop, 0o700), os.WriteFile(filepath.Join(loop, "1.jpg"), small.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	out := serve(t, "--http", "127.0.0.1:0", "--tokens", tokens, "--privacy", "on", "--loop", loop)
	admin := out.find(t, `url=(http://127\.0\.0\.1:\d+)/admin`)
	var truth server.Truth
	for truth.Published == 0 {
		resp, err := http.Get(admin + "/admin/truth")
		if err != nil {
			t.Fatal(err)
		}
		err = json.NewDecoder(resp.Body).Decode(&truth)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
	if truth.Mode != "loop" || truth.Order != server.Auto || truth.Cover.Bare != 24 {
		t.Errorf("truth %+v", truth)
	}
	clips := filepath.Join(dir, "porthole", "clips")
	if st, err := os.Stat(clips); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("folder of clips: %v %v", st, err)
	}
}
