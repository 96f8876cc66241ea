package frame

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// file reads one of the pictures that testdata/make.c wrote.
func file(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// photo encodes a w x h colour gradient with image/jpeg: baseline, 4:2:0, no
// APPn segment.
func photo(t testing.TB, w, h int) []byte {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.Set(x, y, color.RGBA{uint8(x * 3), uint8(y * 5), uint8(x ^ y), 255})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 60}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// seg builds one marker segment with its length.
func seg(m byte, body ...byte) []byte {
	b := []byte{0xFF, m}
	b = binary.BigEndian.AppendUint16(b, uint16(len(body)+2))
	return append(b, body...)
}

func app(m byte, body string) []byte { return seg(m, []byte(body)...) }

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// jfif and adobe are the colour segments, padded beyond their fixed parts.
func jfif() []byte {
	return app(mAPP0, "JFIF\x00\x01\x01\x01\x00\x00\x00\x00\x00\x00")
}

func adobe(transform byte, more string) []byte {
	return app(mAPPE, "Adobe\x00\x64\x00\x00\x00\x00"+string(transform)+more)
}

// afterSOI inserts bytes behind SOI.
func afterSOI(b []byte, in ...[]byte) []byte {
	return join(b[:2], join(in...), b[2:])
}

// find is the offset of the first marker FFm that starts a segment, by its own
// simple walk: every length is believed.
func find(t testing.TB, b []byte, m byte) int {
	t.Helper()
	for i := 2; i+4 <= len(b); i += 2 + int(b[i+2])<<8 + int(b[i+3]) {
		if b[i+1] == m {
			return i
		}
		if b[i+1] == mSOS {
			break
		}
	}
	t.Fatalf("no marker FF%02X before the scan", m)
	return 0
}

// beforeMarker inserts bytes in front of the first marker FFm.
func beforeMarker(t testing.TB, b []byte, m byte, in ...[]byte) []byte {
	i := find(t, b, m)
	return join(b[:i], join(in...), b[i:])
}

// without drops the first segment FFm.
func without(t testing.TB, b []byte, m byte) []byte {
	i := find(t, b, m)
	n := 2 + int(b[i+2])<<8 + int(b[i+3])
	return join(b[:i], b[i+n:])
}

// patch overwrites bytes at off behind the first marker FFm (0 = high length byte).
func patch(t testing.TB, b []byte, m byte, off int, v ...byte) []byte {
	b = slices.Clone(b)
	copy(b[find(t, b, m)+2+off:], v)
	return b
}

// bare is a frame header and nothing to decode: sizes must be judged before
// tables or scans are.
func bare(w, h int) []byte {
	return join([]byte{0xFF, mSOI}, seg(mSOF0, 8, byte(h>>8), byte(h), byte(w>>8), byte(w), 1, 1, 0x11, 0))
}

// sensorFrame is a constant gray picture in the exact marker layout of the
// OV2640 (esp32-wire 4.3): sixteen-by-eight MCUs, 4:2:2, every block an end of
// block. The Huffman tables are the standard ones, taken from image/jpeg.
func sensorFrame(t testing.TB, w, h int) []byte {
	t.Helper()
	src := photo(t, 8, 8)
	dht := src[find(t, src, mDHT)+4:]
	table := func(n int) []byte {
		s := seg(mDHT, dht[:n]...)
		dht = dht[n:]
		return s
	}
	dc0, ac0, dc1, ac1 := table(29), table(179), table(29), table(179)
	quant := func(id byte) []byte { return seg(mDQT, append([]byte{id}, bytes.Repeat([]byte{12}, 64)...)...) }

	// DC 0 and end of block: 00 1010 twice for luma, 00 00 twice for chroma.
	const mcu, mcuBits = 0b001010_001010_0000_0000, 20
	var data []byte
	acc, n := uint64(0), 0
	put := func(v uint64, bits int) {
		acc, n = acc<<bits|v, n+bits
		for n >= 8 {
			n -= 8
			data = append(data, byte(acc>>n))
			if byte(acc>>n) == 0xFF {
				data = append(data, 0)
			}
		}
	}
	for range ceilDiv(w, 16) * ceilDiv(h, 8) {
		put(mcu, mcuBits)
	}
	put(0x7F, 7)

	return join([]byte{0xFF, mSOI},
		app(mAPP0, "JFIF\x00\x01\x01\x01\x00\x00\x00\x00\x00\x00"),
		quant(0), quant(1), dc0, ac0, dc1, ac1,
		seg(mSOF0, 8, byte(h>>8), byte(h), byte(w>>8), byte(w), 3, 1, 0x21, 0, 2, 0x11, 1, 3, 0x11, 1),
		seg(mSOS, 3, 1, 0, 2, 0x11, 3, 0x11, 0, 0x3F, 0),
		data, []byte{0xFF, mEOI})
}

// pixels decodes with image/jpeg, the oracle.
func pixels(b []byte) (image.Image, error) { return jpeg.Decode(bytes.NewReader(b)) }
