package board_test

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"porthole/internal/boardcfg"
	"porthole/internal/console"
	"porthole/internal/espimage"
	"porthole/internal/nvs"
	"porthole/sim/board"
)

// bootImage lays files out in a flash; the last one at a place wins.
type bootImage struct {
	t     testing.TB
	flash []byte
}

func newBootImage(t testing.TB) *bootImage {
	return &bootImage{t, bytes.Repeat([]byte{0xFF}, 4<<20)}
}

func (i *bootImage) put(off int, b []byte, err error) *bootImage {
	i.t.Helper()
	if err != nil {
		i.t.Fatal(err)
	}
	copy(i.flash[off:], b)
	return i
}

func (i *bootImage) bootloader() *bootImage {
	b, err := espimage.DemoBootloader()
	return i.put(espimage.BootloaderOffset, b, err)
}

func (i *bootImage) table(t *espimage.Table) *bootImage {
	b, err := t.Bytes()
	return i.put(espimage.TableOffset, b, err)
}

func (i *bootImage) app(off int, version string) *bootImage {
	b, err := espimage.BuildDemo(espimage.Demo{Version: version, Seed: uint64(off)})
	return i.put(off, b, err)
}

func (i *bootImage) config(change func(*nvs.Store)) *bootImage {
	s := new(nvs.Store)
	if err := bootConfig.Write(s); err != nil {
		i.t.Fatal(err)
	}
	if change != nil {
		change(s)
	}
	b, err := s.Bytes(0x5000)
	return i.put(espimage.NVSOffset, b, err)
}

var bootConfig = boardcfg.Config{
	SSID: "Harbour", Password: "correct horse", Host: "camera.test", Port: 8080,
	Token: "tok-1", Interval: 2 * time.Second, Name: "door",
}

func harbour() *board.World {
	return &board.World{Points: []board.AccessPoint{{SSID: "Harbour", Password: "correct horse"}}}
}

// bootBench is a running board with a host that reads its console.
type bootBench struct {
	t    testing.TB
	b    *board.Board
	fw   *board.Firmware
	w    *board.Wire
	wg   sync.WaitGroup
	mu   sync.Mutex
	text []byte
}

func bootBoard(t testing.TB, flash []byte, cfg board.FirmwareConfig, chip board.Chip) *bootBench {
	t.Helper()
	if cfg.Network == nil {
		cfg.Network = harbour()
	}
	fw, err := board.NewFirmware(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return bootChip(t, flash, fw, fw, chip)
}

// bootProgram runs a program that wraps fw.
func bootProgram(t testing.TB, flash []byte, fw *board.Firmware, p board.Program) *bootBench {
	t.Helper()
	return bootChip(t, flash, fw, p, board.Chip{})
}

func bootChip(t testing.TB, flash []byte, fw *board.Firmware, p board.Program, chip board.Chip) *bootBench {
	t.Helper()
	f, err := board.NewFlash(flash, 4<<20)
	if err != nil {
		t.Fatal(err)
	}
	return bootConfigured(t, fw, board.Config{Flash: f, Program: p, Chip: chip})
}

func bootFlash(t testing.TB, flash *board.Flash, fw *board.Firmware) *bootBench {
	t.Helper()
	return bootConfigured(t, fw, board.Config{Flash: flash, Program: fw})
}

func bootConfigured(t testing.TB, fw *board.Firmware, cfg board.Config) *bootBench {
	t.Helper()
	b, err := board.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w, err := b.Connect()
	if err != nil {
		t.Fatal(err)
	}
	r := &bootBench{t: t, b: b, fw: fw, w: w}
	r.wg.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, err := w.Read(buf)
			r.mu.Lock()
			r.text = append(r.text, buf[:n]...)
			r.mu.Unlock()
			if err != nil {
				return
			}
		}
	})
	return r
}

func (r *bootBench) close() {
	r.t.Helper()
	if err := r.b.Close(); err != nil {
		r.t.Error(err)
	}
	r.wg.Wait()
}

// run lets virtual time pass and gives everything printed so far.
func (r *bootBench) run(d time.Duration) string {
	time.Sleep(d)
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return string(r.text)
}

// lines are the application's own lines so far, of one kind or of all.
func (r *bootBench) lines(kind console.Kind) []console.Line {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []console.Line
	for text := range strings.Lines(string(r.text)) {
		if l, ok := console.Parse(text); ok && (kind == "" || l.Kind == kind) {
			out = append(out, l)
		}
	}
	return out
}

// twoFrames is an Uploads that delivers every interval.
func twoFrames(ctx context.Context, u board.Upload) error {
	for seq := uint64(1); ; seq++ {
		if u.Powered() {
			u.Report(board.Report{Seq: seq, Bytes: 24000 + int(seq), Took: 412 * time.Millisecond, Status: 200})
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(u.Config.Interval):
		}
	}
}
