package espimage

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// The OTA selection: two sectors, written in turn, each starting with
//
//	 0  u32  sequence number; slot = (sequence-1) modulo the number of slots
//	 4  ×20  label, unused, 0xFF
//	24  u32  state
//	28  u32  CRC of the sequence number alone, start value 0xFFFFFFFF
//
// The higher valid sequence wins, so that a power cut in the middle of an
// update leaves the other sector in charge (esp32-serial 5.2).
const (
	OTADataSize = 2 * SectorSize
	otaEntry    = 32
)

// OTAState is how far an update has come.
type OTAState uint32

// States; the bootloader refuses OTAInvalid and OTAAborted.
const (
	OTANew       OTAState = 0
	OTAPending   OTAState = 1
	OTAValid     OTAState = 2
	OTAInvalid   OTAState = 3
	OTAAborted   OTAState = 4
	OTAUndefined OTAState = 0xFFFFFFFF
)

// OTASelect is one of the two entries.
type OTASelect struct {
	Seq   uint32
	Label [20]byte
	State OTAState
	CRC   uint32
}

// OTAData is both entries.
type OTAData [2]OTASelect

// NoOTASelect is an erased entry.
func NoOTASelect() OTASelect {
	e := OTASelect{Seq: 0xFFFFFFFF, State: OTAUndefined, CRC: 0xFFFFFFFF}
	copy(e.Label[:], bytes.Repeat([]byte{0xFF}, len(e.Label)))
	return e
}

// NewOTASelect is a correct entry for a sequence number.
func NewOTASelect(seq uint32, state OTAState) OTASelect {
	e := NoOTASelect()
	e.Seq, e.State, e.CRC = seq, state, otaCRC(seq)
	return e
}

// BootSlot gives the data that selects an application slot, as the file that
// the Arduino tools write beside a first flash: sector 0 filled, sector 1 erased.
func BootSlot(slot int) OTAData {
	return OTAData{NewOTASelect(uint32(slot)+1, OTAUndefined), NoOTASelect()}
}

func otaCRC(seq uint32) uint32 {
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], seq)
	return crc32.Update(0xFFFFFFFF, crc32.IEEETable, b[:])
}

// Unset says that the entry does not even try to select: never written, or
// marked bad.
func (e OTASelect) Unset() bool {
	return e.Seq == 0xFFFFFFFF || e.State == OTAInvalid || e.State == OTAAborted
}

// Valid says that the entry selects and its CRC is right.
func (e OTASelect) Valid() bool {
	return !e.Unset() && e.CRC == otaCRC(e.Seq)
}

// Active gives the index of the entry in charge.
func (d OTAData) Active() (int, bool) {
	a, b := d[0].Valid(), d[1].Valid()
	switch {
	case a && b && d[1].Seq > d[0].Seq:
		return 1, true
	case a:
		return 0, true
	case b:
		return 1, true
	}
	return 0, false
}

// Slot gives the selected of n slots.
func (d OTAData) Slot(n int) (int, bool) {
	i, ok := d.Active()
	if !ok || n <= 0 {
		return 0, false
	}
	return int((d[i].Seq - 1) % uint32(n)), true
}

// Select gives the data after an update into slot of n: the entry that is not
// in charge gets the next higher sequence number that maps to slot.
func (d OTAData) Select(slot, n int, state OTAState) (OTAData, error) {
	if slot < 0 || slot >= n {
		return d, fmt.Errorf("select slot %d: there are %d", slot, n)
	}
	i, ok := d.Active()
	if !ok {
		d[0] = NewOTASelect(uint32(slot)+1, state)
		return d, nil
	}
	seq := d[i].Seq + 1
	for (seq-1)%uint32(n) != uint32(slot) {
		seq++
	}
	d[1-i] = NewOTASelect(seq, state)
	return d, nil
}

// ParseOTAData reads both entries. Shorter input than both sectors is an error;
// the content never is, see Valid.
func ParseOTAData(b []byte) (OTAData, error) {
	var d OTAData
	if len(b) < OTADataSize {
		return d, fmt.Errorf("parse otadata: %d bytes, want %d", len(b), OTADataSize)
	}
	for i := range d {
		r := b[i*SectorSize:][:otaEntry]
		d[i] = OTASelect{
			Seq:   binary.LittleEndian.Uint32(r),
			Label: [20]byte(r[4:24]),
			State: OTAState(binary.LittleEndian.Uint32(r[24:])),
			CRC:   binary.LittleEndian.Uint32(r[28:]),
		}
	}
	return d, nil
}

// Bytes writes both sectors.
func (d OTAData) Bytes() []byte {
	out := make([]byte, 0, OTADataSize)
	for i, e := range d {
		out = binary.LittleEndian.AppendUint32(out, e.Seq)
		out = append(out, e.Label[:]...)
		out = binary.LittleEndian.AppendUint32(out, uint32(e.State))
		out = binary.LittleEndian.AppendUint32(out, e.CRC)
		out = append(out, bytes.Repeat([]byte{0xFF}, (i+1)*SectorSize-len(out))...)
	}
	return out
}
