package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"porthole/internal/cli"
)

// TestFlashFile: the flash of a simulated board belongs to one of them at a
// time, by whatever name, and to the next one afterwards.
func TestFlashFile(t *testing.T) {
	t.Setenv("RIG_RUNTIME_DIR", filepath.Join(t.TempDir(), "leases"))
	dir := t.TempDir()
	file := filepath.Join(dir, "flash.bin")
	alias := filepath.Join(t.TempDir(), "alias")
	if err := os.Symlink(dir, alias); err != nil {
		t.Fatal(err)
	}
	port, err := openPort(t.Context(), "sim:"+file)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		args []string
	}{
		{"another command", []string{"info", "sim:" + file}},
		{"by way of a link", []string{"info", "sim:" + filepath.Join(alias, "flash.bin")}},
		{"a board", []string{"board", "--serial", "127.0.0.1:0", "--flash", file}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			if code := app().Run(t.Context(), tt.args, cli.IO{In: strings.NewReader(""), Out: &out, Err: &out}); code != cli.ExitFailed {
				t.Errorf("exit code %d, want %d", code, cli.ExitFailed)
			}
			for _, want := range []string{"is in use by ", "hint: a flash belongs to one board"} {
				if !strings.Contains(out.String(), want) {
					t.Errorf("printed\n%s\nwant %q", out.String(), want)
				}
			}
		})
	}
	if err := port.Close(); err != nil {
		t.Fatal(err)
	}
	next, err := openPort(t.Context(), "sim:"+filepath.Join(alias, "flash.bin"))
	if err != nil {
		t.Fatalf("after the first has ended: %v", err)
	}
	if err := next.Close(); err != nil {
		t.Error(err)
	}
}
