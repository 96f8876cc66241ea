package server

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porthole/server/delta"
)

// streamed reads a stream of frames.
type streamed struct {
	t      *testing.T
	body   io.Reader
	cancel context.CancelFunc
	dec    delta.Decoder
	name   string // under which it can be taken up
	keys   int
	bytes  int
}

func (s *site) stream(query string) *streamed {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	s.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", "http://feed.example/stream"+query, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	answer, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	if answer.StatusCode != http.StatusOK {
		s.t.Fatalf("GET /stream%s: %s", query, answer.Status)
	}
	return &streamed{t: s.t, body: answer.Body, cancel: cancel}
}

// record reads one record; nil is a beat.
func (v *streamed) record() []byte {
	v.t.Helper()
	var n [4]byte
	if _, err := io.ReadFull(v.body, n[:]); err != nil {
		v.t.Fatal(err)
	}
	b := make([]byte, binary.BigEndian.Uint32(n[:]))
	if _, err := io.ReadFull(v.body, b); err != nil {
		v.t.Fatal(err)
	}
	v.bytes += 4 + len(b)
	if len(b) == 0 {
		return nil
	}
	return b
}

func (*streamed) nameOf(record []byte) string {
	return base64.RawURLEncoding.EncodeToString(record[1:])
}

// next reads until a frame made a picture.
func (v *streamed) next() *image.Gray {
	v.t.Helper()
	for {
		b := v.record()
		switch {
		case b == nil:
			continue
		case b[0] == lineMark:
			v.name = v.nameOf(b)
			continue
		}
		h, _, err := delta.ReadHeader(b)
		if err != nil {
			v.t.Fatal(err)
		}
		if h.Key {
			v.keys++
		}
		if err := v.dec.Decode(b); err != nil {
			v.t.Fatal(err)
		}
		return v.dec.Picture()
	}
}

// like fails the test unless g is the picture that a JPEG has, about.
func like(t *testing.T, g *image.Gray, data []byte) {
	t.Helper()
	m, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	want := m.(*image.Gray)
	if g.Rect != want.Rect {
		t.Fatalf("a picture of %v, want %v", g.Rect, want.Rect)
	}
	sum := 0
	for i, v := range g.Pix {
		d := int(v) - int(want.Pix[i])
		sum += d * d
	}
	if mse := float64(sum) / float64(len(g.Pix)); mse > 60 {
		t.Fatalf("the picture is %.0f squared levels from the one at /latest", mse)
	}
}

func withDeltas(c *Config) { c.Deltas = DeltasStrict }

// TestStream: a viewer gets a key and then every picture, the same that /latest
// shows; a stream that broke goes on where it ended; a forged or old name gets a
// key.
func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, testServer(t, withDeltas))
		synctest.Wait()
		v := s.stream("")
		latest := func(g *image.Gray) {
			t.Helper()
			_, body := s.get("/latest")
			like(t, g, body)
		}
		latest(v.next())
		for range 5 {
			latest(v.next())
		}
		if v.keys != 1 {
			t.Errorf("%d keys", v.keys)
		}
		seq, _ := v.dec.Seq()
		v.cancel()

		w := s.stream(fmt.Sprintf("?from=%s&seq=%d", v.name, seq))
		w.dec = v.dec
		latest(w.next())
		latest(w.next())
		if w.keys != 0 || w.name != "" {
			t.Errorf("taken up with %d keys", w.keys)
		}
		w.cancel()
		for _, query := range []string{
			"?from=AAAAAAAAAAAAAAAAAAAAAA&seq=1", "?from=" + v.name, "?from=" + v.name + "&seq=-1", "?from=!&seq=1",
			fmt.Sprintf("?from=%s&seq=%d", v.name, seq+1000), "?seq=" + strconv.Itoa(int(seq)),
		} {
			w := s.stream(query)
			latest(w.next())
			if w.keys != 1 {
				t.Errorf("%s: no key", query)
			}
			w.cancel()
		}
		time.Sleep(2 * time.Second * (farBehind + 2))
		w = s.stream(fmt.Sprintf("?from=%s&seq=%d", v.name, seq))
		if w.next(); w.keys != 1 {
			t.Error("who missed a lot got no key")
		}
		w.cancel()
	})
}

