package wire

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestConstants(t *testing.T) {
	// The lengths are facts, the texts are ours: they have to meet.
	if len(partHead) != HeadLen || len(partTail) != TailLen || FramingLen != 113 {
		t.Errorf("head %d, tail %d, framing %d", len(partHead), len(partTail), FramingLen)
	}
	n := 0
	for range (Request{Host: "h", Path: "/"}).SketchRecords(SketchOptions{}) {
		n++
	}
	if n != HeaderRecords+1 {
		t.Errorf("%d records without an image, want %d", n, HeaderRecords+1)
	}
}

// TestSketchRecordCount sweeps N against the count formula of esp32-wire 1.3.
func TestSketchRecordCount(t *testing.T) {
	img := ruleImage(5 * ChunkLen)
	for n := range len(img) + 1 {
		want := HeaderRecords + (n+ChunkLen-1)/ChunkLen + 1
		if n > 0 && n%ChunkLen == 0 {
			want--
		}
		var w writeRecorder
		if err := (Request{Host: "h", Path: "/", JPEG: img[:n]}).Sketch(&w, SketchOptions{}); err != nil {
			t.Fatal(err)
		}
		if len(w.sizes) != want || slices.Contains(w.sizes, 0) {
			t.Errorf("N=%d: %d records %v, want %d", n, len(w.sizes), w.sizes, want)
		}
	}
}

func TestSketchFixLastKB(t *testing.T) {
	for _, n := range []int{0, 1, 1023, 1024, 1025, 2048, 3072} {
		var w writeRecorder
		r := Request{Host: "h", Path: "/", JPEG: ruleImage(n)}
		if err := r.Sketch(&w, SketchOptions{FixLastKB: true}); err != nil {
			t.Fatal(err)
		}
		_, body, _ := bytes.Cut(w.all.Bytes(), []byte("\r\n\r\n"))
		if len(body) != r.ContentLength() {
			t.Errorf("N=%d: body of %d bytes, Content-Length %d", n, len(body), r.ContentLength())
		}
	}
}

func TestSketchRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		req  Request
		text string
	}{
		{"no host", Request{Path: "/upload"}, "empty host"},
		{"no path", Request{Host: "h"}, "slash"},
		{"relative path", Request{Host: "h", Path: "upload"}, "slash"},
		{"line end in the host", Request{Host: "h\r\nX: y", Path: "/"}, `host "h\r\nX: y"`},
		{"blank in the path", Request{Host: "h", Path: "/a b"}, `path "/a b"`},
		{"delete in the path", Request{Host: "h", Path: "/\x7f"}, "path"},
		{"umlaut in the host", Request{Host: "kühe", Path: "/"}, "host"},
		{"line end in the token", Request{Host: "h", Path: "/", Token: "s3cret\n"}, "token holds"},
	} {
		var w writeRecorder
		err := tt.req.Sketch(&w, SketchOptions{})
		if err == nil || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: %v, want …%s…", tt.name, err, tt.text)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: the error shows the token", tt.name)
		}
		if len(w.sizes) > 0 {
			t.Errorf("%s: %d writes", tt.name, len(w.sizes))
		}
	}
}

// failWriter fails, or writes short, at the n-th Write.
type failWriter struct {
	n     int
	err   error
	calls int
}

func (w *failWriter) Write(p []byte) (int, error) {
	if w.calls++; w.calls == w.n {
		return len(p) - 1, w.err
	}
	return len(p), nil
}

func TestSketchWriteErrors(t *testing.T) {
	r := Request{Host: "h", Path: "/", JPEG: ruleImage(2500)}
	for n := 1; n <= HeaderRecords+4; n++ {
		boom := errors.New("boom")
		w := failWriter{n: n, err: boom}
		if err := r.Sketch(&w, SketchOptions{}); !errors.Is(err, boom) || w.calls != n {
			t.Errorf("write %d: %v after %d calls", n, err, w.calls)
		}
		w = failWriter{n: n}
		if err := r.Sketch(&w, SketchOptions{}); !errors.Is(err, io.ErrShortWrite) || w.calls != n {
			t.Errorf("short write %d: %v after %d calls", n, err, w.calls)
		}
	}
}

func TestSketchRecordsStop(t *testing.T) {
	r := Request{Host: "h", Path: "/", JPEG: ruleImage(2048)}
	total := len(slices.Collect(r.SketchRecords(SketchOptions{})))
	for stop := 1; stop <= total; stop++ {
		n := 0
		for range r.SketchRecords(SketchOptions{}) {
			if n++; n == stop {
				break
			}
		}
		if n != stop {
			t.Errorf("stopped after %d of %d", n, stop)
		}
	}
}
