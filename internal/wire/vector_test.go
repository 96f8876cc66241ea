package wire

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"testing"

	"porthole/internal/wire/wiretest"
)

// vector is one file of testdata/vectors, as the calls of this package want it.
type vector struct {
	wiretest.Vector
	req Request
	opt SketchOptions
}

func loadVectors(t testing.TB) []vector {
	t.Helper()
	var vs []vector
	for _, v := range wiretest.Load(t, "testdata/vectors") {
		vs = append(vs, vector{v, Request{Host: v.Host, Path: v.Path, Token: v.Token, JPEG: v.Image}, SketchOptions{FixLastKB: !v.DropLastKB}})
	}
	return vs
}

// ruleImage is the image of the rule i*7+13.
func ruleImage(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + 13)
	}
	return b
}

// writeRecorder keeps every Write apart.
type writeRecorder struct {
	sizes []int
	all   bytes.Buffer
}

func (w *writeRecorder) Write(p []byte) (int, error) {
	w.sizes = append(w.sizes, len(p))
	return w.all.Write(p)
}

// write writes the vector's upload with its profile.
func (v vector) write(w io.Writer) error {
	if v.Profile == "firmware" {
		return v.req.Firmware(w)
	}
	return v.req.Sketch(w, v.opt)
}

func TestVectors(t *testing.T) {
	for _, v := range loadVectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			var w writeRecorder
			if err := v.write(&w); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(w.sizes, v.Writes) {
				t.Errorf("writes\n got %v\nwant %v", w.sizes, v.Writes)
			}
			for i, n := range w.sizes {
				if i < len(v.Records) && n+GCMOverhead != v.Records[i] {
					t.Errorf("write %d: record length %d, want %d", i+1, n+GCMOverhead, v.Records[i])
				}
			}
			if n := w.all.Len(); n != v.StreamBytes {
				t.Errorf("%d bytes in all, want %d", n, v.StreamBytes)
			}
			if got := fmt.Sprintf("%x", sha256.Sum256(w.all.Bytes())); got != v.StreamSHA256 {
				t.Errorf("sha256 %s, want %s\n%q", got, v.StreamSHA256, w.all.Bytes()[:min(400, w.all.Len())])
			}
			if got := v.req.ContentLength(); got != v.ContentLength {
				t.Errorf("content length %d, want %d", got, v.ContentLength)
			}
		})
	}
}

// TestCapturedRecords holds the vectors to the one list that a real TLS stack
// was seen to send (esp32-wire 1.3), and the parser to reading all of it.
func TestCapturedRecords(t *testing.T) {
	vs := loadVectors(t)
	i := slices.IndexFunc(vs, func(v vector) bool { return v.Name == "sketch-2500-captured" })
	if i < 0 {
		t.Fatal("the captured vector is missing")
	}
	want := []int{45, 26, 48, 26, 61, 26, 44, 26, 71, 26, 26, 126, 1048, 1048, 476, 35}
	if !slices.Equal(vs[i].Records, want) {
		t.Errorf("records %v, want %v", vs[i].Records, want)
	}
	for _, n := range []int{0, 1, 1023, 1024, 1025, 2048, 25000} {
		if !slices.ContainsFunc(vs, func(v vector) bool { return v.Name == fmt.Sprint("sketch-", n) && len(v.req.JPEG) == n }) {
			t.Errorf("no vector for %d bytes", n)
		}
	}
}
