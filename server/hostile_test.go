package server

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"porthole/internal/frame"
	"porthole/server/hostile"
)

// hostileStatus is the answer to each outcome of the corpus.
func hostileStatus(want string) int {
	switch want {
	case hostile.OK:
		return http.StatusOK
	case hostile.NotJPEG:
		return http.StatusUnsupportedMediaType
	case hostile.TooLarge:
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusUnprocessableEntity
}

// TestHostileCorpus sends every file of the corpus to a running server, as a
// form or as a plain body: the right status with a hint, little memory, the
// last good frame still there, and nothing published. Files that are a picture
// after all are published, without the bytes that are not picture.
func TestHostileCorpus(t *testing.T) {
	files := hostile.Corpus()
	if len(files) < 60 {
		t.Fatalf("%d files", len(files))
	}
	names := make(map[string]bool)
	long := os.Getenv("PORTHOLE_LONG") != ""
	for i, f := range files {
		if names[f.Name] {
			t.Errorf("two files are called %q", f.Name)
		}
		names[f.Name] = true
		t.Run(f.Name, func(t *testing.T) {
			formBody, formType := form(t, "img", f.Data)
			for j, as := range []struct {
				name, contentType string
				body              []byte
			}{{"form", formType, formBody}, {"plain", "image/jpeg", f.Data}} {
				if !long && i%2 != j { // decoding twice under the race detector takes long
					continue
				}
				synctest.Test(t, func(t *testing.T) { sendHostile(t, f, as.name, as.contentType, as.body) })
			}
		})
	}
}

func sendHostile(t *testing.T, f hostile.File, as, contentType string, body []byte) {
	srv := testServer(t, nil)
	s := start(t, srv)
	s.upload(shot(77))
	before := srv.cfg.Events.Snapshot()
	_, shownBefore := s.get("/latest")

	req, err := http.NewRequestWithContext(t.Context(), "POST", "http://feed.example/upload", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+testToken)
	req.Header.Set("Content-Type", contentType)
	var start, end runtime.MemStats
	runtime.ReadMemStats(&start)
	resp, answer := s.do(req)
	synctest.Wait()
	runtime.ReadMemStats(&end)
	if n := end.TotalAlloc - start.TotalAlloc; n > 64<<20 {
		t.Errorf("%s: %d bytes allocated", as, n)
	}

	want := hostileStatus(f.Want)
	if resp.StatusCode != want {
		t.Fatalf("%s: %s %q, want %d", as, resp.Status, answer, want)
	}
	after := srv.cfg.Events.Snapshot()
	_, shown := s.get("/latest")
	if want == http.StatusOK {
		if after.Accepted != before.Accepted+1 || after.Published != before.Published+1 {
			t.Errorf("%s: %d accepted, %d published", as, after.Accepted-before.Accepted, after.Published-before.Published)
		}
		for _, foreign := range []string{"<script", "<?php", "PK\x03\x04", "Exif", "alert(1)"} {
			if bytes.Contains(shown, []byte(foreign)) {
				t.Errorf("%s: %q reached the public", as, foreign)
			}
		}
		return
	}
	var p problem
	if err := json.Unmarshal(answer, &p); err != nil || p.Error == "" || p.Hint == "" {
		t.Errorf("%s: answer %q: %v", as, answer, err)
	}
	if after.Rejected != before.Rejected+1 || after.Accepted != before.Accepted || after.Published != before.Published {
		t.Errorf("%s: %d rejected, %d accepted, %d published", as, after.Rejected-before.Rejected, after.Accepted-before.Accepted, after.Published-before.Published)
	}
	if !bytes.Equal(shown, shownBefore) {
		t.Errorf("%s: the last good frame is gone", as)
	}
}

// TestMeasureHostile sends the corpus over loopback, with and without progressive
// JPEGs allowed, and measures the longest answer and the most memory for one
// file. In the long run time is the best of three: the machine has other things
// to do.
func TestMeasureHostile(t *testing.T) {
	const mostTime, mostMemory = 200 * time.Millisecond, 64 << 20
	rounds := 1
	if os.Getenv("PORTHOLE_LONG") != "" {
		rounds = 3
	}
	for name, limits := range map[string]frame.Limits{"default limits": {}, "progressive allowed": {Progressive: true}} {
		srv := testServer(t, func(c *Config) { c.Limits, c.Log = limits, nil })
		site := httptest.NewServer(srv)
		ctx, stop := context.WithCancel(t.Context())
		directed := make(chan struct{})
		go func() { defer close(directed); srv.Direct(ctx) }()
		var slowest time.Duration
		var largest uint64
		var slow, large string
		sent := 0
		for _, f := range hostile.Corpus() {
			best := time.Hour
			for range rounds {
				req, err := http.NewRequestWithContext(t.Context(), "POST", site.URL+"/upload", bytes.NewReader(f.Data))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Authorization", "Bearer "+testToken)
				req.Header.Set("Content-Type", "image/jpeg")
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				began := time.Now()
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatalf("%s: %v", f.Name, err)
				}
				best = min(best, time.Since(began))
				resp.Body.Close()
				runtime.ReadMemStats(&after)
				if n := after.TotalAlloc - before.TotalAlloc; n > largest {
					largest, large = n, f.Name
				}
				sent++
			}
			if best > slowest {
				slowest, slow = best, f.Name
			}
		}
		stop()
		<-directed
		site.Close()
		t.Logf("%s: %d uploads; slowest answer %v (%s), most memory %.1f MB (%s)", name, sent, slowest.Round(100*time.Microsecond), slow, float64(largest)/1e6, large)
		if largest > mostMemory {
			t.Errorf("%s: %d bytes for one file, want at most %d", large, largest, mostMemory)
		}
		if os.Getenv("PORTHOLE_LONG") != "" && slowest > mostTime {
			t.Errorf("%s: answered after %v, want at most %v", slow, slowest, mostTime)
		}
	}
}
