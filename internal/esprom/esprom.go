// Package esprom is the vocabulary of the serial loaders of the classic ESP32:
// the one in its ROM and the stub that flashers upload into its RAM. Both ends
// import it: the simulated board answers with it, the flasher asks with it.
//
// A request and its response travel in SLIP frames (package slip). Inside:
//
//	       request                         response
//	0      00                              01
//	1      opcode                          opcode of the request
//	2..3   data length                     data length
//	4..7   checksum of the block, or 0     value (READ_REG result; else noise from
//	                                       the ROM, 0 from the stub)
//	8..    data                            payload, then the status bytes:
//	                                       ROM 4 {fail, code, x, x}
//	                                       stub 2 {code, 0}
//
// All integers are little-endian. A normal session of a flasher:
//
//	host                                   chip
//	reset lines: EN low, IO0 low
//	                                       boot log "waiting for download"
//	SYNC (until answered) ───────────────▶
//	              ◀─────────────────────── 8 identical replies
//	READ_REG chip magic, efuses ─────────▶ value
//	[MEM_BEGIN, MEM_DATA…, MEM_END ──────▶ stub runs: frame "OHAI"]
//	SPI_ATTACH, SPI_SET_PARAMS ──────────▶
//	CHANGE_BAUD ─────────────────────────▶ reply at the old rate, then both switch
//	DEFL_BEGIN, DEFL_DATA… ──────────────▶ erase, inflate, write
//	SPI_FLASH_MD5 ───────────────────────▶ digest of what is in the flash
//	reset lines: EN low                    boots what was written
//
// Constants come from esp32-serial 1 and 2; what genuine ROM code was seen to do
// (esp32-serial 12) overrules them and is modelled by the board, not here.
package esprom

import "fmt"

// An Op is a command of the loaders.
type Op uint8

// The commands. R: known to the ROM of the ESP32, S: known to the stubs.
const (
	FlashBegin      Op = 0x02 // RS  Begin: ROM erases now, stub as it writes
	FlashData       Op = 0x03 // RS  Data: last block padded with FF
	FlashEnd        Op = 0x04 // RS  End
	MemBegin        Op = 0x05 // RS  Begin, Offset is the RAM address
	MemEnd          Op = 0x06 // RS  Jump
	MemData         Op = 0x07 // RS  Data
	SyncOp          Op = 0x08 // RS  Sync, answered eight times
	WriteRegOp      Op = 0x09 // RS  WriteReg
	ReadRegOp       Op = 0x0A // RS  ReadReg
	SPISetParams    Op = 0x0B // RS  FlashParams
	SPIAttachOp     Op = 0x0D // RS  Attach, 8 bytes to the ROM, 4 to a stub
	ReadFlashSlow   Op = 0x0E // R   SlowRead
	ChangeBaudOp    Op = 0x0F // RS  Baud
	DeflBegin       Op = 0x10 // RS  Begin
	DeflData        Op = 0x11 // RS  Data: a piece of one zlib stream, not padded
	DeflEnd         Op = 0x12 // RS  End; never sent to the ROM after writing
	FlashMD5        Op = 0x13 // RS  Digest: 32 hex digits from the ROM, 16 bytes from a stub
	GetSecurityInfo Op = 0x14 //     unknown to this chip; flashers probe with it
	EraseFlashOp    Op = 0xD0 //  S  whole chip
	EraseRegionOp   Op = 0xD1 //  S  EraseRegion
	ReadFlashOp     Op = 0xD2 //  S  ReadFlash, then a dialogue of its own
	RunUserCodeOp   Op = 0xD3 //  S  not answered
)

var opNames = map[Op]string{
	FlashBegin: "FLASH_BEGIN", FlashData: "FLASH_DATA", FlashEnd: "FLASH_END",
	MemBegin: "MEM_BEGIN", MemEnd: "MEM_END", MemData: "MEM_DATA",
	SyncOp: "SYNC", WriteRegOp: "WRITE_REG", ReadRegOp: "READ_REG",
	SPISetParams: "SPI_SET_PARAMS", SPIAttachOp: "SPI_ATTACH",
	ReadFlashSlow: "READ_FLASH_SLOW", ChangeBaudOp: "CHANGE_BAUD",
	DeflBegin: "DEFL_BEGIN", DeflData: "DEFL_DATA", DeflEnd: "DEFL_END",
	FlashMD5: "SPI_FLASH_MD5", GetSecurityInfo: "GET_SECURITY_INFO",
	EraseFlashOp: "ERASE_FLASH", EraseRegionOp: "ERASE_REGION",
	ReadFlashOp: "READ_FLASH", RunUserCodeOp: "RUN_USER_CODE",
}

func (o Op) String() string {
	if s, ok := opNames[o]; ok {
		return s
	}
	return fmt.Sprintf("op 0x%02x", uint8(o))
}

// ParseOp finds a command by its name as String prints it.
func ParseOp(name string) (Op, bool) {
	for op, s := range opNames {
		if s == name {
			return op, true
		}
	}
	return 0, false
}

// Block sizes in bytes.
const (
	ROMBlock  = 0x400  // FLASH_DATA and DEFL_DATA to the ROM
	StubBlock = 0x4000 // the same to a stub, and the most it takes
	RAMBlock  = 0x1800 // MEM_DATA
	SlowBlock = 64     // READ_FLASH_SLOW: most per request; the reply always has 64
)

// Baud rates.
const (
	DefaultBaud = 115200 // boot log; the ROM measures the host's rate at the first SYNC
	BaudSlack   = 0.03   // above this relative difference bytes turn to garbage
)

// RAM regions that decide what a MEM_END entry is (esp32-serial 2.3): every stub
// in circulation enters here, RAM applications enter at 0x4008xxxx.
const (
	StubSpace    = 0x400A0000
	StubSpaceEnd = 0x400C0000
)

// IsStubEntry reports whether an entry address belongs to a flasher stub.
func IsStubEntry(entry uint32) bool { return entry >= StubSpace && entry < StubSpaceEnd }

// Hello is the body of the frame with which a stub announces itself.
const Hello = "OHAI"

// SyncReplies is how often one SYNC is answered.
const SyncReplies = 8

// ChecksumSeed starts every block checksum.
const ChecksumSeed = 0xEF

// Checksum is the seed XOR every byte of a data block, headers excluded. It fills
// the low byte of the request's check field.
func Checksum(block []byte) uint8 {
	sum := uint8(ChecksumSeed)
	for _, b := range block {
		sum ^= b
	}
	return sum
}

// SyncData returns a fresh copy of the SYNC payload: 07 07 12 20 and 32 x 55,
// whose edges let the ROM measure the baud rate.
func SyncData() []byte {
	p := make([]byte, 36)
	copy(p, "\x07\x07\x12\x20")
	for i := 4; i < len(p); i++ {
		p[i] = 0x55
	}
	return p
}
