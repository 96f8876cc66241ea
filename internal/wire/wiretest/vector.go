// Package wiretest reads the text vectors of the upload protocol, which the Go
// writer, the Go reader, the simulated camera and the firmware are all held
// against. The format is described beside the vectors, in
// internal/wire/testdata/vectors/README.md.
package wiretest

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Vector is one file: an upload and what it looks like on the wire.
type Vector struct {
	Name              string // of the file, without .txt
	Profile           string // "sketch" or "firmware"
	Host, Path, Token string
	Image             []byte // to upload
	DropLastKB        bool   // with the multiple-of-1024 defect
	ContentLength     int    // the header's value, true or not
	StreamBytes       int    // of the whole plaintext
	StreamSHA256      string // hexadecimal
	ReadBytes         int    // image bytes that reach the other end
	ShortBy           int    // bytes that Content-Length promises and nobody sends
	Writes            []int  // plaintext length of each write
	Records           []int  // length field of each TLS record
}

// minVectors guards against a folder that moved: no vectors, no test.
const minVectors = 8

// Load reads all vectors of a folder. Anything it does not understand fails the
// test.
func Load(t testing.TB, dir string) []Vector {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil || len(files) < minVectors {
		t.Fatalf("vectors in %s: %d files, %v", dir, len(files), err)
	}
	var all []Vector
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		v, err := parse(string(text))
		if err != nil {
			t.Fatalf("vector %s: %v", f, err)
		}
		v.Name = strings.TrimSuffix(filepath.Base(f), ".txt")
		all = append(all, v)
	}
	return all
}

func parse(text string) (v Vector, err error) {
	head, list, ok := strings.Cut(text, "\n\n")
	if !ok {
		return v, errors.New("no empty line")
	}
	keys := make(map[string]string)
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
			err = errors.Join(err, fmt.Errorf("no key %q", k))
		}
		delete(keys, k)
		return val
	}
	num := func(k string) int {
		n, e := strconv.Atoi(pop(k))
		err = errors.Join(err, e)
		return n
	}
	v.Profile = pop("profile")
	if r := pop("image-rule"); v.Profile != "sketch" && v.Profile != "firmware" || r != "i*7+13" {
		return v, fmt.Errorf("profile %q, image rule %q", v.Profile, r)
	}
	v.Host, v.Path, v.Token = pop("host"), pop("path"), pop("token")
	v.Image = make([]byte, num("image-bytes"))
	for i := range v.Image {
		v.Image[i] = byte(i*7 + 13)
	}
	drop, e := strconv.ParseBool(pop("drop-last-kb"))
	v.DropLastKB, err = drop, errors.Join(err, e)
	v.ContentLength, v.StreamBytes, v.StreamSHA256 = num("content-length"), num("stream-bytes"), pop("stream-sha256")
	v.ReadBytes, v.ShortBy = num("read-bytes"), num("short-by")
	if len(keys) > 0 {
		err = errors.Join(err, fmt.Errorf("unknown keys %q", slices.Sorted(maps.Keys(keys))))
	}
	for line := range strings.Lines(list) {
		var plain, record int
		if _, e := fmt.Sscanf(line, "%d %d\n", &plain, &record); e != nil {
			return v, errors.Join(err, fmt.Errorf("write %q: %w", line, e))
		}
		v.Writes, v.Records = append(v.Writes, plain), append(v.Records, record)
	}
	return v, err
}
