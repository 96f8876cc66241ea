package flash_test

import (
	"bytes"
	"testing"

	"porthole/hil/flash"
	"porthole/internal/espimage"
	"porthole/sim/board"
)

func TestWriteBoots(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBench(t, options{board: board.Config{Pace: true, Latency: true}})
		defer b.close()
		files := firmware(t, "1.2.3", 0)
		report, err := b.flasher.Write(t.Context(), files, flash.WriteOptions{})
		if err != nil {
			t.Fatal(err)
		}
		b.holds(files)
		t.Logf("%+v", report)
		if report.Boot.State != flash.BootConfirmed || report.Baud != flash.DefaultBaud || report.Troubles != 0 || report.Stray {
			t.Errorf("report %+v", report)
		}
		if report.Chip.MAC != testMAC || report.Chip.FlashSize != 4<<20 || report.Chip.Crystal != 40 || report.Chip.Name() != "ESP32-D0WD-V3" {
			t.Errorf("chip %+v", report.Chip)
		}
	})
}

func TestWriteOnlyWhatDiffers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var programmed []int64
		b := newBench(t, options{board: board.Config{Trace: func(e board.TraceEvent) {
			if e.Kind == board.TraceErase {
				for at := int64(e.A); at < int64(e.A+e.B); at += espimage.SectorSize {
					programmed = append(programmed, at)
				}
			}
		}}})
		defer b.close()
		files := small(t)
		if _, err := b.flasher.Write(t.Context(), files, flash.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
		programmed = nil
		report, err := b.flasher.Write(t.Context(), files, flash.WriteOptions{})
		if err != nil || report.Written != 0 || len(programmed) != 0 {
			t.Errorf("unchanged: wrote %d bytes, erased %x, %v", report.Written, programmed, err)
		}
		app := &files[4]
		app.Data = bytes.Clone(app.Data)
		app.Data[0x2100] ^= 0xFF
		report, err = b.flasher.Write(t.Context(), files, flash.WriteOptions{Force: true}) // the hash is wrong now
		if err != nil || report.Written != espimage.SectorSize || len(programmed) != 1 || programmed[0] != 0x12000 {
			t.Errorf("one sector: wrote %d bytes, erased %x, %v", report.Written, programmed, err)
		}
		b.holds(files)
	})
}
