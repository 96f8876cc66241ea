package espimage

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

// small is an image whose every byte is worked out by hand below.
func small(t *testing.T, withHash bool) []byte {
	t.Helper()
	h := DefaultHeader(0x40080684)
	h.Hash = withHash
	b, err := Build(h, []Segment{
		{Addr: 0x3FFF0030, Data: []byte{1, 2, 3, 4}},
		{Addr: 0x40078000, Data: []byte{0x10, 0x20, 0x30}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBuildVector(t *testing.T) {
	want, err := hex.DecodeString(strings.Join(strings.Fields(`
		e9 02 02 20  84060840  ee 000000  0000 00 0000 ffff 00000000 00
		3000ff3f 04000000 01020304
		00800740 04000000 10203000
		000000000000000000000000000000 eb`), ""))
	if err != nil {
		t.Fatal(err)
	}
	// 0xEF ^ 1^2^3^4 (=4) ^ 0x10^0x20^0x30 (=0) is 0xEB. The segments end on a
	// line, so the checksum takes a whole line of its own.
	if got := small(t, false); !bytes.Equal(got, want) {
		t.Fatalf("image\n%x, want\n%x", got, want)
	}
	withHash := small(t, true)
	want[23] = 1
	sum := sha256.Sum256(want)
	if !bytes.Equal(withHash, append(want, sum[:]...)) {
		t.Fatalf("image with hash\n%x", withHash)
	}
}

// The checksum is always there, also when the segments end on a line.
func TestChecksumLine(t *testing.T) {
	for n := 0; n <= 40; n++ {
		h := DefaultHeader(0)
		h.Hash = false
		b, err := Build(h, []Segment{{Addr: 0x40080000, Data: make([]byte, n)}})
		if err != nil {
			t.Fatal(err)
		}
		data := HeaderSize + SegmentHeaderSize + align(n, 4)
		if len(b)%16 != 0 || len(b) <= data || len(b) > data+16 || b[len(b)-1] != 0xEF {
			t.Errorf("%d bytes of data: image of %d, last byte %02x", n, len(b), b[len(b)-1])
		}
	}
}

func TestParseFaults(t *testing.T) {
	good := small(t, true)
	segment0 := HeaderSize
	for _, c := range []struct {
		name   string
		change func(b []byte) []byte
		kind   Kind
		found  int // segments read before the fault
	}{
		{"erased", func(b []byte) []byte { return bytes.Repeat([]byte{0xFF}, 64) }, BadMagic, 0},
		{"other chip", func(b []byte) []byte { b[12] = 9; return b }, BadChip, 0},
		{"seventeen segments", func(b []byte) []byte { b[1] = 17; return b }, BadSegmentCount, 0},
		{"odd length", func(b []byte) []byte { b[segment0+4] = 5; return b }, BadSegmentLength, 0},
		{"16 MB segment", func(b []byte) []byte { b[segment0+7] = 1; return b }, BadSegmentLength, 0},
		{"mapped at the wrong place", func(b []byte) []byte {
			binary.LittleEndian.PutUint32(b[segment0:], 0x3F400024)
			return b
		}, BadMapping, 0},
		{"data flipped", func(b []byte) []byte { b[segment0+8] ^= 0x40; return b }, BadChecksum, 2},
		{"checksum flipped", func(b []byte) []byte { b[len(b)-HashSize-1] ^= 1; return b }, BadChecksum, 2},
		{"entry flipped", func(b []byte) []byte { b[4] ^= 1; return b }, BadHash, 2},
		{"digest flipped", func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, BadHash, 2},
		{"cut in the header", func(b []byte) []byte { return b[:HeaderSize-1] }, TooLong, 0},
		{"cut in the digest", func(b []byte) []byte { return b[:len(b)-1] }, TooLong, 2},
		{"empty", func(b []byte) []byte { return nil }, Cut, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			img, err := Parse(c.change(bytes.Clone(good)))
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Kind != c.kind {
				t.Fatalf("error %v, want kind %v", err, c.kind)
			}
			if len(img.Segments) != c.found {
				t.Errorf("%d segments, want %d", len(img.Segments), c.found)
			}
			if !strings.HasPrefix(e.Error(), "parse image: ") {
				t.Errorf("text %q", e.Error())
			}
		})
	}
}

func TestScan(t *testing.T) {
	app := demo(t, Demo{Version: "1.2.3", Seed: 7})
	flash := append(bytes.Repeat([]byte{0xFF}, AppOffset), app...)
	at := func(off int) io.ReaderAt {
		return io.NewSectionReader(bytes.NewReader(flash), int64(off), int64(len(flash)-off))
	}

	t.Run("in flash", func(t *testing.T) {
		img, err := Scan(at(AppOffset), Check{Base: AppOffset})
		if err != nil {
			t.Fatal(err)
		}
		d, ok := img.App(at(AppOffset))
		if !ok || d.Project != DemoProject || d.Version != "1.2.3" {
			t.Errorf("descriptor %+v, %v", d, ok)
		}
	})
	t.Run("at an odd base", func(t *testing.T) {
		_, err := Scan(at(AppOffset), Check{Base: AppOffset + SectorSize})
		if e, ok := errors.AsType[*Error](err); !ok || e.Kind != BadMapping || e.Segment != 0 {
			t.Errorf("error %v", err)
		}
		if _, err := Scan(at(AppOffset), Check{Base: AppOffset + SectorSize, Loose: true}); err != nil {
			t.Errorf("loose: %v", err)
		}
	})
	t.Run("limit", func(t *testing.T) {
		if _, err := Scan(at(AppOffset), Check{Base: AppOffset, Limit: int64(len(app))}); err != nil {
			t.Errorf("exact room: %v", err)
		}
		_, err := Scan(at(AppOffset), Check{Base: AppOffset, Limit: int64(len(app)) - 1})
		if e, ok := errors.AsType[*Error](err); !ok || e.Kind != TooLong {
			t.Errorf("one byte less: %v", err)
		}
	})
	t.Run("revision", func(t *testing.T) {
		b := bytes.Clone(app)
		binary.LittleEndian.PutUint16(b[15:], 300)
		binary.LittleEndian.PutUint16(b[17:], 399)
		for rev, kind := range map[uint16]Kind{100: BadRevision, 299: BadRevision, 300: BadHash, 399: BadHash, 400: BadRevision} {
			_, err := Scan(bytes.NewReader(b), Check{Revision: rev})
			if e, ok := errors.AsType[*Error](err); !ok || e.Kind != kind {
				t.Errorf("revision %d: %v, want %v", rev, err, kind)
			}
		}
	})
	t.Run("reader error", func(t *testing.T) {
		_, err := Scan(failAt{bytes.NewReader(app), 5000}, Check{})
		if !errors.Is(err, iotest.ErrTimeout) {
			t.Errorf("error %v", err)
		}
	})
}

type failAt struct {
	io.ReaderAt
	at int64
}

func (f failAt) ReadAt(b []byte, off int64) (int, error) {
	if off+int64(len(b)) > f.at {
		return 0, iotest.ErrTimeout
	}
	return f.ReaderAt.ReadAt(b, off)
}

// Whatever segments go in, arranged they satisfy the bootloader, and every byte
// is still where it was to be loaded.
func TestArrange(t *testing.T) {
	const seed = 11
	rng := rand.New(rand.NewPCG(seed, 0))
	for round := range 300 {
		var in []Segment
		want := map[uint32]byte{}
		add := func(addr uint32, n int) {
			data := make([]byte, n)
			for i := range data {
				data[i] = byte(rng.Uint32())
				want[addr+uint32(i)] = data[i]
			}
			in = append(in, Segment{Addr: addr, Data: data})
		}
		for i := range uint32(rng.IntN(3)) {
			add(dromLow+i*0x40000+4*rng.Uint32N(0x4000), 1+rng.IntN(3000))
		}
		for i := range uint32(rng.IntN(3)) {
			add(iromLow+i*0x40000+4*rng.Uint32N(0x4000), 1+rng.IntN(3000))
		}
		for i := range uint32(rng.IntN(3)) {
			add(0x3FFB0000+i*0x8000, rng.IntN(30000))
		}
		out, err := Arrange(in)
		if err != nil {
			t.Fatalf("seed %d round %d: %v", seed, round, err)
		}
		b, err := Build(DefaultHeader(0), out)
		if err != nil {
			t.Fatalf("seed %d round %d: build: %v", seed, round, err)
		}
		img, err := Parse(b)
		if err != nil {
			t.Fatalf("seed %d round %d: parse: %v", seed, round, err)
		}
		for _, s := range img.Segments {
			if s.Addr < reservedHigh {
				continue
			}
			for i, c := range s.Data {
				if w, ok := want[s.Addr+uint32(i)]; ok && w != c {
					t.Fatalf("seed %d round %d: byte at %08x is %02x, want %02x", seed, round, s.Addr+uint32(i), c, w)
				}
				delete(want, s.Addr+uint32(i))
			}
		}
		if len(want) != 0 {
			t.Fatalf("seed %d round %d: %d bytes lost", seed, round, len(want))
		}
	}
}

// The room before a mapped segment can be too small for a filler's own header.
func TestArrangeNarrowGaps(t *testing.T) {
	for gap := 0; gap <= 24; gap += 4 {
		for _, ram := range []int{0, 4, 8, 100000} {
			in := []Segment{
				{Addr: dromLow + 0x20, Data: make([]byte, 64)},
				{Addr: iromLow + 0x20 + 64 + 8 + uint32(gap), Data: make([]byte, 64)},
			}
			if ram > 0 {
				in = append(in, Segment{Addr: 0x3FFB0000, Data: bytes.Repeat([]byte{1}, ram)})
			}
			out, err := Arrange(in)
			if err != nil {
				t.Fatalf("gap %d, %d bytes of RAM: %v", gap, ram, err)
			}
			b, err := Build(DefaultHeader(0), out)
			if err != nil {
				t.Fatalf("gap %d, %d bytes of RAM: %v", gap, ram, err)
			}
			if n := bytes.Count(b, []byte{1, 1, 1, 1}); n < ram/4 {
				t.Errorf("gap %d, %d bytes of RAM: %d words left", gap, ram, n)
			}
		}
	}
	if _, err := Arrange([]Segment{{Addr: dromLow + 0x22, Data: make([]byte, 4)}}); err == nil {
		t.Error("an odd address was arranged")
	}
}

func TestPatch(t *testing.T) {
	boot, err := DemoBootloader()
	if err != nil {
		t.Fatal(err)
	}
	tail := []byte{0xAA, 0xBB}
	out, err := Patch(append(bytes.Clone(boot), tail...), FlashSettings{Mode: DIO, Freq: Freq80M, Size: Size4MB})
	if err != nil {
		t.Fatal(err)
	}
	if out[2] != 0x02 || out[3] != 0x2F {
		t.Errorf("dio,80m,4MB gives %02x %02x, want 02 2f", out[2], out[3])
	}
	out, err = Patch(out, FlashSettings{Mode: KeepMode, Freq: KeepFreq, Size: Size16MB})
	if err != nil {
		t.Fatal(err)
	}
	if out[2] != 0x02 || out[3] != 0x4F || !bytes.HasSuffix(out, tail) {
		t.Errorf("16MB gives %02x %02x, tail %x", out[2], out[3], out[len(out)-2:])
	}
	if _, err := Parse(out); err != nil {
		t.Errorf("patched image: %v", err)
	}
	if same, err := Patch(boot, KeepAll); err != nil || !bytes.Equal(same, boot) {
		t.Errorf("keep all changed the image: %v", err)
	}
	if bytes.Equal(out[:len(boot)], boot) || !SameProgram(out, boot) {
		t.Error("patched image is not the same program")
	}
	out[100] ^= 1
	if _, err := Patch(out, KeepAll); err == nil {
		t.Error("a corrupt image was patched")
	}
	if SameProgram(out, boot) {
		t.Error("a corrupt image is the same program")
	}
	other := demo(t, Demo{Seed: 1})
	if SameProgram(other, demo(t, Demo{Seed: 2})) {
		t.Error("different programs are the same")
	}
}

func TestDemo(t *testing.T) {
	boot, err := DemoBootloader()
	if err != nil {
		t.Fatal(err)
	}
	img, err := Parse(boot)
	if err != nil {
		t.Fatal(err)
	}
	d, ok := img.Boot(bytes.NewReader(boot))
	if !ok || d.IDF != demoIDF || img.Size > TableOffset-BootloaderOffset {
		t.Errorf("bootloader: %+v, %d bytes", d, img.Size)
	}
	for _, size := range []int{0, 1 << 20} {
		b := demo(t, Demo{Size: size, Version: "2.0.0", ELF: sha256.Sum256([]byte("elf"))})
		img, err := Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		d, _ := ParseAppDescriptor(img.Segments[0].Data)
		if d.Version != "2.0.0" || d.ELF != sha256.Sum256([]byte("elf")) {
			t.Errorf("descriptor %+v", d)
		}
		if size > 0 && (len(b) < size-(64<<10) || len(b) > size+(64<<10)) {
			t.Errorf("asked for %d bytes, got %d", size, len(b))
		}
		if !bytes.Equal(b, demo(t, Demo{Size: size, Version: "2.0.0", ELF: d.ELF})) {
			t.Error("the same demo gives different bytes")
		}
	}
	if _, err := DemoApp(strings.Repeat("v", 33)); err == nil {
		t.Error("a version of 33 bytes was taken")
	}
}

func demo(t *testing.T, d Demo) []byte {
	t.Helper()
	b, err := BuildDemo(d)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func FuzzImage(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		img, err := Parse(b)
		if err != nil {
			return
		}
		again, err := Build(img.Header, img.Segments)
		if err != nil {
			t.Fatalf("build of a parsed image: %v", err)
		}
		back, err := Parse(again)
		if err != nil {
			t.Fatalf("parse of a built image: %v", err)
		}
		if !reflect.DeepEqual(back.Header, img.Header) || back.Size != img.Size || back.Checksum != img.Checksum || len(back.Segments) != len(img.Segments) {
			t.Fatalf("image changed:\n%+v\n%+v", img, back)
		}
		for i, s := range img.Segments {
			if q := back.Segments[i]; q.Addr != s.Addr || !bytes.Equal(q.Data, s.Data) {
				t.Fatalf("segment %d changed", i)
			}
		}
		if _, err := Patch(b, FlashSettings{Mode: QIO, Freq: Freq40M, Size: Size2MB}); err != nil {
			t.Fatalf("patch of a good image: %v", err)
		}
	})
}
