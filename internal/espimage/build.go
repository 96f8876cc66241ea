package espimage

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// Build writes an image: header, the segments in the given order, padding,
// checksum and, with Header.Hash, the SHA-256. Data that is not a multiple of
// four bytes is padded with zeros. It refuses what the bootloader would refuse.
func Build(h Header, segments []Segment) ([]byte, error) {
	if len(segments) > MaxSegments {
		return nil, &Error{Kind: BadSegmentCount, Want: MaxSegments, Got: uint32(len(segments)), Offset: 1}
	}
	size := HeaderSize
	for i, s := range segments {
		if len(s.Data) > MaxSegmentSize-4 {
			return nil, &Error{Kind: BadSegmentLength, Segment: i, Got: uint32(min(len(s.Data), math.MaxInt32)), Offset: int64(size)}
		}
		size += SegmentHeaderSize
		if Mapped(s.Addr) && uint32(size)%MMUPage != s.Addr%MMUPage {
			return nil, &Error{Kind: BadMapping, Segment: i, Want: s.Addr, Got: uint32(size), Offset: int64(size)}
		}
		size += align(len(s.Data), 4)
	}
	out := make([]byte, 0, align(size+1, 16)+HashSize)
	out = h.append(out, len(segments))
	sum := byte(checksumSeed)
	for _, s := range segments {
		out = binary.LittleEndian.AppendUint32(out, s.Addr)
		out = binary.LittleEndian.AppendUint32(out, uint32(align(len(s.Data), 4)))
		out = append(out, s.Data...)
		sum = xor(sum, s.Data)
		out = append(out, make([]byte, align(len(s.Data), 4)-len(s.Data))...)
	}
	out = append(out, make([]byte, 15-len(out)%16)...)
	out = append(out, sum)
	if h.Hash {
		digest := sha256.Sum256(out)
		out = append(out, digest[:]...)
	}
	return out, nil
}

// Arrange orders segments so that every mapped one lands at its address modulo
// 64 KB, the way linkers' post-processing does it: mapped segments by address,
// the room between them filled with pieces of RAM segments, and with padding
// segments (address 0) where those run out; the rest of RAM follows.
//
// The data of the result aliases the input.
func Arrange(segments []Segment) ([]Segment, error) {
	var mapped, ram []Segment
	for _, s := range segments {
		if s.Data = pad4(s.Data); Mapped(s.Addr) {
			mapped = append(mapped, s)
		} else {
			ram = append(ram, s)
		}
	}
	byAddr := func(a, b Segment) int { return cmp.Compare(a.Addr, b.Addr) }
	slices.SortStableFunc(mapped, byAddr)
	slices.SortStableFunc(ram, byAddr)

	pos := HeaderSize
	var out []Segment
	place := func(s Segment) {
		out = append(out, s)
		pos += SegmentHeaderSize + len(s.Data)
	}
	for _, m := range mapped {
		for {
			gap := int(m.Addr-uint32(pos+SegmentHeaderSize)) & (MMUPage - 1)
			if gap == 0 {
				break
			}
			if gap%4 != 0 {
				return nil, fmt.Errorf("arrange segments: address 0x%08x is not a multiple of 4", m.Addr)
			}
			// A filler needs a header of its own; a gap too small for one
			// grows by a whole page.
			if gap < SegmentHeaderSize {
				gap += MMUPage
			}
			gap -= SegmentHeaderSize
			if len(ram) == 0 {
				place(Segment{Data: make([]byte, gap)})
				continue
			}
			head, rest := ram[0], ram[1:]
			if len(head.Data) > gap {
				if gap == 0 {
					place(Segment{Data: []byte{}})
					continue
				}
				tail := Segment{Addr: head.Addr + uint32(gap), Data: head.Data[gap:]}
				head.Data = head.Data[:gap:gap]
				rest = append([]Segment{tail}, rest...)
			}
			ram = rest
			place(head)
		}
		place(m)
	}
	for _, s := range ram {
		place(s)
	}
	if len(out) > MaxSegments {
		return nil, &Error{Kind: BadSegmentCount, Want: MaxSegments, Got: uint32(len(out)), Offset: 1}
	}
	return out, nil
}

func pad4(b []byte) []byte {
	if len(b)%4 == 0 {
		return b
	}
	return append(slices.Clip(b), make([]byte, 4-len(b)%4)...)
}

// align rounds n up to a multiple of unit, a power of two.
func align(n, unit int) int { return (n + unit - 1) &^ (unit - 1) }
