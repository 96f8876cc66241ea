//go:build unix

package server

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// killDir makes this test binary the process that is killed.
const killDir = "PORTHOLE_KILL_DIR"

// TestKilled is that process: it waves, makes tokens and retires them as fast as
// it can, from several goroutines, and says what it has done after it was done.
func TestKilled(t *testing.T) {
	dir := os.Getenv(killDir)
	if dir == "" {
		return // there is nothing to test on its own; see TestKill
	}
	var mu sync.Mutex
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf(format+"\n", args...)
	}
	w, err := newWaves(WaveConfig{File: filepath.Join(dir, "waves"), Delay: time.Millisecond}, time.Now())
	if err != nil {
		say("broken %v", err)
		return
	}
	say("begin")
	for i := range 2 {
		go func() {
			for {
				total, err := w.add(time.Now())
				say("waved %d %v", total, err)
			}
		}()
		go func() {
			path, name := filepath.Join(dir, "tokens"), fmt.Sprint("cam", i)
			for {
				token, err := AddToken(path, name)
				say("token %s %s %v", name, token, err)
				if n, err := RetireTokens(path, name, false); err != nil || n != 1 {
					say("broken retired %d, %v", n, err)
				}
				say("retired %s", name)
			}
		}()
	}
	for {
		if n := w.hand(time.Now()); n > 0 {
			say("telling %d", n) // said first: told may be what is said last
			if err := w.confirm(true); err != nil {
				say("broken %v", err)
			}
		}
		time.Sleep(time.Millisecond)
	}
}

// TestKill kills a server's process at random instants: no token that was shown
// and not retired, and no wave that was answered, is lost, and no file is torn.
func TestKill(t *testing.T) {
	kills := 25
	if os.Getenv("PORTHOLE_LONG") != "" {
		kills = 1000
	}
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	tokens := filepath.Join(dir, "tokens")
	for i := range 2 { // so that there is one to retire
		if _, err := AddToken(tokens, fmt.Sprint("cam", i)); err != nil {
			t.Fatal(err)
		}
	}
	var waved, told uint64
	for n := range kills {
		out := killed(t, dir, time.Duration(r.IntN(int(30*time.Millisecond))))
		last := make(map[string]string) // newest token of each camera that was shown
		for line := range strings.Lines(out) {
			var a, b, c string
			switch fields, _ := fmt.Sscan(line, &a, &b, &c); {
			case a == "broken":
				t.Fatalf("seed %d, kill %d: %s", seed, n, line)
			case a == "waved" && fields == 3 && c == "<nil>":
				var total uint64
				fmt.Sscan(b, &total)
				waved = max(waved, total)
			case a == "telling":
				var k uint64
				fmt.Sscan(b, &k)
				told += k
			case a == "token" && fields == 3 && strings.HasSuffix(line, "<nil>\n"):
				last[b] = c
			}
		}
		w, err := newWaves(WaveConfig{File: filepath.Join(dir, "waves")}, time.Now())
		if err != nil {
			t.Fatalf("seed %d, kill %d: %v", seed, n, err)
		}
		if total, _ := w.listen(); total < waved {
			t.Fatalf("seed %d, kill %d: %d waves of %d that were answered", seed, n, total, waved)
		}
		if missing := int64(waved) - int64(told) - int64(w.pending()); missing > 0 {
			t.Fatalf("seed %d, kill %d: %d waves are neither told nor pending", seed, n, missing)
		}
		known, err := LoadTokens(tokens)
		if err != nil {
			t.Fatalf("seed %d, kill %d: %v", seed, n, err)
		}
		for name, token := range last {
			if got, ok := known.Camera(token); !ok || got != name {
				t.Fatalf("seed %d, kill %d: the newest token of %s is lost", seed, n, name)
			}
		}
		for i := range 2 {
			// Killed between making and retiring there are two: the older goes, as
			// its owner would do it.
			if name := fmt.Sprint("cam", i); known.Active(name) == 2 {
				if _, err := RetireTokens(tokens, name, false); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	t.Logf("%d kills, %d waves", kills, waved)
	if waved == 0 || told == 0 {
		t.Error("nothing happened before the kills")
	}
}

// killed runs the process, kills it the given time after it has begun, and
// returns what it said.
func killed(t *testing.T, dir string, after time.Duration) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestKilled$")
	cmd.Env = append(os.Environ(), killDir+"="+dir)
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	lines := bufio.NewReader(pipe)
	first, err := lines.ReadString('\n')
	if err != nil || first != "begin\n" {
		t.Fatalf("the process said %q, %v", first, err)
	}
	kill := time.AfterFunc(after, func() { cmd.Process.Kill() })
	defer kill.Stop()
	out.ReadFrom(lines)
	cmd.Wait()
	return out.String()
}
