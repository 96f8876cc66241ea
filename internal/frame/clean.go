package frame

import "bytes"

const (
	jfifLen  = 14 // "JFIF\0", version, units, density, thumbnail size
	adobeLen = 12 // "Adobe", version(2), flags(2), flags(2), transform(1)
)

// Clean returns a copy of jpeg without application segments (APPn), comments,
// fill bytes between segments, and bytes after the true EOI, together with the
// Info of the input. The pixels that a decoder makes of it are the same.
//
// One thing in those segments does change pixels: the choice between YCbCr and
// RGB for three components. Decoders take YCbCr when a JFIF segment is there,
// otherwise ask the transform byte of an Adobe APP14 segment, otherwise look
// at the component ids. So an Adobe segment of a three-component frame without
// JFIF is kept, reduced to its twelve fixed bytes and placed before the first
// scan; all else goes, and frames on which decoders would disagree are refused.
// An Exif orientation is dropped like any other metadata: viewers see the
// picture as the sensor saw it.
func Clean(jpeg []byte, l Limits) ([]byte, Info, error) {
	// Two walks, so that a frame that is refused costs no memory.
	info, err := Inspect(jpeg, l)
	if err != nil {
		return nil, Info{}, err
	}
	w := walker{b: jpeg, limits: l.WithDefaults(), out: make([]byte, 0, info.Len)}
	if _, err := w.walk(); err != nil {
		return nil, Info{}, err
	}
	return w.out, info, nil
}

// colourMarker notes what APP0 and APP14 say about the colour space. Nothing
// is copied here: keepAdobe decides at the first scan.
func (w *walker) colourMarker(m byte, p []byte) *Error {
	switch {
	case m == mAPP0 && bytes.HasPrefix(p, []byte("JFIF\x00")):
		// Decoders differ on a JFIF segment shorter than its fixed part.
		if len(p) < jfifLen {
			return fail(Malformed, "JFIF segment of %d bytes", len(p))
		}
		w.jfif = true
	case m == mAPPE && len(p) >= adobeLen && bytes.HasPrefix(p, []byte("Adobe")):
		w.adobe = p[:adobeLen]
	default:
		return nil
	}
	// libjpeg has chosen its colour space at the first scan, others choose at
	// the end.
	if w.scans > 0 {
		return fail(Malformed, "colour segment after the first scan")
	}
	return nil
}

// checkColour refuses frames that decoders would colour differently.
func (w *walker) checkColour() *Error {
	if !w.jfif || w.info.Components != 3 {
		return nil
	}
	if w.adobe != nil && w.adobe[adobeLen-1] == 0 {
		return fail(Unsupported, "JFIF segment and Adobe RGB segment contradict each other")
	}
	if w.comps[0].id == 'R' && w.comps[1].id == 'G' && w.comps[2].id == 'B' {
		return fail(Unsupported, "JFIF segment and RGB component ids contradict each other")
	}
	return nil
}

// keepAdobe copies the reduced Adobe segment in front of the first scan, if it
// decides the colour space.
func (w *walker) keepAdobe() {
	if w.out == nil || w.scans != 1 || w.adobe == nil || w.jfif || w.info.Components != 3 {
		return
	}
	w.out = append(w.out, 0xFF, mAPPE, 0, 2+adobeLen)
	w.out = append(w.out, w.adobe...)
}
