package espimage

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"
)

// singleAppVector is esp32-serial 5.2, made by the vendor's own tool.
const singleAppVector = `aa500102 00900000 00600000 6e7673 0000000000000000000000000000000000
aa500101 00f00000 00100000 7068795f696e6974 000000000000000000000000
aa500000 00000100 00001000 666163746f7279 00000000000000000000000000
ebebffffffffffffffffffffffffffff f4ad4f4538564b5d7435b62c75b69524`

func vector(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTableVector(t *testing.T) {
	want := vector(t, singleAppVector)
	got, err := SingleAppTable().Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got[:len(want)], want) || len(got) != TableSize || !Erased(got[len(want):]) {
		t.Fatalf("table\n%x, want\n%x", got[:len(want)], want)
	}
	back, err := ParseTable(got, 4<<20)
	if err != nil || !reflect.DeepEqual(back, SingleAppTable()) {
		t.Errorf("parsed %+v, %v", back, err)
	}
	for _, tab := range []*Table{SingleAppTable(), ArduinoTable()} {
		if err := tab.Validate(4 << 20); err != nil {
			t.Error(err)
		}
		if err := tab.Validate(1 << 20); err == nil {
			t.Error("a 4 MB layout fits 1 MB")
		}
	}
}

func TestParseTableFaults(t *testing.T) {
	good, err := SingleAppTable().Bytes()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		change func(b []byte) []byte
		kind   TableKind
		rows   int
	}{
		{"erased", func(b []byte) []byte { return bytes.Repeat([]byte{0xFF}, TableSize) }, 0, 0},
		{"zeros", func(b []byte) []byte { return make([]byte, TableSize) }, TableBadMagic, 0},
		{"row flipped", func(b []byte) []byte { b[40] ^= 1; return b }, TableBadMD5, 3},
		{"digest flipped", func(b []byte) []byte { b[3*32+16] ^= 1; return b }, TableBadMD5, 3},
		{"no digest", func(b []byte) []byte { copy(b[96:], bytes.Repeat([]byte{0xFF}, 32)); return b }, 0, 3},
		{"second digest", func(b []byte) []byte { copy(b[128:], b[96:128]); return b }, TableTwoMD5, 3},
		{"end mark with a type", func(b []byte) []byte { b[128+2] = 0; return b }, TableBadMagic, 3},
		{"behind the flash", func(b []byte) []byte { b[32+10] = 0xFF; return b }, TableTooBig, 1},
		{"wraps around", func(b []byte) []byte { copy(b[32+8:], "\xff\xff\xff\xff"); return b }, TableTooBig, 1},
		{"cut", func(b []byte) []byte { return b[:64] }, TableNoEnd, 2},
		{"full without end", func(b []byte) []byte { return bytes.Repeat(b[:32], TableSize/32) }, TableNoEnd, 96},
		{"empty", func(b []byte) []byte { return nil }, TableNoEnd, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			tab, err := ParseTable(c.change(bytes.Clone(good)), 4<<20)
			if len(tab.Partitions) != c.rows {
				t.Errorf("%d rows, want %d", len(tab.Partitions), c.rows)
			}
			if c.kind == 0 {
				if err != nil {
					t.Errorf("error %v", err)
				}
				return
			}
			if e, ok := errors.AsType[*TableError](err); !ok || e.Kind != c.kind {
				t.Errorf("error %v, want kind %d", err, c.kind)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	data := func(off, size uint32, label string) Partition {
		return Partition{Type: TypeData, Subtype: DataNVS, Offset: off, Size: size, Label: label}
	}
	app := func(off, size uint32, label string) Partition {
		return Partition{Offset: off, Size: size, Label: label}
	}
	for _, c := range []struct {
		name string
		rows []Partition
		kind TableKind
	}{
		{"touching", []Partition{data(0x9000, 0x1000, "a"), data(0xA000, 0x1000, "b")}, 0},
		{"overlap by a sector", []Partition{data(0x9000, 0x2000, "a"), data(0xA000, 0x1000, "b")}, TableOverlap},
		{"one inside the other", []Partition{data(0x9000, 0x4000, "a"), data(0xA000, 0x1000, "b")}, TableOverlap},
		{"same twice, out of order", []Partition{data(0xB000, 0x1000, "a"), data(0x9000, 0x1000, "b"), data(0xB000, 0x1000, "c")}, TableOverlap},
		{"over the table", []Partition{data(0x8000, 0x1000, "a")}, TableReserved},
		{"over the bootloader", []Partition{data(0x1000, 0x1000, "a")}, TableReserved},
		{"application on a sector", []Partition{app(0x11000, 0x10000, "a")}, TableMisaligned},
		{"data off a sector", []Partition{data(0x9100, 0x1000, "a")}, TableMisaligned},
		{"half a sector", []Partition{data(0x9000, 0x800, "a")}, TableMisaligned},
		{"nothing", []Partition{data(0x9000, 0, "a")}, TableMisaligned},
		{"to the last byte", []Partition{app(0x10000, 0x3F0000, "a")}, 0},
		{"one sector more", []Partition{app(0x10000, 0x3F1000, "a")}, TableTooBig},
		{"label of 16", []Partition{data(0x9000, 0x1000, "0123456789abcdef")}, 0},
		{"label of 17", []Partition{data(0x9000, 0x1000, "0123456789abcdefg")}, TableBadLabel},
		{"no label", []Partition{data(0x9000, 0x1000, "")}, TableBadLabel},
		{"NUL in a label", []Partition{data(0x9000, 0x1000, "a\x00b")}, TableBadLabel},
		{"96 rows", make([]Partition, 96), TableTooMany},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := (&Table{Partitions: c.rows}).Validate(4 << 20)
			e, ok := errors.AsType[*TableError](err)
			if c.kind == 0 && err != nil || c.kind != 0 && (!ok || e.Kind != c.kind) {
				t.Errorf("error %v, want kind %d", err, c.kind)
			}
		})
	}
}

// The bootloader wants an end mark inside the table: 94 rows and the digest, or
// 95 rows without, and none more.
func TestFullTable(t *testing.T) {
	for _, c := range []struct {
		rows int
		md5  bool
		ok   bool
	}{{94, true, true}, {95, true, false}, {95, false, true}, {96, false, false}} {
		tab := &Table{MD5: c.md5}
		for i := range uint32(c.rows) {
			tab.Partitions = append(tab.Partitions, Partition{Type: TypeData, Subtype: 6, Offset: 0x10000 + i*0x1000, Size: 0x1000, Label: "p"})
		}
		b, err := tab.Bytes()
		if (err == nil) != c.ok {
			t.Errorf("%d rows, digest %v: %v", c.rows, c.md5, err)
		}
		if err != nil {
			continue
		}
		if back, err := ParseTable(b, 0); err != nil || !reflect.DeepEqual(back, tab) || len(b) != TableSize {
			t.Errorf("%d rows, digest %v: %d bytes, %v", c.rows, c.md5, len(b), err)
		}
	}
}

func FuzzPartitionTable(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		tab, err := ParseTable(b, 4<<20)
		_ = tab.Validate(4 << 20)
		if err != nil {
			return
		}
		out, err := tab.Bytes()
		if err != nil {
			t.Fatalf("write of a parsed table: %v", err)
		}
		back, err := ParseTable(out, 4<<20)
		if err != nil || !reflect.DeepEqual(back, tab) {
			t.Fatalf("table changed: %+v, %+v, %v", tab, back, err)
		}
	})
}
