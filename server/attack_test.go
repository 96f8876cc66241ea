package server

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// listening runs s on a port of loopback until the end of the test.
func listening(t *testing.T, s *Server) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, ln) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	shown := s.cfg.Events.Subscribe(100)
	defer shown.Close()
	for s.current.Load() == nil {
		if _, ok := shown.Next(t.Context()); !ok {
			t.Fatal("nothing is shown")
		}
	}
	return ln.Addr().String()
}

// TestRequestShapes sends requests that two servers could read as two different
// things, over a real connection, each followed by a good one that a server in
// front would take for part of it, or for another's. What is not clear is
// answered once, and the connection ends.
func TestRequestShapes(t *testing.T) {
	const behind = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	const one = "one refusal"
	bearer := "Authorization: Bearer " + testToken + "\r\n"
	post := func(head, body string) string {
		return "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n" + bearer + head + "\r\n" + body
	}
	get := func(head string) string { return "GET /latest HTTP/1.1\r\nHost: x\r\n" + head + "\r\n" }
	for _, tt := range []struct {
		name, request string
		want          string // statuses in order, or one
	}{
		{"good GET", get(""), "200 200"},
		{"good POST that is no picture", post("Content-Length: 3\r\n", "abc"), "415"},
		{"two lengths", post("Content-Length: 3\r\nContent-Length: 40\r\n", "abc"), one},
		{"two lengths in one", post("Content-Length: 3, 40\r\n", "abc"), one},
		{"signed length", post("Content-Length: +3\r\n", "abc"), one},
		{"negative length", post("Content-Length: -3\r\n", "abc"), one},
		{"hexadecimal length", post("Content-Length: 0x3\r\n", "abc"), one},
		{"length of 2^64", post("Content-Length: 18446744073709551616\r\n", "abc"), one},
		{"empty length", post("Content-Length: \r\n", "abc"), one},
		{"unknown coding", post("Transfer-Encoding: xchunked\r\n", "3\r\nabc\r\n0\r\n\r\n"), one},
		{"two codings", post("Transfer-Encoding: chunked, identity\r\n", "3\r\nabc\r\n0\r\n\r\n"), one},
		{"coding twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n"), one},
		{"coding with a control character", post("Transfer-Encoding: \x0bchunked\r\n", "3\r\nabc\r\n0\r\n\r\n"), one},
		{"blank before the colon", post("Content-Length : 3\r\n", "abc"), one},
		{"folded line", post("X-A: b\r\n Content-Length: 3\r\n", "abc"), one},
		{"NUL in a value", get("X-A: a\x00b\r\n"), one},
		{"carriage return in a value", get("X-A: a\rb\r\n"), one},
		{"no host", "GET /latest HTTP/1.1\r\n\r\n", one},
		{"two hosts", "GET /latest HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", one},
		{"blank in the path", "GET /la test HTTP/1.1\r\nHost: x\r\n\r\n", one},
		{"no version", "GET /latest\r\n", one},
		{"version 3", "GET /latest HTTP/3.0\r\nHost: x\r\n\r\n", one},
		{"preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", one},
		{"chunk size with a sign", post("Transfer-Encoding: chunked\r\n", "+3\r\nabc\r\n0\r\n\r\n"), one},
		{"chunk size of 17 digits", post("Transfer-Encoding: chunked\r\n", "10000000000000003\r\nabc\r\n0\r\n\r\n"), one},
		{"chunk longer than it says", post("Transfer-Encoding: chunked\r\n", "3\r\nabcd\r\n0\r\n\r\n"), one},
		{"chunk extension of 8 kB", post("Transfer-Encoding: chunked\r\n", "3;"+strings.Repeat("x", 8<<10)+"\r\nabc\r\n0\r\n\r\n"), one},
		{"header of 64 kB", get("X-A: " + strings.Repeat("b", 64<<10) + "\r\n"), one},
		{"5,000 header lines", get(strings.Repeat("X: y\r\n", 5000)), one},
		// The coding counts and the length does not (RFC 9112, 6.1).
		{"length and coding", post("Content-Length: 100\r\nTransfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n"), one},
		{"GET with a body", get("Content-Length: 3\r\n") + "abc", "200 200"},
		{"GET whose body is a request", get(fmt.Sprintf("Content-Length: %d\r\n", len(behind))) + behind, "200 200"},
		{"three in one write", get("") + get("") + get(""), "200 200 200 200"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := testServer(t, nil)
			conn, err := net.Dial("tcp", listening(t, s))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(30 * time.Second)) // a bound, not what is tested
			go io.WriteString(conn, tt.request+behind)
			var statuses []string
			r := bufio.NewReader(conn)
			for {
				resp, err := http.ReadResponse(r, nil)
				if err != nil {
					if strings.Contains(err.Error(), "timeout") {
						t.Fatalf("the connection is still open after %v", statuses)
					}
					break
				}
				io.Copy(io.Discard, resp.Body)
				statuses = append(statuses, fmt.Sprint(resp.StatusCode))
			}
			got := strings.Join(statuses, " ")
			if tt.want == one && (len(statuses) != 1 || statuses[0] < "400") || tt.want != one && got != tt.want {
				t.Errorf("answered %q, want %s", got, tt.want)
			}
			if s.camera("cam").kept() != nil {
				t.Error("a frame was taken")
			}
		})
	}
}

// TestExpect: who waits for leave to send a body is told at once that it is not
// wanted, and gets no leave.
func TestExpect(t *testing.T) {
	addr := listening(t, testServer(t, nil))
	for _, tt := range []struct {
		name, token, want string
	}{{"wrong token", "guess", "HTTP/1.1 401 "}, {"good token", testToken, "HTTP/1.1 100 "}} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(30 * time.Second))
		fmt.Fprintf(conn, "POST /upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: image/jpeg\r\nContent-Length: 100000\r\nExpect: 100-continue\r\n\r\n", tt.token)
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || !strings.HasPrefix(line, tt.want) {
			t.Errorf("%s: %q, %v; want %q", tt.name, line, err, tt.want)
		}
		conn.Close()
	}
}

// TestUploadsOfTheOwnerGoOn: while others hold as many connections as they like,
// without a token or with half an upload, the camera's frames are taken.
func TestUploadsOfTheOwnerGoOn(t *testing.T) {
	s := testServer(t, nil)
	addr := listening(t, s)
	for i := range 100 {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		switch i % 4 {
		case 0: // nothing at all
		case 1:
			io.WriteString(conn, "POST /upload HTTP/1.1\r\nHo")
		case 2:
			io.WriteString(conn, "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\nabc")
		case 3:
			io.WriteString(conn, "POST /upload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer guess\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc")
		}
	}
	for i := range byte(5) {
		req, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+addr+"/upload", bytes.NewReader(shot(i)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+testToken)
		req.Header.Set("Content-Type", "image/jpeg")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Errorf("frame %d: %s", i, resp.Status)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}
