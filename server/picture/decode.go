package picture

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"math"

	"porthole/internal/frame"
)

// maxPixels bounds a decode whatever the inspection accepted: 64 megapixels,
// 192 MB at most. It matches the bound of package frame.
const maxPixels = 1 << 26

// Decode returns the luma of a JPEG that [frame.Inspect] accepted with info.
// The caller owns the picture. For a gray or YCbCr frame it is the luma plane
// itself; an RGB frame is converted and rgb is true. The error is an *Error.
//
// Memory is bounded by the pixels in info: the header is read again and must
// agree before the decoder allocates a plane.
func Decode(data []byte, info frame.Info) (_ *image.Gray, rgb bool, err error) {
	// image/jpeg is fuzzed and memory-safe, and no input is known that makes it
	// panic; but a panic here would take every viewer down with the camera.
	defer func() {
		if recover() != nil {
			err = fail(Corrupt, "the decoder gave up")
		}
	}()
	if info.Len < 0 || info.Len > len(data) {
		return nil, false, fail(Size, "%d bytes, announced were %d", len(data), info.Len)
	}
	data = data[:info.Len]
	head, err := jpeg.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, false, decodeError(err)
	}
	if head.Width != info.Width || head.Height != info.Height || int64(head.Width)*int64(head.Height) > maxPixels {
		return nil, false, fail(Size, "%d x %d pixels, announced were %d x %d", head.Width, head.Height, info.Width, info.Height)
	}
	m, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, false, decodeError(err)
	}
	switch m := m.(type) {
	case *image.Gray:
		return m, false, nil
	case *image.YCbCr:
		return &image.Gray{Pix: m.Y, Stride: m.YStride, Rect: m.Rect}, false, nil
	case *image.RGBA:
		return grayOf(m), true, nil
	}
	return nil, false, fail(Unsupported, "four colour components")
}

// shortData are the texts of image/jpeg for a scan that ends before its last
// block. It has no other way to tell them from damaged data.
var shortData = []error{jpeg.FormatError("short Huffman data"), jpeg.FormatError("missing 0xff00 sequence")}

// decodeError sorts an error of image/jpeg. Its texts are fixed words.
func decodeError(err error) *Error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, shortData[0]) || errors.Is(err, shortData[1]) {
		return fail(Truncated, "the data ends before the last block")
	}
	if e, ok := errors.AsType[jpeg.UnsupportedError](err); ok {
		return fail(Unsupported, "%s", string(e))
	}
	if e, ok := errors.AsType[jpeg.FormatError](err); ok {
		return fail(Corrupt, "%s", string(e))
	}
	return fail(Corrupt, "the decoder gave up")
}

func grayOf(m *image.RGBA) *image.Gray {
	g := image.NewGray(m.Rect)
	for y := range m.Rect.Dy() {
		src, dst := m.Pix[y*m.Stride:], g.Pix[y*g.Stride:][:m.Rect.Dx()]
		for x := range dst {
			dst[x], _, _ = color.RGBToYCbCr(src[4*x], src[4*x+1], src[4*x+2])
		}
	}
	return g
}

// missing is the level of a block without coefficients: what decoders leave
// where data ran out.
const missing = 128

// CheckTail refuses a picture whose lower end was never there. Most decoders
// fill what a cut scan lacks with mid grey and go on, so a board or a proxy
// that decodes and encodes again turns a cut picture into a complete JPEG with
// a flat lower part. The error, if any, is an *Error.
//
// Grey is a row whose pixels outside of the masks are all exactly 128; rows
// that are masked over their whole width count for neither side. A picture is
// refused if the lowest row of blocks is grey. A sensor's noise and the shading
// of its lens make that impossible for a picture of anything, also of darkness
// and of a white wall, which are flat at another level.
func CheckTail(g *image.Gray, m Masks) error {
	w, h := g.Rect.Dx(), g.Rect.Dy()
	const unit = 8
	seen, grey := 0, 0
	for y := h - 1; y >= 0; y-- {
		flat, open := true, false
		for x := 0; x < w && flat; x += unit {
			if m.covers(x, y) {
				continue
			}
			open = true
			for _, v := range g.Pix[y*g.Stride+x:][:min(unit, w-x)] {
				flat = flat && v == missing
			}
		}
		if !open {
			continue
		}
		if !flat {
			break
		}
		grey++
		seen = max(seen, h-y)
	}
	// The lowest row of blocks may be cut by the picture's edge.
	if grey >= (h-1)%unit+1 {
		return fail(Truncated, "the last %d of %d rows are empty", seen, h)
	}
	return nil
}

// ratio returns a*65536/b, rounded to the nearest, for small positive numbers.
func ratio(a, b int) int { return int(min((int64(a)<<16+int64(b)/2)/int64(b), math.MaxInt32)) }
