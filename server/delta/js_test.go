package delta

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"porthole/server/web"
)

// script writes the decoder as browsers get it into a file.
func script(t testing.TB) string {
	t.Helper()
	mux := http.NewServeMux()
	web.Register(mux)
	rec := httptest.NewRecorder()
	mux.ServeHTTP(rec, httptest.NewRequest("GET", "/delta.js", nil))
	if rec.Code != http.StatusOK {
		t.Fatalf("GET /delta.js: %d", rec.Code)
	}
	path := filepath.Join(t.TempDir(), "delta.mjs")
	if err := os.WriteFile(path, rec.Body.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// random is a body of decisions drawn at random, with probabilities that reach
// every kind of block, every vector and every level.
func random(r *rand.Rand) []byte {
	b := make([]byte, r.IntN(400))
	bias := r.IntN(256)
	for i := range b {
		b[i] = byte(r.IntN(256))
		if r.IntN(3) == 0 {
			b[i] = byte(bias)
		}
	}
	return b
}

// stream makes frames: honest ones of a film, damaged ones and invented ones,
// most of them with the checksum put right so that what is in them counts.
func stream(seed uint64, n int) (frames [][]byte) {
	r := rand.New(rand.NewPCG(seed, 6))
	var d Decoder
	size := func() int { return 1 + r.IntN(70) }
	var feed *Feed
	var film *film
	var line *Line
	for len(frames) < n {
		var b []byte
		if feed == nil || r.IntN(12) == 0 {
			set := Settings{Coarse: uint8(1 + r.IntN(255)), Fine: uint8(1 + r.IntN(255)), CoarseWeight: r.IntN(40), FineWeight: r.IntN(40), Search: r.IntN(8)}
			feed, film = NewFeed(set, uint32(r.Uint64())), newFilm(size(), size(), r.Uint64())
			feed.Show(film.next())
			line, _ = feed.Join()
			b = line.Key.Data
		} else {
			feed.Show(film.next())
			f, _, _ := line.Next(feed.seq - 1)
			b = f[0].Data
		}
		h, body, _ := ReadHeader(b)
		switch r.IntN(8) {
		case 0, 1, 2: // honest
			frames = append(frames, b)
			d.Decode(b)
			continue
		case 3: // damaged in the header or anywhere, checksum as it was
			b = bytes.Clone(b)
			b[r.IntN(len(b))] ^= byte(1 << r.IntN(8))
			frames = append(frames, b)
			d.Decode(b)
			continue
		case 4:
			body = bytes.Clone(body)
			for range 1 + r.IntN(4) {
				if len(body) > 0 {
					body[r.IntN(len(body))] = byte(r.IntN(256))
				}
			}
		case 5:
			body = body[:r.IntN(len(body)+1)]
		default:
			body = random(r)
		}
		if h.Coarse = uint8(1 + r.IntN(255)); r.IntN(4) == 0 {
			h.Fine = uint8(1 + r.IntN(255))
		}
		if !h.Key && d.now == nil {
			continue
		}
		if !h.Key {
			h.Base, h.Seq = d.seq, d.seq+uint32(1+r.IntN(255))
		}
		h.Sum = d.sumOf(&h, body)
		b = append(h.append(nil), body...)
		frames = append(frames, b)
		d.Decode(b)
	}
	return frames
}

// TestJavaScript: the browser's decoder and this one agree on every frame,
// honest or not: taken or refused, and on every pixel. PORTHOLE_LONG=1 goes on
// for ten minutes.
func TestJavaScript(t *testing.T) {
	path := script(t)
	rounds, per := 1, 400
	end := time.Time{}
	if os.Getenv("PORTHOLE_LONG") != "" {
		rounds, per, end = 1<<30, 3000, time.Now().Add(10*time.Minute)
	}
	total, taken := 0, 0
	for round := 0; round < rounds && (end.IsZero() || time.Now().Before(end)); round++ {
		n, ok := compare(t, path, uint64(round)+1, per)
		total, taken = total+n, taken+ok
		if t.Failed() {
			return
		}
	}
	t.Logf("%d frames, %d of them taken", total, taken)
	if taken < total/4 || taken == total {
		t.Errorf("%d of %d frames were taken: the test reaches too little", taken, total)
	}
}

// compare runs one stream through both decoders.
func compare(t *testing.T, path string, seed uint64, n int) (frames, taken int) {
	t.Helper()
	list := stream(seed, n)
	var in bytes.Buffer
	for i, b := range list {
		if i%101 == 100 { // who comes in the middle has no picture
			binary.Write(&in, binary.BigEndian, uint32(1<<32-1))
		}
		binary.Write(&in, binary.BigEndian, uint32(len(b)))
		in.Write(b)
	}
	cmd := exec.CommandContext(t.Context(), "node", "testdata/decode.mjs", path)
	cmd.Stdin, cmd.Stderr = &in, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("seed %d: node: %v", seed, err)
	}
	var d Decoder
	answers := bytes.NewReader(out)
	for i, b := range list {
		if i%101 == 100 {
			d = Decoder{}
		}
		err := d.Decode(b)
		var head [5]byte
		if _, e := io.ReadFull(answers, head[:]); e != nil {
			t.Fatalf("seed %d: node answered %d of %d frames", seed, i, len(list))
		}
		if (head[0] == 1) != (err == nil) {
			t.Fatalf("seed %d, frame %d: JavaScript took it: %v; Go: %v", seed, i, head[0] == 1, err)
		}
		if err == nil {
			taken++
		}
		w, h := int(head[1])<<8|int(head[2]), int(head[3])<<8|int(head[4])
		pix := make([]byte, w*h)
		if _, e := io.ReadFull(answers, pix); e != nil {
			t.Fatal(e)
		}
		if d.now == nil {
			if w != 0 {
				t.Fatalf("seed %d, frame %d: JavaScript has a picture, Go has none", seed, i)
			}
			continue
		}
		if g := d.Picture(); g.Rect.Dx() != w || g.Rect.Dy() != h || !bytes.Equal(g.Pix, pix) {
			t.Fatalf("seed %d, frame %d: the pictures differ", seed, i)
		}
	}
	return len(list), taken
}
