package flash

import (
	"bytes"
	"context"
	"crypto/md5" // the chip's own comparison digest, not a security measure
	"errors"
	"fmt"
	"io"

	"porthole/internal/espimage"
	"porthole/internal/esprom"
)

// Region is a stretch of the flash: by numbers, or by the name of a partition.
type Region struct {
	Offset, Size int64
	Partition    string
	All          bool // everything
}

func (r Region) String() string {
	switch {
	case r.All:
		return "the whole flash"
	case r.Partition != "":
		return fmt.Sprintf("partition %q", r.Partition)
	}
	return fmt.Sprintf("0x%x bytes at 0x%x", r.Size, r.Offset)
}

// resolve turns names into numbers and checks the limits.
func (s *session) resolve(ctx context.Context, r Region) (Region, error) {
	switch {
	case r.All:
		r.Offset, r.Size = 0, s.chip.FlashSize
	case r.Partition != "":
		t, err := s.readTable(ctx)
		if err != nil {
			return r, err
		}
		p, ok := t.Label(r.Partition)
		if !ok {
			return r, &RefusedError{Why: fmt.Sprintf("there is no partition %q", r.Partition), Do: "give an offset, or one of: " + labels(t)}
		}
		r.Offset, r.Size = int64(p.Offset), int64(p.Size)
	}
	if r.Offset < 0 || r.Size <= 0 || r.Offset+r.Size > s.chip.FlashSize {
		return r, &RefusedError{
			Why: fmt.Sprintf("%v is outside the flash of 0x%x bytes", r, s.chip.FlashSize),
			Do:  "choose a region inside the flash",
		}
	}
	return r, nil
}

// Read copies a region of the flash to w. What is handed to w was compared with
// the chip's digest. The ROM gives 64 bytes per question: this is slow.
func (f *Flasher) Read(ctx context.Context, w io.Writer, r Region) (Region, error) {
	_, err := f.run(ctx, func(ctx context.Context, s *session) (err error) {
		if r, err = s.resolve(ctx, r); err != nil {
			return err
		}
		s.meter.begin(Reading, "", r.Size)
		return s.readRegion(ctx, w, r.Offset, r.Size)
	})
	return r, err
}

// readChunk is what is compared at once, in bytes.
const readChunk = 16 << 10

func (s *session) readRegion(ctx context.Context, w io.Writer, off, size int64) error {
	buf := make([]byte, readChunk)
	for done := int64(0); done < size; {
		p := buf[:min(readChunk, size-done)]
		if err := s.readBlock(ctx, p, off+done, done); err != nil {
			return err
		}
		if _, err := w.Write(p); err != nil {
			return fmt.Errorf("write what was read: %w", err)
		}
		done += int64(len(p))
		s.meter.set(done)
	}
	return nil
}

// readBlock fills p from the flash and compares. An erased block, of which
// there are many, is known by its digest.
func (s *session) readBlock(ctx context.Context, p []byte, off, done int64) error {
	return s.try(ctx, func(ctx context.Context) error {
		sum, err := s.l.digest(ctx, off, int64(len(p)))
		if err != nil {
			return err
		}
		if sum == espimage.ErasedDigest(int64(len(p))) {
			for i := range p {
				p[i] = 0xFF
			}
			s.progress()
			return nil
		}
		for at := 0; at < len(p); at += esprom.SlowBlock {
			part := p[at:min(at+esprom.SlowBlock, len(p))]
			if err := s.l.readSlow(ctx, off+int64(at), part); err != nil {
				return err
			}
			if s.meter.now.Phase == Reading {
				s.meter.set(done + int64(at+len(part)))
			}
		}
		if md5.Sum(p) != sum {
			return fmt.Errorf("read 0x%x bytes at 0x%x: %w", len(p), off, errGarbled)
		}
		s.progress()
		return nil
	})
}

