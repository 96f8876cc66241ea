package board_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porthole/internal/esprom"
	"porthole/sim/board"
)

// TestMeasureMemory holds the budget: an idle board costs at most 64 kB
// beyond its flash image, and 1,000 of them fit in 256 MB.
func TestMeasureMemory(t *testing.T) {
	const boards = 1000
	base := sample(1 << 20) // shared by all
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	measure := func(name string, prepare func(t *testing.T, h *host)) {
		synctest.Test(t, func(t *testing.T) {
			before := heap()
			all := make([]*board.Board, boards)
			hosts := make([]*host, boards)
			for i := range all {
				flash, err := board.NewFlash(base, 4<<20)
				if err != nil {
					t.Fatal(err)
				}
				if all[i], err = board.New(board.Config{Seed: uint64(i), Flash: flash, EN: 20 * time.Millisecond}); err != nil {
					t.Fatal(err)
				}
				w, err := all[i].Connect()
				if err != nil {
					t.Fatal(err)
				}
				hosts[i] = newHost(w)
				prepare(t, hosts[i])
				hosts[i] = &host{line: w} // the host's memory is not the board's
			}
			time.Sleep(time.Second)
			each := int64(heap()-before) / boards
			t.Logf("%-28s %6d bytes per board", name, each)
			if each > 64<<10 {
				t.Errorf("%s: %d bytes per board, limit %d", name, each, 64<<10)
			}
			for _, b := range all {
				b.Close()
			}
			runtime.KeepAlive(hosts)
		})
	}
	measure("idle after boot", func(*testing.T, *host) {})
	measure("in the ROM loader", func(t *testing.T, h *host) {
		if err := h.connect(); err != nil {
			t.Fatal(err)
		}
	})
	measure("in the middle of a transfer", func(t *testing.T, h *host) {
		if err := h.connect(); err != nil {
			t.Fatal(err)
		}
		h.ask(esprom.Attach{ROM: true})
		if _, _, err := h.ask(esprom.Begin{Op: esprom.DeflBegin, Size: 0x400, Blocks: 1, BlockSize: 0x400, Offset: 0}); err != nil {
			t.Fatal(err)
		}
	})
}

func TestFlashFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flash.bin")
	load := func() *board.Flash {
		t.Helper()
		f, err := board.LoadFlash(path, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := load() // no file: erased
	b := newBoard(t, board.Config{Flash: f, FlashFile: path})
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Error("an unchanged flash was written")
	}
	f = load()
	f.Program(0x1FFE, []byte{1, 2, 3, 4}) // over a sector's end
	if !f.Dirty() {
		t.Error("not dirty")
	}
	b = newBoard(t, board.Config{Flash: f, FlashFile: path})
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	want := append(bytes.Repeat([]byte{0xFF}, 0x1FFE), 1, 2, 3, 4)
	got := make([]byte, len(want))
	if load().ReadAt(got, 0); !bytes.Equal(got, want) {
		t.Error("content lost")
	}
	if left, _ := filepath.Glob(path + "?*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := board.LoadFlash(path, 2<<20); err == nil || !strings.Contains(err.Error(), "1048576") {
		t.Errorf("wrong size: %v", err)
	}
	// A failed save leaves the old file and the dirty mark.
	f = load()
	f.Erase(0, 1<<20)
	if err := f.Save(filepath.Join(t.TempDir(), "none", "flash.bin")); err == nil || !f.Dirty() {
		t.Errorf("save into a missing folder: %v, dirty %v", err, f.Dirty())
	}
	if load().ReadAt(got, 0); !bytes.Equal(got, want) {
		t.Error("content changed")
	}
}

