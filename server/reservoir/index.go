package reservoir

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"time"
)

// A clip file:
//
//	magic     8 bytes "PHCLIP1\n"
//	frames    one JPEG behind the other
//	index     for each frame: length (4 bytes; 0 repeats the frame before), look
//	trailer   begun (8, Unix seconds), period (4, ms), frames (4), width (2),
//	          height (2), CRC-32 of index and trailer up to here (4), "PHINDEX\n"
//
// All numbers are big endian. The lengths of all parts add up to the file's.
const (
	magic     = "PHCLIP1\n"
	endMagic  = "PHINDEX\n"
	entrySize = 4 + 1 + ThumbWidth*ThumbHeight
	endSize   = 8 + 4 + 4 + 2 + 2 + 4 + 8
)

// Limits of a clip.
const (
	MaxFrames    = 4096
	MaxClipBytes = 64 << 20
)

// Size of a thumbnail.
const (
	ThumbWidth  = 16
	ThumbHeight = 12
)

// Look is what a frame looks like, without decoding it.
type Look struct {
	Mean  uint8 // brightness, see picture.Admitted
	Thumb [ThumbWidth * ThumbHeight]uint8
}

// Distance returns how different two frames look apart from their brightness:
// the sum over both thumbnails of the differences that are left when their
// means are taken away.
func (l *Look) Distance(m *Look) int {
	sum := 0
	for i, v := range l.Thumb {
		sum += int(v) - int(m.Thumb[i])
	}
	mean := sum / len(l.Thumb)
	d := 0
	for i, v := range l.Thumb {
		x := int(v) - int(m.Thumb[i]) - mean
		d += max(x, -x)
	}
	return d
}

// Index says when a clip was recorded and how long it is.
type Index struct {
	Begun         time.Time // of the first frame, to the second
	Period        time.Duration
	Frames        int
	Width, Height int
}

// Length is the time that the clip lasts.
func (x Index) Length() time.Duration { return time.Duration(x.Frames) * x.Period }

// entry is one frame of an index.
type entry struct {
	length uint32
	look   Look
}

// index is all that a file says about its frames.
type index struct {
	Index
	entries []entry
}

var errIndex = errors.New("not a clip of this version")

// readIndex reads the index of a clip file. Memory is bounded by MaxFrames.
func readIndex(r io.ReaderAt, size int64) (*index, error) {
	if size < int64(len(magic)+entrySize+endSize) || size > MaxClipBytes {
		return nil, fmt.Errorf("%w: %d bytes", errIndex, size)
	}
	var head [len(magic)]byte
	if _, err := r.ReadAt(head[:], 0); err != nil {
		return nil, err
	}
	var end [endSize]byte
	if _, err := r.ReadAt(end[:], size-endSize); err != nil {
		return nil, err
	}
	if string(head[:]) != magic || string(end[endSize-len(endMagic):]) != endMagic {
		return nil, errIndex
	}
	frames := binary.BigEndian.Uint32(end[12:])
	// Each frame has an entry, so their number is bounded by the file's size too.
	if frames == 0 || frames > MaxFrames || int64(frames)*entrySize > size-int64(len(magic))-endSize {
		return nil, fmt.Errorf("%w: %d frames in %d bytes", errIndex, frames, size)
	}
	table := make([]byte, frames*entrySize)
	from := size - endSize - int64(len(table))
	if _, err := r.ReadAt(table, from); err != nil {
		return nil, err
	}
	if sum := crc32.Update(crc32.ChecksumIEEE(table), crc32.IEEETable, end[:20]); sum != binary.BigEndian.Uint32(end[20:]) {
		return nil, fmt.Errorf("%w: wrong checksum", errIndex)
	}
	x := &index{entries: make([]entry, frames), Index: Index{
		Begun:  time.Unix(int64(binary.BigEndian.Uint64(end[0:])), 0).UTC(),
		Period: time.Duration(binary.BigEndian.Uint32(end[8:])) * time.Millisecond,
		Frames: int(frames),
		Width:  int(binary.BigEndian.Uint16(end[16:])), Height: int(binary.BigEndian.Uint16(end[18:])),
	}}
	if x.Period == 0 || x.Width == 0 || x.Height == 0 {
		return nil, fmt.Errorf("%w: no period or no size", errIndex)
	}
	at := int64(len(magic))
	for i := range x.entries {
		e := table[i*entrySize:][:entrySize]
		x.entries[i].length = binary.BigEndian.Uint32(e)
		x.entries[i].look.Mean = e[4]
		copy(x.entries[i].look.Thumb[:], e[5:])
		at += int64(x.entries[i].length)
	}
	if at != from || x.entries[0].length == 0 {
		return nil, fmt.Errorf("%w: the lengths do not add up", errIndex)
	}
	return x, nil
}

// appendIndex appends index and trailer.
func (x *index) appendIndex(b []byte) []byte {
	from := len(b)
	for _, e := range x.entries {
		b = binary.BigEndian.AppendUint32(b, e.length)
		b = append(b, e.look.Mean)
		b = append(b, e.look.Thumb[:]...)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(x.Begun.Unix()))
	b = binary.BigEndian.AppendUint32(b, uint32(min(x.Period.Milliseconds(), math.MaxUint32)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(x.entries)))
	b = binary.BigEndian.AppendUint16(b, uint16(x.Width))
	b = binary.BigEndian.AppendUint16(b, uint16(x.Height))
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[from:]))
	return append(b, endMagic...)
}

// Clip is a clip in memory. It is immutable.
type Clip struct {
	Index
	entries []entry
	data    [][]byte // of each frame; repeats share it
}

// ReadClip reads a clip file of the given size.
func ReadClip(r io.ReaderAt, size int64) (*Clip, error) {
	x, err := readIndex(r, size)
	if err != nil {
		return nil, err
	}
	c := &Clip{Index: x.Index, entries: x.entries, data: make([][]byte, len(x.entries))}
	all := make([]byte, size-int64(len(magic))-endSize-int64(len(x.entries))*entrySize)
	if _, err := r.ReadAt(all, int64(len(magic))); err != nil {
		return nil, err
	}
	for i, e := range x.entries {
		if e.length == 0 {
			c.data[i] = c.data[i-1]
			continue
		}
		c.data[i], all = all[:e.length:e.length], all[e.length:]
	}
	return c, nil
}

// Frame returns a frame as it was recorded. repeat says that it is the one
// before once more. The caller must not change it.
func (c *Clip) Frame(i int) (jpeg []byte, look Look, repeat bool) {
	e := c.entries[i]
	return c.data[i], e.look, e.length == 0
}

// Until returns the clip without its frames from end on.
func (c *Clip) Until(end int) *Clip {
	d := *c
	d.Frames = min(end, c.Frames)
	return &d
}
