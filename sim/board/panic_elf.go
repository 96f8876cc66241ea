package board

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"porthole/internal/espimage"
)

// Program32 is what panics need of a program: where its functions are, and the
// digest by which a decoder recognises it.
type Program32 struct {
	SHA256    [sha256.Size]byte
	Functions []Function // by address
}

// A Function is a range of code.
type Function struct {
	Name string
	Addr uint32
	Size uint32
}

// maxELF bounds the file; debug builds for this chip have some 15 MB.
const maxELF = 128 << 20

// ReadELF takes the functions of an ELF file, of any machine as long as they lie
// in 32 bits: those of an executable section, with a size.
func ReadELF(file []byte) (*Program32, error) {
	if len(file) > maxELF {
		return nil, fmt.Errorf("read ELF: %d bytes, at most %d", len(file), maxELF)
	}
	f, err := elf.NewFile(bytes.NewReader(file))
	if err != nil {
		return nil, fmt.Errorf("read ELF: %w", err)
	}
	symbols, err := f.Symbols()
	if err != nil {
		return nil, fmt.Errorf("read ELF symbols: %w", err)
	}
	p := &Program32{SHA256: sha256.Sum256(file)}
	for _, s := range symbols {
		if elf.ST_TYPE(s.Info) != elf.STT_FUNC || s.Size == 0 || s.Value+s.Size > 1<<32 || s.Value+s.Size < s.Value {
			continue
		}
		if i := int(s.Section); i >= len(f.Sections) || f.Sections[i].Flags&elf.SHF_EXECINSTR == 0 {
			continue
		}
		p.Functions = append(p.Functions, Function{s.Name, uint32(s.Value), uint32(s.Size)})
	}
	if len(p.Functions) == 0 {
		return nil, errors.New("read ELF: no functions in 32 bits of address space")
	}
	slices.SortFunc(p.Functions, func(a, b Function) int {
		if a.Addr != b.Addr {
			return int(int64(a.Addr) - int64(b.Addr))
		}
		return strings.Compare(a.Name, b.Name)
	})
	return p, nil
}

// calls picks n functions as a call chain, innermost first, ending where the
// program begins if it says where that is.
func (p *Program32) calls(rng *rand.Rand, n int) []Function {
	chain := make([]Function, 0, n)
	for range n - 1 {
		chain = append(chain, p.Functions[rng.IntN(len(p.Functions))])
	}
	for _, name := range []string{"loopTask", "app_main", "main"} {
		for _, f := range p.Functions {
			if f.Name == name || strings.HasPrefix(f.Name, "_Z") && strings.Contains(f.Name, fmt.Sprint(len(name))+name) {
				return append(chain, f)
			}
		}
	}
	return append(chain, p.Functions[rng.IntN(len(p.Functions))])
}

// program stands in for an ELF file that is not there: the code of the image in
// flash as one function, and the digest from its descriptor.
func (app *loadedApp) program() *Program32 {
	p := &Program32{SHA256: app.desc.ELF}
	for _, s := range app.image.Segments {
		if espimage.Mapped(s.Addr) && s.Addr >= 0x400D0000 && s.Size > 0 {
			p.Functions = append(p.Functions, Function{Addr: s.Addr, Size: uint32(s.Size)})
		}
	}
	if len(p.Functions) == 0 {
		p.Functions = []Function{{Addr: app.image.Header.Entry, Size: 1}}
	}
	return p
}
