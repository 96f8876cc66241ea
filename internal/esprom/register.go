package esprom

import (
	"errors"
	"fmt"
)

// Registers that flashers read (esp32-serial 2.1).
const (
	RegMagic      = 0x40001000 // a word of the ROM that identifies the chip
	RegEfuse      = 0x3FF5A000 // eFuse block 0, seven words
	RegEfuseBlk1  = 0x3FF5A038 // flash encryption key
	RegAPBDate    = 0x3FF6607C // bit 31: revision bit 2
	RegUARTClkDiv = 0x3FF40014 // UART0: [19:0] divider, [23:20] sixteenths
	RegUARTDate   = 0x3FF40078
	RegUARTDate2  = 0x60000078 // the same by its other bus address
	RegRTCCali    = 0x3FF5F06C // [31:7] calibration of the 8 MHz oscillator
	RegGPIOStrap  = 0x3FF44038 // straps as latched
	RegSDIOConf   = 0x3FF48074
)

// ChipMagic is the value of RegMagic on a classic ESP32.
const ChipMagic = 0x00F01D83

// Crystal is the frequency of the crystal in Hz, which clocks the UART while the
// ROM runs.
const Crystal = 40_000_000

// EfuseWord is the address of word n of eFuse block 0.
func EfuseWord(n int) uint32 { return RegEfuse + 4*uint32(n) }

// ClkDiv is the UART divider register for a rate: 115200 gives 0x0030015B.
// Hosts recover the crystal frequency from it.
func ClkDiv(baud int) uint32 {
	sixteenths := 16 * uint64(Crystal) / uint64(max(baud, 1))
	return uint32(sixteenths>>4)&0xFFFFF | uint32(sixteenths&15)<<20
}

// A MAC is the factory address of a chip, in display order.
type MAC [6]byte

func (m MAC) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// CRC is the Dallas/Maxim CRC-8 (polynomial 0x31 reflected, start 0) that the
// eFuses hold beside the address.
func (m MAC) CRC() uint8 {
	var crc uint8
	for _, b := range m {
		crc ^= b
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ 0x8C
			} else {
				crc >>= 1
			}
		}
	}
	return crc
}

// Words returns eFuse words 1 and 2: bytes 2..5 as a big-endian word, then bytes
// 0..1 below the CRC.
func (m MAC) Words() (w1, w2 uint32) {
	w1 = uint32(m[2])<<24 | uint32(m[3])<<16 | uint32(m[4])<<8 | uint32(m[5])
	w2 = uint32(m.CRC())<<16 | uint32(m[0])<<8 | uint32(m[1])
	return w1, w2
}

// ErrMACCheck is returned by MACFromWords when the address does not match its CRC.
var ErrMACCheck = errors.New("parse MAC: wrong CRC")

// MACFromWords reads the address from eFuse words 1 and 2.
func MACFromWords(w1, w2 uint32) (MAC, error) {
	m := MAC{byte(w2 >> 8), byte(w2), byte(w1 >> 24), byte(w1 >> 16), byte(w1 >> 8), byte(w1)}
	if m.CRC() != byte(w2>>16) {
		return m, ErrMACCheck
	}
	return m, nil
}

// A Revision is a silicon revision, such as v3.1.
type Revision struct{ Major, Minor uint8 }

func (r Revision) String() string { return fmt.Sprintf("v%d.%d", r.Major, r.Minor) }

// revisionBits maps the major revision to its three scattered bits:
// APB date 31, word 5 bit 20, word 3 bit 15.
var revisionBits = [4]uint32{0b000, 0b001, 0b011, 0b111}

// Bits returns what a revision sets in eFuse words 3 and 5 and in RegAPBDate.
// Majors above 3 do not exist and count as 3; minors have two bits.
func (r Revision) Bits() (w3, w5, apb uint32) {
	b := revisionBits[min(r.Major, 3)]
	return b & 1 << 15, b>>1&1<<20 | uint32(r.Minor&3)<<24, b >> 2 & 1 << 31
}

// RevisionFrom reads the revision back. Combinations of bits that no silicon has
// read as the highest major below them.
func RevisionFrom(w3, w5, apb uint32) Revision {
	bits := apb>>31<<2 | w5>>20&1<<1 | w3>>15&1
	r := Revision{Minor: uint8(w5 >> 24 & 3)}
	for major, b := range revisionBits {
		if bits >= b {
			r.Major = uint8(major)
		}
	}
	return r
}

// A Package is the housing, and what is in it besides the chip.
type Package uint8

// Packages of the ESP32.
const (
	D0WDQ6   Package = 0 // and D0WDQ6-V3; the old WROVER
	D0WD     Package = 1 // and D0WD-V3; WROVER-E
	D2WD     Package = 2
	U4WDH    Package = 4
	PicoD4   Package = 5 // and PICO-V3
	PicoV302 Package = 6
	D0WDR2V3 Package = 7
)

// Bits returns the package in eFuse word 3: [11:9] low three bits, [2] the fourth.
func (p Package) Bits() uint32 { return uint32(p&7)<<9 | uint32(p>>3&1)<<2 }

// PackageFrom reads the package from eFuse word 3.
func PackageFrom(w3 uint32) Package { return Package(w3>>9&7 | w3>>2&1<<3) }