func TestFlashBounds(t *testing.T) {
	for _, size := range []int{0, 1, 1<<20 - 1, 3 << 20, 128 << 20, -1} {
		if _, err := board.NewFlash(nil, size); err == nil {
			t.Errorf("flash of %d bytes", size)
		}
	}
	if _, err := board.NewFlash(make([]byte, 1<<20+1), 1<<20); err == nil {
		t.Error("image larger than the flash")
	}
	base := bytes.Repeat([]byte{0x55}, 5000)
	f, err := board.NewFlash(base, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	f.Program(1<<20-2, []byte{1, 2, 3, 4})
	f.Program(4999, []byte{0xF0, 0xF0})
	f.Erase(1<<20-1, 100)
	var p [4]byte
	if n, err := f.ReadAt(p[:], 1<<20-2); n != 2 || err != io.EOF || p[0] != 0xFF {
		t.Errorf("end: %d, %v, % x", n, err, p)
	}
	if f.ReadAt(p[:], 4998); p != [4]byte{0x55, 0x50, 0xF0, 0xFF} {
		t.Errorf("over the end of the base: % x", p)
	}
	if base[4999] != 0x55 {
		t.Error("the shared base was written")
	}
	for _, off := range []int64{-1, 1 << 20, 1 << 40} {
		if _, err := f.ReadAt(p[:], off); err != io.EOF {
			t.Errorf("read at %d: %v", off, err)
		}
	}
	f.Erase(0, 1<<20)
	if f.ReadAt(p[:], 4998); p != [4]byte{0xFF, 0xFF, 0xFF, 0xFF} {
		t.Errorf("after a chip erase: % x", p)
	}
}

// TestPowerCut: with the datasheet's latencies, what is not done when the power
// goes is not in the flash, and the operation under way is half done.
func TestPowerCut(t *testing.T) {
	flash, err := board.NewFlash(make([]byte, 0x10000), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	inROM(t, board.Config{Flash: flash, Latency: true}, func(t *testing.T, b *board.Board, h *host) {
		h.ask(esprom.Attach{ROM: true})
		erase := esprom.Begin{Op: esprom.FlashBegin, Size: 4 * board.SectorSize, Blocks: 16, BlockSize: 0x400}
		h.send(erase.Request())
		time.Sleep(100 * time.Millisecond) // two sectors of 45 ms and a part of the third
		b.SetPower(false)
		var p [4 * board.SectorSize]byte
		b.ReadFlash(p[:], 0)
		ones := [4]int{}
		for i, c := range p {
			for ; c != 0; c &= c - 1 {
				ones[i/board.SectorSize]++
			}
		}
		const all = 8 * board.SectorSize
		if ones[0] != all || ones[1] != all || ones[2] < all/10 || ones[2] > all/2 || ones[3] != 0 {
			t.Errorf("ones per sector %v of %d", ones, all)
		}
		b.SetPower(true)
		if err := h.connect(); err != nil {
			t.Error(err)
		}
	})
}

// TestResetDuringErase: EN does not reach the flash, which completes what it is in;
// the rest of the job is gone.
func TestResetDuringErase(t *testing.T) {
	flash, err := board.NewFlash(make([]byte, 0x10000), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	inROM(t, board.Config{Flash: flash, Latency: true}, func(t *testing.T, b *board.Board, h *host) {
		h.ask(esprom.Attach{ROM: true})
		h.send(esprom.Begin{Op: esprom.FlashBegin, Size: 4 * board.SectorSize, Blocks: 16, BlockSize: 0x400}.Request())
		time.Sleep(100 * time.Millisecond)
		h.line.SetRTS(true)
		time.Sleep(time.Second)
		var p [4 * board.SectorSize]byte
		b.ReadFlash(p[:], 0)
		want := append(bytes.Repeat([]byte{0xFF}, 3*board.SectorSize), make([]byte, board.SectorSize)...)
		if !bytes.Equal(p[:], want) {
			t.Error("not exactly three of four sectors are erased")
		}
	})
}

func BenchmarkFlashing(b *testing.B) {
	for _, stub := range []bool{false, true} {
		b.Run(fmt.Sprintf("stub=%v", stub), func(b *testing.B) {
			data := sample(0x10000)
			bd, err := board.New(board.Config{EN: time.Millisecond})
			if err != nil {
				b.Fatal(err)
			}
			defer bd.Close()
			bd.Restart(true)
			w, err := bd.Connect()
			if err != nil {
				b.Fatal(err)
			}
			h := newHost(w)
			if stub {
				if err := h.enter(0x400BE5EC); err != nil {
					b.Fatal(err)
				}
			}
			h.ask(esprom.Attach{ROM: !stub})
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if stub {
					err = h.flashStub(0, data, true, true)
				} else {
					err = h.flashROM(0, data, true)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
