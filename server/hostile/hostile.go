// Package hostile makes the uploads that somebody would send who wants to bring
// a frame server down, to get bytes of his own to its viewers, or to have a
// broken picture shown: bombs, cuts, polyglots and JPEGs of every kind that is
// not expected. All of them are made by code, the same every time. It is for
// tests only.
package hostile

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// File is one upload.
type File struct {
	Name string
	Data []byte
	// Want says what becomes of it: "ok", the name of the kind of refusal by
	// the inspection of markers (frame.Kind), or "decode " and the name of the
	// kind of refusal by the decoder (picture.Kind).
	Want string
}

// The outcomes of File.Want.
const (
	OK                = "ok"
	NotJPEG           = "not a jpeg"
	Cut               = "cut"
	TooLarge          = "too many bytes"
	TooBig            = "dimensions over the limit"
	Progressive       = "progressive"
	Unsupported       = "unsupported"
	Malformed         = "malformed"
	DecodeCut         = "decode cut"
	DecodeCorrupt     = "decode corrupt"
	DecodeUnsupported = "decode unsupported"
)

// maxBytes is the default limit of package frame, around which files are built.
const maxBytes = 1_000_000

// Corpus returns all files. They are made for the default limits.
func Corpus() []File {
	return slices.Concat(strangers(), bombs(), cuts(), polyglots(), kinds(), tables(), scans())
}

// Names of markers, the byte after FF.
const (
	sof0 = 0xC0
	dht  = 0xC4
	rst0 = 0xD0
	soi  = 0xD8
	eoi  = 0xD9
	sos  = 0xDA
	dqt  = 0xDB
	dri  = 0xDD
	app0 = 0xE0
	app1 = 0xE1
	appE = 0xEE
	com  = 0xFE
)

// seg builds one marker segment with its length.
func seg(m byte, body ...byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{0xFF, m}, uint16(len(body)+2))
	return append(b, body...)
}

func text(m byte, body string) []byte { return seg(m, []byte(body)...) }

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// afterSOI inserts bytes behind SOI.
func afterSOI(b []byte, in ...[]byte) []byte { return join(b[:2], join(in...), b[2:]) }

// beforeEOI inserts bytes in front of the last marker.
func beforeEOI(b []byte, in ...[]byte) []byte {
	return join(b[:len(b)-2], join(in...), b[len(b)-2:])
}

// segments lists the offsets of the markers of b from SOI to SOS, for files
// made here only: lengths are believed.
func segments(b []byte) []int {
	at := []int{0}
	for i := 2; ; i += 2 + int(binary.BigEndian.Uint16(b[i+2:])) {
		at = append(at, i)
		if b[i+1] == sos {
			return at
		}
	}
}

// find is the offset of the first marker FFm before the scan.
func find(b []byte, m byte) int {
	for _, i := range segments(b)[1:] {
		if b[i+1] == m {
			return i
		}
	}
	panic("hostile: no such marker")
}

// data is the offset of the first entropy-coded byte.
func data(b []byte) int {
	i := find(b, sos)
	return i + 2 + int(binary.BigEndian.Uint16(b[i+2:]))
}

// patch overwrites bytes at off behind the first marker FFm (0 = high length
// byte, -1 = the code).
func patch(b []byte, m byte, off int, v ...byte) []byte {
	b = slices.Clone(b)
	copy(b[find(b, m)+2+off:], v)
	return b
}

// without drops all segments FFm.
func without(b []byte, m byte) []byte {
	var out []byte
	at := segments(b)
	for k, i := range at[:len(at)-1] {
		if i == 0 || b[i+1] != m {
			out = append(out, b[i:at[k+1]]...)
		}
	}
	return append(out, b[at[len(at)-1]:]...)
}

// plane is one component of a frame header: its sampling factors, H<<4 | V.
type plane byte

// The codes of the frames made here, as short as codes can be: one bit for "no
// change of the DC", two for a change of seven bits, one for "end of block".
var (
	dcTable = append([]byte{0x00, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 0, 7)
	acTable = append([]byte{0x10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 0)
)

// head returns everything before the entropy-coded data of a baseline frame.
func head(w, h int, planes ...plane) []byte {
	frame := []byte{8, byte(h >> 8), byte(h), byte(w >> 8), byte(w), byte(len(planes))}
	scan := []byte{byte(len(planes))}
	for i, p := range planes {
		frame = append(frame, byte(i+1), byte(p), 0)
		scan = append(scan, byte(i+1), 0)
	}
	return join([]byte{0xFF, soi},
		seg(dqt, append([]byte{0}, bytes.Repeat([]byte{8}, 64)...)...),
		seg(sof0, frame...), seg(dht, dcTable...), seg(dht, acTable...),
		seg(sos, append(scan, 0, 63, 0)...))
}

// blocks returns the entropy-coded data of n blocks, all of one level: 128 plus
// step, which is 0 or 64 to 127. It has no FF in it.
func blocks(n int, step byte) []byte {
	bits := []byte{0, 0}
	if step != 0 {
		bits = []byte{1, 0}
		for i := 6; i >= 0; i-- {
			bits = append(bits, step>>i&1)
		}
		bits = append(bits, 0)
	}
	bits = append(bits, make([]byte, 2*(n-1))...)
	for len(bits)%8 != 0 {
		bits = append(bits, 1)
	}
	out := make([]byte, len(bits)/8)
	for i, v := range bits {
		out[i/8] |= v << (7 - i%8)
	}
	return out
}

// flat returns a gray frame of one level, two bits a block.
func flat(w, h int, step byte) []byte {
	return join(head(w, h, 0x11), blocks((w+7)/8*((h+7)/8), step), []byte{0xFF, eoi})
}
