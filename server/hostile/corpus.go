package hostile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
)

// photo returns an ordinary picture in colour, of image/jpeg: 4:2:0, baseline.
func photo(w, h int) []byte {
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	state := uint32(1)
	for y := range h {
		for x := range w {
			state = state*1664525 + 1013904223 // grain, the same every time
			g := uint8(state >> 28)
			m.Set(x, y, color.RGBA{uint8(x*3) + g, uint8(y*5) + g, uint8(x^y) + g, 255})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 70}); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// strangers are no JPEG, or hardly one.
func strangers() []File {
	good := photo(48, 32)
	return []File{
		{"control photo", good, OK},
		{"control flat", flat(32, 16, 70), OK},
		{"nothing", nil, NotJPEG},
		{"one byte", []byte{0xFF}, NotJPEG},
		{"html", []byte("<!doctype html><script>alert(1)</script>"), NotJPEG},
		{"png", []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR"), NotJPEG},
		{"svg", []byte(`<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>`), NotJPEG},
		{"gif with a picture behind", join([]byte("GIF89a"), good), NotJPEG},
		{"pdf with a picture behind", join([]byte("%PDF-1.4\n"), good), NotJPEG},
		{"elf", []byte("\x7fELF\x02\x01\x01"), NotJPEG},
		{"one byte before", join([]byte{0}, good), NotJPEG},
		{"marker order swapped", []byte{soi, 0xFF, eoi, 0xFF}, NotJPEG},
		{"noise behind SOI", join([]byte{0xFF, soi}, bytes.Repeat([]byte{0x37, 0xA1, 0x00}, 5000)), Malformed},
		{"EOI at once", []byte{0xFF, soi, 0xFF, eoi}, Malformed},
	}
}

// bombs are small for what they ask a decoder to do.
func bombs() []File {
	good := photo(48, 32)
	resized := func(w, h int) []byte { return patch(good, sof0, 3, byte(h>>8), byte(h), byte(w>>8), byte(w)) }
	largest := flat(1600, 1200, 70)
	filled := join(good[:2], bytes.Repeat([]byte{0xFF}, maxBytes-len(good)), good[2:])
	stuffed := bytes.Repeat([]byte{0xFF, 0}, (maxBytes-len(good))/2)
	return []File{
		{"header 65500 square", resized(65500, 65500), TooBig},
		{"header 65535 wide", resized(65535, 1), TooBig},
		{"header 65535 high", resized(1, 65535), TooBig},
		{"header one too wide", resized(1601, 1200), TooBig},
		{"header one too high", resized(1600, 1201), TooBig},
		{"header largest, data of a small one", resized(1600, 1200), Cut},
		{"header zero wide", resized(0, 32), Malformed},
		{"header zero high", resized(48, 0), Malformed},
		{"header zero high, lines later", beforeEOI(resized(48, 0), seg(0xDC, 0, 32)), Malformed},
		{"largest of two bits a block", largest, OK},
		{"largest colour, 4:4:4", join(head(1600, 1200, 0x11, 0x11, 0x11), blocks(3*200*150, 70), []byte{0xFF, eoi}), OK},
		{"largest in units of 64 blocks", join(head(1600, 1200, 0x42, 0x11, 0x11), blocks(50*75*10, 70), []byte{0xFF, eoi}), OK},
		{"one byte of scan too few", join(largest[:len(largest)-3], []byte{0xFF, eoi}), DecodeCut},
		{"largest of nothing", flat(1600, 1200, 0), DecodeCut},
		{"fill, a megabyte", join([]byte{0xFF, soi}, bytes.Repeat([]byte{0xFF}, maxBytes-2)), Cut},
		{"fill, then a picture", filled, OK},
		{"fill behind the scan", beforeEOI(good, bytes.Repeat([]byte{0xFF}, maxBytes-len(good))), OK},
		{"stuffed bytes for a scan", join(good[:data(good)], stuffed, []byte{0xFF, eoi}), DecodeCorrupt},
		{"stuffed bytes behind the last block", beforeEOI(good, stuffed), OK},
		{"zeros for a scan", join(good[:data(good)], make([]byte, maxBytes-len(good)), []byte{0xFF, eoi}), OK},
		{"bytes at the limit", join(good, make([]byte, maxBytes-len(good))), OK},
		{"bytes over the limit", join(good, make([]byte, maxBytes-len(good)+1)), TooLarge},
		{"comments, a megabyte", afterSOI(good, bytes.Repeat(seg(com, make([]byte, 65533)...), 15)), OK},
		{"comments of nothing, 251", afterSOI(good, bytes.Repeat(seg(com), 251)), OK},
		{"comments of nothing, 300", afterSOI(good, bytes.Repeat(seg(com), 300)), Malformed},
		{"tables, 300", afterSOI(good, bytes.Repeat(seg(dri, 0, 0), 300)), Malformed},
		{"table defined 240 times", afterSOI(good, bytes.Repeat(seg(dht, dcTable...), 240)), OK},
	}
}

// cuts end too early.
func cuts() []File {
	good, large := photo(48, 32), photo(160, 120)
	var files []File
	for i, at := range segments(good) {
		m := good[at+1]
		add := func(where string, n int) {
			if n >= 2 {
				files = append(files, File{fmt.Sprintf("cut %s segment %d (FF%02X)", where, i, m), good[:n], Cut})
			}
		}
		add("before", at)
		add("in the marker of", at+1)
		add("in the length of", at+3)
		if m != soi {
			add("in the body of", at+4+int(binary.BigEndian.Uint16(good[at+2:]))/2)
		}
	}
	scan := data(large)
	part := func(n, of int) []byte { return large[:scan+(len(large)-2-scan)*n/of] }
	end := []byte{0xFF, eoi}
	return append(files,
		File{"cut before the scan's data", large[:scan], Cut},
		File{"cut in the scan", part(1, 2), Cut},
		File{"cut before EOI", large[:len(large)-2], Cut},
		File{"cut in EOI", large[:len(large)-1], Cut},
		File{"last kilobyte missing", large[:len(large)-1024], Cut},
		File{"scan of nothing", join(large[:scan], end), Cut},
		File{"scan of ten bytes", join(large[:scan+10], end), Cut},
		File{"a quarter of the scan, then EOI", join(part(1, 4), end), DecodeCut},
		File{"half of the scan, then EOI", join(part(1, 2), end), DecodeCut},
		File{"nine tenths of the scan, then EOI", join(part(9, 10), end), DecodeCut},
		File{"EOI inside of the scan", join(part(1, 2), end, large[len(part(1, 2)):]), DecodeCut},
		File{"a thumbnail's EOI behind a cut", afterSOI(part(1, 2), text(app1, "Exif\x00\x00"+string(photo(16, 16)))), Cut},
		File{"grey below", greyBelow(), DecodeCut},
	)
}

// greyBelow is a complete picture whose lower half was lost before: what a
// proxy makes that decodes a cut picture and encodes it again.
func greyBelow() []byte {
	m := image.NewGray(image.Rect(0, 0, 64, 48))
	for i := range m.Pix {
		m.Pix[i] = 128
		if i < len(m.Pix)/2 {
			m.Pix[i] = uint8(i * i >> 3)
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// polyglots are pictures, and something else for who reads them otherwise.
func polyglots() []File {
	good := photo(48, 32)
	thumb := photo(16, 16)
	return []File{
		{"html behind", join(good, []byte("<html><script>alert(1)</script>")), OK},
		{"zip behind", join(good, []byte("PK\x03\x04\x14\x00\x00\x00"), make([]byte, 200), []byte("PK\x05\x06")), OK},
		{"old frame's end behind", join(good, bytes.Repeat([]byte{0xA5}, 900), []byte{0xFF, eoi}), OK},
		{"two pictures", join(good, photo(64, 64)), OK},
		{"small picture, then a bomb", join(good, patch(good, sof0, 3, 0xFF, 0xDC, 0xFF, 0xDC)), OK},
		{"script in a comment", afterSOI(good, text(com, "--><script>alert(1)</script><!--")), OK},
		{"php in Exif", afterSOI(good, text(app1, "Exif\x00\x00<?php system($_GET[0]); ?>")), OK},
		{"javascript by the length of APP0", afterSOI(good, text(app0, string(append(make([]byte, 0x2F2A-2-5), "*/=1;"...)))), OK},
		{"position in Exif", afterSOI(good, text(app1, "Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x88\x25")), OK},
		{"picture in Exif", afterSOI(good, text(app1, "Exif\x00\x00"+string(thumb))), OK},
		{"JFIF with a thumbnail", afterSOI(good, text(app0, "JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x02\x02"+string(make([]byte, 12)))), OK},
		{"JFIF that lies about its thumbnail", afterSOI(good, text(app0, "JFIF\x00\x01\x01\x00\x00\x01\x00\x01\xff\xff")), OK},
		{"JFIF too short", afterSOI(good, text(app0, "JFIF\x00\x01\x01")), Malformed},
		{"second SOI", afterSOI(good, []byte{0xFF, soi}), Malformed},
		{"picture inside of the header", afterSOI(good, thumb), Malformed},
		{"markers in a comment", afterSOI(good, seg(com, 0xFF, eoi, 0xFF, sos, 0xFF, soi)), OK},
		{"JFIF against Adobe RGB", afterSOI(good, text(app0, "JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"), text(appE, "Adobe\x00\x64\x00\x00\x00\x00\x00")), Unsupported},
		{"JFIF behind the scan", beforeEOI(flat(32, 16, 70), text(app0, "JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00")), Malformed},
	}
}

// slowly is a complete progressive frame of one level whose decoder has to pass
// over all blocks as many times as there may be scans.
func slowly(w, h int) []byte {
	n := (w + 7) / 8 * ((h + 7) / 8)
	start := flat(w, h, 0)
	out := patch(start, sof0, -1, 0xC2)[:find(start, sos)]
	out = append(out, join(seg(sos, 1, 1, 0, 0, 0, 0), make([]byte, (n+7)/8))...)
	for k := byte(1); k < 32; k++ {
		out = append(out, join(seg(sos, 1, 1, 0, k, k, 0), make([]byte, (n+7)/8))...)
	}
	return append(out, 0xFF, eoi)
}

// kinds are JPEGs of kinds that no camera of ours sends.
func kinds() []File {
	good := photo(48, 32)
	sof := func(m byte) []byte { return patch(good, sof0, -1, m) }
	many := bytes.Repeat(join(seg(sos, 1, 1, 0, 0, 0, 0), []byte{0x55}), 1000)
	cmyk := join(head(32, 16, 0x11, 0x11, 0x11, 0x11), blocks(4*8, 70), []byte{0xFF, eoi})
	return []File{
		{"progressive, largest in 32 scans", slowly(1600, 1200), Progressive},
		{"progressive", sof(0xC2), Progressive},
		{"progressive of 1000 scans", beforeEOI(patch(flat(32, 16, 70), sof0, -1, 0xC2), many), Progressive},
		{"extended", sof(0xC1), Unsupported},
		{"lossless", sof(0xC3), Unsupported},
		{"hierarchical", sof(0xC5), Unsupported},
		{"hierarchy header", sof(0xDE), Unsupported},
		{"arithmetic", sof(0xC9), Unsupported},
		{"arithmetic progressive", sof(0xCA), Unsupported},
		{"arithmetic tables", afterSOI(good, seg(0xCC, 0, 0x10)), Unsupported},
		{"jpeg-ls", sof(0xF7), Unsupported},
		{"line count first", afterSOI(good, seg(0xDC, 0, 32)), Unsupported},
		{"reserved marker", afterSOI(good, seg(0xF0)), Unsupported},
		{"temporary marker", afterSOI(good, []byte{0xFF, 0x01}), Malformed},
		{"CMYK", cmyk, Unsupported},
		{"two components", join(head(32, 16, 0x11, 0x11), blocks(2*8, 70), []byte{0xFF, eoi}), Unsupported},
		{"no component", patch(good, sof0, 7, 0), Malformed},
		{"255 components", patch(good, sof0, 7, 255), Unsupported},
		{"12 bits", patch(good, sof0, 2, 12), Unsupported},
		{"16 bits", patch(good, sof0, 2, 16), Unsupported},
		{"no bits", patch(good, sof0, 2, 0), Unsupported},
		{"sampling zero", patch(good, sof0, 9, 0x02), Malformed},
		{"sampling five", patch(good, sof0, 9, 0x51), Malformed},
		{"sampling three", join(head(48, 32, 0x31, 0x11, 0x11), blocks(50, 70), []byte{0xFF, eoi}), DecodeUnsupported},
		{"luma smaller than chroma", join(head(48, 32, 0x11, 0x22, 0x22), blocks(54, 70), []byte{0xFF, eoi}), DecodeUnsupported},
		{"gray of sampling four", join(head(48, 32, 0x44), blocks(24, 70), []byte{0xFF, eoi}), OK},
	}
}

// tables have wrong tables, or none.
func tables() []File {
	good, plain := photo(48, 32), flat(48, 32, 70)
	full := append([]byte{0x10, 0, 255}, make([]byte, 14+255)...)
	return []File{
		{"no quantisation table", without(good, dqt), Malformed},
		{"no huffman table", without(good, dht), Malformed},
		{"no frame header", without(good, sof0), Malformed},
		{"quantisation table 4", patch(plain, dqt, 2, 4), Malformed},
		{"quantisation table of 16 bits cut", patch(plain, dqt, 2, 0x10), Malformed},
		{"quantisation by zero", patch(plain, dqt, 3, make([]byte, 64)...), DecodeCut},
		{"quantisation by 255", patch(plain, dqt, 3, bytes.Repeat([]byte{255}, 64)...), OK},
		{"huffman table of class 2", patch(plain, dht, 2, 0x20), Malformed},
		{"huffman table of no symbol", patch(plain, dht, 3, 0, 0), Malformed},
		{"huffman table oversubscribed", patch(plain, dht, 3, 3), Malformed},
		{"huffman table of too many codes", afterSOI(plain, seg(dht, full...)), Malformed},
		{"huffman table without the codes used", patch(plain, dht, 3, 0, 2), DecodeCorrupt},
		{"huffman table of the wrong symbols", patch(plain, dht, 19, 0, 17), DecodeUnsupported},
		{"huffman table without an end of block", patch(plain, dht, 2+17+2+2+2+17, 0x31), DecodeCut},
		{"scan by tables never defined", patch(plain, sos, 4, 0x33), Malformed},
		{"segment of length 0", afterSOI(good, []byte{0xFF, com, 0, 0}), Malformed},
		{"segment of length 1", afterSOI(good, []byte{0xFF, com, 0, 1}), Malformed},
		{"segment longer than the file", afterSOI(good, []byte{0xFF, com, 0xFF, 0xFF}), Cut},
		{"restart interval of three bytes", afterSOI(good, seg(dri, 0, 0, 1)), Malformed},
		{"two frame headers", afterSOI(good, seg(sof0, 8, 0, 8, 0, 8, 1, 1, 0x11, 0)), Malformed},
	}
}

// scans have headers or restart markers out of order.
func scans() []File {
	good, plain := photo(48, 32), flat(48, 32, 70)
	row := blocks(6, 70) // of 48 pixels; the DC starts anew behind each restart
	restarts := func(order ...byte) []byte {
		b := join(patch(head(48, 32, 0x11), sof0, 0)[:find(plain, sos)], seg(dri, 0, 6), plain[find(plain, sos):data(plain)], row)
		for _, n := range order {
			b = join(b, []byte{0xFF, rst0 + n}, row)
		}
		return append(b, 0xFF, eoi)
	}
	return []File{
		{"plane scanned twice", beforeEOI(plain, plain[find(plain, sos):len(plain)-2]), Malformed},
		{"scan before the frame header", join(plain[:2], plain[find(plain, sos):]), Malformed},
		{"scan of no component", patch(good, sos, 2, 0), Malformed},
		{"scan of four components", patch(good, sos, 2, 4), Malformed},
		{"scan of a stranger", patch(good, sos, 3, 9), Malformed},
		{"scan of one plane of three", join(good[:find(good, sos)], seg(sos, 1, 1, 0, 0, 63, 0), blocks(60, 70), []byte{0xFF, eoi}), Malformed},
		{"restarts in order", restarts(0, 1, 2), OK},
		{"restarts out of order", restarts(1, 0, 2), DecodeCorrupt},
		{"restart missing", restarts(0, 1), DecodeCorrupt},
		{"restarts that were not announced", beforeEOI(plain, []byte{0xFF, rst0, 0xFF, rst0 + 1}), OK},
		{"restart interval without restarts", join(good[:find(good, sos)], seg(dri, 0, 1), good[find(good, sos):]), DecodeCorrupt},
		{"restart interval beyond the picture", join(good[:find(good, sos)], seg(dri, 0xFF, 0xFF), good[find(good, sos):]), OK},
		{"restart in the header", afterSOI(good, []byte{0xFF, rst0}), Malformed},
		{"tables behind the scan", beforeEOI(plain, seg(dqt, append([]byte{0}, bytes.Repeat([]byte{1}, 64)...)...)), OK},
		{"stuffing between segments", afterSOI(good, []byte{0xFF, 0}), Malformed},
		{"bits of another picture", join(good[:data(good)], photo(64, 64)[data(photo(64, 64)):]), OK},
	}
}
