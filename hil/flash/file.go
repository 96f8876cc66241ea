package flash

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"porthole/internal/espimage"
)

// A File is content for one place of the flash. Where its last sector has to be
// written, what follows the file there is erased.
type File struct {
	Name string // for people
	// Offset is where it goes, a multiple of 4 KB; Partition, if not empty, is
	// the name of the partition whose start it goes to instead.
	Offset    int64
	Partition string
	Data      []byte
}

// ParsePlace reads a place of the flash: a number, or the name of a partition.
func ParsePlace(text string) (offset int64, partition string, err error) {
	if text == "" {
		return 0, "", errors.New("parse place: empty")
	}
	if text[0] >= '0' && text[0] <= '9' {
		n, err := strconv.ParseUint(text, 0, 32)
		if err != nil {
			return 0, "", fmt.Errorf("parse place %.20q: want a number such as 0x10000, or the name of a partition", text)
		}
		return int64(n), "", nil
	}
	if len(text) > maxLabel || strings.IndexByte(text, 0) >= 0 {
		return 0, "", fmt.Errorf("parse place %.20q: a partition has a name of at most %d bytes", text, maxLabel)
	}
	return 0, text, nil
}

// maxLabel is the length of a label in the partition table.
const maxLabel = 16

func (f *File) end() int64 { return f.Offset + int64(len(f.Data)) }

// inside gives what a file holds from off on, nil if nothing.
func (f *File) inside(off int64) []byte {
	if off < f.Offset || off >= f.end() {
		return nil
	}
	return f.Data[off-f.Offset:]
}

func (f *File) refuse(do, why string, args ...any) error {
	return &RefusedError{File: f.Name, Why: fmt.Sprintf(why, args...), Do: do}
}

// tableIn is the partition table that the files bring, if they bring one.
func tableIn(files []File) (*espimage.Table, error) {
	for i := range files {
		f := &files[i]
		b := f.inside(espimage.TableOffset)
		if f.Partition != "" || b == nil {
			continue
		}
		t, err := espimage.ParseTable(b, 0)
		if err != nil && f.Offset != espimage.TableOffset {
			continue // something else that reaches so far
		}
		if err != nil {
			return nil, f.refuse("build the table with gen_esp32part, or leave it out", "no partition table: %v", err)
		}
		return t, nil
	}
	return nil, nil
}

// place resolves partition names.
func place(files []File, t *espimage.Table) error {
	for i := range files {
		f := &files[i]
		if f.Partition == "" {
			continue
		}
		p, ok := espimage.Partition{}, false
		if t != nil {
			p, ok = t.Label(f.Partition)
		}
		if !ok {
			return f.refuse("give an offset, or one of: "+labels(t), "there is no partition %q", f.Partition)
		}
		f.Offset = int64(p.Offset)
	}
	return nil
}

func labels(t *espimage.Table) string {
	if t == nil || len(t.Partitions) == 0 {
		return "(the board has no partition table)"
	}
	var names []string
	for _, p := range t.Partitions {
		names = append(names, strconv.Quote(p.Label))
	}
	return strings.Join(names, ", ")
}

// checkPlaces refuses what cannot be written anywhere: files that overlap or
// begin within a sector.
func checkPlaces(files []File) error {
	sorted := make([]*File, len(files))
	for i := range files {
		sorted[i] = &files[i]
	}
	slices.SortFunc(sorted, func(a, b *File) int { return cmp.Compare(a.Offset, b.Offset) })
	for i, f := range sorted {
		switch {
		case len(f.Data) == 0:
			return f.refuse("check how it was built", "it is empty")
		case f.Offset%espimage.SectorSize != 0:
			return f.refuse("flash is erased by sectors of 0x1000", "offset 0x%x is within a sector", f.Offset)
		case i > 0 && sorted[i-1].end() > f.Offset:
			return f.refuse("flash is erased by sectors of 0x1000: check the offsets",
				"it begins at 0x%x, where %q reaches to 0x%x", f.Offset, sorted[i-1].Name, sorted[i-1].end())
		}
	}
	return nil
}

func roundUp(n int64) int64 {
	return (n + espimage.SectorSize - 1) / espimage.SectorSize * espimage.SectorSize
}

// checkFit refuses files that are larger than the flash or their partition.
func checkFit(files []File, flashSize int64, t *espimage.Table) error {
	for i := range files {
		f := &files[i]
		if f.end() > flashSize {
			return f.refuse("build it for this flash size",
				"it reaches to 0x%x, the flash has 0x%x bytes", f.end(), flashSize)
		}
		if t == nil {
			continue
		}
		for _, p := range t.Partitions {
			if f.Offset >= int64(p.Offset) && f.Offset < partEnd(p) && f.end() > partEnd(p) {
				return f.refuse("use another partition table, or a smaller image",
					"%d bytes at 0x%x do not fit partition %q, which ends at 0x%x", len(f.Data), f.Offset, p.Label, partEnd(p))
			}
		}
	}
	return nil
}

func partEnd(p espimage.Partition) int64 { return int64(p.Offset) + int64(p.Size) }

// checkImages refuses programs that cannot run here: for another chip or
// revision, corrupt, or in the wrong place. revision 0 is not checked.
func checkImages(files []File, t *espimage.Table, revision uint16) error {
	for i := range files {
		f := &files[i]
		places := map[int64]bool{f.Offset: f.Data[0] == espimage.Magic}
		if f.inside(espimage.BootloaderOffset) != nil {
			places[espimage.BootloaderOffset] = true
		}
		if t != nil {
			for _, p := range t.Partitions {
				b := f.inside(int64(p.Offset))
				// A slot of a merged image may be empty.
				if p.Type == espimage.TypeApp && b != nil && !(f.Offset != int64(p.Offset) && b[0] == 0xFF) {
					places[int64(p.Offset)] = true
				}
			}
		}
		for off, program := range places {
			if program {
				if err := f.checkImage(off, revision); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (f *File) checkImage(off int64, revision uint16) error {
	boot := off == espimage.BootloaderOffset
	b := f.inside(off)
	r := bytesAt(b)
	img, err := espimage.Scan(r, espimage.Check{Base: off, Revision: revision, Loose: boot})
	if e, ok := errors.AsType[*espimage.Error](err); ok {
		do := "build it again; what is damaged here would not boot"
		switch e.Kind {
		case espimage.BadChip:
			do = "build it for the ESP32"
		case espimage.BadRevision:
			do = "build it for the revision of this chip"
		case espimage.BadMagic:
			do = "check the offset: a program belongs here, 0x1000 is the bootloader's place, 0x10000 usually the application's"
		}
		return f.refuse(do, "no program for 0x%x: %v", off, err)
	}
	if err != nil {
		return err
	}
	if boot {
		// The ROM boots what it gets; a person is better told.
		if img.Header.ChipID != espimage.ChipESP32 {
			return f.refuse("build it for the ESP32", "it is built for chip id %d", img.Header.ChipID)
		}
		if _, ok := img.App(r); ok {
			return f.refuse("an application usually belongs at 0x10000", "it is an application, 0x1000 is the bootloader's place")
		}
	} else if _, ok := img.Boot(r); ok {
		return f.refuse("put it at 0x1000", "it is a bootloader, and 0x%x is not its place", off)
	}
	return nil
}

// bytesAt is an io.ReaderAt over a slice, without the state of a bytes.Reader.
type bytesAt []byte

func (b bytesAt) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off > int64(len(b)) {
		return 0, errors.New("read beyond the end")
	}
	n := copy(p, b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
