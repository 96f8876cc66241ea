package espimage

import (
	"bytes"
	"testing"
)

func TestOTADataVector(t *testing.T) {
	d := BootSlot(0)
	if d[0].CRC != 0x4743989A {
		t.Errorf("crc of sequence 1 is %08x, want 4743989a", d[0].CRC)
	}
	b := d.Bytes()
	head := vector(t, "01000000 ffffffffffffffffffffffffffffffffffffffff ffffffff 9a984347")
	if len(b) != OTADataSize || !bytes.Equal(b[:32], head) || !Erased(b[32:]) {
		t.Errorf("otadata starts %x, want %x, rest erased", b[:32], head)
	}
}

func TestOTAChoice(t *testing.T) {
	bad := NewOTASelect(5, OTAValid)
	bad.CRC++
	for _, c := range []struct {
		name   string
		d      OTAData
		active int
		slot   int // of 2; -1 = none
	}{
		{"erased", OTAData{NoOTASelect(), NoOTASelect()}, 0, -1},
		{"zeros", OTAData{}, 0, -1},
		{"first only", OTAData{NewOTASelect(1, OTAUndefined), NoOTASelect()}, 0, 0},
		{"second only", OTAData{NoOTASelect(), NewOTASelect(2, OTAValid)}, 1, 1},
		{"higher wins", OTAData{NewOTASelect(3, OTAValid), NewOTASelect(4, OTAValid)}, 1, 1},
		{"higher wins, first", OTAData{NewOTASelect(5, OTAValid), NewOTASelect(4, OTAValid)}, 0, 0},
		{"equal", OTAData{NewOTASelect(2, OTAValid), NewOTASelect(2, OTAValid)}, 0, 1},
		{"higher has a wrong crc", OTAData{NewOTASelect(4, OTAValid), bad}, 0, 1},
		{"higher was aborted", OTAData{NewOTASelect(4, OTAValid), NewOTASelect(5, OTAAborted)}, 0, 1},
		{"higher is invalid", OTAData{NewOTASelect(4, OTAValid), NewOTASelect(5, OTAInvalid)}, 0, 1},
		{"both wrong", OTAData{bad, bad}, 0, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			slot, ok := c.d.Slot(2)
			if ok != (c.slot >= 0) || ok && slot != c.slot {
				t.Errorf("slot %d, %v, want %d", slot, ok, c.slot)
			}
			if active, ok := c.d.Active(); ok && active != c.active {
				t.Errorf("entry %d, want %d", active, c.active)
			}
		})
	}
}

// However many updates follow each other, the last one is what boots, and the
// entry that was in charge before is untouched until then.
func TestOTASelect(t *testing.T) {
	for n := 1; n <= 16; n++ {
		d := OTAData{NoOTASelect(), NoOTASelect()}
		for i := range 3 * n {
			slot := (i * 7) % n
			before, had := d.Active()
			old := d[before]
			next, err := d.Select(slot, n, OTAValid)
			if err != nil {
				t.Fatal(err)
			}
			if got, ok := next.Slot(n); !ok || got != slot {
				t.Fatalf("%d slots: selected %d, boots %d", n, slot, got)
			}
			if had && next[before] != old {
				t.Fatalf("%d slots: update %d rewrote the entry in charge", n, i)
			}
			d = next
		}
		if _, err := d.Select(n, n, OTAValid); err == nil {
			t.Errorf("slot %d of %d was taken", n, n)
		}
	}
}

func TestSectors(t *testing.T) {
	for _, c := range []struct{ off, size, first, n int64 }{
		{0, 0, 0, 0}, {0, 1, 0, 1}, {0, 4096, 0, 1}, {0, 4097, 0, 2}, {4095, 2, 0, 2}, {4096, 4096, 1, 1}, {5000, 8192, 1, 3},
	} {
		if first, n := SectorsOf(c.off, c.size); first != c.first || n != c.n {
			t.Errorf("sectors of %d+%d: %d, %d, want %d, %d", c.off, c.size, first, n, c.first, c.n)
		}
	}
	for _, n := range []int{0, 1, 4095, 4096, 4097} {
		b := make([]byte, n)
		p := PadSectors(b)
		if len(p)%SectorSize != 0 || !bytes.HasPrefix(p, b) || !Erased(p[n:]) {
			t.Errorf("padding %d bytes gives %d", n, len(p))
		}
		d := SectorDigests(b)
		if len(d) != len(p)/SectorSize {
			t.Errorf("%d bytes have %d digests", n, len(d))
		}
	}
	if SectorDigests(bytes.Repeat([]byte{0xFF}, 5))[0] != ErasedDigest(SectorSize) {
		t.Error("erased sector has another digest than erased bytes")
	}
}

func FuzzOtadata(f *testing.F) {
	f.Fuzz(func(t *testing.T, first, second []byte, slots uint8) {
		b := bytes.Repeat([]byte{0xFF}, OTADataSize)
		copy(b[:otaEntry], first)
		copy(b[SectorSize:SectorSize+otaEntry], second)
		d, err := ParseOTAData(b)
		if err != nil {
			t.Fatal(err)
		}
		if out := d.Bytes(); !bytes.Equal(out, b) {
			t.Fatalf("otadata changed:\n%x\n%x", b[:otaEntry], out[:otaEntry])
		}
		n := int(slots%17) + 1
		if s, ok := d.Slot(n); ok && (s < 0 || s >= n) {
			t.Fatalf("slot %d of %d", s, n)
		}
	})
}
