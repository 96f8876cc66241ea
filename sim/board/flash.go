package board

import (
	"bufio"
	"fmt"
	"io"
	"math/bits"
	"os"
	"path/filepath"
)

// Geometry of the NOR flash in bytes.
const (
	PageSize   = 256
	SectorSize = 4 << 10
	BlockSize  = 64 << 10

	minFlash = 1 << 20
	maxFlash = 64 << 20
)

// A Flash is the content of a NOR flash chip: programming turns ones into zeros,
// only erasing a sector turns them back. Sectors are kept copy-on-write over a
// base that any number of flashes may share, so an unchanged one costs nothing and
// an erased sector next to nothing. Not safe for concurrent use.
type Flash struct {
	size    int
	base    []byte // shared, never written; FF beyond its end
	sectors map[uint32]*[SectorSize]byte
	dirty   bool
}

// NewFlash returns a flash of size bytes, a power of two from 1 to 64 MB, that
// holds base and FF behind it. base is not copied and must not change any more.
func NewFlash(base []byte, size int) (*Flash, error) {
	if size < minFlash || size > maxFlash || bits.OnesCount(uint(size)) != 1 {
		return nil, fmt.Errorf("create flash: size %d is not a power of two from 1 to 64 MB", size)
	}
	if len(base) > size {
		return nil, fmt.Errorf("create flash: image of %d bytes exceeds %d", len(base), size)
	}
	return &Flash{size: size, base: base}, nil
}

// LoadFlash reads a flash of size bytes from a file that Save wrote. A missing file
// is an erased flash; one of any other size is refused.
func LoadFlash(path string, size int) (*Flash, error) {
	f, err := NewFlash(nil, size)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if os.IsNotExist(err) {
		return f, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load flash: %w", err)
	}
	if info.Size() != int64(size) {
		return nil, fmt.Errorf("load flash %q: %d bytes, want %d", path, info.Size(), size)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("load flash: %w", err)
	}
	if len(data) != size {
		return nil, fmt.Errorf("load flash %q: read %d bytes, want %d", path, len(data), size)
	}
	f.base = data
	return f, nil
}

// Save writes the whole content to path: to a temporary file beside it, which then
// takes its place. The flash counts as unchanged afterwards.
func (f *Flash) Save(path string) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".tmp*")
	if err != nil {
		return fmt.Errorf("save flash: %w", err)
	}
	defer func() {
		if err != nil {
			tmp.Close()
			os.Remove(tmp.Name())
			err = fmt.Errorf("save flash: %w", err)
		}
	}()
	w := bufio.NewWriterSize(tmp, BlockSize)
	if _, err = io.Copy(w, io.NewSectionReader(f, 0, int64(f.size))); err != nil {
		return err
	}
	if err = w.Flush(); err != nil {
		return err
	}
	if err = tmp.Sync(); err != nil {
		return err
	}
	if err = tmp.Close(); err != nil {
		return err
	}
	if err = os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	f.dirty = false
	return nil
}

// Size is the size in bytes.
func (f *Flash) Size() int { return f.size }

// Dirty reports whether the content changed since the flash was created or saved.
func (f *Flash) Dirty() bool { return f.dirty }

// ReadAt implements io.ReaderAt.
func (f *Flash) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= int64(f.size) {
		return 0, io.EOF
	}
	want := len(p)
	p = p[:min(len(p), f.size-int(off))]
	for rest, at := p, uint32(off); len(rest) > 0; {
		in := int(at % SectorSize)
		n := min(len(rest), SectorSize-in)
		f.readSector(rest[:n], at/SectorSize, in)
		rest, at = rest[n:], at+uint32(n)
	}
	if len(p) < want {
		return len(p), io.EOF
	}
	return len(p), nil
}

// readSector copies from one sector, starting in bytes into it.
func (f *Flash) readSector(p []byte, sector uint32, in int) {
	if s, ok := f.sectors[sector]; ok {
		if s != nil {
			copy(p, s[in:])
			return
		}
		fillFF(p)
		return
	}
	start := min(int(sector)*SectorSize+in, len(f.base))
	fillFF(p[copy(p, f.base[start:]):])
}

func fillFF(p []byte) {
	for i := range p {
		p[i] = 0xFF
	}
}

// own returns a sector for writing.
func (f *Flash) own(sector uint32) *[SectorSize]byte {
	if s := f.sectors[sector]; s != nil {
		return s
	}
	s := new([SectorSize]byte)
	f.readSector(s[:], sector, 0)
	f.set(sector, s)
	return s
}

func (f *Flash) set(sector uint32, s *[SectorSize]byte) {
	if f.sectors == nil {
		f.sectors = make(map[uint32]*[SectorSize]byte)
	}
	f.sectors[sector] = s
	f.dirty = true
}

// Program clears the bits that are zero in data, from addr on. What lies beyond
// the end is dropped.
func (f *Flash) Program(addr uint32, data []byte) {
	for len(data) > 0 && int64(addr) < int64(f.size) {
		in := int(addr % SectorSize)
		n := min(len(data), SectorSize-in)
		s := f.own(addr / SectorSize)
		for i, c := range data[:n] {
			s[in+i] &= c
		}
		data, addr = data[n:], addr+uint32(n)
	}
}

// Erase sets all bits of the sectors that overlap [addr, addr+size).
func (f *Flash) Erase(addr uint32, size int) {
	if addr == 0 && size >= f.size {
		f.base, f.sectors, f.dirty = nil, nil, true
		return
	}
	end := min(int64(addr)+int64(size), int64(f.size))
	for s := int64(addr) / SectorSize; s*SectorSize < end; s++ {
		if _, ok := f.sectors[uint32(s)]; ok || s*SectorSize < int64(len(f.base)) {
			f.set(uint32(s), nil)
		}
	}
}

// scramble is an erase of one sector that lost power after frac of its time:
// each zero bit has become a one with that probability.
func (f *Flash) scramble(sector uint32, frac float64, random func() float64) {
	s := f.own(sector)
	for i := range s {
		for bit := byte(1); bit != 0; bit <<= 1 {
			if s[i]&bit == 0 && random() < frac {
				s[i] |= bit
			}
		}
	}
}
