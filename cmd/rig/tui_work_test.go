//go:build linux

package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"porthole/internal/espimage"
	"porthole/sim/board"
)

// TestFlashFromTheDashboard: somebody chooses a file, sees it being written, sees
// the board start with it, and changes a setting of the board.
func TestFlashFromTheDashboard(t *testing.T) {
	image, err := board.DemoImage(espimage.Demo{Version: "2.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "firmware.bin"), image[0x10000:], 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	p := onTerminal(t, 120, 40, "tui", "--seed", "5", "--period", "500ms")
	p.sees(20*time.Second, "public: LIVE", "firmware   porthole 1.0.0")
	p.types("F")
	p.sees(5*time.Second, "Which firmware?", "firmware.bin")
	p.types("firm\r")
	p.sees(5*time.Second, "Flash firmware.bin", "empty: by itself")
	p.types("\r")
	p.sees(5*time.Second, "Overwrite the firmware of the board?")
	p.types("y")
	t.Logf("flashed and started after %v", p.sees(30*time.Second, "flash firmware.bin is done", "firmware   porthole 2.0.1", "state      running"))

	p.types("S\x1b[B\x1b[B\x1b[B\x1b[B2s\x1b[Bdesk\r")
	p.sees(5*time.Second, "Overwrite these settings", "interval: 2s", "name: desk")
	p.types("y")
	p.sees(60*time.Second, "provision is done")
	p.types(":board.provision token=x\r")
	p.sees(5*time.Second, "y does it")
	p.types("y")
	p.sees(5*time.Second, "is a secret")
	p.types(":board.flash file=/nothing/here\ry")
	p.sees(5*time.Second, "board.flash failed", "no such file")
	p.types("b\r") // the first of the faults: the cable
	p.sees(10*time.Second, "FAULT cable", "state      gone")
	p.types("B")
	p.sees(20*time.Second, "fault cable undone", "the port is back", "state      running")
	if summary := p.summaryAfter("q"); len(summary) == 0 {
		t.Error("no summary")
	}
}
