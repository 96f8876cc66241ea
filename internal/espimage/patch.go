package espimage

import (
	"bytes"
	"crypto/sha256"
	"fmt"
)

// FlashSettings are the three header fields that flashers rewrite to match the
// board. KeepMode, KeepFreq and KeepSize leave one alone.
type FlashSettings struct {
	Mode FlashMode
	Freq FlashFreq
	Size FlashSize
}

// KeepAll changes nothing.
var KeepAll = FlashSettings{Mode: KeepMode, Freq: KeepFreq, Size: KeepSize}

// Patch returns a copy of image with the settings in its header and the
// SHA-256 brought up to date; the checksum does not cover the header. Bytes
// behind the image are kept. An image that does not verify is refused, so that
// patching never hides a fault (esp32-serial 5.1).
func Patch(image []byte, s FlashSettings) ([]byte, error) {
	img, err := Parse(image)
	if err != nil {
		return nil, fmt.Errorf("patch flash settings: %w", err)
	}
	h := img.Header
	if s.Mode != KeepMode {
		h.Mode = s.Mode
	}
	if s.Freq != KeepFreq {
		h.Freq = s.Freq
	}
	if s.Size != KeepSize {
		h.Size = s.Size
	}
	out := bytes.Clone(image)
	out[2], out[3] = byte(h.Mode), h.flashByte()
	if h.Hash {
		end := img.Size - HashSize
		digest := sha256.Sum256(out[:end])
		copy(out[end:], digest[:])
	}
	return out, nil
}

// SameProgram says whether two images differ at most in what flashers rewrite
// on the way: the flash settings and the digest that covers them. Both must
// verify. A comparison of flash with the file it came from needs this, because
// some flashers patch applications too (esp32-serial 2.4).
func SameProgram(a, b []byte) bool {
	x, err := Parse(a)
	if err != nil {
		return false
	}
	y, err := Parse(b)
	if err != nil || x.Size != y.Size || x.Header.Hash != y.Header.Hash {
		return false
	}
	end := x.Size
	if x.Header.Hash {
		end -= HashSize
	}
	return bytes.Equal(a[:2], b[:2]) && bytes.Equal(a[4:end], b[4:end])
}
