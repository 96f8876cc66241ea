// Package backtrace turns the addresses that a crashing board prints into
// functions and source lines, from the ELF file of its program and nothing else:
// no toolchain is needed, and no board.
//
//	Backtrace: 0x400d1a28:0x3ffb2180 ...     what the board prints
//	      │
//	      ├ executable section of the ELF?   no: ROM or not code
//	      ├ unit, by .debug_info ranges      ─┐
//	      ├ line, by .debug_line              │ absent: .symtab alone
//	      └ function and inlined calls        ─┘
//
// An ELF file comes from a build and is judged like anything from outside: it is
// bounded in size, what it claims is checked before it is believed, and a
// malformed one gives an error or fewer names, never a panic.
package backtrace

import (
	"cmp"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
)

// Where code of a classic ESP32 lies (esp32-serial 7). The ROM is not part of any
// program, and its addresses turn up in most backtraces.
const (
	romLow  = 0x40000000
	romHigh = 0x40070000
)

// Region says what kind of memory an address belongs to.
type Region uint8

const (
	// Outside is no code of the program: data, a register that is no address, or
	// code of another program.
	Outside Region = iota
	// Code is an executable section of the program.
	Code
	// ROM is the chip's own code. Its functions have no names here.
	ROM
)

func (r Region) String() string {
	switch r {
	case Code:
		return "code"
	case ROM:
		return "ROM"
	}
	return "outside"
}

// MarshalText writes the region as its name.
func (r Region) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// Frame is one function that was active. Empty fields are unknown.
type Frame struct {
	// Func is the name for people: qualified by namespaces and classes, without
	// parameters.
	Func string `json:"func,omitempty"`
	// Symbol is the name for the linker, which in C++ tells overloads apart.
	Symbol string `json:"symbol,omitempty"`
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"` // from 1; 0 where the compiler made code without a line
}

// Location is what is known about one address.
type Location struct {
	Addr   uint64 `json:"addr"`
	Region Region `json:"region"`
	// Frames are the functions at the address, innermost first: all but the last
	// were inlined into the one that follows.
	Frames []Frame `json:"frames,omitempty"`
}

// Program is an ELF file that addresses can be looked up in. It may be used from
// several goroutines.
type Program struct {
	machine elf.Machine
	digest  [32]byte
	code    []span   // executable sections, by address
	symbols []symbol // functions, by address

	mu   sync.Mutex // guards info, which reads units when they are first needed
	info *debugInfo // nil without DWARF
}

// MaxFile is the largest ELF file that is read. Debug builds for this chip have
// some 15 MB.
const MaxFile = 128 << 20

// ErrTooLarge means that a file or what is in it exceeds a limit.
var ErrTooLarge = errors.New("too large")

// Open reads an ELF file.
func Open(path string) (*Program, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open program: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read program %q: %w", path, err)
	}
	p, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("read program %q: %w", path, err)
	}
	return p, nil
}

// Debug reports whether the program has debug information that could be read;
// without it there are names of functions but no lines and no inlined calls.
func (p *Program) Debug() bool { return p.info != nil }

// Lookup says what is at an address that points into an instruction. A return
// address points behind the call and has to be moved first, see [Return].
func (p *Program) Lookup(addr uint64) Location {
	loc := Location{Addr: addr, Region: p.region(addr)}
	if loc.Region != Code {
		return loc
	}
	if p.info != nil {
		p.mu.Lock()
		loc.Frames = p.info.frames(addr)
		p.mu.Unlock()
	}
	if s, ok := p.symbolAt(addr); ok {
		if len(loc.Frames) == 0 {
			loc.Frames = []Frame{{}}
		}
		// The outermost function is the one that has a symbol: what DWARF does not
		// name, as for assembly, the symbol does.
		last := &loc.Frames[len(loc.Frames)-1]
		last.Func = cmp.Or(last.Func, demangle(s.name))
		last.Symbol = cmp.Or(last.Symbol, s.name)
	}
	for i := range loc.Frames {
		f := &loc.Frames[i]
		f.Symbol = cmp.Or(f.Symbol, f.Func) // C has one name only
	}
	return loc
}

func (p *Program) region(addr uint64) Region {
	for _, s := range p.code {
		if s.contains(addr) {
			return Code
		}
	}
	if p.machine == elf.EM_XTENSA && addr >= romLow && addr < romHigh {
		return ROM
	}
	return Outside
}

// symbolAt finds the function whose code an address is. Functions written in
// assembly often have no size and reach to the next one.
func (p *Program) symbolAt(addr uint64) (symbol, bool) {
	i, _ := slices.BinarySearchFunc(p.symbols, addr, func(s symbol, addr uint64) int {
		if s.addr <= addr {
			return -1
		}
		return 1
	})
	if i == 0 {
		return symbol{}, false
	}
	s := p.symbols[i-1]
	if s.size != 0 && addr-s.addr >= s.size {
		return symbol{}, false
	}
	for _, c := range p.code {
		if c.contains(addr) {
			return s, c.contains(s.addr)
		}
	}
	return symbol{}, false
}

// Return turns a return address, as it stands in A0 and on the stack, into an
// address inside the call instruction. A windowed call keeps its size in the top
// two bits, where the region of the code belongs, and calls are three bytes long
// (esp32-serial 7).
func Return(a0 uint32) uint32 { return (a0&0x3FFFFFFF | 0x40000000) - 3 }
