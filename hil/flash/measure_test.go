package flash_test

import (
	"bytes"
	"compress/zlib"
	"crypto/md5"
	"fmt"
	"testing"
	"time"

	"porthole/hil/flash"
	"porthole/internal/espimage"
	"porthole/internal/esprom"
	"porthole/internal/slip"
	"porthole/sim/board"
)

// TestMeasureReflash measures, in virtual time, what a second flashing costs
// against a full one: on a line of 921,600 baud, with the datasheet's times for
// erasing and programming, from opening the port to the banner of the new
// program. The full write is done by this flasher and by a model of esptool's
// (stub, 16 KB blocks, no comparison), both over a flash with other content.
func TestMeasureReflash(t *testing.T) {
	bubble(t, func(t *testing.T) {
		old := bytes.Repeat([]byte("other content, not erased "), 4<<20/26+1)[:4<<20]
		fresh := func() *bench {
			content, err := board.NewFlash(old, 4<<20)
			if err != nil {
				t.Fatal(err)
			}
			return newBench(t, options{board: board.Config{Pace: true, Latency: true, Flash: content}})
		}
		files := firmware(t, "1.0.0", 1<<20)
		var size int
		for _, f := range files {
			size += len(f.Data)
		}
		b := fresh()
		defer b.close()
		write := func(name string) (time.Duration, flash.Report) {
			t.Helper()
			report, err := b.flasher.Write(t.Context(), files, flash.WriteOptions{Force: true})
			if err != nil || report.Troubles != 0 || report.Baud != flash.DefaultBaud || report.Boot.State != flash.BootConfirmed {
				t.Fatalf("%s: %+v, %v", name, report, err)
			}
			b.holds(files)
			return report.Took, report
		}
		full, _ := write("full")
		same, report := write("unchanged")
		if report.Written != 0 {
			t.Errorf("unchanged: wrote %d bytes", report.Written)
		}
		app := &files[3]
		app.Data = bytes.Clone(app.Data)
		for i := range 4096 {
			app.Data[0x80000+i] ^= byte(i*i>>4) | 1
		}
		sector, report := write("one sector")
		if report.Written != espimage.SectorSize {
			t.Errorf("one sector: wrote %d bytes", report.Written)
		}

		other := fresh()
		defer other.close()
		stub := virtual(func() { stubWrite(t, other, files) })
		other.holds(files)

		ratio := func(d, of time.Duration) float64 { return float64(d) / float64(of) }
		fmt.Printf(`re-flash, 1 MB application (%d bytes in all), 921600 baud, virtual time
| what | time | of our full write | of a full write by a stub |
|---|---:|---:|---:|
| full write through the ROM | %.2f s | 1 | %.2f |
| full write by a stub (model of esptool) | %.2f s | %.2f | 1 |
| 4 KB changed | %.3f s | %.3f | %.3f |
| unchanged | %.3f s | %.3f | %.3f |
`, size, full.Seconds(), ratio(full, stub), stub.Seconds(), ratio(stub, full),
			sector.Seconds(), ratio(sector, full), ratio(sector, stub),
			same.Seconds(), ratio(same, full), ratio(same, stub))
		if r := ratio(same, full); r > 0.03 {
			t.Errorf("unchanged: %.3f of a full write, want 0.03", r)
		}
		if r := ratio(sector, full); r > 0.10 {
			t.Errorf("4 KB changed: %.3f of a full write, want 0.10", r)
		}
	})
}

// stubWrite writes files the way esptool does (esp32-serial 2.3): reset, a stub
// of 6 KB into RAM, 921,600 baud, one deflate stream of 16 KB blocks per file,
// a digest, reset.
func stubWrite(t *testing.T, b *bench, files []flash.File) {
	t.Helper()
	wire, err := b.board.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer wire.Close()
	step := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	r := slip.NewReader(wire, 0, nil)
	stub := false
	call := func(cmd esprom.Command) []byte {
		t.Helper()
		req := cmd.Request()
		_, err := wire.Write(slip.Append(nil, req.Append(nil)))
		step(err)
		for {
			body, err := r.ReadFrame()
			step(err)
			resp, err := esprom.ParseResponse(body)
			if err != nil || resp.Op != req.Op {
				continue
			}
			payload, err := resp.Result(esprom.PayloadLen(req.Op, stub), stub)
			step(err)
			return bytes.Clone(payload)
		}
	}
	lines := func(dtr, rts bool, hold time.Duration) {
		step(wire.SetLines(dtr, rts))
		time.Sleep(hold)
	}
	lines(false, false, 0)
	lines(true, true, 0)
	lines(false, true, 100*time.Millisecond)
	lines(true, false, 80*time.Millisecond) // as if 50 ms were enough: in the model's favour
	lines(false, false, 0)
	call(esprom.Sync{})
	for range 12 { // identity
		call(esprom.ReadReg{Addr: esprom.RegMagic})
	}
	const entry = 0x400A9074
	text := make([]byte, 6140)
	call(esprom.Begin{Op: esprom.MemBegin, Size: 6140, Blocks: 1, BlockSize: esprom.RAMBlock, Offset: 0x400A8000})
	call(esprom.Data{Op: esprom.MemData, Block: text})
	call(esprom.Jump{Entry: entry})
	for hello := ""; hello != esprom.Hello; {
		body, err := r.ReadFrame()
		step(err)
		hello = string(body)
	}
	stub = true
	call(esprom.Baud{New: 921600, Old: 115200})
	step(wire.SetBaud(921600))
	time.Sleep(50 * time.Millisecond)
	step(wire.Purge())
	call(esprom.ParamsFor(4 << 20))
	for _, f := range files {
		var z bytes.Buffer
		w, err := zlib.NewWriterLevel(&z, zlib.BestCompression)
		step(err)
		_, err = w.Write(f.Data)
		step(err)
		step(w.Close())
		blocks := (z.Len() + esprom.StubBlock - 1) / esprom.StubBlock
		call(esprom.Begin{Op: esprom.DeflBegin, Size: uint32(len(f.Data)), Blocks: uint32(blocks),
			BlockSize: esprom.StubBlock, Offset: uint32(f.Offset)})
		for seq := range blocks {
			call(esprom.Data{Op: esprom.DeflData, Seq: uint32(seq), Block: z.Next(esprom.StubBlock)})
		}
		sum := call(esprom.Digest{Addr: uint32(f.Offset), Size: uint32(len(f.Data))})
		if want := md5.Sum(f.Data); !bytes.Equal(sum, want[:]) {
			t.Fatalf("%s was not written", f.Name)
		}
	}
	lines(false, true, 100*time.Millisecond)
	lines(false, false, 0)
	banner := make([]byte, 1)
	step(wire.SetBaud(115200))
	_, err = wire.Read(banner)
	step(err)
}