// readTable reads the partition table of the board. It is read as far as it
// goes, not to the end of its sector.
func (s *session) readTable(ctx context.Context) (*espimage.Table, error) {
	const step = 4 * esprom.SlowBlock
	var b []byte
	for len(b) < espimage.TableSize {
		part := make([]byte, step)
		if err := s.readBlock(ctx, part, int64(espimage.TableOffset+len(b)), 0); err != nil {
			return nil, err
		}
		b = append(b, part...)
		t, err := espimage.ParseTable(b, s.chip.FlashSize)
		if e, ok := errors.AsType[*espimage.TableError](err); ok && e.Kind == espimage.TableNoEnd {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read partition table of the board: %w", err)
		}
		if len(t.Partitions) == 0 {
			return nil, fmt.Errorf("read partition table of the board: %w", &espimage.TableError{Kind: espimage.TableBadMagic, Magic: 0xFFFF})
		}
		return t, nil
	}
	return nil, fmt.Errorf("read partition table of the board: %w", &espimage.TableError{Kind: espimage.TableNoEnd})
}

// Comparison is the result of verifying one file.
type Comparison struct {
	File File
	Same bool
	// Patched says that the flash holds the file with other flash settings in
	// its header, as flashers rewrite them.
	Patched bool
	// Sectors are the offsets of the sectors that differ.
	Sectors []int64
}

// Verify compares files with the flash and changes nothing.
func (f *Flasher) Verify(ctx context.Context, files []File) ([]Comparison, error) {
	var out []Comparison
	w := &writing{files: append([]File(nil), files...), opt: WriteOptions{Force: true}}
	if len(files) == 0 {
		return nil, errors.New("verify flash: no files")
	}
	if err := w.checkFiles(); err != nil {
		return nil, err
	}
	_, err := f.run(ctx, func(ctx context.Context, s *session) error {
		if err := w.fit(ctx, s); err != nil {
			return err
		}
		s.meter.begin(Verifying, "", w.report.Size)
		var done int64
		for i := range w.files {
			c, err := s.verify(ctx, &w.files[i])
			if err != nil {
				return err
			}
			out = append(out, c)
			done += int64(len(c.File.Data))
			s.meter.set(done)
		}
		return nil
	})
	return out, err
}

func (s *session) verify(ctx context.Context, f *File) (Comparison, error) {
	c := Comparison{File: *f}
	p := piece{file: f, off: f.Offset, data: f.Data}
	var err error
	if c.Same, err = s.same(ctx, p); err != nil || c.Same {
		return c, err
	}
	if patched := s.patched(ctx, f); patched != nil {
		p.data = patched
		if c.Same, err = s.same(ctx, p); err != nil || c.Same {
			c.Patched = c.Same
			return c, err
		}
		p.data = f.Data
	}
	bad, err := s.differing(ctx, p)
	if err != nil {
		return c, err
	}
	for _, b := range bad {
		c.Sectors = append(c.Sectors, b.off)
	}
	if len(bad) == 0 { // two garbled answers before: ask once more
		if c.Same, err = s.same(ctx, p); err == nil && !c.Same {
			c.Sectors = []int64{p.off}
		}
	}
	return c, err
}

// patched is the file with the flash settings that the header in the flash has,
// or nil if that cannot be.
func (s *session) patched(ctx context.Context, f *File) []byte {
	for _, off := range []int64{f.Offset, espimage.BootloaderOffset} {
		b := f.inside(off)
		if len(b) < espimage.HeaderSize || b[0] != espimage.Magic {
			continue
		}
		have := make([]byte, espimage.HeaderSize)
		if err := s.readBlock(ctx, have, off, 0); err != nil {
			return nil
		}
		if have[0] != b[0] || have[1] != b[1] || !bytes.Equal(have[4:], b[4:espimage.HeaderSize]) {
			continue
		}
		out, err := espimage.Patch(b, espimage.FlashSettings{
			Mode: espimage.FlashMode(have[2]), Size: espimage.FlashSize(have[3] >> 4), Freq: espimage.FlashFreq(have[3] & 0x0F),
		})
		if err == nil {
			return append(bytes.Clone(f.Data[:len(f.Data)-len(b)]), out...)
		}
	}
	return nil
}
