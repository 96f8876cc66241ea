package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"porthole/server"
)

// TestLogKeepsSecrets: whatever viewers, cameras, operators and strangers do,
// the log shows no token, no hash of one and no address of a client; each line
// is JSON.
func TestLogKeepsSecrets(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_STATE_HOME", dir)
	tokens, admins := filepath.Join(dir, "tokens"), filepath.Join(dir, "admins")
	token, err := server.AddToken(tokens, "porch")
	if err != nil {
		t.Fatal(err)
	}
	admin, err := server.AddToken(admins, "rob")
	if err != nil {
		t.Fatal(err)
	}
	const single = "the-token-of-the-environment"
	out := serve(t, "--dev", "--tokens", tokens, "--admin-tokens", admins, "--admin-token", single, "--log", "json", "--trusted-proxy", "127.0.0.1/32")
	https := out.find(t, `"url":"https://(127\.0\.0\.1:\d+)/"`)
	plain := out.find(t, `"url":"http://(127\.0\.0\.1:\d+)/"`)
	private := out.find(t, `"url":"http://(127\.0\.0\.1:\d+)/admin/"`)

	const viewer = "203.0.113.77" // as the proxy in front says
	ask := func(method, url, authorization, body string) {
		req, err := http.NewRequest(method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Forwarded-For", viewer)
		if authorization != "" {
			req.Header.Set("Authorization", authorization)
		}
		req.Header.Set("Content-Type", "application/json")
		if resp, err := http.DefaultClient.Do(req); err == nil {
			io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
			resp.Body.Close()
		}
	}
	guess := "not-the-token-" + token[:8]
	ask("GET", "http://"+plain+"/latest", "", "")
	ask("GET", "http://"+plain+"/nothing?token="+token, "", "")
	ask("POST", "http://"+plain+"/upload", "Bearer "+token, "not a picture")
	ask("POST", "http://"+plain+"/upload", "Bearer "+guess, "x")
	ask("POST", "http://"+plain+"/upload", token, "x")
	ask("POST", "http://"+plain+"/camera", "Bearer "+token, `{"state":"off"}`)
	ask("POST", "http://"+plain+"/wave", "", "")
	ask("GET", "http://"+private+"/admin/truth", "Bearer "+admin, "")
	ask("GET", "http://"+private+"/admin/truth", "Bearer "+guess, "")
	ask("POST", "http://"+private+"/admin/commands", "Bearer "+single, `{"name":"server.mode","args":{"mode":"`+token+`"}}`)
	ask("POST", "http://"+private+"/admin/commands", "Bearer "+admin, `{"name":"server.mode","args":{"mode":"replay"}}`)
	ask("POST", "http://"+private+"/admin/commands", "Bearer "+admin, `{"name":"server.reload"}`)
	// No TLS, half a request, and what is no HTTP at all.
	var clients []string
	for _, to := range []string{https, plain, private} {
		for _, text := range []string{"GET /latest HTTP/1.1\r\nHost: x\r\n\r\n", "POST /upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + "\r\nContent-Length: 9\r\n\r\n1", "\x00\x01\x02\r\n\r\n"} {
			conn, err := net.Dial("tcp", to)
			if err != nil {
				t.Fatal(err)
			}
			clients = append(clients, conn.LocalAddr().String())
			fmt.Fprint(conn, text)
			conn.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, conn)
			conn.Close()
		}
	}
	out.find(t, `(reloaded: )`)

	out.mu.Lock()
	defer out.mu.Unlock()
	log := out.text.Bytes()
	for what, secret := range map[string]string{
		"the upload token": token, "the admin's token": admin, "the environment's token": single, "a guess": guess, "a hash": "sha256:", "a viewer's address": viewer,
	} {
		if bytes.Contains(log, []byte(secret)) {
			t.Errorf("the log shows %s:\n%s", what, log)
		}
	}
	for _, c := range clients {
		if bytes.Contains(log, []byte(c)) {
			t.Errorf("the log shows the client %s:\n%s", c, log)
		}
	}
	lines := 0
	for line := range bytes.Lines(log) {
		if bytes.HasPrefix(line, []byte("development certificate")) {
			continue // printed for the person who started it
		}
		var entry struct{ Time, Level, Msg string }
		if err := json.Unmarshal(line, &entry); err != nil || entry.Time == "" || entry.Level == "" || entry.Msg == "" {
			t.Errorf("no line of JSON: %s", line)
		}
		lines++
	}
	if lines < 6 {
		t.Errorf("%d lines only:\n%s", lines, log)
	}
}
