package espimage

import (
	"bytes"
	"crypto/md5" // the format's own check, not a security measure
	"encoding/binary"
	"fmt"
	"strings"
)

// The partition table: rows of 32 bytes at 0x8000, then a row with the MD5 of
// the rows before it, then 0xFF (esp32-serial 5.2).
//
//	 0  u16  0x50AA (bytes AA 50); 0xEBEB marks the MD5 row, 0xFFFF the end
//	 2  u8   type: 0 app, 1 data
//	 3  u8   subtype
//	 4  u32  offset
//	 8  u32  size
//	12  ×16  label, padded with NUL
//	28  u32  flags: 1 encrypted, 2 read-only
const (
	TableSize     = 0xC00
	tableRow      = 32
	tableRows     = TableSize / tableRow
	maxPartitions = tableRows - 2 // the MD5 row and the end mark take one each
	rowMagic      = 0x50AA
	md5Magic      = 0xEBEB
	endMagic      = 0xFFFF
	labelSize     = 16
)

// Partition types and subtypes that the boot path knows.
const (
	TypeApp  = 0x00
	TypeData = 0x01

	AppFactory = 0x00
	AppOTA0    = 0x10 // ota_0 .. ota_15 are 0x10 .. 0x1F
	AppTest    = 0x20

	DataOTA      = 0x00
	DataPHY      = 0x01
	DataNVS      = 0x02
	DataCoredump = 0x03
	DataNVSKeys  = 0x04
	DataEfuse    = 0x05
	DataSPIFFS   = 0x82
)

// Partition is one row.
type Partition struct {
	Type    uint8
	Subtype uint8
	Offset  uint32
	Size    uint32
	Label   string // at most 16 bytes, any bytes but NUL
	Flags   uint32
}

// Usage is the second column of the table the bootloader prints.
func (p Partition) Usage() string {
	switch p.Type {
	case TypeApp:
		switch {
		case p.Subtype == AppFactory:
			return "factory app"
		case p.Subtype == AppTest:
			return "test app"
		case p.Subtype&0xF0 == AppOTA0:
			return "OTA app"
		}
		return "Unknown app"
	case TypeData:
		switch p.Subtype {
		case DataOTA:
			return "OTA data"
		case DataPHY:
			return "RF data"
		case DataNVS:
			return "WiFi data"
		case DataNVSKeys:
			return "NVS keys"
		case DataEfuse:
			return "efuse"
		}
		return "Unknown data"
	}
	return "unknown"
}

// alignment is what the offset of this kind of partition must be a multiple of.
func (p Partition) alignment() uint32 {
	if p.Type == TypeApp {
		return MMUPage
	}
	return SectorSize
}

// Table is a partition table.
type Table struct {
	Partitions []Partition
	MD5        bool // the check row is there; tables without one still boot
}

// TableKind says what is wrong with a table.
type TableKind int

// What ParseTable and Validate can find.
const (
	TableBadMagic TableKind = iota + 1
	TableBadMD5
	TableTwoMD5
	TableNoEnd
	TableTooBig // a partition ends behind the flash
	TableOverlap
	TableMisaligned
	TableBadLabel
	TableTooMany
	TableReserved // a partition covers the bootloader or the table itself
)

// TableError is why a table is refused; Row is the index of the row at fault.
type TableError struct {
	Kind  TableKind
	Row   int
	Magic uint16    // for TableBadMagic
	Part  Partition // the partition at fault, where there is one
	Other Partition // for TableOverlap
}

