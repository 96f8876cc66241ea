package espimage

import "encoding/binary"

// Header is the fixed start of an image. The number of segments is not part of
// it: Build writes the number it is given, Scan reports the number it found.
type Header struct {
	Mode       FlashMode
	Freq       FlashFreq
	Size       FlashSize
	Entry      uint32
	WPPin      uint8
	PinDrive   [3]byte
	ChipID     uint16
	MinRev     uint8  // old form, major only
	MinRevFull uint16 // major*100 + minor
	MaxRevFull uint16 // 0xFFFF any, 0 field unused
	Reserved   [4]byte
	Hash       bool // a SHA-256 follows the checksum
}

// DefaultHeader is what the usual build for a 4 MB ESP32 module carries.
func DefaultHeader(entry uint32) Header {
	return Header{
		Mode: DIO, Freq: Freq40M, Size: Size4MB, Entry: entry,
		WPPin: wpDisabled, MaxRevFull: 0xFFFF, Hash: true,
	}
}

// parseHeader reads the 24 bytes of b and gives the claimed number of segments.
func parseHeader(b *[HeaderSize]byte) (h Header, segments int) {
	le := binary.LittleEndian
	h = Header{
		Mode:       FlashMode(b[2]),
		Size:       FlashSize(b[3] >> 4),
		Freq:       FlashFreq(b[3] & 0x0F),
		Entry:      le.Uint32(b[4:]),
		WPPin:      b[8],
		PinDrive:   [3]byte(b[9:12]),
		ChipID:     le.Uint16(b[12:]),
		MinRev:     b[14],
		MinRevFull: le.Uint16(b[15:]),
		MaxRevFull: le.Uint16(b[17:]),
		Reserved:   [4]byte(b[19:23]),
		Hash:       b[23] != 0,
	}
	return h, int(b[1])
}

func (h Header) append(dst []byte, segments int) []byte {
	le := binary.LittleEndian
	dst = append(dst, Magic, byte(segments), byte(h.Mode), h.flashByte())
	dst = le.AppendUint32(dst, h.Entry)
	dst = append(dst, h.WPPin)
	dst = append(dst, h.PinDrive[:]...)
	dst = le.AppendUint16(dst, h.ChipID)
	dst = append(dst, h.MinRev)
	dst = le.AppendUint16(dst, h.MinRevFull)
	dst = le.AppendUint16(dst, h.MaxRevFull)
	dst = append(dst, h.Reserved[:]...)
	if h.Hash {
		return append(dst, 1)
	}
	return append(dst, 0)
}

func (h Header) flashByte() byte {
	return byte(h.Size)<<4 | byte(h.Freq)&0x0F
}
