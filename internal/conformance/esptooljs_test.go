package conformance

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"porthole/sim/board"
)

//go:embed esptooljs/package.json esptooljs/package-lock.json esptooljs/*.mjs
var esptoolJS embed.FS

// installJS puts esptool-js of the locked version beside our driver, in a cache
// that is shared by all runs with the same lock file, and returns the folder.
func installJS(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("NOT RUN: esptool-js is left out with -short")
	}
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("the conformance tests run esptool-js and need %s: %v", tool, err)
		}
	}
	files, err := fs.Sub(esptoolJS, "esptooljs")
	if err != nil {
		t.Fatal(err)
	}
	lock, err := fs.ReadFile(files, "package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	modules := filepath.Join(cache, "porthole-conformance", fmt.Sprintf("%x", sha256.Sum256(lock))[:16])
	if _, err := os.Stat(filepath.Join(modules, "node_modules", "esptool-js", "package.json")); err != nil {
		install(t, files, modules)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, files); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(modules, "node_modules"), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// install fills the cache: in a folder of its own, which then takes the name.
func install(t *testing.T, files fs.FS, modules string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(modules), 0o755); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(filepath.Dir(modules), "install")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.CopyFS(dir, files); err != nil {
		t.Fatal(err)
	}
	npm := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	npm.Dir = dir
	if out, err := npm.CombinedOutput(); err != nil {
		t.Fatalf("npm could not install esptool-js: %v\n%s", err, out)
	}
	if err := os.Rename(dir, modules); err != nil && !errors.Is(err, fs.ErrExist) {
		if _, statErr := os.Stat(modules); statErr != nil { // another run was not faster either
			t.Fatal(err)
		}
	}
}

// step is a line that run.mjs prints.
type step struct {
	Step     string   `json:"step"`
	Ms       int      `json:"ms"`
	Chip     string   `json:"chip"`
	MAC      string   `json:"mac"`
	FlashID  uint32   `json:"flashId"`
	Stub     bool     `json:"stub"`
	Baud     int      `json:"baud"`
	Signals  []string `json:"signals"`
	Blank    bool     `json:"blank"`
	Verified int      `json:"verified"`
	Sums     []string `json:"sums"`
	Size     int      `json:"size"`
	Text     string   `json:"text"`
	Error    string   `json:"error"`
	Log      []string `json:"log"`
}

type planFile struct {
	Address uint32 `json:"address"`
	Path    string `json:"path"`
}

func TestEsptoolJS(t *testing.T) {
	t.Parallel()
	dir := installJS(t)
	for _, tt := range []struct {
		name string
		cfg  board.Config
		baud int
	}{
		{"fast ROM at 460800", board.Config{}, 460800},
		{"strict ROM at 921600", board.Config{ROM: board.ROMStrict}, 921600},
		{"fast ROM at 115200", board.Config{}, 115200},
		{"line and flash of real speed", board.Config{Pace: true, Latency: true}, 921600},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if !tt.cfg.Latency { // an erase of the chip takes 10 s there
				tt.cfg.Flash = written(t)
			}
			b := newBoard(t, tt.cfg)
			out := t.TempDir()
			all, plain := parts(t), part{"noise", 0x200000, noise(40_000)}
			var files []planFile
			for _, p := range all {
				files = append(files, planFile{p.offset, save(t, out, p)})
			}
			steps := runJS(t, dir, onTCP(t, b), map[string]any{
				"baud": tt.baud, "erase": !tt.cfg.Latency, "files": files, "plain": planFile{plain.offset, save(t, out, plain)}, "out": out,
			})

			s := steps["connect"]
			if !strings.HasPrefix(s.Chip, "ESP32") || s.MAC != testMAC.String() || s.FlashID != 0x1640EF || !s.Stub || s.Baud != tt.baud {
				t.Errorf("connected to chip %q, MAC %s, flash id %#x, stub %v, at %d", s.Chip, s.MAC, s.FlashID, s.Stub, s.Baud)
			}
			if want := []string{"D0", "R1", "D1", "R0", "D0", "R0"}; !slices.Equal(s.Signals[:min(len(s.Signals), 6)], want) {
				t.Errorf("reset lines moved %v, want first %v", s.Signals, want)
			}
			if !steps["erase"].Blank {
				t.Error("the flash is not blank after an erase")
			}
			if got := steps["compressed"].Verified; got != len(all) {
				t.Errorf("%d files verified after the compressed write, want %d", got, len(all))
			}
			if got := steps["uncompressed"].Verified; got != len(all)+1 {
				t.Errorf("%d files verified after the uncompressed write, want %d", got, len(all)+1)
			}
			for i, p := range append(all, plain) {
				compare(t, b, p.name, p.offset, p.data)
				if sums := steps["md5"].Sums; i >= len(sums) || sums[i] != sum(p.data) {
					t.Errorf("%s: md5 %v, want %s", p.name, sums, sum(p.data))
				}
			}
			if got, err := os.ReadFile(filepath.Join(out, "read.bin")); err != nil || !bytes.Equal(got, plain.data) {
				t.Errorf("read back %d bytes, %v; want the %d that were written", len(got), err, len(plain.data))
			}
			if text := steps["console"].Text; !strings.Contains(text, "rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)") {
				t.Errorf("console after the reset: %q", text)
			}
			eventually(t, "the application", func() bool { return b.Status().State == board.StateApp })
		})
	}
}

// runJS runs the flow and returns its steps by name.
func runJS(t *testing.T, dir, address string, plan map[string]any) map[string]step {
	t.Helper()
	data, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "plan.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	node := exec.CommandContext(t.Context(), "node", "run.mjs", address, path)
	node.Dir = dir
	var stderr bytes.Buffer
	node.Stderr = &stderr
	stdout, err := node.Output()
	steps := make(map[string]step)
	for lines := bufio.NewScanner(bytes.NewReader(stdout)); lines.Scan(); {
		var s step
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			t.Fatalf("line %q of run.mjs: %v", lines.Text(), err)
		}
		steps[s.Step] = s
		t.Logf("%-12s %5d ms", s.Step, s.Ms)
	}
	if failed, ok := steps["failed"]; ok {
		t.Fatalf("esptool-js: %s\nits log:\n%s", failed.Error, strings.Join(failed.Log, "\n"))
	}
	if err != nil {
		t.Fatalf("run.mjs: %v\n%s", err, stderr.String())
	}
	return steps
}
