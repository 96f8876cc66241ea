package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"porthole/internal/boardcfg"
	"porthole/internal/console"
	"porthole/internal/nvs"
	"porthole/internal/wire/wiretest"
)

// hostFirmware builds porthole-fw once and returns its path. A compiler or
// library that is missing is an error: scripts/deps.sh installs both.
func hostFirmware(t testing.TB) string {
	t.Helper()
	path, err := buildFirmware()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var buildFirmware = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("make", "-s", "-C", "../../firmware", "all").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build porthole-fw: %w\n%s\nhint: make deps", err, out)
	}
	return filepath.Abs("../../firmware/build/porthole-fw")
})

// settings writes an NVS partition as provisioning does, and returns its file.
func settings(t testing.TB, b *fwBench, change func(*boardcfg.Config)) string {
	t.Helper()
	cfg := boardcfg.Config{
		SSID: "Harbour", Password: "correct horse", Host: "localhost", Port: uint16(b.port),
		Token: b.token, CA: string(b.rootPEM), Interval: boardcfg.MinInterval, Name: "bench",
	}
	if change != nil {
		change(&cfg)
	}
	store := new(nvs.Store)
	if err := cfg.Write(store); err != nil {
		t.Fatal(err)
	}
	image, err := store.Bytes(0x5000)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "nvs.bin")
	if err := os.WriteFile(file, image, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// pictures writes frames as files of a folder.
func pictures(t testing.TB, frames ...[]byte) string {
	t.Helper()
	dir := t.TempDir()
	for i, f := range frames {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.jpg", i+1)), f, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// runFirmware runs porthole-fw to its end and returns its console.
func runFirmware(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out, problems bytes.Buffer
	cmd := exec.CommandContext(ctx, hostFirmware(t), args...)
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		t.Fatalf("porthole-fw: %v\n%s%s", err, &problems, &out)
	}
	return out.String()
}

// jpegOf is a picture of n bytes that passes for one on a board: the middle follows
// the rule of the vectors.
func jpegOf(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + 13)
	}
	b[0], b[1], b[n-2], b[n-1] = 0xFF, 0xD8, 0xFF, 0xD9
	return b
}

// TestFirmwareConsole: every line of porthole-fw is a line of the vocabulary, in
// the very form in which it is printed by the simulator.
func TestFirmwareConsole(t *testing.T) {
	b := newFWBench(t, nil)
	for _, color := range []bool{false, true} {
		args := []string{"--nvs", settings(t, b, nil), "--camera", pictures(t, jpegOf(2500)), "--frames", "3"}
		if color {
			args = append(args, "--color")
		}
		// The server refuses what is no picture: failures and retries are lines too.
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		out, err := exec.CommandContext(ctx, hostFirmware(t), args...).Output()
		var ended *exec.ExitError
		if !errors.As(err, &ended) || ended.ExitCode() != 1 {
			t.Fatalf("porthole-fw ended with %v, want exit code 1, as no frame is accepted", err)
		}
		kinds := map[console.Kind]int{}
		for line := range strings.SplitSeq(strings.TrimSuffix(string(out), "\r\n"), "\r\n") {
			l, ok := console.Parse(line)
			if !ok {
				t.Errorf("line %q is not of the vocabulary", line)
				continue
			}
			kinds[l.Kind]++
			again := l.String()
			if color {
				again = l.Colored()
			}
			if again != line {
				t.Errorf("line\n%q, the vocabulary has\n%q", line, again)
			}
		}
		for _, k := range []console.Kind{console.Boot, console.ConfigRead, console.WiFiJoined, console.CameraReady, console.UploadFailed, console.Retry} {
			if kinds[k] == 0 {
				t.Errorf("no line %q in\n%s", k, out)
			}
		}
		if bytes.Contains(out, []byte(b.token)) || bytes.Contains(out, []byte("correct horse")) {
			t.Error("the console shows a secret")
		}
	}
}

// TestFirmwareRecords: the host firmware over real TLS sends the records of the
// shared vectors, behind the ClientHello of Arduino core 2.0.x.
func TestFirmwareRecords(t *testing.T) {
	hostFirmware(t)
	for _, v := range wiretest.Load(t, "../wire/testdata/vectors") {
		if len(v.Image) < 1000 || strings.Contains(v.Name, "header") || v.ShortBy > 0 {
			continue // too small to be sent, not this host, or ten seconds of silence
		}
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			b := newFWBench(t, nil)
			args := []string{"--nvs", settings(t, b, func(c *boardcfg.Config) { c.Token = v.Token }), "--camera", pictures(t, jpegOf(len(v.Image))),
				"--frames", "1", "--profile", v.Profile}
			if !v.DropLastKB {
				args = append(args, "--fix-last-kb")
			}
			exec.Command(hostFirmware(t), args...).Run() // the picture is none: refused
			captures := b.take()
			if len(captures) != 1 {
				t.Fatalf("%d connections", len(captures))
			}
			var got []int
			for _, r := range captures[0].records {
				if r.kind == 23 {
					got = append(got, r.length)
				}
			}
			want := v.Records
			// The host is shorter than the vector's, and the firmware adds a port.
			shift := len("localhost") - len(strings.TrimSuffix(v.Host, ":8443"))
			if v.Profile == "firmware" {
				shift += len(fmt.Sprint(b.port)) - len("8443")
				want[0] += shift
			} else {
				want[2] += shift
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("records\n got %v\nwant %v", got, want)
			}
			if text, hash := ja3(t, captures[0].hello); hash != ja3Core2 {
				t.Errorf("JA3 %s of %s", hash, text)
			}
		})
	}
}

// The fingerprints of Arduino cores (esp32-wire 2.2).
const (
	ja3Core2 = "d47b25892e4b2b6a892657e396050b44"
	ja3Core3 = "6b98b325451f24999e01816c92ff3ddf"
)
