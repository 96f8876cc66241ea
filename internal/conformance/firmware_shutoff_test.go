package conformance

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"porthole/internal/console"
	"porthole/internal/wire"
	"porthole/server"
)

// patience bounds every wait of the shutoff test; what it waits for takes a tenth.
const patience = 20 * time.Second

// shutoffRig is porthole-fw with a camera that shows the era, a switch that is a
// file, and a server that remembers what it took. Eras are counted: with every cut
// and every release a new one begins, so an odd one is one of an open switch.
type shutoffRig struct {
	t       *testing.T
	line    string
	camera  string
	era     atomic.Int64
	bench   *fwBench
	frames  chan int64 // eras of what was accepted
	console chan console.Line
	records atomic.Int64 // of the upload under way
	cutAt   atomic.Int64 // the record before which the switch opens; 0: never
	cut     chan struct{}
}

// write replaces a file in one step: whoever reads sees the old or the new.
func (r *shutoffRig) write(path string, content []byte) {
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		r.t.Error(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		r.t.Error(err)
	}
}

// show puts a picture of a new era before the camera.
func (r *shutoffRig) show() {
	b := bytes.Repeat([]byte{'p'}, 9000)
	copy(b, fmt.Sprintf("\xff\xd8%020d", r.era.Add(1)))
	copy(b[len(b)-2:], "\xff\xd9")
	r.write(r.camera, b)
}

// ServeHTTP is the server: it takes every complete form.
func (r *shutoffRig) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.URL.Path != wire.UploadPath {
		io.Copy(io.Discard, req.Body)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	frame, err := wire.ReadUpload(req.Body, req.Header.Get("Content-Type"), wire.FieldName, wire.ReadLimits{})
	if err == nil && bytes.HasSuffix(frame, []byte{0xFF, 0xD9}) {
		era, err := strconv.ParseInt(string(frame[2:22]), 10, 64)
		if err != nil {
			r.t.Error(err)
		}
		r.frames <- era
	}
	r.records.Store(0)
	w.Header().Set("Content-Type", wire.ReplyType)
	io.WriteString(w, `{"sequence":1,"waves":0,"interval_ms":0}`)
}

// between looks at each record on its way to the server.
func (r *shutoffRig) between([]byte) {
	if n := r.cutAt.Load(); n > 0 && r.records.Add(1) == n {
		r.cutAt.Store(0)
		r.write(r.line, []byte("off"))
		r.show() // what is taken from now on is taken after the cut
		r.cut <- struct{}{}
	}
}

func (r *shutoffRig) waitLine(kind console.Kind) {
	r.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case l := <-r.console:
			if l.Kind == kind {
				return
			}
		case <-deadline:
			r.t.Fatalf("no line %q", kind)
		}
	}
}

// TestFirmwareShutoff pulls the switch of porthole-fw before every record that an
// upload has, again and again: no picture taken after the cut is ever accepted, and
// pictures are back within five seconds of the release, newer than it.
func TestFirmwareShutoff(t *testing.T) {
	cuts := 24
	if os.Getenv("PORTHOLE_LONG") != "" {
		cuts = 1000
	}
	dir := t.TempDir()
	r := &shutoffRig{
		t: t, line: filepath.Join(dir, "switch"), camera: filepath.Join(dir, "camera.jpg"),
		frames: make(chan int64, 1000), console: make(chan console.Line, 10_000), cut: make(chan struct{}, 1),
	}
	r.bench = newFWBench(t, func(*server.Server) http.Handler { return r })
	r.bench.between = r.between
	r.era.Store(-1)
	r.show()
	r.write(r.line, []byte("on"))

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	cmd := exec.CommandContext(ctx, hostFirmware(t), "--nvs", settings(t, r.bench, nil), "--camera", r.camera, "--switch", r.line)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { stop(); cmd.Wait() }()
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if l, ok := console.Parse(strings.TrimRight(lines.Text(), "\r")); ok {
				r.console <- l
			}
		}
	}()

	for i := range cuts {
		// The head, three slices of the picture, the tail: before each of them.
		r.waitLine(console.UploadOK)
		r.records.Store(0)
		r.cutAt.Store(1 + int64(i%5))
		select {
		case <-r.cut:
		case <-time.After(patience):
			t.Fatalf("cut %d: no upload to cut", i)
		}
		r.waitLine(console.CameraOff)
		r.waitLine(console.Notice)
		open := r.era.Load()
		for len(r.frames) > 0 {
			if era := <-r.frames; era >= open {
				t.Errorf("cut %d: a picture was accepted that was taken after it", i)
			}
		}
		r.show() // before the release: nothing older may come
		released := time.Now()
		r.write(r.line, []byte("on"))
		select {
		case era := <-r.frames:
			if took := time.Since(released); era != open+1 || took > 5*time.Second {
				t.Errorf("cut %d: the first picture is of era %d, want %d; it came after %v", i, era, open+1, took)
			}
		case <-time.After(patience):
			t.Fatalf("cut %d: no picture after the release", i)
		}
	}
}
