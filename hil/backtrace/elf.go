package backtrace

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"debug/dwarf"
	"debug/elf"
	"errors"
	"fmt"
	"slices"
)

// span is a range of addresses, high excluded.
type span struct{ low, high uint64 }

func (s span) contains(addr uint64) bool { return addr >= s.low && addr < s.high }

// symbol is a function of the symbol table.
type symbol struct {
	addr, size uint64
	name       string
}

// Limits of what is taken from a file. Its own size bounds most of it; these are
// for what can claim to be larger than it is, or is multiplied on the way.
const (
	maxSections = 4096
	maxDebug    = 256 << 20 // of all debug sections together, unpacked
	maxString   = 64 << 10  // length of one name
)

// Parse reads an ELF file from memory. The file may be of any machine; ROM
// addresses are recognised for Xtensa only.
func Parse(file []byte) (*Program, error) {
	if len(file) > MaxFile {
		return nil, fmt.Errorf("parse ELF: %d bytes, at most %d: %w", len(file), MaxFile, ErrTooLarge)
	}
	p := &Program{digest: sha256.Sum256(file)}
	// The standard library's readers are made for files of a compiler. They
	// return errors, but do not promise it.
	if err := guard("parse ELF", func() error { return p.parse(file) }); err != nil {
		return nil, err
	}
	return p, nil
}

// guard turns a panic of the standard library's parsers into an error.
func guard(what string, f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s: malformed: %v", what, r)
		}
	}()
	if err := f(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func (p *Program) parse(file []byte) error {
	f, err := elf.NewFile(bytes.NewReader(file))
	if err != nil {
		return err
	}
	if f.Type != elf.ET_EXEC && f.Type != elf.ET_DYN {
		return fmt.Errorf("a %v is not a linked program", f.Type)
	}
	if len(f.Sections) > maxSections {
		return fmt.Errorf("%d sections, at most %d: %w", len(f.Sections), maxSections, ErrTooLarge)
	}
	p.machine = f.Machine
	for _, s := range f.Sections {
		const code = elf.SHF_ALLOC | elf.SHF_EXECINSTR
		if s.Flags&code == code && s.Size > 0 && s.Addr+s.Size > s.Addr {
			p.code = append(p.code, span{s.Addr, s.Addr + s.Size})
		}
	}
	if len(p.code) == 0 {
		return errors.New("no executable section")
	}
	slices.SortFunc(p.code, func(a, b span) int { return cmp.Compare(a.low, b.low) })
	if err := p.readSymbols(f); err != nil {
		return err
	}
	// Debug information is a bonus: a program whose DWARF cannot be read still
	// has its symbols.
	if data, err := readDWARF(f); err == nil && data != nil {
		if info, err := newDebugInfo(data, p.code); err == nil {
			p.info = info
		}
	}
	if p.info == nil && len(p.symbols) == 0 {
		return errors.New("neither symbols nor debug information: the file is stripped")
	}
	return nil
}

func (p *Program) readSymbols(f *elf.File) error {
	all, err := f.Symbols()
	if err != nil && !errors.Is(err, elf.ErrNoSymbols) {
		return fmt.Errorf("read symbols: %w", err)
	}
	for _, s := range all {
		if elf.ST_TYPE(s.Info) != elf.STT_FUNC || s.Name == "" || len(s.Name) > maxString || s.Value+s.Size < s.Value {
			continue
		}
		if p.region(s.Value) == Code {
			p.symbols = append(p.symbols, symbol{s.Value, s.Size, s.Name})
		}
	}
	// Of several names for one function the shortest, which leaves out the
	// compiler's aliases with suffixes.
	slices.SortStableFunc(p.symbols, func(a, b symbol) int {
		return cmp.Or(cmp.Compare(a.addr, b.addr), cmp.Compare(len(b.name), len(a.name)))
	})
	return nil
}

// readDWARF returns nil if there is no debug information. It is not left to
// elf.File.DWARF, which makes room for what old compressed sections claim.
func readDWARF(f *elf.File) (*dwarf.Data, error) {
	sections := map[string][]byte{}
	total := uint64(0)
	for _, name := range []string{
		"abbrev", "info", "line", "ranges", "str", // DWARF 4, which this chip's compilers write
		"addr", "line_str", "rnglists", "str_offsets", // DWARF 5
	} {
		s := f.Section(".debug_" + name)
		if s == nil || s.Type == elf.SHT_NOBITS {
			continue
		}
		if total += s.Size; s.Size > maxDebug || total > maxDebug {
			return nil, fmt.Errorf("debug sections: %w", ErrTooLarge)
		}
		data, err := s.Data()
		if err != nil {
			return nil, fmt.Errorf("section %q: %w", s.Name, err)
		}
		if (name == "str" || name == "line_str") && longString(data) {
			return nil, fmt.Errorf("section %q: a string: %w", s.Name, ErrTooLarge)
		}
		sections[name] = data
	}
	if len(sections["info"]) == 0 {
		return nil, nil
	}
	data, err := dwarf.New(sections["abbrev"], nil, nil, sections["info"], sections["line"], nil, sections["ranges"], sections["str"])
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"addr", "line_str", "rnglists", "str_offsets"} {
		if err := data.AddSection(".debug_"+name, sections[name]); err != nil {
			return nil, err
		}
	}
	return data, nil
}

// longString reports whether a string section has a string above maxString. Each
// entry that names it would copy it.
func longString(data []byte) bool {
	for len(data) > maxString {
		i := bytes.LastIndexByte(data[:maxString+1], 0)
		if i < 0 {
			return true
		}
		data = data[i+1:]
	}
	return false
}
