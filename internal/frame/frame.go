// Package frame inspects and cleans the JPEG frames a camera uploads, without
// decoding a pixel.
//
// A frame arrives from a board that may cut it, pad it, or not be a camera at
// all, so everything a later stage allocates for or trusts is established
// here, by one walk over the markers:
//
//	SOI  [segments]  SOF  [segments]  (SOS entropy-coded data [tables])+  EOI  [trailing bytes]
//	FFD8             FFC0             FFDA                               FFD9
//
// Every segment but SOI, EOI and RSTn carries a big-endian length that counts
// its own two bytes. Entropy-coded data has no length: it ends at the first FF
// that is followed by neither 00 (a stuffed data byte) nor D0..D7 (a restart
// marker). The end of the image is therefore found by walking, never by
// searching backwards for FFD9: a board leaves stale DMA bytes behind the true
// EOI, and those may hold an older FFD9 (esp32-wire 4.2).
//
// What an OV2640 sends is baseline, 8 bits, three components, with one table
// per segment and SOF behind the tables (esp32-wire 4.3). What is accepted is
// wider (any baseline JPEG of one or three components, progressive on request)
// so that a photo from a phone or an editor passes too.
package frame

import "cmp"

// Default limits: what an OV2640 can produce at most (UXGA, esp32-wire 4.1)
// and more than twice its largest frame buffer (384,000 bytes, esp32-wire 4.2).
const (
	DefaultMaxBytes  = 1_000_000
	DefaultMaxWidth  = 1600
	DefaultMaxHeight = 1200
)

// Bounds that no configuration raises. They keep the walk and every decoder
// behind it linear in the size of the frame.
const (
	// maxPixels caps width x height whatever the limits say: 64 megapixels are
	// 192 MB as RGB, the most a single decode may ask for.
	maxPixels = int64(1) << 26
	// maxSegments counts every marker segment. An ICC profile or Exif block is
	// split into at most a few; 256 leaves room for both.
	maxSegments = 256
	// maxScans caps the scans of a progressive frame, each of which costs a
	// decoder a pass over all coefficients. The usual scripts need ten.
	maxScans = 32
	// maxComponents: gray, or luma and two chroma planes.
	maxComponents = 3
)

// Limits bounds what Inspect and Clean accept. Zero fields mean the defaults.
type Limits struct {
	MaxBytes    int  // of the whole upload, trailing bytes included
	MaxWidth    int  // pixels
	MaxHeight   int  // pixels
	Progressive bool // also accept progressive frames (SOF2)
}

// WithDefaults returns l with every zero field set to its default.
func (l Limits) WithDefaults() Limits {
	l.MaxBytes = cmp.Or(l.MaxBytes, DefaultMaxBytes)
	l.MaxWidth = cmp.Or(l.MaxWidth, DefaultMaxWidth)
	l.MaxHeight = cmp.Or(l.MaxHeight, DefaultMaxHeight)
	return l
}

// Info is what the markers of a frame say about it.
type Info struct {
	Width, Height int // pixels, both at least 1
	Components    int // 1 gray, 3 colour; a gray OV2640 frame has 3 (esp32-wire 4.5)
	Progressive   bool
	Len           int // offset just after the true EOI
	Trailing      int // bytes after Len
}

// Inspect walks the markers of jpeg and reports its shape. The error is always
// an *Error. It neither keeps jpeg nor allocates unless it fails.
//
// Accepted means: complete from SOI to EOI, within the limits, of a kind every
// decoder has, every table a scan refers to present, and no scan too short to
// hold its blocks. It does not mean that the entropy-coded data is intact;
// only a decoder can tell.
func Inspect(jpeg []byte, l Limits) (Info, error) {
	w := walker{b: jpeg, limits: l.WithDefaults()}
	return w.walk()
}
