package flash_test

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"porthole/hil"
	"porthole/hil/flash"
	"porthole/internal/boardcfg"
	"porthole/internal/espimage"
	"porthole/internal/esprom"
	"porthole/internal/nvs"
	"porthole/sim/board"
)

// cable is a simulated board's wire as a port.
type cable struct{ *board.Wire }

var _ hil.Port = cable{}

func (c cable) Discard() error { return c.Purge() }

// testMAC is the address of the boards of these tests.
var testMAC = esprom.MAC{0x94, 0xB9, 0x7E, 0x5A, 0x6E, 0x58}

// bench is a simulated board and a flasher on it, in virtual time.
type bench struct {
	t       testing.TB
	board   *board.Board
	flasher *flash.Flasher
	mu      sync.Mutex
	opens   int
	notes   []string
	last    flash.Progress
	onTell  func(flash.Progress)
}

// options is how a bench differs from the usual one.
type options struct {
	board board.Config
	flash flash.Config
	bare  bool // no reset lines
}

func newBench(t testing.TB, o options) *bench {
	t.Helper()
	b := &bench{t: t}
	if o.board.Chip == (board.Chip{}) {
		o.board.Chip = board.WROVERE(testMAC)
	}
	if o.board.Program == nil {
		program, err := board.NewFirmware(board.FirmwareConfig{Plain: true, Quiet: true})
		if err != nil {
			t.Fatal(err)
		}
		o.board.Program = program
	}
	brd, err := board.New(o.board)
	if err != nil {
		t.Fatal(err)
	}
	b.board = brd
	o.flash.Open = func(context.Context) (hil.Port, error) {
		b.mu.Lock()
		b.opens++
		b.mu.Unlock()
		w, err := brd.Connect()
		if err != nil {
			return nil, err
		}
		if o.bare {
			return bare{cable{w}}, nil
		}
		return cable{w}, nil
	}
	o.flash.Progress = func(p flash.Progress) {
		if p.Note != "" {
			b.notes = append(b.notes, p.Note)
		}
		b.last = p
		if b.onTell != nil {
			b.onTell(p)
		}
	}
	if b.flasher, err = flash.New(o.flash); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) close() {
	if err := b.board.Close(); err != nil {
		b.t.Error(err)
	}
}

// bare is a port without reset lines.
type bare struct{ hil.Port }

func (bare) SetLines(bool, bool) error { return hil.ErrNoLines }

// bubble runs f in virtual time.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// holds fails the test when the board's flash is not as the files say.
func (b *bench) holds(files []flash.File) {
	b.t.Helper()
	if at := b.differs(files); at >= 0 {
		b.t.Errorf("flash differs from the files at 0x%x", at)
	}
}

func (b *bench) differs(files []flash.File) int64 {
	for _, f := range files {
		have := make([]byte, len(f.Data))
		if _, err := b.board.ReadFlash(have, f.Offset); err != nil {
			b.t.Fatal(err)
		}
		for i := range have {
			if have[i] != f.Data[i] {
				return f.Offset + int64(i)
			}
		}
	}
	return -1
}

func (b *bench) read(off, size int64) []byte {
	b.t.Helper()
	p := make([]byte, size)
	if _, err := b.board.ReadFlash(p, off); err != nil {
		b.t.Fatal(err)
	}
	return p
}

// firmware is a set of files that boots, with an application of size bytes.
func firmware(t testing.TB, version string, size int) []flash.File {
	t.Helper()
	boot, err := espimage.DemoBootloader()
	if err != nil {
		t.Fatal(err)
	}
	table, err := espimage.ArduinoTable().Bytes()
	if err != nil {
		t.Fatal(err)
	}
	app, err := espimage.BuildDemo(espimage.Demo{Version: version, Size: size})
	if err != nil {
		t.Fatal(err)
	}
	return []flash.File{
		{Name: "bootloader.bin", Offset: 0x1000, Data: boot},
		{Name: "partitions.bin", Offset: 0x8000, Data: table},
		{Name: "boot_app0.bin", Offset: 0xE000, Data: espimage.BootSlot(0).Bytes()},
		{Name: "app.bin", Offset: 0x10000, Data: app},
	}
}

// small is a set of files of a few kilobytes: what a schedule of faults is
// aimed at.
func small(t testing.TB) []flash.File {
	t.Helper()
	build := func(seed byte, entry uint32, segments ...espimage.Segment) []byte {
		for i := range segments {
			n := segments[i].Size
			segments[i].Data = bytes.Repeat([]byte{seed, 0, byte(i), 0x5A}, n/4)
			for j := 0; j < n; j += 7 {
				segments[i].Data[j] = byte(j*j>>3) ^ seed
			}
		}
		img, err := espimage.Build(espimage.DefaultHeader(entry), segments)
		if err != nil {
			t.Fatal(err)
		}
		return img
	}
	table, err := espimage.ArduinoTable().Bytes()
	if err != nil {
		t.Fatal(err)
	}
	store := new(nvs.Store)
	if err := store.Set("cal", "offset", nvs.Int(int32(-7))); err != nil {
		t.Fatal(err)
	}
	settings, err := store.Bytes(0x5000)
	if err != nil {
		t.Fatal(err)
	}
	return []flash.File{
		{Name: "bootloader.bin", Offset: 0x1000, Data: build(1, 0x40080684, espimage.Segment{Addr: 0x40080400, Size: 5200})},
		{Name: "partitions.bin", Offset: 0x8000, Data: table},
		{Name: "nvs.bin", Offset: 0x9000, Data: settings},
		{Name: "boot_app0.bin", Offset: 0xE000, Data: espimage.BootSlot(0).Bytes()},
		{Name: "app.bin", Offset: 0x10000, Data: build(2, 0x40080404,
			espimage.Segment{Addr: 0x40080400, Size: 9000}, espimage.Segment{Addr: 0x3FFB0000, Size: 6400})},
	}
}

// virtual is how long f takes in virtual time.
func virtual(f func()) time.Duration {
	began := time.Now()
	f()
	return time.Since(began)
}

// settings is a configuration for provisioning.
func settings() boardcfg.Config {
	return boardcfg.Config{SSID: "TestNet", Password: "correct horse", Host: "camera.example", Port: 8443, Token: "t0ken"}
}