func (e *TableError) Error() string {
	switch e.Kind {
	case TableBadMagic:
		return fmt.Sprintf("parse partition table: row %d starts with 0x%04x", e.Row, e.Magic)
	case TableBadMD5:
		return "parse partition table: MD5 does not match"
	case TableTwoMD5:
		return fmt.Sprintf("parse partition table: row %d is a second MD5 row", e.Row)
	case TableNoEnd:
		return "parse partition table: no end mark"
	case TableTooBig:
		return fmt.Sprintf("check partition %q: 0x%x bytes at 0x%x do not fit the flash", e.Part.Label, e.Part.Size, e.Part.Offset)
	case TableOverlap:
		return fmt.Sprintf("check partition %q: overlaps %q", e.Part.Label, e.Other.Label)
	case TableMisaligned:
		return fmt.Sprintf("check partition %q: 0x%x bytes at 0x%x are not aligned", e.Part.Label, e.Part.Size, e.Part.Offset)
	case TableBadLabel:
		return fmt.Sprintf("check partition %q: label is empty, has a NUL, or is longer than %d bytes", e.Part.Label, labelSize)
	case TableTooMany:
		return fmt.Sprintf("check partition table: more than %d partitions", maxPartitions)
	case TableReserved:
		return fmt.Sprintf("check partition %q: starts at 0x%x, before the end of the table at 0x%x",
			e.Part.Label, e.Part.Offset, TableOffset+SectorSize)
	}
	return fmt.Sprintf("check partition table: fault %d", int(e.Kind))
}

// ParseTable reads a table as the bootloader does: rows up to the end mark, a
// wrong MD5 refused, no opinion on overlaps (that is Validate). flashSize
// bounds the partitions; 0 = not checked. On error the table holds the rows
// before the fault.
func ParseTable(b []byte, flashSize int64) (*Table, error) {
	t := new(Table)
	b = b[:min(len(b), TableSize)]
	for row := 0; (row+1)*tableRow <= len(b); row++ {
		r := b[row*tableRow:][:tableRow]
		switch magic := binary.LittleEndian.Uint16(r); magic {
		case rowMagic:
			p := parseRow(r)
			if flashSize > 0 && int64(p.Offset)+int64(p.Size) > flashSize {
				return t, &TableError{Kind: TableTooBig, Row: row, Part: p}
			}
			t.Partitions = append(t.Partitions, p)
		case md5Magic:
			if t.MD5 {
				return t, &TableError{Kind: TableTwoMD5, Row: row}
			}
			if sum := md5.Sum(b[:row*tableRow]); !bytes.Equal(sum[:], r[16:]) {
				return t, &TableError{Kind: TableBadMD5, Row: row}
			}
			t.MD5 = true
		case endMagic:
			if r[2] == 0xFF && r[3] == 0xFF {
				return t, nil
			}
			return t, &TableError{Kind: TableBadMagic, Row: row, Magic: magic}
		default:
			return t, &TableError{Kind: TableBadMagic, Row: row, Magic: magic}
		}
	}
	return t, &TableError{Kind: TableNoEnd, Row: len(b) / tableRow}
}

func parseRow(r []byte) Partition {
	label, _, _ := bytes.Cut(r[12:12+labelSize], []byte{0})
	return Partition{
		Type: r[2], Subtype: r[3],
		Offset: binary.LittleEndian.Uint32(r[4:]),
		Size:   binary.LittleEndian.Uint32(r[8:]),
		Label:  string(label),
		Flags:  binary.LittleEndian.Uint32(r[28:]),
	}
}

// Bytes writes the table, TableSize bytes with 0xFF behind the last row. It
// checks what the format itself cannot hold; Validate checks the rest.
func (t *Table) Bytes() ([]byte, error) {
	room := tableRows - 1
	if t.MD5 {
		room = maxPartitions
	}
	if len(t.Partitions) > room {
		return nil, &TableError{Kind: TableTooMany}
	}
	out := make([]byte, 0, TableSize)
	le := binary.LittleEndian
	for i, p := range t.Partitions {
		if len(p.Label) > labelSize || strings.IndexByte(p.Label, 0) >= 0 {
			return nil, &TableError{Kind: TableBadLabel, Row: i, Part: p}
		}
		out = le.AppendUint16(out, rowMagic)
		out = append(out, p.Type, p.Subtype)
		out = le.AppendUint32(out, p.Offset)
		out = le.AppendUint32(out, p.Size)
		out = append(out, p.Label...)
		out = append(out, make([]byte, labelSize-len(p.Label))...)
		out = le.AppendUint32(out, p.Flags)
	}
	if t.MD5 {
		sum := md5.Sum(out)
		out = le.AppendUint16(out, md5Magic)
		out = append(out, bytes.Repeat([]byte{0xFF}, 14)...)
		out = append(out, sum[:]...)
	}
	return append(out, bytes.Repeat([]byte{0xFF}, TableSize-len(out))...), nil
}

