package frame

import "bytes"

// Marker codes (ITU-T T.81 table B.1), the byte after FF.
const (
	mSOF0 = 0xC0 // baseline
	mSOF2 = 0xC2 // progressive
	mDHT  = 0xC4
	mRST0 = 0xD0
	mRST7 = 0xD7
	mSOI  = 0xD8
	mEOI  = 0xD9
	mSOS  = 0xDA
	mDQT  = 0xDB
	mDRI  = 0xDD
	mAPP0 = 0xE0
	mAPPE = 0xEE // Adobe's colour transform
	mAPPF = 0xEF
	mCOM  = 0xFE
)

// unsupported names the legal markers that are turned away.
var unsupported = map[byte]string{
	0xC1: "extended sequential coding",
	0xC3: "lossless coding",
	0xC5: "hierarchical coding", 0xC6: "hierarchical coding", 0xC7: "hierarchical coding",
	0xC8: "reserved coding",
	0xC9: "arithmetic coding", 0xCA: "arithmetic coding", 0xCB: "arithmetic coding",
	0xCC: "arithmetic coding",
	0xCD: "arithmetic coding", 0xCE: "arithmetic coding", 0xCF: "arithmetic coding",
	0xDC: "line count after the scan",
	0xDE: "hierarchical coding", 0xDF: "hierarchical coding",
	0xF7: "JPEG-LS coding", 0xF8: "JPEG-LS coding",
}

// walker is one pass over the markers of b. With out non-nil it also copies
// what a decoder needs.
type walker struct {
	b      []byte
	pos    int
	limits Limits
	out    []byte // Clean's copy; nil when only inspecting

	info     Info
	segments int
	scans    int

	comps      [maxComponents]component
	hMax, vMax int

	qTables, dcTables, acTables uint8 // bit i: table i was defined

	jfif  bool
	adobe []byte // fixed part of the last Adobe segment, a view into b
}

// component is one plane of the frame header.
type component struct {
	id   byte
	h, v int // sampling factors, 1..4
	tq   byte
	seen bool // a scan has carried it
}

// walk runs from SOI to EOI. Size and SOI come first: a hostile upload costs
// nothing more.
func (w *walker) walk() (Info, error) {
	if n := len(w.b); n > w.limits.MaxBytes {
		return Info{}, fail(TooLarge, "%d bytes, at most %d", n, w.limits.MaxBytes)
	}
	if len(w.b) < 2 || w.b[0] != 0xFF || w.b[1] != mSOI {
		return Info{}, fail(NotJPEG, "no SOI at the start of %d bytes", len(w.b))
	}
	w.pos = 2
	w.keep(0, 2)
	for {
		m, err := w.marker()
		if err != nil {
			return Info{}, err
		}
		if m == mEOI {
			break
		}
		if err := w.segment(m); err != nil {
			return Info{}, err
		}
	}
	if err := w.complete(); err != nil {
		return Info{}, err
	}
	w.keep(w.pos-2, w.pos)
	w.info.Len = w.pos
	w.info.Trailing = len(w.b) - w.pos
	return w.info, nil
}

// keep copies b[from:to] when cleaning.
func (w *walker) keep(from, to int) {
	if w.out != nil {
		w.out = append(w.out, w.b[from:to]...)
	}
}

// marker reads FF, any fill FFs, and the code. It leaves pos after the code.
func (w *walker) marker() (byte, *Error) {
	if w.pos >= len(w.b) {
		return 0, fail(Cut, "no EOI within %d bytes", len(w.b))
	}
	if c := w.b[w.pos]; c != 0xFF {
		return 0, fail(Malformed, "byte 0x%02X instead of a marker at offset %d", c, w.pos)
	}
	for w.pos < len(w.b) && w.b[w.pos] == 0xFF {
		w.pos++
	}
	if w.pos >= len(w.b) {
		return 0, fail(Cut, "no EOI within %d bytes", len(w.b))
	}
	w.pos++
	return w.b[w.pos-1], nil
}

