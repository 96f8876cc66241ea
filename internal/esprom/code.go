package esprom

import "fmt"

// A Code is the reason byte of a refusal. ROM and stub share the byte, not the
// meaning: the ROM's are below 0x80, the stub's above 0xBF (esp32-serial 1.6).
type Code uint8

// Reasons of the ROM.
const (
	ErrUndefined    Code = 0x00
	ErrParameter    Code = 0x01
	ErrMalloc       Code = 0x02
	ErrSend         Code = 0x03
	ErrReceive      Code = 0x04
	ErrFormat       Code = 0x05 // bad format, unknown command, wrong sequence number
	ErrFailed       Code = 0x06 // understood and failed: not begun, beyond the end
	ErrChecksum     Code = 0x07 // and the sequence number is used up: begin again
	ErrFlashWrite   Code = 0x08 // read back differs
	ErrFlashRead    Code = 0x09
	ErrReadLength   Code = 0x0A // READ_FLASH_SLOW above 64
	ErrDeflate      Code = 0x0B
	ErrAdler        Code = 0x0C
	ErrDeflateParam Code = 0x0D
	ErrRAMSize      Code = 0x0E
	ErrRAMAddress   Code = 0x0F
	ErrBadParam     Code = 0x64
	ErrBadFormat    Code = 0x65
	ErrDescTooLong  Code = 0x66
	ErrDescription  Code = 0x67
	ErrNoStorage    Code = 0x69
)

// Reasons of the stubs.
const (
	StubDataLen     Code = 0xC0
	StubChecksum    Code = 0xC1
	StubBlockSize   Code = 0xC2
	StubCommand     Code = 0xC3
	StubSPI         Code = 0xC4
	StubUnlock      Code = 0xC5
	StubNotBegun    Code = 0xC6
	StubInflate     Code = 0xC7
	StubMissing     Code = 0xC8 // END before all data came
	StubTooMuch     Code = 0xC9
	StubUnsupported Code = 0xFF
)

var codeTexts = map[Code]string{
	ErrUndefined: "undefined error", ErrParameter: "bad parameter", ErrMalloc: "out of memory",
	ErrSend: "send failed", ErrReceive: "receive failed",
	ErrFormat: "bad format or unknown command", ErrFailed: "command failed",
	ErrChecksum: "wrong checksum", ErrFlashWrite: "flash write: read-back differs",
	ErrFlashRead: "flash read failed", ErrReadLength: "read too long",
	ErrDeflate: "deflate stream broken", ErrAdler: "wrong Adler-32 checksum",
	ErrDeflateParam: "bad deflate parameter", ErrRAMSize: "bad RAM size",
	ErrRAMAddress: "bad RAM address", ErrBadParam: "invalid parameter",
	ErrBadFormat: "invalid format", ErrDescTooLong: "description too long",
	ErrDescription: "bad description", ErrNoStorage: "no storage",

	StubDataLen: "wrong data length", StubChecksum: "wrong checksum",
	StubBlockSize: "bad block size", StubCommand: "invalid command",
	StubSPI: "flash operation failed", StubUnlock: "flash unlock failed",
	StubNotBegun: "not in flash mode", StubInflate: "deflate stream broken",
	StubMissing: "not enough data", StubTooMuch: "too much data",
	StubUnsupported: "command not implemented",
}

// Text is the reason in words with its number, and which loader gave it.
func (c Code) Text(stub bool) string {
	who := "ROM"
	if stub {
		who = "stub"
	}
	text, ok := codeTexts[c]
	if !ok || stub != (c >= 0xC0) {
		text = "unknown reason"
	}
	return fmt.Sprintf("%s (%s 0x%02x)", text, who, uint8(c))
}
