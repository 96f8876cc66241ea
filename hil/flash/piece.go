package flash

import (
	"bytes"
	"cmp"
	"crypto/md5" // the chip's own comparison digest, not a security measure
	"slices"

	"porthole/internal/espimage"
)

// A piece is a stretch of a file that is written at one point of the order.
type piece struct {
	file  *File
	off   int64 // in the flash
	data  []byte
	order int
}

// The order in which pieces are written, so that a board whose flashing ends
// half-way boots its old program for as long as that is possible, and its new
// one only when all of it is there.
const (
	orderFirst = iota // bootloader, partition table, data
	orderApp          // applications
	orderOTA          // what selects the application
)

// pieces cuts files at the borders of partitions and puts the pieces in order.
func pieces(files []File, t *espimage.Table) []piece {
	var out []piece
	for i := range files {
		f := &files[i]
		for off := f.Offset; off < f.end(); {
			order, end := orderAt(f, off, t)
			end = min(end, f.end())
			out = append(out, piece{f, off, f.Data[off-f.Offset : end-f.Offset], order})
			off = end
		}
	}
	slices.SortStableFunc(out, func(a, b piece) int {
		return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.off, b.off))
	})
	return out
}

// orderAt says what lies at off and where that ends. Without a table the file
// itself tells.
func orderAt(f *File, off int64, t *espimage.Table) (order int, end int64) {
	if t == nil {
		switch {
		case f.Offset != espimage.BootloaderOffset && f.Data[0] == espimage.Magic:
			return orderApp, f.end()
		case len(f.Data) == espimage.OTADataSize && selects(f.Data):
			return orderOTA, f.end()
		}
		return orderFirst, f.end()
	}
	end = f.end()
	for _, p := range t.Partitions {
		start, stop := int64(p.Offset), partEnd(p)
		if start%espimage.SectorSize != 0 || stop%espimage.SectorSize != 0 {
			continue // a table that nobody should flash; it orders nothing
		}
		if off >= start && off < stop {
			switch {
			case p.Type == espimage.TypeApp:
				return orderApp, min(end, stop)
			case p.Type == espimage.TypeData && p.Subtype == espimage.DataOTA:
				return orderOTA, min(end, stop)
			}
			return orderFirst, min(end, stop)
		}
		if start > off {
			end = min(end, start)
		}
	}
	return orderFirst, end
}

// selects says whether b is OTA data that selects something.
func selects(b []byte) bool {
	d, err := espimage.ParseOTAData(b)
	if err != nil {
		return false
	}
	_, ok := d.Active()
	return ok
}

// part is a stretch of a piece from from to to, both in bytes of the piece.
func (p piece) part(from, to int64) piece {
	to = min(to, int64(len(p.data)))
	p.off, p.data = p.off+from, p.data[from:to]
	return p
}

func (p piece) size() int64 { return int64(len(p.data)) }

func (p piece) sum() [16]byte { return md5.Sum(p.data) }

// blank says that the piece is what erased flash holds.
func (p piece) blank() bool { return espimage.Erased(p.data) }

// split cuts a piece at multiples of unit in the flash.
func (p piece) split(unit int64) []piece {
	var out []piece
	for from := int64(0); from < p.size(); {
		to := min((p.off+from)/unit*unit+unit-p.off, p.size())
		out = append(out, p.part(from, to))
		from = to
	}
	return out
}

// join makes runs of pieces that follow each other, cut at multiples of runSize
// so that the chip erases by blocks where it can, and an error costs no more.
func join(sectors []piece) []piece {
	var out []piece
	for _, s := range sectors {
		if n := len(out); n > 0 {
			last := &out[n-1]
			if last.off+last.size() == s.off && s.off%runSize != 0 && last.file == s.file {
				last.data = last.data[:len(last.data)+len(s.data)] // both are of the file's data
				continue
			}
		}
		out = append(out, s)
	}
	return out
}

// runSize is the most that is erased and written in one go, in bytes.
const runSize = 256 << 10

// padded is the piece with the rest of its last sector erased.
func (p piece) padded() []byte { return espimage.PadSectors(p.data) }

// same says whether a digest is that of the piece.
func (p piece) same(sum [16]byte) bool {
	want := p.sum()
	return bytes.Equal(want[:], sum[:])
}
