package espimage

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// AppDescriptor lies at the start of the first segment of an application
// (esp32-serial 5.1):
//
//	  0  u32  0xABCD5432
//	  4  u32  secure version
//	 16  ×32  version
//	 48  ×32  project name
//	 80  ×16  build time
//	 96  ×16  build date
//	112  ×32  IDF version
//	144  ×32  SHA-256 of the ELF file; its start is printed with every panic
//	256       end
type AppDescriptor struct {
	SecureVersion uint32
	Version       string
	Project       string
	Time          string
	Date          string
	IDF           string
	ELF           [32]byte
}

// BootDescriptor lies at the start of the first segment of a second-stage
// bootloader, 80 bytes:
//
//	 0  u8   0x50
//	 3  u8   secure version
//	 4  u32  version
//	 8  ×32  IDF version
//	40  ×24  build date and time
type BootDescriptor struct {
	Version uint32
	IDF     string
	Built   string
}

const (
	appDescSize   = 256
	appDescMagic  = 0xABCD5432
	bootDescSize  = 80
	bootDescMagic = 0x50
)

// text is a field that NUL ends or fills.
type text struct {
	at, size int
	s        *string
}

func (d *AppDescriptor) texts() []text {
	return []text{{16, 32, &d.Version}, {48, 32, &d.Project}, {80, 16, &d.Time}, {96, 16, &d.Date}, {112, 32, &d.IDF}}
}

func (d *BootDescriptor) texts() []text {
	return []text{{8, 32, &d.IDF}, {40, 24, &d.Built}}
}

func readTexts(b []byte, fields []text) {
	for _, f := range fields {
		s, _, _ := bytes.Cut(b[f.at:f.at+f.size], []byte{0})
		*f.s = string(s)
	}
}

func writeTexts(b []byte, fields []text) error {
	for _, f := range fields {
		if len(*f.s) > f.size || bytes.IndexByte([]byte(*f.s), 0) >= 0 {
			return fmt.Errorf("write descriptor: %q does not fit in %d bytes", *f.s, f.size)
		}
		copy(b[f.at:], *f.s)
	}
	return nil
}

// ParseAppDescriptor reads the descriptor at the start of a first segment.
func ParseAppDescriptor(b []byte) (AppDescriptor, bool) {
	if len(b) < appDescSize || binary.LittleEndian.Uint32(b) != appDescMagic {
		return AppDescriptor{}, false
	}
	d := AppDescriptor{SecureVersion: binary.LittleEndian.Uint32(b[4:]), ELF: [32]byte(b[144:176])}
	readTexts(b, d.texts())
	return d, true
}

// Bytes writes the descriptor, 256 bytes.
func (d AppDescriptor) Bytes() ([]byte, error) {
	b := make([]byte, appDescSize)
	binary.LittleEndian.PutUint32(b, appDescMagic)
	binary.LittleEndian.PutUint32(b[4:], d.SecureVersion)
	copy(b[144:], d.ELF[:])
	return b, writeTexts(b, d.texts())
}

// ParseBootDescriptor reads the descriptor at the start of a first segment.
func ParseBootDescriptor(b []byte) (BootDescriptor, bool) {
	if len(b) < bootDescSize || b[0] != bootDescMagic {
		return BootDescriptor{}, false
	}
	d := BootDescriptor{Version: binary.LittleEndian.Uint32(b[4:])}
	readTexts(b, d.texts())
	return d, true
}

// Bytes writes the descriptor, 80 bytes.
func (d BootDescriptor) Bytes() ([]byte, error) {
	b := make([]byte, bootDescSize)
	b[0] = bootDescMagic
	binary.LittleEndian.PutUint32(b[4:], d.Version)
	return b, writeTexts(b, d.texts())
}

// App reads the descriptor of a scanned application through the same reader.
func (img *Image) App(r io.ReaderAt) (AppDescriptor, bool) {
	var b [appDescSize]byte
	if !img.first(r, b[:]) {
		return AppDescriptor{}, false
	}
	return ParseAppDescriptor(b[:])
}

// Boot reads the descriptor of a scanned bootloader through the same reader.
func (img *Image) Boot(r io.ReaderAt) (BootDescriptor, bool) {
	var b [bootDescSize]byte
	if !img.first(r, b[:]) {
		return BootDescriptor{}, false
	}
	return ParseBootDescriptor(b[:])
}

func (img *Image) first(r io.ReaderAt, b []byte) bool {
	if len(img.Segments) == 0 || img.Segments[0].Size < len(b) {
		return false
	}
	n, _ := r.ReadAt(b, img.Segments[0].Offset)
	return n == len(b)
}