// segment handles the segment of marker m; pos is just after the code.
func (w *walker) segment(m byte) *Error {
	start := w.pos - 2 // of the marker, without fill bytes
	if w.segments++; w.segments > maxSegments {
		return fail(Malformed, "more than %d segments", maxSegments)
	}
	switch why, refused := unsupported[m]; {
	case refused:
		return fail(Unsupported, "%s (marker FF%02X)", why, m)
	case m == mSOF2 && !w.limits.Progressive:
		return fail(Progressive, "frame is progressive, baseline expected")
	case m == mSOI, m >= mRST0 && m <= mRST7:
		return fail(Malformed, "marker FF%02X at offset %d", m, start)
	case m < mSOF0:
		return fail(Malformed, "reserved marker FF%02X at offset %d", m, start)
	case m >= 0xF0 && m != mCOM:
		return fail(Unsupported, "reserved marker FF%02X", m)
	}

	body, err := w.body(m)
	if err != nil {
		return err
	}
	switch {
	case m == mSOF0, m == mSOF2:
		err = w.frameHeader(m, body)
	case m == mDQT:
		err = w.quantTables(body)
	case m == mDHT:
		err = w.huffmanTables(body)
	case m == mDRI:
		if len(body) != 2 {
			err = fail(Malformed, "restart interval of %d bytes", len(body))
		}
	case m == mSOS:
		return w.scan(start, body)
	case m == mAPP0 || m == mAPPE:
		return w.colourMarker(m, body)
	default: // the other APPn, COM: dropped
		return nil
	}
	if err == nil {
		w.keep(start, w.pos)
	}
	return err
}

// body reads the length of a segment and steps over its content.
func (w *walker) body(m byte) ([]byte, *Error) {
	if len(w.b)-w.pos < 2 {
		return nil, fail(Cut, "segment FF%02X has no length", m)
	}
	n := int(w.b[w.pos])<<8 | int(w.b[w.pos+1])
	if n < 2 {
		return nil, fail(Malformed, "segment FF%02X of length %d", m, n)
	}
	if n > len(w.b)-w.pos {
		return nil, fail(Cut, "segment FF%02X of length %d runs over the end", m, n)
	}
	body := w.b[w.pos+2 : w.pos+n]
	w.pos += n
	return body, nil
}

// scan checks a scan header, then walks its entropy-coded data up to the FF of
// the next marker.
func (w *walker) scan(start int, header []byte) *Error {
	minBits, err := w.scanHeader(header)
	if err != nil {
		return err
	}
	if err := w.checkColour(); err != nil {
		return err
	}
	w.keepAdobe()
	data := w.pos
	if err := w.entropy(); err != nil {
		return err
	}
	// A scan with fewer bits than its blocks need at the very least was cut,
	// or is a few bytes that make a decoder allocate a large picture.
	if bits := int64(w.pos-data) * 8; bits < max(minBits, 1) {
		return fail(Cut, "scan of %d bytes, its blocks need %d", w.pos-data, (max(minBits, 1)+7)/8)
	}
	w.keep(start, w.pos)
	return nil
}

// entropy leaves pos at the FF that ends the entropy-coded data. Restart
// markers belong to the data; their order is left to the decoder.
func (w *walker) entropy() *Error {
	for {
		i := bytes.IndexByte(w.b[w.pos:], 0xFF)
		if i < 0 || w.pos+i+1 >= len(w.b) {
			return fail(Cut, "scan without an end within %d bytes", len(w.b))
		}
		w.pos += i
		switch c := w.b[w.pos+1]; {
		case c == 0, c >= mRST0 && c <= mRST7:
			w.pos += 2
		default:
			return nil
		}
	}
}

// complete checks, at EOI, that there was a picture.
func (w *walker) complete() *Error {
	if w.info.Components == 0 {
		return fail(Malformed, "no frame header (SOF)")
	}
	if w.scans == 0 {
		return fail(Malformed, "no scan (SOS)")
	}
	for _, c := range w.comps[:w.info.Components] {
		if !c.seen {
			return fail(Malformed, "no scan for component %d", c.id)
		}
	}
	return nil
}
