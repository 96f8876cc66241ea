// Package nvs reads and writes the key-value store that ESP32 firmware keeps in
// flash ("non-volatile storage", version 2).
//
// A partition is a number of pages of one flash sector each. Flash can only be
// erased by the page and otherwise only clear bits, which explains everything
// below: states that go from 1 to 0, entries that are crossed out instead of
// removed, and one page that always stays empty so that there is somewhere to
// move to (esp32-serial 6).
//
// Page, 4096 bytes:
//
//	 0  u32  state: FFFFFFFF empty, FFFFFFFE active, FFFFFFFC full, FFFFFFF8 freeing
//	 4  u32  sequence number
//	 8  u8   version, 0xFE
//	 9  ×19  0xFF
//	28  u32  CRC of bytes 4..27
//	32  ×32  entry states, 2 bits each from the low end: 11 empty, 10 written, 00 erased
//	64       126 entries of 32 bytes
//
// Entry:
//
//	 0  u8   namespace index; 0 for the entries that name namespaces
//	 1  u8   type
//	 2  u8   span: entries used, this one included
//	 3  u8   chunk index, 0xFF if not part of a blob
//	 4  u32  CRC of bytes 0..3 and 8..31
//	 8  ×16  key, NUL-terminated, at most 15 bytes
//	24  ×8   value, or for variable length: u16 size, FF FF, u32 CRC of the data
//
// A string is stored with its NUL and must lie within one page. A blob is cut
// into chunks (type 0x42, key and chunk index) that may lie anywhere, and is
// held together by an index entry (type 0x48): u32 size, u8 chunks, u8 first.
//
// Every CRC is the usual CRC-32 continued from 0xFFFFFFFF.
//
// The reader gives what the firmware's own library would read from the same
// bytes, including its recovery after a power cut; what it had to leave out is
// listed in Store.Faults. The writer makes a fresh partition, byte for byte as
// the vendor's generator does but for blobs that begin in the last entry of a
// page: the library would not write the empty chunk that the generator does.
package nvs

import (
	"encoding/binary"
	"hash/crc32"
)

// Sizes of the format.
const (
	PageSize  = 4096
	MinSize   = 3 * PageSize // the firmware's library refuses less for writing
	MaxKey    = 15           // bytes of a key or a namespace name
	MaxString = 4000         // bytes with the NUL
	MaxBlob   = 126 * 4000   // bytes; 127 chunks are what one index can count

	entrySize     = 32
	pageEntries   = 126
	tableOffset   = 32
	entriesOffset = 64
	chunkMax      = entrySize * (pageEntries - 1)
	maxNamespaces = 254
	noChunk       = 0xFF
	version2      = 0xFE
)

const (
	pageEmpty   = 0xFFFFFFFF
	pageActive  = 0xFFFFFFFE
	pageFull    = 0xFFFFFFFC
	pageFreeing = 0xFFFFFFF8
)

const (
	stateErased  = 0b00
	stateWritten = 0b10
	stateEmpty   = 0b11
)

// Type is what a value is.
type Type uint8

// Types of values. The low nibble of an integer is its size in bytes.
const (
	U8     Type = 0x01
	U16    Type = 0x02
	U32    Type = 0x04
	U64    Type = 0x08
	I8     Type = 0x11
	I16    Type = 0x12
	I32    Type = 0x14
	I64    Type = 0x18
	String Type = 0x21
	Blob   Type = 0x42

	blobV1    Type = 0x41 // one page, no index; read, never written
	blobIndex Type = 0x48
)

var typeNames = map[Type]string{
	U8: "u8", U16: "u16", U32: "u32", U64: "u64", I8: "i8", I16: "i16", I32: "i32", I64: "i64",
	String: "string", Blob: "blob",
}

func (t Type) String() string {
	if s, ok := typeNames[t]; ok {
		return s
	}
	return "unknown"
}

func (t Type) integer() bool {
	switch t {
	case U8, U16, U32, U64, I8, I16, I32, I64:
		return true
	}
	return false
}

// variable says that the value follows in further entries.
func (t Type) variable() bool { return t == String || t == Blob || t == blobV1 }

func crc(b []byte) uint32 { return crc32.Update(0xFFFFFFFF, crc32.IEEETable, b) }

// entry is one 32-byte entry, a view into a page.
type entry []byte

func (e entry) namespace() uint8 { return e[0] }
func (e entry) typ() Type        { return Type(e[1]) }
func (e entry) span() int        { return int(e[2]) }
func (e entry) chunk() uint8     { return e[3] }
func (e entry) value() []byte    { return e[24:32] }
func (e entry) size() int        { return int(binary.LittleEndian.Uint16(e[24:])) }
func (e entry) dataCRC() uint32  { return binary.LittleEndian.Uint32(e[28:]) }

func (e entry) key() string {
	k := e[8 : 8+MaxKey]
	for i, c := range k {
		if c == 0 {
			return string(k[:i])
		}
	}
	return string(k)
}

func (e entry) crc() uint32 {
	return crc32.Update(crc(e[0:4]), crc32.IEEETable, e[8:32])
}

func (e entry) sound() bool { return binary.LittleEndian.Uint32(e[4:]) == e.crc() }

// spanOf is how many entries a variable value of n bytes takes.
func spanOf(n int) int { return 1 + (n+entrySize-1)/entrySize }
