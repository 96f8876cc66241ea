package frame

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestInspectAccepts(t *testing.T) {
	small := photo(t, 45, 29)
	for _, tt := range []struct {
		name string
		jpeg []byte
		l    Limits
		want Info // Len and Trailing are filled in from trailing
		tail int  // bytes after EOI
	}{
		{"go encoder", small, Limits{}, Info{Width: 45, Height: 29, Components: 3}, 0},
		{"one pixel", photo(t, 1, 1), Limits{}, Info{Width: 1, Height: 1, Components: 3}, 0},
		{"largest default size", photo(t, 1600, 1200), Limits{}, Info{Width: 1600, Height: 1200, Components: 3}, 0},
		{"sensor layout", sensorFrame(t, 800, 600), Limits{}, Info{Width: 800, Height: 600, Components: 3}, 0},
		{"4:2:2", file(t, "color-422.jpg"), Limits{}, Info{Width: 45, Height: 29, Components: 3}, 0},
		{"restart markers", file(t, "restart.jpg"), Limits{}, Info{Width: 45, Height: 29, Components: 3}, 0},
		{"one component", file(t, "gray.jpg"), Limits{}, Info{Width: 45, Height: 29, Components: 1}, 0},
		{"adobe rgb", file(t, "rgb-adobe.jpg"), Limits{}, Info{Width: 45, Height: 29, Components: 3}, 0},
		{"progressive allowed", file(t, "progressive.jpg"), Limits{Progressive: true},
			Info{Width: 45, Height: 29, Components: 3, Progressive: true}, 0},
		{"progressive gray allowed", file(t, "progressive-gray.jpg"), Limits{Progressive: true},
			Info{Width: 45, Height: 29, Components: 1, Progressive: true}, 0},
		{"limits met exactly", small, Limits{MaxBytes: len(small), MaxWidth: 45, MaxHeight: 29},
			Info{Width: 45, Height: 29, Components: 3}, 0},
		{"garbage after EOI", join(small, bytes.Repeat([]byte{0xA5}, 908)), Limits{}, Info{Width: 45, Height: 29, Components: 3}, 908},
		{"older EOI after EOI", join(small, []byte{1, 2, 0xFF, mEOI}), Limits{}, Info{Width: 45, Height: 29, Components: 3}, 4},
		{"second picture after EOI", join(small, small), Limits{}, Info{Width: 45, Height: 29, Components: 3}, len(small)},
		{"lone FF after EOI", join(small, []byte{0xFF}), Limits{}, Info{Width: 45, Height: 29, Components: 3}, 1},
		{"thumbnail in Exif", afterSOI(small, app(0xE1, "Exif\x00\x00"+string(photo(t, 16, 16)))), Limits{},
			Info{Width: 45, Height: 29, Components: 3}, 0},
		{"EOI in a comment", afterSOI(small, seg(mCOM, 0xFF, mEOI, 0xFF, mSOS)), Limits{}, Info{Width: 45, Height: 29, Components: 3}, 0},
		{"fill bytes before markers", join(afterSOI(small[:len(small)-2], []byte{0xFF, 0xFF, 0xFF}), []byte{0xFF, 0xFF, 0xFF, mEOI}),
			Limits{}, Info{Width: 45, Height: 29, Components: 3}, 0},
		{"restart marker before EOI", join(small[:len(small)-2], []byte{0xFF, mRST0, 0xFF, mEOI}), Limits{},
			Info{Width: 45, Height: 29, Components: 3}, 0},
		{"restart interval zero", afterSOI(small, seg(mDRI, 0, 0)), Limits{}, Info{Width: 45, Height: 29, Components: 3}, 0},
		{"segments up to the bound", afterSOI(small, bytes.Repeat(seg(mCOM), maxSegments-4)), Limits{},
			Info{Width: 45, Height: 29, Components: 3}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.want.Len, tt.want.Trailing = len(tt.jpeg)-tt.tail, tt.tail
			got, err := Inspect(tt.jpeg, tt.l)
			if err != nil {
				t.Fatal(err)
			}
			if got != tt.want {
				t.Errorf("Inspect = %+v, want %+v", got, tt.want)
			}
			// What is accepted here has to be decodable, or the table lies.
			m, err := pixels(tt.jpeg)
			if err != nil {
				t.Fatalf("image/jpeg: %v", err)
			}
			if s := m.Bounds().Size(); s.X != got.Width || s.Y != got.Height {
				t.Errorf("image/jpeg reads %v", s)
			}
		})
	}
}

