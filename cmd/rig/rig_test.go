package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"porthole/internal/cli"
	"porthole/internal/clitest"
	"porthole/internal/scene"
)

var update = flag.Bool("update", false, "write the expected output of the scripts anew")

func TestMain(m *testing.M) { clitest.Main(m, "rig", func() int { return app().Main() }) }

// TestScripts runs the stories of testdata/script.
func TestScripts(t *testing.T) {
	clitest.Run(t, *update, func(dir string) error {
		return errors.Join(writeFrames(filepath.Join(dir, "frames")), writeProgram(filepath.Join(dir, "app.elf")))
	})
}

// writeFrames makes a folder of three camera frames, with a broken one beside it.
func writeFrames(dir string) error {
	sc, err := scene.New(scene.Config{Seed: 3, Width: 160, Height: 120})
	if err != nil {
		return err
	}
	broken := dir + "-broken"
	for _, d := range []string{dir, broken, dir + "-empty"} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	var all []byte
	for i, name := range []string{"1.jpg", "2.jpg", "10.jpg"} {
		data := sc.JPEG(uint64(i+1), 0)
		all = append(all, data...)
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	if err := os.WriteFile(dir+".mjpeg", all, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(broken, "half.jpg"), all[:700], 0o644)
}

// sink is a server that keeps the picture of every upload.
type sink struct {
	*httptest.Server
	mu       sync.Mutex
	pictures [][]byte
}

func newSink(t *testing.T) *sink {
	s := new(sink)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Read by the standard library: an opinion that is not ours.
		form, err := r.MultipartReader()
		if err != nil {
			t.Errorf("upload: %v", err)
			return
		}
		part, err := form.NextPart()
		if err != nil || part.FormName() != "img" {
			t.Errorf("upload: part %v, %v", part, err)
			return
		}
		data, err := io.ReadAll(part)
		if err != nil {
			t.Errorf("upload: %v", err)
		}
		s.mu.Lock()
		s.pictures = append(s.pictures, data)
		s.mu.Unlock()
		io.WriteString(w, "Success")
	}))
	t.Cleanup(s.Close)
	return s
}

// rig runs the command line in this process.
func rig(t *testing.T, ctx context.Context, args ...string) (out string) {
	t.Helper()
	var b bytes.Buffer
	if code := app().Run(ctx, args, cli.IO{In: strings.NewReader(""), Out: &b, Err: &b}); code != 0 {
		t.Fatalf("rig %s: exit code %d\n%s", strings.Join(args, " "), code, b.String())
	}
	return b.String()
}

// TestSameSeedSameBytes: two runs with one seed and epoch upload identical
// bytes; another seed does not.
func TestSameSeedSameBytes(t *testing.T) {
	run := func(seed string) [][]byte {
		s := newSink(t)
		rig(t, t.Context(), "sim", "--to", s.URL, "--token", "t", "--frames", "2", "--interval", "3s", "--seed", seed, "--epoch", "2026-05-01T12:00:00Z")
		return s.pictures
	}
	var runs [3][][]byte
	var wg sync.WaitGroup
	for i, seed := range []string{"7", "7", "8"} {
		wg.Go(func() { runs[i] = run(seed) })
	}
	wg.Wait()
	if len(runs[0]) != 2 || !slices.EqualFunc(runs[0], runs[1], bytes.Equal) {
		t.Errorf("two runs with seed 7 differ: %d and %d frames", len(runs[0]), len(runs[1]))
	}
	if slices.EqualFunc(runs[0], runs[2], bytes.Equal) {
		t.Error("seed 8 uploads the bytes of seed 7")
	}
}

// TestFolderByteForByte: a folder of camera JPEGs arrives unchanged.
func TestFolderByteForByte(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "frames")
	if err := writeFrames(dir); err != nil {
		t.Fatal(err)
	}
	s := newSink(t)
	rig(t, t.Context(), "sim", "--to", s.URL, "--token", "t", "--source", dir, "--order", "once", "--interval", "100ms")
	if len(s.pictures) != 3 {
		t.Fatalf("%d frames arrived", len(s.pictures))
	}
	for i, name := range []string{"1.jpg", "2.jpg", "10.jpg"} {
		want, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(s.pictures[i], want) {
			t.Errorf("frame %d is not %s byte for byte", i+1, name)
		}
	}
}
