package server

import (
	"bytes"
	"encoding/json"
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"

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
// form and as a plain body: the right status with a hint, little memory, the
// last good frame still there, and nothing published. Files that are a picture
// after all are published, without the bytes that are not picture.
func TestHostileCorpus(t *testing.T) {
	files := hostile.Corpus()
	if len(files) < 60 {
		t.Fatalf("%d files", len(files))
	}
	names := make(map[string]bool)
	for _, f := range files {
		if names[f.Name] {
			t.Errorf("two files are called %q", f.Name)
		}
		names[f.Name] = true
		t.Run(f.Name, func(t *testing.T) {
			formBody, formType := form(t, "img", f.Data)
			for _, as := range []struct {
				name, contentType string
				body              []byte
			}{{"form", formType, formBody}, {"plain", "image/jpeg", f.Data}} {
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
