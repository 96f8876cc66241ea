package board_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"porthole/internal/espimage"
	"porthole/sim/board"
)

// overwriteFlash puts bytes into a flash as if they had been flashed there.
func overwriteFlash(f *board.Flash, off uint32, data []byte) {
	for len(data) > 0 && int(off) < f.Size() {
		sector := off / board.SectorSize * board.SectorSize
		buf := make([]byte, board.SectorSize)
		if _, err := f.ReadAt(buf, int64(sector)); err != nil {
			return
		}
		n := copy(buf[off-sector:], data)
		f.Erase(sector, board.SectorSize)
		f.Program(sector, buf)
		data, off = data[n:], off+uint32(n)
	}
}

// sealFlash corrects the digests of table and images, so that the mutator reaches
// what lies behind them.
func sealFlash(t *testing.T, f *board.Flash) {
	t.Helper()
	table := make([]byte, espimage.TableSize)
	if _, err := f.ReadAt(table, espimage.TableOffset); err != nil {
		t.Fatal(err)
	}
	for row := 0; row < len(table); row += 32 {
		if table[row] == 0xEB && table[row+1] == 0xEB {
			sum := md5.Sum(table[:row])
			overwriteFlash(f, espimage.TableOffset+uint32(row)+16, sum[:])
			break
		}
	}
	for _, at := range []uint32{espimage.BootloaderOffset, espimage.AppOffset} {
		r := io.NewSectionReader(f, int64(at), 1<<20)
		for range 2 {
			_, err := espimage.Scan(r, espimage.Check{Base: int64(at), Loose: at == espimage.BootloaderOffset})
			e, ok := errors.AsType[*espimage.Error](err)
			switch {
			case ok && e.Kind == espimage.BadChecksum:
				overwriteFlash(f, at+uint32(e.Offset), []byte{byte(e.Want)})
			case ok && e.Kind == espimage.BadHash:
				h := sha256.New()
				if _, err := io.CopyN(h, io.NewSectionReader(f, int64(at), e.Offset), e.Offset); err != nil {
					t.Fatal(err)
				}
				overwriteFlash(f, at+uint32(e.Offset), h.Sum(nil))
			}
		}
	}
}

// FuzzBoot boots from damaged flash: whatever is in it, the board neither
// crashes nor gets into a state that a reset cannot leave.
func FuzzBoot(f *testing.F) {
	erased := newBootImage(f).flash
	full := newBootImage(f).bootloader().table(espimage.ArduinoTable()).app(0x10000, "1.0.0").app(0x150000, "2.0.0").
		config(nil).put(0xE000, espimage.BootSlot(0).Bytes(), nil).flash
	small := newBootImage(f).bootloader().table(espimage.SingleAppTable()).config(nil)
	app, err := espimage.Build(espimage.DefaultHeader(0x40080000), []espimage.Segment{{Addr: 0x40080000, Data: make([]byte, 16)}})
	small.put(0x10000, app, err)
	bases := [][]byte{erased, full, small.flash}

	f.Fuzz(func(t *testing.T, base uint8, off1 uint32, data1 []byte, off2 uint32, data2 []byte, sealed bool) {
		if len(data1)+len(data2) > 64<<10 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			fw, err := board.NewFirmware(board.FirmwareConfig{Network: harbour(), Uploads: twoFrames})
			if err != nil {
				t.Fatal(err)
			}
			flash, err := board.NewFlash(bases[int(base)%len(bases)], 4<<20)
			if err != nil {
				t.Fatal(err)
			}
			overwriteFlash(flash, off1%(4<<20), data1)
			overwriteFlash(flash, off2%(4<<20), data2)
			if sealed {
				sealFlash(t, flash)
			}
			b, err := board.New(board.Config{Flash: flash, Program: fw})
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			w, err := b.Connect()
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(4 * time.Second)
			synctest.Wait()
			if s := b.Status().State; s != board.StateBoot && s != board.StateApp && s != board.StateReset {
				t.Errorf("state %v after boot", s)
			}
			// Download mode is reached from wherever that is.
			for _, lines := range [][2]bool{{false, true}, {true, false}} {
				if err := w.SetLines(lines[0], lines[1]); err != nil {
					t.Fatal(err)
				}
				time.Sleep(200 * time.Millisecond)
			}
			synctest.Wait()
			if s := b.Status().State; s != board.StateROM {
				t.Errorf("state %v after a reset into download mode", s)
			}
		})
	})
}

// Every byte of the structures that boot depends on, flipped one at a time.
func TestBootFlippedBytes(t *testing.T) {
	full := newBootImage(t).bootloader().table(espimage.ArduinoTable()).app(0x10000, "1.0.0").
		config(nil).put(0xE000, espimage.BootSlot(0).Bytes(), nil).flash
	var places []uint32
	for _, r := range [][2]uint32{
		{0x1000, 40}, {0x8000, 7 * 32}, {0xE000, 32}, {0x9000, 64 + 4*32}, {0x10000, 60},
	} {
		for i := range r[1] {
			places = append(places, r[0]+i)
		}
	}
	for _, at := range places {
		synctest.Test(t, func(t *testing.T) {
			damaged := bytes.Clone(full[at : at+1])
			damaged[0] ^= 0x81
			fw, err := board.NewFirmware(board.FirmwareConfig{Network: harbour(), Uploads: twoFrames})
			if err != nil {
				t.Fatal(err)
			}
			flash, err := board.NewFlash(full, 4<<20)
			if err != nil {
				t.Fatal(err)
			}
			overwriteFlash(flash, at, damaged)
			r := bootFlash(t, flash, fw)
			defer r.close()
			r.run(2500 * time.Millisecond)
			if s := r.b.Status().State; s != board.StateBoot && s != board.StateApp && s != board.StateReset {
				t.Errorf("byte 0x%x: state %v", at, s)
			}
			r.b.Restart(true)
			r.run(time.Second)
			if s := r.b.Status().State; s != board.StateROM {
				t.Errorf("byte 0x%x: state %v in download mode", at, s)
			}
		})
	}
}