func TestInspectRefuses(t *testing.T) {
	small := photo(t, 45, 29)
	sos := find(t, small, mSOS)
	data := sos + 2 + 12 // behind the scan header of three components
	gray := file(t, "gray.jpg")
	ff := bytes.IndexByte(small[data:], 0xFF) // a stuffed byte, or the EOI
	for _, tt := range []struct {
		name string
		jpeg []byte
		l    Limits
		kind Kind
		text string // part of Detail
	}{
		{"nothing", nil, Limits{}, NotJPEG, "0 bytes"},
		{"one byte", []byte{0xFF}, Limits{}, NotJPEG, "1 bytes"},
		{"text", []byte("GET / HTTP/1.1"), Limits{}, NotJPEG, "no SOI"},
		{"png", []byte("\x89PNG\r\n\x1a\n"), Limits{}, NotJPEG, "no SOI"},
		{"leading byte", join([]byte{0}, small), Limits{}, NotJPEG, "no SOI"},

		{"only SOI", small[:2], Limits{}, Cut, "no EOI"},
		{"SOI and FF", []byte{0xFF, mSOI, 0xFF}, Limits{}, Cut, "no EOI"},
		{"fill to the end", []byte{0xFF, mSOI, 0xFF, 0xFF, 0xFF}, Limits{}, Cut, "no EOI"},
		{"before a length", small[:4], Limits{}, Cut, "no length"},
		{"half a length", small[:5], Limits{}, Cut, "no length"},
		{"inside a table", small[:100], Limits{}, Cut, "runs over"},
		{"between segments", small[:sos], Limits{}, Cut, "no EOI"},
		{"inside the scan header", small[:data-1], Limits{}, Cut, "runs over"},
		{"no entropy data", small[:data], Limits{}, Cut, "without an end"},
		{"inside entropy data", small[:data+20], Limits{}, Cut, "without an end"},
		{"after a stuffed FF", small[:data+ff+1], Limits{}, Cut, "without an end"},
		{"EOI missing", small[:len(small)-2], Limits{}, Cut, "without an end"},
		{"half an EOI", small[:len(small)-1], Limits{}, Cut, "without an end"},
		{"last kilobyte missing", sensorFrame(t, 800, 600)[:8192-1024], Limits{}, Cut, "without an end"},
		{"EOI too early", join(small[:data+2], []byte{0xFF, mEOI}), Limits{}, Cut, "scan of 2 bytes"},
		{"scan empty", join(small[:data], []byte{0xFF, mEOI}), Limits{}, Cut, "scan of 0 bytes"},
		{"small data, large size", patch(t, gray, mSOF0, 2+1, 1200>>8, 1200&255, 1600>>8, 1600&255), Limits{}, Cut, "blocks need"},
		{"progressive scan empty", emptyLastScan(t), Limits{Progressive: true}, Cut, "scan of 0 bytes"},

		{"over the bytes", small, Limits{MaxBytes: len(small) - 1}, TooLarge, fmt.Sprint(len(small), " bytes")},
		{"trailing bytes count", join(small, []byte{0}), Limits{MaxBytes: len(small)}, TooLarge, "at most"},
		{"over the default", make([]byte, DefaultMaxBytes+1), Limits{}, TooLarge, "1000001 bytes, at most 1000000"},

		{"width over by one", bare(1601, 1200), Limits{}, TooBig, "1601 x 1200"},
		{"height over by one", bare(1600, 1201), Limits{}, TooBig, "1600 x 1201"},
		{"65500 square", bare(65500, 65500), Limits{}, TooBig, "65500 x 65500"},
		{"65500 square, limits raised", bare(65500, 65500), Limits{MaxWidth: 65535, MaxHeight: 65535}, TooBig, "in all"},
		{"pixel product over", bare(8193, 8192), Limits{MaxWidth: 65535, MaxHeight: 65535}, TooBig, "in all"},
		{"pixel product met", bare(8192, 8192), Limits{MaxWidth: 65535, MaxHeight: 65535}, Cut, "no EOI"},
		{"width zero", bare(0, 10), Limits{}, Malformed, "0 x 10"},
		{"height zero", bare(10, 0), Limits{}, Malformed, "10 x 0"},

		{"progressive", file(t, "progressive.jpg"), Limits{}, Progressive, "progressive"},
		{"extended", file(t, "extended.jpg"), Limits{}, Unsupported, "extended"},
		{"arithmetic", file(t, "arithmetic.jpg"), Limits{}, Unsupported, "arithmetic"},
		{"cmyk", file(t, "cmyk.jpg"), Limits{}, Unsupported, "4 components"},
		{"lossless", patch(t, small, mSOF0, -1, 0xC3), Limits{}, Unsupported, "lossless"},
		{"hierarchical", patch(t, small, mSOF0, -1, 0xC5), Limits{}, Unsupported, "hierarchical"},
		{"hierarchy header", patch(t, small, mSOF0, -1, 0xDE), Limits{}, Unsupported, "hierarchical"},
		{"jpeg-ls", patch(t, small, mSOF0, -1, 0xF7), Limits{}, Unsupported, "JPEG-LS"},
		{"reserved F0", afterSOI(small, seg(0xF0)), Limits{}, Unsupported, "FFF0"},
		{"line count later", afterSOI(small, seg(0xDC, 0, 29)), Limits{}, Unsupported, "line count"},
		{"12 bits", patch(t, small, mSOF0, 2, 12), Limits{}, Unsupported, "12 bits"},
		{"16 bits", patch(t, small, mSOF0, 2, 16), Limits{}, Unsupported, "16 bits"},
		{"two components", patch(t, small, mSOF0, 7, 2), Limits{}, Unsupported, "2 components"},

		{"no component", patch(t, small, mSOF0, 7, 0), Limits{}, Malformed, "no components"},
		{"components and length differ", patch(t, small, mSOF0, 7, 1), Limits{}, Malformed, "for 1 components"},
		{"sampling zero", patch(t, small, mSOF0, 9, 0x02), Limits{}, Malformed, "sampling"},
		{"sampling five", patch(t, small, mSOF0, 9, 0x51), Limits{}, Malformed, "sampling"},
		{"quantisation id", patch(t, small, mSOF0, 10, 4), Limits{}, Malformed, "table 4"},
		{"component twice", patch(t, small, mSOF0, 11, 1), Limits{}, Malformed, "twice"},
		{"frame header short", join(small[:2], seg(mSOF0, 8, 0, 1, 0, 1)), Limits{}, Malformed, "frame header of 5"},
		{"two frame headers", beforeMarker(t, small, mSOS, seg(mSOF0, 8, 0, 29, 0, 45, 1, 1, 0x11, 0)), Limits{}, Malformed, "second frame header"},
		{"length one", join(small[:2], []byte{0xFF, mCOM, 0, 1}, small[2:]), Limits{}, Malformed, "length 1"},
		{"length zero", join(small[:2], []byte{0xFF, mCOM, 0, 0}, small[2:]), Limits{}, Malformed, "length 0"},
		{"junk between segments", afterSOI(small, []byte{0x12}), Limits{}, Malformed, "0x12 instead of a marker"},
		{"stuffing between segments", afterSOI(small, []byte{0xFF, 0}), Limits{}, Malformed, "FF00"},
		{"fill before stuffing", join(small[:data], []byte{0xFF, 0xFF, 0x00}, small[data:]), Limits{}, Cut, "scan of 0 bytes"},
		{"fill before stuffing, late", join(small[:len(small)-2], []byte{0xFF, 0xFF, 0x00, 0xFF, mEOI}), Limits{}, Malformed, "FF00"},
		{"second SOI", afterSOI(small, []byte{0xFF, mSOI}), Limits{}, Malformed, "FFD8"},
		{"restart outside a scan", afterSOI(small, []byte{0xFF, 0xD3}), Limits{}, Malformed, "FFD3"},
		{"reserved marker", afterSOI(small, []byte{0xFF, 0x01}), Limits{}, Malformed, "FF01"},
		{"EOI at once", []byte{0xFF, mSOI, 0xFF, mEOI}, Limits{}, Malformed, "no frame header"},
		{"no scan", join(small[:sos], []byte{0xFF, mEOI}), Limits{}, Malformed, "no scan (SOS)"},
		{"no SOF", without(t, small, mSOF0), Limits{}, Malformed, "before the frame header"},
		{"no DQT", without(t, small, mDQT), Limits{}, Malformed, "(DQT)"},
		{"no DHT", without(t, small, mDHT), Limits{}, Malformed, "(DHT)"},
		{"DHT only in part", without(t, gray, mDHT), Limits{}, Malformed, "(DHT)"},
		{"empty DQT", afterSOI(small, seg(mDQT)), Limits{}, Malformed, "empty quantisation"},
		{"DQT id", patch(t, small, mDQT, 2, 0x04), Limits{}, Malformed, "0x04"},
		{"DQT precision", patch(t, small, mDQT, 2, 0x20), Limits{}, Malformed, "0x20"},
		{"DQT short", afterSOI(small, seg(mDQT, make([]byte, 64)...)), Limits{}, Malformed, "of 64 bytes"},
		{"empty DHT", afterSOI(small, seg(mDHT)), Limits{}, Malformed, "empty huffman"},
		{"DHT class", patch(t, small, mDHT, 2, 0x20), Limits{}, Malformed, "0x20"},
		{"DHT short", afterSOI(small, seg(mDHT, make([]byte, 16)...)), Limits{}, Malformed, "of 16 bytes"},
		{"DHT without symbols", afterSOI(small, seg(mDHT, make([]byte, 17)...)), Limits{}, Malformed, "0 symbols"},
		{"DHT symbols cut", afterSOI(small, seg(mDHT, append(make([]byte, 16), 9)...)), Limits{}, Malformed, "0 of 9"},
		{"DHT oversubscribed", afterSOI(small, seg(mDHT, append([]byte{0, 3}, make([]byte, 18)...)...)), Limits{}, Malformed, "3 symbols"},
		{"DRI long", afterSOI(small, seg(mDRI, 0, 0, 1)), Limits{}, Malformed, "restart interval"},
		{"scan of no component", patch(t, small, mSOS, 2, 0), Limits{}, Malformed, "scan header"},
		{"scan of four", patch(t, small, mSOS, 2, 4), Limits{}, Malformed, "scan header"},
		{"scan of a stranger", patch(t, small, mSOS, 3, 9), Limits{}, Malformed, "component 9"},
		{"scan of one twice", patch(t, small, mSOS, 5, 1), Limits{}, Malformed, "component 1"},
		{"progressive scan of one twice", patch(t, file(t, "progressive.jpg"), mSOS, 5, 1), Limits{Progressive: true}, Malformed, "scan of component 1"},
		{"scan of one plane only", onePlane(t), Limits{}, Malformed, "no scan for component 2"},
		{"plane scanned twice", join(gray[:len(gray)-2], gray[find(t, gray, mSOS):]), Limits{}, Malformed, "second scan"},
		{"progressive band", patch(t, file(t, "progressive.jpg"), mSOS, 2+1+6, 5, 2), Limits{Progressive: true}, Malformed, "5 to 2"},
		{"too many segments", afterSOI(small, bytes.Repeat(seg(mCOM), maxSegments+1)), Limits{}, Malformed, "256 segments"},
		{"too many scans", manyScans(t), Limits{Progressive: true}, Malformed, "32 scans"},
		{"colour segment late", join(gray[:len(gray)-2], jfif(), gray[len(gray)-2:]), Limits{}, Malformed, "after the first scan"},
		{"short JFIF", afterSOI(small, app(mAPP0, "JFIF\x00\x01\x01")), Limits{}, Malformed, "JFIF segment of 7"},
		{"JFIF against Adobe RGB", afterSOI(small, jfif(), adobe(0, "")), Limits{}, Unsupported, "contradict"},
		{"JFIF against ids RGB", afterSOI(without(t, file(t, "rgb-adobe.jpg"), mAPPE), jfif()), Limits{}, Unsupported, "contradict"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			info, err := Inspect(tt.jpeg, tt.l)
			e, ok := errors.AsType[*Error](err)
			if !ok {
				t.Fatalf("Inspect = %+v, %v, want an *Error", info, err)
			}
			if e.Kind != tt.kind || !strings.Contains(e.Detail, tt.text) {
				t.Errorf("Inspect = %v, want %v: …%s…", err, tt.kind, tt.text)
			}
			if info != (Info{}) {
				t.Errorf("Info = %+v beside an error", info)
			}
			if out, _, cleanErr := Clean(tt.jpeg, tt.l); out != nil || cleanErr == nil || cleanErr.Error() != err.Error() {
				t.Errorf("Clean = %d bytes, %v; Inspect said %v", len(out), cleanErr, err)
			}
		})
	}
}

