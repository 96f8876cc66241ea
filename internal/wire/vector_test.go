package wire

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// vector is one file of testdata/vectors, as its README describes.
type vector struct {
	name          string
	req           Request
	opt           SketchOptions
	contentLength int
	streamBytes   int
	sha256        string
	readBytes     int
	shortBy       int
	writes        []int // plaintext lengths
	records       []int // TLS record length fields
}

// loadVectors reads them all. A file that does not parse fails the test.
func loadVectors(t testing.TB) []vector {
	t.Helper()
	files, err := filepath.Glob("testdata/vectors/*.txt")
	if err != nil || len(files) < 8 {
		t.Fatalf("vectors: %d files, %v", len(files), err)
	}
	var vs []vector
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		v, err := parseVector(string(b))
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		v.name = strings.TrimSuffix(filepath.Base(f), ".txt")
		vs = append(vs, v)
	}
	return vs
}

func parseVector(text string) (v vector, err error) {
	head, list, ok := strings.Cut(text, "\n\n")
	if !ok {
		return v, fmt.Errorf("no empty line")
	}
	keys := map[string]string{}
	for line := range strings.SplitSeq(head, "\n") {
		k, val, ok := strings.Cut(line, ":")
		if _, twice := keys[k]; !ok || twice {
			return v, fmt.Errorf("line %q", line)
		}
		keys[k] = strings.TrimPrefix(val, " ")
	}
	pop := func(k string) string {
		val, ok := keys[k]
		if !ok {
			err = fmt.Errorf("no key %q", k)
		}
		delete(keys, k)
		return val
	}
	num := func(k string) int {
		n, e := strconv.Atoi(pop(k))
		if e != nil {
			err = e
		}
		return n
	}
	if p, r := pop("profile"), pop("image-rule"); p != "sketch" || r != "i*7+13" {
		return v, fmt.Errorf("profile %q, image rule %q", p, r)
	}
	drop, e := strconv.ParseBool(pop("drop-last-kb"))
	if e != nil {
		return v, e
	}
	v.opt.FixLastKB = !drop
	v.req = Request{Host: pop("host"), Path: pop("path"), Token: pop("token"), JPEG: ruleImage(num("image-bytes"))}
	v.contentLength, v.streamBytes, v.sha256 = num("content-length"), num("stream-bytes"), pop("stream-sha256")
	v.readBytes, v.shortBy = num("read-bytes"), num("short-by")
	if err == nil && len(keys) > 0 {
		err = fmt.Errorf("unknown keys %q", slices.Sorted(maps.Keys(keys)))
	}
	for line := range strings.Lines(list) {
		var plain, record int
		if _, e := fmt.Sscanf(line, "%d %d\n", &plain, &record); e != nil {
			return v, fmt.Errorf("write %q: %w", line, e)
		}
		v.writes, v.records = append(v.writes, plain), append(v.records, record)
	}
	return v, err
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

func TestSketchVectors(t *testing.T) {
	for _, v := range loadVectors(t) {
		t.Run(v.name, func(t *testing.T) {
			var w writeRecorder
			if err := v.req.Sketch(&w, v.opt); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(w.sizes, v.writes) {
				t.Errorf("writes\n got %v\nwant %v", w.sizes, v.writes)
			}
			for i, n := range w.sizes {
				if i < len(v.records) && n+GCMOverhead != v.records[i] {
					t.Errorf("write %d: record length %d, want %d", i+1, n+GCMOverhead, v.records[i])
				}
			}
			if n := w.all.Len(); n != v.streamBytes {
				t.Errorf("%d bytes in all, want %d", n, v.streamBytes)
			}
			if got := fmt.Sprintf("%x", sha256.Sum256(w.all.Bytes())); got != v.sha256 {
				t.Errorf("sha256 %s, want %s\n%q", got, v.sha256, w.all.Bytes()[:min(400, w.all.Len())])
			}
			if got := v.req.ContentLength(); got != v.contentLength {
				t.Errorf("content length %d, want %d", got, v.contentLength)
			}
		})
	}
}

// TestCapturedRecords holds the vectors to the one list that a real TLS stack
// was seen to send (esp32-wire 1.3), and the parser to reading all of it.
func TestCapturedRecords(t *testing.T) {
	vs := loadVectors(t)
	i := slices.IndexFunc(vs, func(v vector) bool { return v.name == "sketch-2500-captured" })
	if i < 0 {
		t.Fatal("the captured vector is missing")
	}
	want := []int{45, 26, 48, 26, 61, 26, 44, 26, 71, 26, 26, 126, 1048, 1048, 476, 35}
	if !slices.Equal(vs[i].records, want) {
		t.Errorf("records %v, want %v", vs[i].records, want)
	}
	for _, n := range []int{0, 1, 1023, 1024, 1025, 2048, 25000} {
		if !slices.ContainsFunc(vs, func(v vector) bool { return v.name == fmt.Sprint("sketch-", n) && len(v.req.JPEG) == n }) {
			t.Errorf("no vector for %d bytes", n)
		}
	}
}

func TestParseVectorRefuses(t *testing.T) {
	b, err := os.ReadFile("testdata/vectors/sketch-1.txt")
	if err != nil {
		t.Fatal(err)
	}
	good := string(b)
	if _, err := parseVector(good); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"unknown key":  "colour: red\n" + good,
		"key twice":    "profile: sketch\n" + good,
		"missing key":  strings.Replace(good, "path: /upload\n", "", 1),
		"no list":      strings.ReplaceAll(good, "\n\n", "\n"),
		"broken write": good + "12\n",
		"new profile":  strings.Replace(good, "sketch", "firmware", 1),
	} {
		if _, err := parseVector(bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
