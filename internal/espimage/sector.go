package espimage

import (
	"bytes"
	"crypto/md5" // the chip's own comparison digest, not a security measure
)

// SectorSize is the erase unit of the flash, and so the unit in which a flasher
// compares and rewrites.
const SectorSize = 4096

// SectorsOf gives the first sector of [off, off+size) and how many it touches.
func SectorsOf(off, size int64) (first, n int64) {
	if size <= 0 {
		return off / SectorSize, 0
	}
	first = off / SectorSize
	return first, (off+size-1)/SectorSize - first + 1
}

// PadSectors pads b with 0xFF, the erased state, to whole sectors. It returns b
// itself if nothing is missing.
func PadSectors(b []byte) []byte {
	missing := align(len(b), SectorSize) - len(b)
	if missing == 0 {
		return b
	}
	return append(b[:len(b):len(b)], bytes.Repeat([]byte{0xFF}, missing)...)
}

// SectorDigests gives the MD5 of every sector of b, the last one padded as
// PadSectors would. This is what the chip answers for the same range.
func SectorDigests(b []byte) [][md5.Size]byte {
	out := make([][md5.Size]byte, 0, (len(b)+SectorSize-1)/SectorSize)
	for len(b) >= SectorSize {
		out = append(out, md5.Sum(b[:SectorSize]))
		b = b[SectorSize:]
	}
	if len(b) > 0 {
		out = append(out, md5.Sum(PadSectors(b)))
	}
	return out
}

// ErasedDigest is the MD5 of n erased bytes. A chip that answers this after a
// write did not take the write.
func ErasedDigest(n int64) [md5.Size]byte {
	h := md5.New()
	line := bytes.Repeat([]byte{0xFF}, SectorSize)
	for n > 0 {
		k := min(n, SectorSize)
		h.Write(line[:k])
		n -= k
	}
	return [md5.Size]byte(h.Sum(nil))
}

// Erased says whether all of b is 0xFF.
func Erased(b []byte) bool {
	for _, c := range b {
		if c != 0xFF {
			return false
		}
	}
	return true
}