// Validate checks what a flasher should insist on before it writes a table:
// everything inside the flash, aligned, named, and nothing twice.
func (t *Table) Validate(flashSize int64) error {
	if len(t.Partitions) > maxPartitions {
		return &TableError{Kind: TableTooMany}
	}
	for i, p := range t.Partitions {
		fault := TableKind(0)
		switch end := int64(p.Offset) + int64(p.Size); {
		case p.Label == "" || len(p.Label) > labelSize || strings.IndexByte(p.Label, 0) >= 0:
			fault = TableBadLabel
		case p.Offset < TableOffset+SectorSize:
			fault = TableReserved
		case end > flashSize:
			fault = TableTooBig
		case p.Size == 0 || p.Offset%p.alignment() != 0 || p.Size%SectorSize != 0:
			fault = TableMisaligned
		}
		if fault != 0 {
			return &TableError{Kind: fault, Row: i, Part: p}
		}
		for _, q := range t.Partitions[:i] {
			if int64(p.Offset) < int64(q.Offset)+int64(q.Size) && int64(q.Offset) < int64(p.Offset)+int64(p.Size) {
				return &TableError{Kind: TableOverlap, Row: i, Part: p, Other: q}
			}
		}
	}
	return nil
}

// Find gives the first partition of a type and subtype.
func (t *Table) Find(typ, subtype uint8) (Partition, bool) {
	for _, p := range t.Partitions {
		if p.Type == typ && p.Subtype == subtype {
			return p, true
		}
	}
	return Partition{}, false
}

// Label gives the partition of that name.
func (t *Table) Label(name string) (Partition, bool) {
	for _, p := range t.Partitions {
		if p.Label == name {
			return p, true
		}
	}
	return Partition{}, false
}

// ArduinoTable is the default layout of the Arduino core for 4 MB of flash:
// two application slots and an OTA selection.
func ArduinoTable() *Table {
	return &Table{MD5: true, Partitions: []Partition{
		{Type: TypeData, Subtype: DataNVS, Offset: NVSOffset, Size: 0x5000, Label: "nvs"},
		{Type: TypeData, Subtype: DataOTA, Offset: OTADataOffset, Size: OTADataSize, Label: "otadata"},
		{Type: TypeApp, Subtype: AppOTA0, Offset: AppOffset, Size: 0x140000, Label: "app0"},
		{Type: TypeApp, Subtype: AppOTA0 + 1, Offset: 0x150000, Size: 0x140000, Label: "app1"},
		{Type: TypeData, Subtype: DataSPIFFS, Offset: 0x290000, Size: 0x160000, Label: "spiffs"},
		{Type: TypeData, Subtype: DataCoredump, Offset: 0x3F0000, Size: 0x10000, Label: "coredump"},
	}}
}

// SingleAppTable is the default layout of plain IDF: one factory application.
func SingleAppTable() *Table {
	return &Table{MD5: true, Partitions: []Partition{
		{Type: TypeData, Subtype: DataNVS, Offset: NVSOffset, Size: 0x6000, Label: "nvs"},
		{Type: TypeData, Subtype: DataPHY, Offset: 0xF000, Size: 0x1000, Label: "phy_init"},
		{Type: TypeApp, Subtype: AppFactory, Offset: AppOffset, Size: 0x100000, Label: "factory"},
	}}
}
