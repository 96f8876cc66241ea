package flash_test

import (
	"crypto/md5"
	"strings"
	"testing"

	"porthole/hil/flash"
	"porthole/hil/hiltest"
	"porthole/internal/espimage"
	"porthole/internal/esprom"
	"porthole/sim/board"
)

// TestLastComparison meets a board on which a write is lost and the answers to
// the questions after it say otherwise, as answers to other questions would:
// the last comparison, behind its barrier, finds out.
func TestLastComparison(t *testing.T) {
	bubble(t, func(t *testing.T) {
		data := make([]byte, 4096)
		copy(data, "content")
		b := fake()
		var lost bool
		lies := 0
		b.Answer = func(req esprom.Request) ([]byte, bool) {
			switch {
			case req.Op == esprom.DeflData && !lost:
				lost, lies = true, 2 // the question of the run and that of the piece
				return reply(req.Op, nil), true
			case req.Op == esprom.FlashMD5 && lies > 0:
				lies--
				sum := md5.Sum(data)
				return reply(req.Op, esprom.AppendDigest(nil, sum, false)), true
			}
			return nil, false
		}
		report, err := on(t, b).Write(t.Context(), []flash.File{{Name: "data", Offset: 0x3000, Data: data}}, flash.WriteOptions{})
		b.Wait()
		if err != nil || !lost || lies != 0 {
			t.Fatalf("%+v, %v", report, err)
		}
		if string(b.Flash[0x3000:0x3007]) != "content" {
			t.Error("success is reported, and the flash is wrong")
		}
	})
}

// TestErasedIsNotSearched checks that an erased flash costs no question per
// sector.
func TestErasedIsNotSearched(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := fake()
		for i := range b.Flash {
			b.Flash[i] = 0xFF
		}
		data := make([]byte, 64<<10)
		if _, err := on(t, b).Write(t.Context(), []flash.File{{Name: "data", Offset: 0x20000, Data: data}}, flash.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
		b.Wait()
		n := 0
		for _, line := range b.Transcript() {
			if strings.HasPrefix(line, "SPI_FLASH_MD5") {
				n++
			}
		}
		if n > 8 {
			t.Errorf("%d digests for one region", n)
		}
	})
}

// TestMildCures checks that trouble costs no more than it must: a lost answer
// no reset, a rate that does not work a lower one.
func TestMildCures(t *testing.T) {
	files := small(t)
	for _, tt := range []struct {
		name   string
		faults string
		resets uint64 // starts of the chip: into the loader, into the program
		baud   int
	}{
		{"nothing", "", 2, 921600},
		{"lost answer to a block", "lostreply command=52", 2, 921600},
		{"garbled block", "flip rx=3000 bit=2", 2, 921600},
		{"log line", "log command=45", 2, 921600},
		{"refused", "refuse command=45 code=5", 2, 921600},
		{"one bad rate", "baudskew baud=1 percent=20", 3, 460800},
		{"two bad rates", "baudskew baud=1 count=2 percent=20", 4, 230400},
		{"no rate works", "baudskew baud=1 count=1000 percent=20", 5, 115200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				faults, err := board.ParseSchedule(strings.NewReader(tt.faults))
				if err != nil {
					t.Fatal(err)
				}
				b := newBench(t, options{board: board.Config{Pace: true, Faults: faults}})
				defer b.close()
				report, err := b.flasher.Write(t.Context(), files, flash.WriteOptions{})
				if err != nil {
					t.Fatal(err)
				}
				b.holds(files)
				if report.Baud != tt.baud || (report.Troubles > 0) != (tt.faults != "" && tt.name != "log line") {
					t.Errorf("%+v", report)
				}
				if got := b.board.Status().Resets; got != tt.resets {
					t.Errorf("%d resets, want %d", got, tt.resets)
				}
			})
		})
	}
}

// TestResumes cuts the power when most of a large file is written: what is
// there is not written again.
func TestResumes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		files := firmware(t, "1.0.0", 1<<20)
		written := 0
		b := newBench(t, options{board: board.Config{Trace: func(e board.TraceEvent) {
			if e.Kind == board.TraceErase {
				written += int(e.B)
			}
		}}})
		defer b.close()
		cut := false
		b.onTell = func(p flash.Progress) {
			if p.Phase == flash.Writing && p.Done > p.Total*9/10 && !cut {
				cut = true
				b.board.SetPower(false)
				b.board.SetPower(true)
			}
		}
		report, err := b.flasher.Write(t.Context(), files, flash.WriteOptions{})
		if err != nil || !cut || report.Troubles == 0 {
			t.Fatalf("%+v, %v", report, err)
		}
		b.holds(files)
		size := 0
		for _, f := range files {
			size += (len(f.Data) + espimage.SectorSize - 1) / espimage.SectorSize * espimage.SectorSize
		}
		if extra := written - size; extra < 0 || extra > 64<<10 {
			t.Errorf("erased %d bytes for %d", written, size)
		}
	})
}

func reply(op esprom.Op, payload []byte) []byte { return hiltest.Reply(op, 0, payload, true) }
