// Package backtracetest makes the ELF file of a small program whose crashes are
// known, for tests of whatever decodes them.
package backtracetest

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
)

// Addresses in the program that [ELF] makes, each with what a decoder has to
// say about it.
const (
	Loop     = 0x400D0004 // loop at /build/src/main.cpp:32
	Grab     = 0x400D0011 // camera::Driver::grab at /build/src/driver.h:12, inlined into loop at /build/src/main.cpp:34
	Check    = 0x400D0015 // (anonymous namespace)::check at /build/src/driver.h:5, in grab at :14, in loop at main.cpp:34
	GrabCold = 0x400D0022 // the second piece of grab, at /build/src/driver.h:16
	Setup    = 0x400D0045 // setup at /build/src/main.cpp:21
	NoDWARF  = 0x400D0064 // app_main, by its symbol alone
	Assembly = 0x40080010 // _xt_lowint1, a symbol without a size
	Abort    = 0x40080048 // panic_abort at esp/panic.c:470, another unit
	ROM      = 0x40007C20 // in the chip's ROM
	Data     = 0x3FFB0004 // no code
)

// ELF makes the ELF file of a small program for an ESP32: Xtensa, 32 bits,
// with symbols and the DWARF 4 that its compiler would write, inlined calls
// included. The bytes are always the same.
func ELF() []byte {
	sections := append(codeSections(), debugSections()...)
	symtab, strtab := symbols()
	sections = append(sections,
		section{name: ".symtab", typ: elf.SHT_SYMTAB, data: symtab, link: len(sections) + 1, info: 1, entry: elf.Sym32Size},
		section{name: ".strtab", typ: elf.SHT_STRTAB, data: strtab},
	)
	return writeELF(elf.EM_XTENSA, flashLow, sections)
}

const (
	flashLow  = 0x400D0000 // flash
	flashHigh = 0x400D0080
	iramLow   = 0x40080000
	iramHigh  = 0x40080080
)

func codeSections() []section {
	const code = elf.SHF_ALLOC | elf.SHF_EXECINSTR
	fill := func(n int) []byte { return bytes.Repeat([]byte{0x3D, 0xF0}, n/2) } // nop.n
	return []section{
		{}, // number 0 is reserved
		{name: ".iram0.text", typ: elf.SHT_PROGBITS, flags: code, addr: iramLow, data: fill(iramHigh - iramLow)},
		{name: ".flash.text", typ: elf.SHT_PROGBITS, flags: code, addr: flashLow, data: fill(flashHigh - flashLow)},
		{name: ".dram0.data", typ: elf.SHT_PROGBITS, flags: elf.SHF_ALLOC | elf.SHF_WRITE, addr: 0x3FFB0000, data: make([]byte, 16)},
	}
}

// symbols gives the symbol table and its strings.
func symbols() (symtab, strtab []byte) {
	strtab = []byte{0}
	symtab = make([]byte, elf.Sym32Size)
	for _, s := range []struct {
		name       string
		addr, size uint32
		section    uint16
		typ        elf.SymType
	}{
		{"_xt_lowint1", 0x40080000, 0, 1, elf.STT_FUNC},
		{"panic_abort", 0x40080040, 0x20, 1, elf.STT_FUNC},
		{"_Z4loopv", 0x400D0000, 0x40, 2, elf.STT_FUNC},
		{"_Z5setupv", 0x400D0040, 0x20, 2, elf.STT_FUNC},
		{"app_main", 0x400D0060, 0x10, 2, elf.STT_FUNC},
		{"_flash_label", 0x400D0062, 0, 2, elf.STT_NOTYPE},
		{"frames_sent", 0x3FFB0004, 4, 3, elf.STT_OBJECT},
	} {
		sym := elf.Sym32{
			Name: uint32(len(strtab)), Value: s.addr, Size: s.size,
			Info: elf.ST_INFO(elf.STB_GLOBAL, s.typ), Shndx: s.section,
		}
		symtab = pack(symtab, sym)
		strtab = append(append(strtab, s.name...), 0)
	}
	return symtab, strtab
}

// section is a part of an ELF file.
type section struct {
	name  string
	typ   elf.SectionType
	flags elf.SectionFlag
	addr  uint32
	data  []byte
	link  int
	info  uint32
	entry uint32
}

// writeELF lays a linked 32-bit little-endian program out: header, sections, names
// of the sections, section headers. The first section must be the empty one.
func writeELF(machine elf.Machine, entry uint32, sections []section) []byte {
	const headerSize = 52
	names := []byte{}
	at := make([]uint32, 0, len(sections)+1)
	sections = append(sections, section{name: ".shstrtab", typ: elf.SHT_STRTAB})
	for _, s := range sections {
		at = append(at, uint32(len(names)))
		names = append(append(names, s.name...), 0)
	}
	sections[len(sections)-1].data = names

	body := make([]byte, headerSize)
	var headers []byte
	for i, s := range sections {
		for len(body)%4 != 0 {
			body = append(body, 0)
		}
		h := elf.Section32{
			Name: at[i], Type: uint32(s.typ), Flags: uint32(s.flags), Addr: s.addr, Off: uint32(len(body)), Size: uint32(len(s.data)),
			Link: uint32(s.link), Info: s.info, Addralign: 1, Entsize: s.entry,
		}
		if s.typ == elf.SHT_NULL {
			h = elf.Section32{}
		}
		headers = pack(headers, h)
		body = append(body, s.data...)
	}
	for len(body)%4 != 0 {
		body = append(body, 0)
	}
	h := elf.Header32{
		Type: uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT), Entry: entry,
		Shoff: uint32(len(body)), Ehsize: headerSize, Shentsize: 40, Shnum: uint16(len(sections)), Shstrndx: uint16(len(sections) - 1),
	}
	copy(h.Ident[:], elf.ELFMAG)
	h.Ident[elf.EI_CLASS], h.Ident[elf.EI_DATA], h.Ident[elf.EI_VERSION] = byte(elf.ELFCLASS32), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)
	copy(body, pack(nil, h))
	return append(body, headers...)
}

// pack appends a struct of fixed size.
func pack(b []byte, v any) []byte {
	b, err := binary.Append(b, binary.LittleEndian, v)
	if err != nil {
		panic(err) // a struct with a field of no fixed size: a mistake in this file
	}
	return b
}
