//go:build linux

package conformance

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"tinygo.org/x/espflasher/pkg/espflasher"

	"porthole/internal/espimage"
	"porthole/sim/board"
)

// connect runs espflasher's connection: sync, detection, stub.
func connect(t *testing.T, device string, change func(*espflasher.FlasherOptions)) *espflasher.Flasher {
	t.Helper()
	log := &tail{}
	t.Cleanup(func() { log.dump(t) })
	opts := espflasher.DefaultOptions()
	opts.Logger = log
	if change != nil {
		change(opts)
	}
	f, err := espflasher.New(device, opts)
	if err != nil {
		log.dump(t)
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// patchedBy is what espflasher makes of an image: it writes the detected size of
// the flash into every image header (esp32-serial 2.4).
func patchedBy(t *testing.T, p part) []byte {
	t.Helper()
	if p.data[0] != 0xE9 {
		return p.data
	}
	s := espimage.KeepAll
	s.Size = espimage.Size4MB
	data, err := espimage.Patch(p.data, s)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestEspflasherConnects(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		rom  board.ROMMode
	}{
		{"fast", board.ROMFast},
		{"strict", board.ROMStrict},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBoard(t, board.Config{ROM: tt.rom})
			start := time.Now()
			f := connect(t, onPTY(t, b), nil)
			t.Logf("connected in %v", time.Since(start).Round(time.Millisecond))
			if f.ChipType() != espflasher.ChipESP32 {
				t.Errorf("detected %q, want an ESP32", f.ChipName())
			}
			if b.Status().State != board.StateStub {
				t.Errorf("board is in state %v, want the stub", b.Status().State)
			}
			if maker, device, err := f.FlashID(); err != nil || maker != 0xEF || device != 0x4016 {
				t.Errorf("flash id %#x %#x, %v; want a Winbond W25Q32", maker, device, err)
			}
		})
	}
}

func TestEspflasherWrites(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		compress bool
		baud     int
		cfg      board.Config
	}{
		{"compressed at 460800", true, 460800, board.Config{}},
		{"compressed at 921600", true, 921600, board.Config{}},
		{"uncompressed", false, 460800, board.Config{}},
		{"at the first speed", true, 115200, board.Config{}},
		{"on a line and a flash of real speed", true, 921600, board.Config{Pace: true, Latency: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBoard(t, tt.cfg)
			f := connect(t, onPTY(t, b), func(o *espflasher.FlasherOptions) {
				o.Compress, o.FlashBaudRate = tt.compress, tt.baud
			})
			all := parts(t)
			var images []espflasher.ImagePart
			for _, p := range all {
				images = append(images, espflasher.ImagePart{Data: p.data, Offset: p.offset})
			}
			if err := f.FlashImages(images, nil); err != nil {
				t.Fatalf("flash: %v", err)
			}
			if got := b.Status().ChipBaud; got != tt.baud {
				t.Errorf("chip speaks at %d, want %d", got, tt.baud)
			}
			for _, p := range all {
				want := patchedBy(t, p)
				compare(t, b, p.name, p.offset, want)
				if got, err := f.GetMD5(p.offset, uint32(len(want))); err != nil || got != sum(want) {
					t.Errorf("%s: md5 %s, %v; want %s", p.name, got, err, sum(want))
				}
			}
			if !espimage.SameProgram(flash(t, b, espimage.AppOffset, len(all[2].data)), all[2].data) {
				t.Error("the application in flash is another program")
			}
		})
	}
}

func TestEspflasherSingleImage(t *testing.T) {
	t.Parallel()
	for _, compress := range []bool{true, false} {
		b := newBoard(t, board.Config{})
		f := connect(t, onPTY(t, b), func(o *espflasher.FlasherOptions) { o.Compress = compress })
		data := noise(50_001)
		steps := 0
		if err := f.FlashImage(data, 0x200000, func(int, int) { steps++ }); err != nil {
			t.Fatalf("compress %v: %v", compress, err)
		}
		if steps == 0 {
			t.Error("no progress was reported")
		}
		compare(t, b, "noise", 0x200000, data)
	}
}

func TestEspflasherReadsAndErases(t *testing.T) {
	t.Parallel()
	b := newBoard(t, board.Config{Flash: written(t)})
	f := connect(t, onPTY(t, b), nil)
	data := noise(3 * board.SectorSize)
	if err := f.FlashImage(data, 0x100000, nil); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name         string
		offset, size uint32
	}{
		{"one byte", 0x100001, 1},
		{"one packet", 0x100000, 0x1000},
		{"more than a packet", 0x100000, 0x1001},
		{"all", 0x100000, 3 * board.SectorSize},
	} {
		got, err := f.ReadFlash(tt.offset, tt.size)
		if want := data[tt.offset-0x100000:][:tt.size]; err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: read %d bytes, %v; want the %d that were written", tt.name, len(got), err, len(want))
		}
	}
	if err := f.EraseRegion(0x101000, 0x1000); err != nil {
		t.Fatalf("erase region: %v", err)
	}
	compare(t, b, "sector before", 0x100000, data[:0x1000])
	compare(t, b, "sector after", 0x102000, data[0x2000:])
	if !blank(t, b, 0x101000, 0x1000) {
		t.Error("the erased sector is not blank")
	}
	if err := f.EraseFlash(); err != nil {
		t.Fatalf("erase flash: %v", err)
	}
	if !blank(t, b, 0, b.FlashSize()) {
		t.Error("the erased flash is not blank")
	}
}

// Not in parallel: the serial library under espflasher opens devices without
// close-on-exec, so a tool that another test starts would inherit this one and
// keep it open.
func TestEspflasherResets(t *testing.T) {
	b := newBoard(t, board.Config{})
	f := connect(t, onPTY(t, b), nil)
	if err := f.FlashImage(noise(1000), 0x200000, nil); err != nil {
		t.Fatal(err)
	}
	f.Reset() // its line changes fail on a pseudo-terminal, and it ignores that
	f.Close()
	eventually(t, "the application, once the device stays closed", func() bool { return b.Status().State == board.StateApp })
}

// The command-line tool is what people run: built from the module cache.
func TestEspflasherTool(t *testing.T) {
	t.Parallel()
	tool := filepath.Join(t.TempDir(), "espflasher")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", tool, "tinygo.org/x/espflasher").CombinedOutput(); err != nil {
		t.Fatalf("build espflasher: %v\n%s", err, out)
	}
	b := newBoard(t, board.Config{})
	device := onPTY(t, b)
	dir := t.TempDir()
	all := parts(t)
	args := []string{"-port", device, "-erase-all",
		"-bootloader", save(t, dir, all[0]), "-partitions", save(t, dir, all[1]), "-app", save(t, dir, all[2])}
	if out, err := exec.CommandContext(t.Context(), tool, args...).CombinedOutput(); err != nil {
		t.Fatalf("espflasher: %v\n%s", err, out)
	}
	for _, p := range all {
		compare(t, b, p.name, p.offset, patchedBy(t, p))
	}
	eventually(t, "the application", func() bool { return b.Status().State == board.StateApp })
}