// onePlane scans only the luma of a colour frame.
func onePlane(t *testing.T) []byte {
	b := photo(t, 8, 8)
	i := find(t, b, mSOS)
	return join(b[:i], seg(mSOS, 1, 1, 0, 0, 63, 0), bytes.Repeat([]byte{0x55}, 64), []byte{0xFF, mEOI})
}

// emptyLastScan ends a progressive frame with an AC scan of no bytes.
func emptyLastScan(t *testing.T) []byte {
	b := file(t, "progressive-gray.jpg")
	return join(b[:len(b)-2], seg(mSOS, 1, 1, 0, 1, 63, 0), []byte{0xFF, mEOI})
}

// manyScans repeats a tiny AC scan.
func manyScans(t *testing.T) []byte {
	b := file(t, "progressive-gray.jpg")
	scan := join(seg(mSOS, 1, 1, 0, 1, 63, 0), []byte{0x55})
	return join(b[:len(b)-2], bytes.Repeat(scan, maxScans), []byte{0xFF, mEOI})
}

// TestInspectEveryCut cuts frames at every byte: never accepted, and always
// for being cut once SOI is there.
func TestInspectEveryCut(t *testing.T) {
	for name, b := range map[string][]byte{
		"go": photo(t, 45, 29), "sensor": sensorFrame(t, 96, 96),
		"restart": file(t, "restart.jpg"), "progressive": file(t, "progressive.jpg"),
	} {
		for n := range b {
			want := Cut
			if n < 2 {
				want = NotJPEG
			}
			_, err := Inspect(b[:n], Limits{Progressive: true})
			if e, ok := errors.AsType[*Error](err); !ok || e.Kind != want {
				t.Errorf("%s cut to %d of %d bytes: %v, want %v", name, n, len(b), err, want)
			}
		}
	}
}

