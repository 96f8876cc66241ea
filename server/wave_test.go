package server

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"porthole/internal/event"
	"porthole/internal/wire"
)

func (s *site) wave() (*http.Response, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), "POST", "http://feed.example/wave", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	resp, body := s.do(req)
	return resp, string(body)
}

// told uploads a frame and returns the waves in the reply.
func (s *site) told(data []byte) uint32 {
	s.t.Helper()
	resp, answer := s.send("/upload", testToken, "image/jpeg", data, "Accept", wire.ReplyType)
	var r wire.Reply
	if err := json.Unmarshal([]byte(answer), &r); err != nil || resp.StatusCode != 200 {
		s.t.Fatalf("answered %s %q: %v", resp.Status, answer, err)
	}
	return r.Waves
}

// TestWave: a wave is counted, shown, and told to the board once, after a while.
func TestWave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := testServer(t, func(c *Config) {
			c.Tokens = tokensOf(t, "cam", testToken, "desk", "desk-token")
			c.Waves = WaveConfig{Delay: 20 * time.Second, Random: rand.NewPCG(1, 2)}
		})
		s := start(t, srv)
		total, more := srv.waves.listen()
		if total != 0 {
			t.Fatalf("%d waves at the start", total)
		}
		for want := range 3 {
			resp, body := s.wave()
			if resp.StatusCode != 200 || body != fmt.Sprintf(`{"waves":%d}`+"\n", want+1) || resp.Header.Get("Access-Control-Allow-Origin") != "*" {
				t.Fatalf("answered %s %s %v", resp.Status, body, resp.Header)
			}
			select {
			case <-more:
			default:
				t.Error("who watches was not woken")
			}
			if total, more = srv.waves.listen(); total != uint64(want)+1 {
				t.Errorf("%d waves shown", total)
			}
		}
		resp, body := s.wave()
		var p problem
		if err := json.Unmarshal([]byte(body), &p); err != nil || resp.StatusCode != 429 || p.Error == "" || resp.Header.Get("Retry-After") == "" {
			t.Errorf("the fourth wave at once: %s %s", resp.Status, body)
		}
		if n := s.told(shot(1)); n != 0 {
			t.Errorf("%d waves told without delay", n)
		}
		var told []uint32
		sum := uint32(0)
		for i := range 12 {
			time.Sleep(2 * time.Second)
			if i%3 == 0 { // who is not the public camera, or does not ask, is told nothing
				if _, answer := s.send("/upload", "desk-token", "image/jpeg", shot(9), "Accept", wire.ReplyType); !strings.Contains(answer, `"waves":0`) {
					t.Errorf("another camera is told %s", answer)
				}
				s.upload(shot(byte(100 + i)))
				continue
			}
			n := s.told(shot(byte(10 + i)))
			told, sum = append(told, n), sum+n
		}
		if sum != 3 || told[len(told)-1] != 0 {
			t.Errorf("told %v, want 3 in all", told)
		}
		if total, pending := srv.Waves(); total != 3 || pending != 0 {
			t.Errorf("%d waves, %d pending", total, pending)
		}
		if snap := srv.cfg.Events.Snapshot(); snap.Waves != 3 {
			t.Errorf("events count %d waves", snap.Waves)
		}
		if r, err := srv.cfg.Events.Do(t.Context(), event.Command{Name: "server.wave"}); err != nil || r.Text != "waved; 4 so far" {
			t.Errorf("command: %q, %v", r.Text, err)
		}
	})
}

// TestWaveRefusals: no body, no other method.
func TestWaveRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := testServer(t, nil)
		s := start(t, srv)
		for _, tt := range []struct {
			name, method, body string
			chunked            bool
			status             int
		}{
			{"GET", "GET", "", false, 405},
			{"with a body", "POST", "hello", false, 413},
			{"with a chunked body", "POST", "hello", true, 413},
		} {
			req, err := http.NewRequestWithContext(t.Context(), tt.method, "http://feed.example/wave", strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if tt.chunked {
				req.ContentLength = -1
			}
			resp, body := s.do(req)
			var p problem
			if err := json.Unmarshal(body, &p); err != nil || resp.StatusCode != tt.status || p.Error == "" || p.Hint == "" {
				t.Errorf("%s: %s %s", tt.name, resp.Status, body)
			}
		}
		if total, _ := srv.Waves(); total != 0 {
			t.Errorf("%d waves counted", total)
		}
	})
}

