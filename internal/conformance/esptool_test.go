package conformance

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"porthole/internal/espimage"
	"porthole/sim/board"
)

// TestEsptool runs the flows of the real esptool, 4.x or 5.x, where the machine has
// one: default reset, no further options. The old spellings of the commands work
// in both (5.x prints a warning).
func TestEsptool(t *testing.T) {
	t.Parallel()
	tool, err := exec.LookPath("esptool")
	if err != nil {
		tool, err = exec.LookPath("esptool.py")
	}
	if err != nil {
		absent(t, "esptool", err)
	}
	version, _ := exec.CommandContext(t.Context(), tool, "version").CombinedOutput()
	t.Logf("%s: %s", tool, bytes.TrimSpace(version))

	b := newBoard(t, board.Config{Flash: written(t)})
	port := "rfc2217://" + onTCP(t, b)
	dir := t.TempDir()
	all := parts(t)
	read := filepath.Join(dir, "read.bin")
	image := []string{}
	for _, p := range all {
		image = append(image, fmt.Sprintf("%#x", p.offset), save(t, dir, p))
	}
	app := all[2]
	region := []string{fmt.Sprintf("%#x", app.offset), fmt.Sprintf("%#x", len(espimage.PadSectors(app.data)))}

	for _, step := range []struct {
		name   string
		args   []string
		output string // must occur
		check  func()
	}{
		{"flash_id", []string{"flash_id"}, "4MB", nil},
		{"read_mac", []string{"read_mac"}, testMAC.String(), nil},
		{"erase_flash", []string{"erase_flash"}, "", func() {
			if !blank(t, b, 0, b.FlashSize()) {
				t.Error("the flash is not blank")
			}
		}},
		{"write_flash", append([]string{"write_flash"}, image...), "Hash of data verified", func() {
			for _, p := range all {
				compare(t, b, p.name, p.offset, p.data)
			}
		}},
		{"verify_flash", append([]string{"verify_flash"}, image...), "", nil},
		{"write_flash uncompressed", append([]string{"write_flash", "-u"}, image...), "Hash of data verified", nil},
		{"write_flash without stub", append([]string{"--no-stub", "write_flash"}, image[4:]...), "Hash of data verified", nil},
		{"read_flash", append(append([]string{"read_flash"}, region...), read), "", func() {
			got, err := os.ReadFile(read)
			if err != nil || !bytes.HasPrefix(got, app.data) {
				t.Errorf("read back %d bytes, %v; want the application", len(got), err)
			}
		}},
		{"erase_region", append([]string{"erase_region"}, region...), "", func() {
			if !blank(t, b, app.offset, len(app.data)) {
				t.Error("the region is not blank")
			}
			compare(t, b, "its neighbour", all[1].offset, all[1].data)
		}},
	} {
		ok := t.Run(step.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			args := append([]string{"--chip", "esp32", "--port", port, "--baud", "460800"}, step.args...)
			out, err := exec.CommandContext(ctx, tool, args...).CombinedOutput()
			if err != nil || !strings.Contains(string(out), step.output) {
				t.Fatalf("esptool %s: %v, want %q\n%s", strings.Join(args, " "), err, step.output, out)
			}
			if step.check != nil {
				step.check()
			}
			eventually(t, "the application after the hard reset", func() bool { return b.Status().State == board.StateApp })
		})
		if !ok {
			return
		}
	}
}