// TestSensorLayout holds the test's own frame to the offsets of esp32-wire 4.3.
func TestSensorLayout(t *testing.T) {
	b := sensorFrame(t, 800, 600)
	want := map[int]byte{0: mSOI, 2: mAPP0, 20: mDQT, 89: mDQT, 158: mDHT, 191: mDHT, 374: mDHT, 407: mDHT, 590: mSOF0, 609: mSOS}
	for off, m := range want {
		if b[off] != 0xFF || b[off+1] != m {
			t.Errorf("offset %d: % X, want FF %02X", off, b[off:off+2], m)
		}
	}
}

func TestInspectKeepsInput(t *testing.T) {
	b := join(afterSOI(photo(t, 45, 29), app(0xE1, "Exif")), []byte{1})
	before := slices.Clone(b)
	if _, _, err := Clean(b, Limits{}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b, before) {
		t.Error("input changed")
	}
	if n := testing.AllocsPerRun(10, func() { Inspect(b, Limits{}) }); n != 0 {
		t.Errorf("Inspect allocates %v times", n)
	}
}

// TestBlocks counts by hand what a scan holds at least.
func TestBlocks(t *testing.T) {
	for _, tt := range []struct {
		name  string
		w, h  int
		c     component
		hMax  int
		vMax  int
		alone bool
		want  int64
	}{
		{"4:2:2 luma, whole MCUs", 800, 600, component{h: 2, v: 1}, 2, 1, false, 50 * 75 * 2},
		{"4:2:2 chroma, whole MCUs", 800, 600, component{h: 1, v: 1}, 2, 1, false, 50 * 75},
		{"4:2:0 luma, one pixel over", 17, 17, component{h: 2, v: 2}, 2, 2, false, 4 * 4},
		{"4:2:0 luma alone", 17, 17, component{h: 2, v: 2}, 2, 2, true, 3 * 3},
		{"4:2:0 chroma alone", 17, 17, component{h: 1, v: 1}, 2, 2, true, 2 * 2},
		{"gray with odd factors", 45, 29, component{h: 3, v: 2}, 3, 2, true, 6 * 4},
		{"one pixel", 1, 1, component{h: 2, v: 2}, 2, 2, false, 4},
	} {
		w := walker{info: Info{Width: tt.w, Height: tt.h}, hMax: tt.hMax, vMax: tt.vMax}
		if got := w.blocks(&tt.c, tt.alone); got != tt.want {
			t.Errorf("%s: %d blocks, want %d", tt.name, got, tt.want)
		}
	}
}

func TestKindString(t *testing.T) {
	for k := NotJPEG; k <= Malformed; k++ {
		if s := k.String(); s == "" || strings.Contains(s, "Kind(") {
			t.Errorf("Kind %d has no name", k)
		}
	}
	if got := Kind(0).String(); got != "Kind(0)" {
		t.Errorf("zero Kind = %q", got)
	}
}