// TestWavesSurvive: what was answered is there after a restart, what was told for
// certain is not told again, and what may not have arrived is.
func TestWavesSurvive(t *testing.T) {
	cfg := WaveConfig{File: filepath.Join(t.TempDir(), "waves"), Delay: time.Second, Random: rand.NewPCG(1, 2)}
	now := epoch
	open := func() *waves {
		t.Helper()
		w, err := newWaves(cfg, now)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	add := func(w *waves, n int) {
		t.Helper()
		for range n {
			if _, err := w.add(now); err != nil {
				t.Fatal(err)
			}
		}
	}
	w := open()
	add(w, 5)
	w = open() // as after kill -9: nothing was closed
	if total, _ := w.listen(); total != 5 || w.pending() != 5 {
		t.Fatalf("%d waves, %d pending after a restart", total, w.pending())
	}
	now = now.Add(time.Second)
	if n := w.hand(now); n != 5 {
		t.Errorf("told of %d", n)
	}
	if w = open(); w.pending() != 5 {
		t.Errorf("%d pending: killed before the board had its reply", w.pending())
	}
	now = now.Add(time.Second)
	w.hand(now)
	w.confirm(false)
	if n := w.hand(now); n != 5 {
		t.Errorf("told of %d after a reply that was not sent", n)
	}
	w.confirm(true)
	add(w, 1)
	w = open()
	if total, _ := w.listen(); total != 6 || w.pending() != 1 {
		t.Errorf("%d waves, %d pending", total, w.pending())
	}
	w.file = "" // thousands of writes would take seconds
	add(w, maxDelayedWaves+499)
	w.file = cfg.File
	add(w, 1) // more than have a time of their own
	w = open()
	now = now.Add(time.Second)
	if n := w.hand(now); n != maxDelayedWaves+501 {
		t.Errorf("told of %d", n)
	}
}

// TestWavesAtOnce: many at the same time are all counted, none twice.
func TestWavesAtOnce(t *testing.T) {
	cfg := WaveConfig{File: filepath.Join(t.TempDir(), "waves")}
	w, err := newWaves(cfg, epoch)
	if err != nil {
		t.Fatal(err)
	}
	const n = 100
	var mu sync.Mutex
	seen := make(map[uint64]bool)
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			total, err := w.add(epoch)
			mu.Lock()
			defer mu.Unlock()
			if err != nil || seen[total] {
				t.Errorf("wave %d: %v", total, err)
			}
			seen[total] = true
		})
	}
	all.Wait()
	if w, err = newWaves(cfg, epoch); err != nil || w.total != n || w.pending() != n {
		t.Errorf("%d waves, %d pending, %v", w.total, w.pending(), err)
	}
}

// TestWaveFileBroken: a file that is not ours is not overwritten.
func TestWaveFileBroken(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"text": "hello", "empty": "", "more pending than there are": `{"total":1,"pending":2}`, "negative": `{"total":-1}`, "torn": `{"total":12,"pen`} {
		path := filepath.Join(dir, "waves")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := newWaves(WaveConfig{File: path}, epoch); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
		if now, _ := os.ReadFile(path); string(now) != content {
			t.Errorf("%s: overwritten", name)
		}
	}
	if _, err := newWaves(WaveConfig{File: filepath.Join(dir, "no", "folder")}, epoch); err == nil {
		t.Error("a folder that does not exist is no error")
	}
}

// TestWaveNotWritten: a wave that could not be written down is not answered as
// if it had been.
func TestWaveNotWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "state")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		srv := testServer(t, func(c *Config) { c.Waves.File = filepath.Join(dir, "waves") })
		s := start(t, srv)
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if resp, body := s.wave(); resp.StatusCode != 503 {
			t.Errorf("answered %s %s", resp.Status, body)
		}
		if total, _ := srv.waves.listen(); total != 0 {
			t.Errorf("%d waves shown that are not written down", total)
		}
	})
}

// TestWaveOrigins: only pages that may show the feed send waves.
func TestWaveOrigins(t *testing.T) {
	for _, tt := range []struct {
		name, origin string
		origins      []string
		status       int
	}{
		{"no page", "", []string{"https://blog.example"}, 200},
		{"our own", "http://feed.example", []string{"https://blog.example"}, 200},
		{"named", "https://blog.example", []string{"https://blog.example"}, 200},
		{"not named", "https://evil.example", []string{"https://blog.example"}, 403},
		{"sandboxed", "null", []string{"https://blog.example"}, 403},
		{"any", "https://evil.example", nil, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := testServer(t, func(c *Config) { c.Serving.Origins = tt.origins })
				s := start(t, srv)
				req, err := http.NewRequestWithContext(t.Context(), "POST", "http://feed.example/wave", nil)
				if err != nil {
					t.Fatal(err)
				}
				if tt.origin != "" {
					req.Header.Set("Origin", tt.origin)
				}
				resp, body := s.do(req)
				if total, _ := srv.Waves(); resp.StatusCode != tt.status || (total == 1) != (tt.status == 200) {
					t.Errorf("%s %s, %d waves", resp.Status, body, total)
				}
			})
		})
	}
}

func FuzzCounts(f *testing.F) {
	f.Add([]byte(`{"total":3,"pending":1}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		c, err := parseCounts(content)
		if err != nil {
			return
		}
		if c.Pending > c.Total {
			t.Fatalf("%+v", c)
		}
		written, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := parseCounts(written); err != nil || again != c {
			t.Errorf("%+v reads back as %+v, %v", c, again, err)
		}
	})
}
