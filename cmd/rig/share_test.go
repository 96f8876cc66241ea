package main

import (
	"bufio"
	"context"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"porthole/internal/cli"
)

// start runs a command until the test ends and returns the first line of its
// output that matches.
func start(t *testing.T, args []string, line string) []string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r, w := io.Pipe()
	done := make(chan int, 1)
	go func() {
		code := app().Run(ctx, args, cli.IO{In: strings.NewReader(""), Out: w, Err: t.Output()})
		w.Close()
		done <- code
	}()
	t.Cleanup(func() {
		stop()
		go io.Copy(io.Discard, r)
		if code := <-done; code != 0 {
			t.Errorf("rig %s: exit code %d", strings.Join(args, " "), code)
		}
	})
	want := regexp.MustCompile(line)
	for in := bufio.NewScanner(r); in.Scan(); {
		if m := want.FindStringSubmatch(in.Text()); m != nil {
			go io.Copy(io.Discard, r)
			return m
		}
	}
	t.Fatalf("rig %s: no line matches %q", strings.Join(args, " "), line)
	return nil
}

// TestShare: a board on another machine is reset and heard through the name that
// rig share prints.
func TestShare(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"new token", nil, `^name +(rfc2217://[A-Z2-7]{26}@127\.0\.0\.1:\d+)$`},
		{"own token", []string{"--token", "sesame"}, `^name +(rfc2217://@127\.0\.0\.1:\d+)$`},
		{"open", []string{"--open"}, `^name +(rfc2217://127\.0\.0\.1:\d+)$`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := start(t, append([]string{"share", "sim:", "--listen", "127.0.0.1:0"}, tt.args...), tt.want)
			if tt.name == "own token" {
				t.Setenv("RIG_SHARE_TOKEN", "sesame")
			}
			port, err := openPort(t.Context(), m[1])
			if err != nil {
				t.Fatal(err)
			}
			defer port.Close()
			if err := port.SetLines(false, true); err != nil {
				t.Fatal(err)
			}
			if err := port.Discard(); err != nil {
				t.Fatal(err)
			}
			if err := port.SetLines(false, false); err != nil {
				t.Fatal(err)
			}
			port.SetReadDeadline(time.Now().Add(30 * time.Second))
			var text strings.Builder
			buf := make([]byte, 256)
			for !strings.Contains(text.String(), "2nd stage bootloader") {
				n, err := port.Read(buf)
				text.Write(buf[:n])
				if err != nil {
					t.Fatalf("board says %q, %v", text.String(), err)
				}
			}
			if !strings.Contains(text.String(), "rst:0x1") {
				t.Errorf("board says %q", text.String())
			}
		})
	}
}
