package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"porthole/hil/flash"
	"porthole/internal/cli"
	"porthole/internal/espimage"
)

func TestBarText(t *testing.T) {
	for _, tt := range []struct {
		name string
		p    flash.Progress
		want string
	}{
		{"unknown", flash.Progress{Phase: flash.Connecting}, "connecting …"},
		{"begin", flash.Progress{Phase: flash.Writing, Total: 4096}, "writing    [                        ]   0 %"},
		{"half", flash.Progress{Phase: flash.Writing, Done: 2048, Total: 4096, Rate: 64_000, ETA: 90 * time.Second}, "writing    [============            ]  50 %  64 kB/s  1m30s left"},
		{"end", flash.Progress{Phase: flash.Reading, Done: 1 << 30, Total: 1 << 30, Rate: 64_000}, "reading    [========================] 100 %  64 kB/s"},
	} {
		if got := barText(tt.p); got != tt.want || len([]rune(got)) > 79 {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestDisplayPrintsNothingRaw checks that what a board printed cannot steer the
// terminal.
func TestDisplayPrintsNothingRaw(t *testing.T) {
	var out, errs bytes.Buffer
	d := &display{out: &out, err: &errs}
	err := d.failed(&flash.Error{Verdict: flash.NoSync, Log: "one\r\ntwo\x1b[2J\r\n\x07three"})
	if cli.HintOf(err) == "" || !strings.Contains(errs.String(), "two\\x1b[2J") || strings.ContainsAny(errs.String(), "\x1b\x07") {
		t.Errorf("%q, %v", errs.String(), err)
	}
	d.json = true
	out.Reset()
	if err := d.failed(&flash.InterruptedError{Cause: &flash.Error{Verdict: flash.NotWritten, Tries: 3}, Wrote: true, Held: true}); err == nil {
		t.Error("no error")
	}
	var line failureLine
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || line.Event != "failed" || line.Verdict == "" || line.Hint == "" {
		t.Errorf("%q: %v", out.String(), err)
	}
}

// TestInterruptedFlash ends rig flash while it writes: it says in what state
// the chip is, and ends with a failure.
func TestInterruptedFlash(t *testing.T) {
	dir := t.TempDir()
	data := bytes.Repeat([]byte("not compressible? "), 1<<18/18)
	for i := range data {
		data[i] ^= byte(i * i >> 7)
	}
	file := filepath.Join(dir, "data.bin")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var errs bytes.Buffer
	out := writerFunc(func(p []byte) {
		if bytes.Contains(p, []byte(`"phase":"write"`)) {
			cancel()
		}
	})
	code := app().Run(ctx, []string{"flash", "--json", "sim:" + filepath.Join(dir, "flash"), "0x200000=" + file}, cli.IO{Out: out, Err: &errs})
	if code != cli.ExitFailed || !strings.Contains(errs.String(), "error: interrupted; the flash is incomplete and the chip is held in reset\nhint: run the same command again") {
		t.Errorf("exit %d, %q", code, errs.String())
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) { f(p); return len(p), nil }

func TestParseRegion(t *testing.T) {
	for text, want := range map[string]flash.Region{
		"all": {All: true}, "nvs": {Partition: "nvs"}, "0x9000:0x5000": {Offset: 0x9000, Size: 0x5000}, "4096:1": {Offset: 4096, Size: 1},
	} {
		if got, err := parseRegion(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0x9000", "0x9000:", ":1", "1:0", "-1:1", "1:0x100000000", strings.Repeat("x", 17)} {
		if _, err := parseRegion(text); err == nil || cli.Code(err) != cli.ExitUsage || cli.HintOf(err) == "" {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestServerAddress(t *testing.T) {
	for _, tt := range []struct {
		text, host, path string
		port             uint16
		plain            bool
	}{
		{"https://a.example", "a.example", "", 443, false},
		{"https://a.example:8443/upload", "a.example", "/upload", 8443, false},
		{"http://127.0.0.1:8080/", "127.0.0.1", "", 8080, true},
		{"https://[::1]:8443", "::1", "", 8443, false},
	} {
		var c boardChange
		if err := c.server(tt.text); err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		path := ""
		if c.path != nil {
			path = *c.path
		}
		if *c.host != tt.host || path != tt.path || c.port != tt.port || (c.ca != nil) != tt.plain {
			t.Errorf("%s: %q %q %d", tt.text, *c.host, path, c.port)
		}
	}
	for _, text := range []string{"a.example", "ftp://a", "https://", "https://u:p@a", "https://a:0", "https://a:65536", "https://a/?q", "https://a/#f", "https://a:x"} {
		var c boardChange
		if err := c.server(text); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}

func TestWriteWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.bin")
	if err := os.WriteFile(path, []byte("before"), 0o644); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	err := writeWhole(path, func(w io.Writer) error {
		_, err := w.Write([]byte("half"))
		return errors.Join(err, broken)
	})
	if got, _ := os.ReadFile(path); !errors.Is(err, broken) || string(got) != "before" {
		t.Errorf("%q, %v", got, err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestIsMerged(t *testing.T) {
	merged := bytes.Repeat([]byte{0xFF}, 0x2000)
	merged[espimage.BootloaderOffset] = espimage.Magic
	if !isMerged(merged) || isMerged(merged[:0x1000]) || isMerged(merged[0x1000:]) || isMerged(nil) {
		t.Error("a merged image is not told from others")
	}
}
