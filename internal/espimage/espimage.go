// Package espimage is the vocabulary of what lies in an ESP32's flash: program
// images, the partition table and the OTA selection, in both directions.
//
// The flasher builds and patches these bytes, the simulated board boots from
// them; both sides read the layouts below from here and from nowhere else.
//
//	flash offset   what                                              (esp32-serial 5.1)
//	0x001000       second-stage bootloader, an image loaded by the ROM
//	0x008000       partition table, 0xC00 bytes used of one sector
//	0x009000       nvs, the configuration store (package nvs)
//	0x00E000       otadata, two sectors (Arduino layout; plain IDF uses 0x00D000)
//	0x010000       first application slot, 64 KB aligned
//
// A program image:
//
//	 0  u8   0xE9
//	 1  u8   number of segments, at most 16
//	 2  u8   flash mode: 0 QIO, 1 QOUT, 2 DIO, 3 DOUT
//	 3  u8   high nibble flash size, low nibble flash frequency
//	 4  u32  entry point
//	 8  u8   WP pin, 0xEE = disabled
//	 9  u8×3 pin drive strengths
//	12  u16  chip id, 0 = ESP32
//	14  u8   lowest chip revision, old form
//	15  u16  lowest chip revision, major*100+minor
//	17  u16  highest chip revision, 0xFFFF = any
//	19  u32  reserved
//	23  u8   not 0: a SHA-256 follows the checksum
//	24  ...  segments: u32 load address, u32 length (multiple of 4), data
//	    ...  zeros, so that the next byte is the last of a 16-byte line
//	    u8   checksum: 0xEF XOR every byte of segment data (no headers)
//	    u8×32 SHA-256 over everything before it, if byte 23 says so
//
// All integers are little-endian. Every parser here is bounded by the bytes it
// is given, allocates by what is there and not by what is claimed, and returns
// what it had understood together with the error, because a boot log shows
// exactly that.
package espimage

import "fmt"

// Sizes and magic numbers of the layouts above.
const (
	Magic             = 0xE9
	HeaderSize        = 24
	SegmentHeaderSize = 8
	MaxSegments       = 16
	HashSize          = 32
	ChipESP32         = 0

	checksumSeed = 0xEF
	wpDisabled   = 0xEE

	// MaxSegmentSize is where the bootloader refuses a segment, and also the
	// largest partition it accepts (16 MB).
	MaxSegmentSize = 16 << 20

	// MMUPage is the mapping unit of the flash cache: the address of a mapped
	// segment and its place in flash must agree modulo this.
	MMUPage = 0x10000
)

// Default places in flash.
const (
	BootloaderOffset = 0x1000
	TableOffset      = 0x8000
	NVSOffset        = 0x9000
	OTADataOffset    = 0xE000 // Arduino; plain IDF uses 0xD000
	AppOffset        = 0x10000
)

// Address windows that the cache maps from flash. Segments in them are not
// copied to RAM, which is why they must keep the MMUPage rule.
const (
	dromLow  = 0x3F400000
	dromHigh = 0x3F800000
	iromLow  = 0x400D0000
	iromHigh = 0x40400000

	// Addresses below this are never loaded; 0 marks a padding segment.
	reservedHigh = 0x10000000
)

// Mapped says whether a load address lies in flash cache space.
func Mapped(addr uint32) bool {
	return addr >= dromLow && addr < dromHigh || addr >= iromLow && addr < iromHigh
}

// Loaded says whether the bootloader copies a segment at addr to RAM.
func Loaded(addr uint32) bool {
	return addr >= reservedHigh && !Mapped(addr)
}

// FlashMode is byte 2 of an image header.
type FlashMode uint8

// Modes a second-stage bootloader is built for.
const (
	QIO FlashMode = iota
	QOUT
	DIO
	DOUT
	FastRead
	SlowRead
)

// KeepMode, KeepFreq and KeepSize leave a setting as it is (see Patch).
const (
	KeepMode FlashMode = 0xFF
	KeepFreq FlashFreq = 0xFF
	KeepSize FlashSize = 0xFF
)

var modeNames = []string{"QIO", "QOUT", "DIO", "DOUT", "FAST READ", "SLOW READ"}

// String gives the mode as the bootloader prints it.
func (m FlashMode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return fmt.Sprintf("mode %d", uint8(m))
}

// FlashFreq is the low nibble of byte 3.
type FlashFreq uint8

// Frequencies of the flash clock.
const (
	Freq40M FlashFreq = 0x0
	Freq26M FlashFreq = 0x1
	Freq20M FlashFreq = 0x2
	Freq80M FlashFreq = 0xF
)

// String gives the frequency as the bootloader prints it.
func (f FlashFreq) String() string {
	switch f {
	case Freq40M:
		return "40MHz"
	case Freq26M:
		return "26.7MHz"
	case Freq20M:
		return "20MHz"
	case Freq80M:
		return "80MHz"
	}
	return fmt.Sprintf("frequency %d", uint8(f))
}

// FlashSize is the high nibble of byte 3: 1 MB shifted left by its value.
type FlashSize uint8

// Sizes that boards of this kind carry; the nibble goes up to 7 (128 MB).
const (
	Size1MB FlashSize = iota
	Size2MB
	Size4MB
	Size8MB
	Size16MB
	Size32MB
	Size64MB
	Size128MB
)

// Bytes gives the size in bytes, 0 for a nibble without meaning.
func (s FlashSize) Bytes() int64 {
	if s > Size128MB {
		return 0
	}
	return 1 << 20 << s
}

// String gives the size as flashers and the bootloader print it.
func (s FlashSize) String() string {
	if s > Size128MB {
		return fmt.Sprintf("size %d", uint8(s))
	}
	return fmt.Sprintf("%dMB", 1<<s)
}

// SizeOf gives the nibble of a chip of n bytes.
func SizeOf(n int64) (FlashSize, bool) {
	for s := Size1MB; s <= Size128MB; s++ {
		if s.Bytes() == n {
			return s, true
		}
	}
	return 0, false
}