// TestStreamLives: a stream without pictures sends a beat.
func TestPushBeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, testServer(t, func(c *Config) { c.Deltas, c.Period = DeltasGlobal, time.Hour }))
		synctest.Wait()
		v := s.stream("")
		v.next()
		began := time.Now()
		for range 3 {
			if b := v.record(); b != nil {
				t.Fatalf("%d bytes instead of a beat", len(b))
			}
		}
		if d := time.Since(began); d != 3*streamBeat {
			t.Errorf("three beats in %v", d)
		}
		v.cancel()
	})
}

// TestSlowViewer: who reads too slowly gets a key instead of everything missed,
// also when the line is gone.
func TestSlowViewer(t *testing.T) {
	s := testServer(t, withDeltas)
	show := func(n int) {
		for i := range n {
			g := image.NewGray(image.Rect(0, 0, 40, 30))
			for k := range g.Pix {
				g.Pix[k] = byte(i*k/7 + 60)
			}
			s.showDeltas(g)
		}
	}
	show(1)
	rec := httptest.NewRecorder()
	v := pushed{deltas: s.deltas, w: rec, ctl: http.NewResponseController(rec)}
	if err := v.join(); err != nil {
		t.Fatal(err)
	}
	v.send()
	for _, test := range []struct {
		name  string
		shown int
		join  bool
		keys  int
	}{{"in time", 3, false, 0}, {"far behind", farBehind + 1, false, 1}, {"beyond what is kept", 200, true, 1}, {"at once", 0, false, 0}} {
		show(test.shown)
		rec.Body.Reset()
		if _, err := v.send(); err != nil {
			t.Fatal(err)
		}
		r := streamed{t: t, body: rec.Body}
		keys := 0
		for rec.Body.Len() > 0 {
			if b := r.record(); b != nil && b[0] == lineMark {
				keys++
			}
		}
		if keys != test.keys {
			t.Errorf("%s: %d keys, want %d", test.name, keys, test.keys)
		}
		if seq, _ := s.deltas.feed.Seq(); v.seq != seq {
			t.Errorf("%s: at %d, the feed at %d", test.name, v.seq, seq)
		}
	}
}

