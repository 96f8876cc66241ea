package espimage

import "fmt"

// Kind says what is wrong with an image. The order is the order in which the
// bootloader looks.
type Kind int

// What Scan can find.
const (
	BadMagic         Kind = iota + 1 // nothing flashed here
	BadChip                          // built for another chip
	BadRevision                      // built for other silicon revisions
	BadSegmentCount                  // more than MaxSegments
	BadSegmentLength                 // not a multiple of 4, or 16 MB and more
	BadMapping                       // mapped segment breaks the 64 KB rule
	Cut                              // the bytes end before the image does
	BadChecksum                      // XOR over the segments
	TooLong                          // larger than the place it is in
	BadHash                          // SHA-256 differs: corrupt
)

var kindNames = map[Kind]string{
	BadMagic: "magic byte", BadChip: "chip id", BadRevision: "chip revision",
	BadSegmentCount: "segment count", BadSegmentLength: "segment length",
	BadMapping: "segment mapping", Cut: "length", BadChecksum: "checksum",
	TooLong: "size", BadHash: "hash",
}

func (k Kind) String() string { return kindNames[k] }

// Error is why bytes are not a bootable image. Callers branch on Kind; Want and
// Got are the two values that differ, where there are two.
type Error struct {
	Kind    Kind
	Segment int // index, for the segment kinds
	Want    uint32
	Got     uint32
	Offset  int64 // of the fault, from the start of the image
}

func (e *Error) Error() string {
	switch e.Kind {
	case BadMagic:
		return fmt.Sprintf("parse image: first byte is 0x%02x, want 0x%02x", e.Got, e.Want)
	case BadChip:
		return fmt.Sprintf("parse image: built for chip id %d, want %d", e.Got, e.Want)
	case BadRevision:
		return fmt.Sprintf("parse image: needs chip revision v%d.%d, chip is v%d.%d",
			e.Want/100, e.Want%100, e.Got/100, e.Got%100)
	case BadSegmentCount:
		return fmt.Sprintf("parse image: %d segments, at most %d", e.Got, e.Want)
	case BadSegmentLength:
		return fmt.Sprintf("parse image: segment %d has length 0x%x", e.Segment, e.Got)
	case BadMapping:
		return fmt.Sprintf("parse image: segment %d for address 0x%08x lies at 0x%x, which differs modulo 64 KB",
			e.Segment, e.Want, e.Got)
	case Cut:
		return fmt.Sprintf("parse image: ends at byte %d of at least %d", e.Got, e.Want)
	case BadChecksum:
		return fmt.Sprintf("parse image: checksum is 0x%02x, calculated 0x%02x", e.Got, e.Want)
	case TooLong:
		return fmt.Sprintf("parse image: %d bytes do not fit in %d", e.Got, e.Want)
	case BadHash:
		return "parse image: SHA-256 does not match, image is corrupt"
	}
	return fmt.Sprintf("parse image: fault %d", int(e.Kind))
}
