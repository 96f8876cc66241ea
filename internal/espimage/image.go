package espimage

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
)

// Segment is one piece of a program: where it is loaded or mapped, and its
// bytes. Data is what Build writes; Scan leaves it nil.
type Segment struct {
	Addr   uint32
	Size   int
	Offset int64 // of the data, from the start of the image
	Data   []byte
}

// Image is what was read of an image.
type Image struct {
	Header   Header
	Claimed  int // segments the header promises
	Segments []Segment
	Checksum byte
	Digest   [HashSize]byte // zero without Header.Hash
	Size     int64          // all of it, with padding, checksum and hash
}

// Check narrows or widens what Scan insists on. The zero value is what the
// second-stage bootloader asks of an application.
type Check struct {
	// Base is where in flash the image begins, for the 64 KB rule.
	Base int64
	// Limit is the room it may take; 0 = what the reader has.
	Limit int64
	// Revision of the chip, major*100+minor; 0 = not checked.
	Revision uint16
	// Loose leaves out what the ROM does not look at when it loads the
	// second-stage bootloader: chip, revision, mapping and hash.
	Loose bool
}

// Parse reads and verifies an image that starts at b[0]; bytes after its end
// are ignored. Segment data aliases b. On error the image holds what was read
// before the fault.
func Parse(b []byte) (*Image, error) {
	img, err := Scan(bytes.NewReader(b), Check{Limit: int64(len(b))})
	for i := range img.Segments {
		s := &img.Segments[i]
		if end := s.Offset + int64(s.Size); end <= int64(len(b)) {
			s.Data = b[s.Offset:end:end]
		}
	}
	return img, err
}

// Scan verifies an image through r without holding it in memory. It returns
// what was read before a fault together with an *Error, or with the error of r.
func Scan(r io.ReaderAt, c Check) (*Image, error) {
	s := scanner{r: r, c: c, sum: checksumSeed}
	if s.c.Limit <= 0 || s.c.Limit > MaxSegmentSize {
		s.c.Limit = MaxSegmentSize
	}
	err := s.scan()
	img := s.img // not &s.img, which would keep the buffer
	return &img, err
}

// scanner walks an image once, feeding checksum and hash as it goes.
type scanner struct {
	r   io.ReaderAt
	c   Check
	img Image
	pos int64
	sum byte
	sha hash.Hash
	buf [4096]byte
}

func (s *scanner) scan() error {
	if err := s.header(); err != nil {
		return err
	}
	for i := range s.img.Claimed {
		if err := s.segment(i); err != nil {
			return err
		}
	}
	return s.trailer()
}

func (s *scanner) header() error {
	var b [HeaderSize]byte
	if err := s.read(b[:]); err != nil {
		return err
	}
	if b[0] != Magic {
		return &Error{Kind: BadMagic, Want: Magic, Got: uint32(b[0])}
	}
	h, n := parseHeader(&b)
	s.img.Header, s.img.Claimed = h, n
	if !s.c.Loose {
		if h.ChipID != ChipESP32 {
			return &Error{Kind: BadChip, Want: ChipESP32, Got: uint32(h.ChipID), Offset: 12}
		}
		if err := s.revision(h); err != nil {
			return err
		}
	}
	if n > MaxSegments {
		return &Error{Kind: BadSegmentCount, Want: MaxSegments, Got: uint32(n), Offset: 1}
	}
	if h.Hash {
		s.sha = sha256.New()
		s.sha.Write(b[:])
	}
	return nil
}

func (s *scanner) revision(h Header) error {
	have := s.c.Revision
	if have == 0 {
		return nil
	}
	if have < h.MinRevFull {
		return &Error{Kind: BadRevision, Want: uint32(h.MinRevFull), Got: uint32(have), Offset: 15}
	}
	if h.MaxRevFull != 0 && have > h.MaxRevFull {
		return &Error{Kind: BadRevision, Want: uint32(h.MaxRevFull), Got: uint32(have), Offset: 17}
	}
	return nil
}

func (s *scanner) segment(i int) error {
	var b [SegmentHeaderSize]byte
	if err := s.read(b[:]); err != nil {
		return err
	}
	if s.sha != nil {
		s.sha.Write(b[:])
	}
	addr := binary.LittleEndian.Uint32(b[0:])
	size := binary.LittleEndian.Uint32(b[4:])
	if size%4 != 0 || size >= MaxSegmentSize {
		return &Error{Kind: BadSegmentLength, Segment: i, Got: size, Offset: s.pos}
	}
	at := uint32(s.c.Base + s.pos)
	if !s.c.Loose && Mapped(addr) && at%MMUPage != addr%MMUPage {
		return &Error{Kind: BadMapping, Segment: i, Want: addr, Got: at, Offset: s.pos}
	}
	s.img.Segments = append(s.img.Segments, Segment{Addr: addr, Size: int(size), Offset: s.pos})
	for left := int(size); left > 0; {
		n := min(left, len(s.buf))
		if err := s.read(s.buf[:n]); err != nil {
			return err
		}
		s.sum = xor(s.sum, s.buf[:n])
		if s.sha != nil {
			s.sha.Write(s.buf[:n])
		}
		left -= n
	}
	return nil
}

func (s *scanner) trailer() error {
	line := s.buf[:16-s.pos%16]
	if err := s.read(line); err != nil {
		return err
	}
	s.img.Checksum = line[len(line)-1]
	s.img.Size = s.pos
	if s.img.Checksum != s.sum {
		return &Error{Kind: BadChecksum, Want: uint32(s.sum), Got: uint32(s.img.Checksum), Offset: s.pos - 1}
	}
	if s.sha == nil {
		return nil
	}
	s.sha.Write(line)
	if err := s.read(s.img.Digest[:]); err != nil {
		return err
	}
	s.img.Size = s.pos
	if !s.c.Loose && !bytes.Equal(s.sha.Sum(nil), s.img.Digest[:]) {
		return &Error{Kind: BadHash, Offset: s.pos - HashSize}
	}
	return nil
}

// read fills b and advances; running into the limit or the end of r is Cut or
// TooLong, everything else is the reader's own error.
func (s *scanner) read(b []byte) error {
	end := s.pos + int64(len(b))
	if end > s.c.Limit {
		return &Error{Kind: TooLong, Want: uint32(s.c.Limit), Got: uint32(end), Offset: s.pos}
	}
	n, err := s.r.ReadAt(b, s.pos)
	if n == len(b) {
		s.pos = end
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return &Error{Kind: Cut, Want: uint32(end), Got: uint32(s.pos) + uint32(n), Offset: s.pos}
	}
	return fmt.Errorf("read image at 0x%x: %w", s.pos, err)
}

func xor(sum byte, b []byte) byte {
	for len(b) >= 8 {
		w := binary.LittleEndian.Uint64(b)
		w ^= w >> 32
		w ^= w >> 16
		w ^= w >> 8
		sum ^= byte(w)
		b = b[8:]
	}
	for _, c := range b {
		sum ^= c
	}
	return sum
}
