package server

import (
	"bytes"
	"encoding/json"
	"image"
	"image/jpeg"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"porthole/internal/frame"
	"porthole/server/hostile"
)

// FuzzUpload sends any body of any type through all of ingest. What is refused
// changes nothing and has its reason; what is taken can be shown, as a picture
// that holds no byte of the upload beyond its size.
func FuzzUpload(f *testing.F) {
	for _, file := range hostile.Corpus() {
		if len(file.Data) < 200 {
			f.Add("image/jpeg", file.Data)
		}
	}
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		tokens, err := TokensOf("cam", testToken)
		if err != nil {
			t.Fatal(err)
		}
		s, err := New(Config{Tokens: tokens, Loop: fuzzLoop, Limits: frame.Limits{MaxBytes: 64 << 10, MaxWidth: 256, MaxHeight: 256, Progressive: true}})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("POST", "/upload", bytes.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+testToken)
		r.Header["Content-Type"] = []string{contentType}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		u := s.accepted.take()
		if w.Code != 200 {
			var p problem
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Error == "" || p.Hint == "" {
				t.Fatalf("answered %d %q", w.Code, w.Body)
			}
			if w.Code < 400 || w.Code > 422 || u != nil || s.camera("cam").kept() != nil {
				t.Fatalf("answered %d %q, kept %v", w.Code, w.Body, u)
			}
			return
		}
		if u == nil || w.Body.String() != "Success\n" {
			t.Fatalf("answered %q, kept %v", w.Body, u)
		}
		shown, err := s.pipeline.Load().Render(u.admitted)
		if err != nil {
			t.Fatal(err)
		}
		m, err := jpeg.Decode(bytes.NewReader(shown.JPEG))
		if err != nil {
			t.Fatal(err)
		}
		if g, ok := m.(*image.Gray); !ok || g.Rect.Size() != u.admitted.Size() {
			t.Fatalf("shown as %T of %v, sent as %v", m, m.Bounds(), u.admitted.Size())
		}
		if info, err := frame.Inspect(shown.JPEG, frame.Limits{}); err != nil || info.Len != len(shown.JPEG) || info.Components != 1 {
			t.Fatalf("shown %+v, %v", info, err)
		}
	})
}

var fuzzLoop = &Loop{names: []string{"none"}} // nothing plays it

// FuzzNotice: a notice is one of two JSON objects, however it is written.
func FuzzNotice(f *testing.F) {
	f.Add([]byte(`{"state":"off"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		off, err := parseNotice(body)
		var other map[string]any
		plain := json.Unmarshal(body, &other) == nil && len(other) == 1
		state, _ := other["state"].(string)
		if err == nil && !(plain && (off && state == "off" || !off && state == "on")) {
			t.Fatalf("%q is taken as off: %v", body, off)
		}
		if err != nil && plain && (state == "off" || state == "on") && !bytes.Contains(body, []byte(",")) {
			t.Fatalf("%q is refused: %v", body, err)
		}
	})
}

// FuzzAccept: whether a board is answered in JSON.
func FuzzAccept(f *testing.F) {
	f.Add("text/html, application/json;q=0.5")
	f.Fuzz(func(t *testing.T, header string) {
		if acceptsJSON([]string{header}) && !strings.Contains(strings.ToLower(header), "application/json") {
			t.Fatalf("%q asks for JSON", header)
		}
	})
}

// FuzzLimiter: whatever happens in whatever order, nobody gets more than its
// burst and its rate, and a full budget is never refused.
func FuzzLimiter(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 200, 0, 0, 3})
	f.Fuzz(func(t *testing.T, steps []byte) {
		const burst, every = 3, time.Second
		l := newLimiter(burst, every, 1000)
		now := epoch
		var taken, asked [4]int
		for _, b := range steps {
			who := b & 3
			now = now.Add(time.Duration(b>>2) * 50 * time.Millisecond)
			asked[who]++
			if l.allow(limiterAddr(who), now) == 0 {
				taken[who]++
			} else if asked[who] <= burst {
				t.Fatalf("refused within the burst")
			}
		}
		for who, n := range taken {
			if most := burst + int(now.Sub(epoch)/every); n > most {
				t.Fatalf("%d of %d taken by %d in %v", n, most, who, now.Sub(epoch))
			}
		}
	})
}

func limiterAddr(who byte) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, who}) }