// TestHead: from the pointer every picture can be reached by names alone, the
// names cannot be guessed, and what they stand for does not change.
func TestHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, testServer(t, func(c *Config) { c.Deltas, c.Serving.Cache = DeltasStrict, CacheEdge }))
		synctest.Wait()
		head := func(query string) (seq uint32, due int, key string) {
			t.Helper()
			answer, body := s.get("/head" + query)
			if answer.StatusCode != http.StatusOK || len(body) > 64 {
				t.Fatalf("GET /head: %s, %d bytes", answer.Status, len(body))
			}
			if c := answer.Header.Get("Cdn-Cache-Control"); c != edgeSecond[0] {
				t.Errorf("the pointer's Cdn-Cache-Control is %q", c)
			}
			if _, err := fmt.Sscanf(string(body), "%d %d %s\n", &seq, &due, &key); err != nil {
				t.Fatalf("%q: %v", body, err)
			}
			return seq, due, key
		}
		fetch := func(path string) (next string, frame []byte) {
			t.Helper()
			answer, body := s.get(path)
			if answer.StatusCode != http.StatusOK || len(body) < nameSize {
				t.Fatalf("GET %s: %s", path, answer.Status)
			}
			if c := answer.Header.Get("Cdn-Cache-Control"); c != edgeFrame[0] || answer.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: Cdn-Cache-Control %q, Cache-Control %q", path, c, answer.Header.Get("Cache-Control"))
			}
			return base64.RawURLEncoding.EncodeToString(body[:nameSize]), body[nameSize:]
		}
		var dec delta.Decoder
		seq, due, key := head("")
		if due < 0 || due > 2000 {
			t.Errorf("the next picture is due in %d ms", due)
		}
		next, frame := fetch("/k/" + key)
		if err := dec.Decode(frame); err != nil {
			t.Fatal(err)
		}
		for range 6 {
			before := seq
			began := time.Now()
			seq, _, _ = head(fmt.Sprintf("?after=%d&wait=20", before))
			if seq != before+1 || time.Since(began) > 2*time.Second {
				t.Fatalf("waited %v for picture %d behind %d", time.Since(began), seq, before)
			}
			name := next
			next, frame = fetch("/d/" + name)
			if err := dec.Decode(frame); err != nil {
				t.Fatal(err)
			}
			if _, again := fetch("/d/" + name); !bytes.Equal(frame, again) {
				t.Error("a name stands for something else now")
			}
			if got, _ := dec.Seq(); got != seq {
				t.Fatalf("at %d, the pointer says %d", got, seq)
			}
			_, body := s.get("/latest")
			like(t, dec.Picture(), body)
		}
		answer, _ := s.get("/head")
		if again, _ := s.get("/head", "If-None-Match", answer.Header.Get("Etag")); again.StatusCode != http.StatusNotModified {
			t.Errorf("the same pointer again: %s", again.Status)
		}
		for _, path := range []string{
			"/d/" + next, // not there yet
			"/d/" + key, "/k/" + next, "/k/AAAAAAAAAAAAAAAAAAAAAA", "/k/" + key[1:], "/d/" + key + "A", "/k/" + strings.ToUpper(key), "/k/%00",
		} {
			if answer, _ := s.get(path); answer.StatusCode != http.StatusNotFound {
				t.Errorf("GET %s: %s", path, answer.Status)
			}
		}
	})
}

// TestDeltasOff: a server without changes says so, and refuses a word it does
// not know.
func TestDeltasOff(t *testing.T) {
	s := testServer(t, nil)
	for path, want := range map[string]int{"/stream": 204, "/head": 404, "/k/AAAAAAAAAAAAAAAAAAAAAA": 404, "/d/AAAAAAAAAAAAAAAAAAAAAA": 404} {
		if got := ask(s, "GET", path).StatusCode; got != want {
			t.Errorf("GET %s: %d", path, got)
		}
	}
	on := testServer(t, withDeltas)
	for _, path := range []string{"/stream", "/head"} {
		if got := ask(on, "GET", path).StatusCode; got != http.StatusServiceUnavailable {
			t.Errorf("GET %s before the first picture: %d", path, got)
		}
	}
	if _, err := newDeltas("most", time.Second); err == nil {
		t.Error("an unknown word was taken")
	}
}

// TestDeltaMetrics: the private side tells what the changes cost.
func TestDeltaMetrics(t *testing.T) {
	s := testServer(t, withDeltas)
	s.showDeltas(image.NewGray(image.Rect(0, 0, 40, 30)))
	s.showDeltas(image.NewGray(image.Rect(0, 0, 40, 30)))
	if _, err := s.deltas.feed.Join(); err != nil {
		t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	s.handleMetrics(rec, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{"porthole_delta_frames_total 2\n", "porthole_delta_keys_total 1\n", "porthole_delta_mismatches_total 0\n", "porthole_delta_lines 1\n"} {
		if !strings.Contains(rec.Body.String(), want) {
			t.Errorf("no %q among the metrics", want)
		}
	}
	rec = httptest.NewRecorder()
	testServer(t, nil).handleMetrics(rec, httptest.NewRequest("GET", "/metrics", nil))
	if strings.Contains(rec.Body.String(), "delta") {
		t.Error("a server without changes counts them")
	}
}
