package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"porthole/hil/hiltest"
	"porthole/internal/cli"
)

// lineLog is an output in which a test waits for lines.
type lineLog struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{}
}

func newLineLog() *lineLog { return &lineLog{changed: make(chan struct{}, 1)} }

func (l *lineLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	select {
	case l.changed <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (l *lineLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *lineLog) await(t *testing.T, text string) {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for !strings.Contains(l.String(), text) {
		select {
		case <-l.changed:
		case <-timeout:
			t.Fatalf("waited 20 s for %q in\n%s", text, l.String())
		}
	}
}

// TestMonitorOverUnplug: a person watches a board, pulls its cable and plugs it in
// again, and what was recorded replays to the same lines.
func TestMonitorOverUnplug(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("HOME", dir)
	t.Setenv("XDG_RUNTIME_DIR", dir)
	t.Setenv("RIG_WIFI_PASSWORD", "correct-horse")
	link, file := filepath.Join(dir, "esp32"), filepath.Join(dir, "session.rec")
	board, err := hiltest.OpenConsolePTY(link)
	if err != nil {
		t.Fatal(err)
	}
	log := newLineLog()
	done := make(chan int, 1)
	go func() {
		done <- app().Run(t.Context(), []string{"monitor", link, "--record", file, "--timestamps", "none", "--highlight", "seq=2", "--until", "second start", "--within", "20s"},
			cli.IO{In: strings.NewReader(""), Out: log, Err: log})
	}()
	say := func(text string) {
		t.Helper()
		if _, err := board.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	say("I (1) porthole: upload ok seq=1\r\nI (2) porthole: upload ok seq=2\r\n\x1b[2Jjoining with correct-horse\r\n")
	log.await(t, `joining`)
	if err := board.Unplug(); err != nil {
		t.Fatal(err)
	}
	log.await(t, "-- the port is gone")
	if board, err = hiltest.OpenConsolePTY(link); err != nil {
		t.Fatal(err)
	}
	defer board.Unplug()
	say("second start\r\n")
	if code := <-done; code != 0 {
		t.Fatalf("exit code %d\n%s", code, log)
	}
	for _, want := range []string{"  I (1) porthole: upload ok seq=1\n> I (2) porthole: upload ok seq=2\n  \\x1b[2Jjoining with correct-horse\n", "-- the port is back\n  second start\n"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %q in\n%s", want, log)
		}
	}
	recorded, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("recording: %v, %v", info.Mode(), err)
	}
	if bytes.Contains(recorded, []byte("correct-horse")) {
		t.Errorf("the recording holds a password:\n%s", recorded)
	}
	var out bytes.Buffer
	code := app().Run(context.WithoutCancel(t.Context()), []string{"monitor", fmt.Sprintf("replay:%s?speed=max", file), "--timestamps", "none", "--exclude", "seq=2"},
		cli.IO{In: strings.NewReader(""), Out: &out, Err: &out})
	want := "I (1) porthole: upload ok seq=1\n\\x1b[2Jjoining with *************\nsecond start\n-- the port ended\n"
	if code != 0 || out.String() != want {
		t.Errorf("replay ended with %d:\n%s, want\n%s", code, out.String(), want)
	}
}
