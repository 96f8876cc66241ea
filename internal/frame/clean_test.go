package frame

import (
	"bytes"
	"fmt"
	"image"
	"image/draw"
	"slices"
	"testing"
)

func TestClean(t *testing.T) {
	small := photo(t, 45, 29)
	rgb := file(t, "rgb-adobe.jpg")
	bareRGB := without(t, rgb, mAPPE)
	reduced := func(b []byte, transform byte) []byte { return beforeMarker(t, b, mSOS, adobe(transform, "")) }
	for _, tt := range []struct {
		name string
		in   []byte
		want []byte
	}{
		{"nothing to do", small, small},
		{"every APPn and COM", afterSOI(small, jfif(), app(0xE1, "Exif\x00\x00GPS"), app(0xE2, "ICC_PROFILE"), app(0xEC, "Ducky"),
			app(0xED, "Photoshop 3.0"), app(0xEF, "x"), app(mCOM, "made by")), small},
		{"comment behind the tables", beforeMarker(t, small, mSOS, app(mCOM, "late")), small},
		{"comment behind the scan", join(small[:len(small)-2], app(mCOM, "later"), small[len(small)-2:]), small},
		{"thumbnail", afterSOI(small, app(0xE1, "Exif\x00\x00"+string(photo(t, 16, 16)))), small},
		{"trailing bytes", join(small, []byte("\x00PK\x03\x04")), small},
		{"second picture", join(small, rgb), small},
		{"fill bytes", join(afterSOI(small[:len(small)-2], []byte{0xFF, 0xFF}), []byte{0xFF, 0xFF, mEOI}), small},
		{"JFIF decides nothing", afterSOI(small, jfif()), small},
		{"JFIF overrides Adobe", afterSOI(small, jfif(), adobe(1, "")), small},
		{"Adobe overridden by a later JFIF", afterSOI(small, adobe(1, ""), jfif()), small},
		{"Adobe RGB kept", afterSOI(small, adobe(0, "")), reduced(small, 0)},
		{"Adobe YCbCr kept", afterSOI(small, adobe(1, "")), reduced(small, 1)},
		{"Adobe reduced", afterSOI(small, adobe(0, "and more")), reduced(small, 0)},
		{"last Adobe counts", afterSOI(small, adobe(0, ""), adobe(1, "")), reduced(small, 1)},
		{"Adobe too short", afterSOI(small, app(mAPPE, "Adobe\x00\x64")), small},
		{"APP14 of somebody else", afterSOI(small, app(mAPPE, "Adopt\x00\x64\x00\x00\x00\x00\x00")), small},
		{"Adobe of a gray frame", afterSOI(without(t, file(t, "gray.jpg"), mAPP0), adobe(0, "")), without(t, file(t, "gray.jpg"), mAPP0)},
		{"ids RGB", bareRGB, bareRGB},
		{"ids RGB and Adobe", rgb, reduced(bareRGB, 0)},
		{"sensor frame", sensorFrame(t, 96, 96), without(t, sensorFrame(t, 96, 96), mAPP0)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, info, err := Clean(tt.in, Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, tt.want) {
				t.Errorf("Clean = %d bytes, want %d:\n% X\n% X", len(got), len(tt.want), got, tt.want)
			}
			if in, err := Inspect(tt.in, Limits{}); err != nil || in != info {
				t.Errorf("Info = %+v, Inspect says %+v, %v", info, in, err)
			}
			if err := cleanHolds(tt.in, got, Limits{}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCleanProgressive(t *testing.T) {
	for _, name := range []string{"progressive.jpg", "progressive-gray.jpg"} {
		in := afterSOI(file(t, name), app(mCOM, "between"))
		l := Limits{Progressive: true}
		got, _, err := Clean(in, l)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if want := without(t, file(t, name), mAPP0); !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, want %d", name, len(got), len(want))
		}
		if err := cleanHolds(in, got, l); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// cleanHolds states what Clean promises of out, whatever in was.
func cleanHolds(in, out []byte, l Limits) error {
	info, err := Inspect(out, l)
	if err != nil {
		return fmt.Errorf("output refused: %w", err)
	}
	if info.Trailing != 0 || len(out) > len(in) {
		return fmt.Errorf("%d bytes from %d, %d trailing", len(out), len(in), info.Trailing)
	}
	if err := onlyAdobe(out); err != nil {
		return err
	}
	again, _, err := Clean(out, l)
	if err != nil || !bytes.Equal(again, out) {
		return fmt.Errorf("second Clean: %d bytes from %d, %v", len(again), len(out), err)
	}
	before, err := pixels(in)
	if err != nil {
		return nil // the oracle decodes less than the walk accepts
	}
	after, err := pixels(out)
	if err != nil {
		return fmt.Errorf("output no longer decodes: %w", err)
	}
	if !samePixels(before, after) {
		return fmt.Errorf("pixels differ (%T, %T)", before, after)
	}
	return nil
}

// onlyAdobe walks the segments in front of the first scan by their lengths.
func onlyAdobe(b []byte) error {
	adobes := 0
	for i := 2; i+4 <= len(b); {
		m, n := b[i+1], int(b[i+2])<<8|int(b[i+3])
		switch {
		case b[i] != 0xFF:
			return fmt.Errorf("no marker at offset %d", i)
		case m == mSOS:
			return nil
		case m == mAPPE && n == 2+adobeLen && adobes == 0:
			adobes++
		case m >= mAPP0 && m <= mAPPF, m == mCOM:
			return fmt.Errorf("segment FF%02X of length %d kept", m, n)
		}
		i += 2 + n
	}
	return fmt.Errorf("no scan")
}

// samePixels compares planes where it can and colours otherwise, so that a
// change of colour space shows.
func samePixels(a, b image.Image) bool {
	if a.Bounds() != b.Bounds() {
		return false
	}
	switch a := a.(type) {
	case *image.Gray:
		b, ok := b.(*image.Gray)
		return ok && bytes.Equal(a.Pix, b.Pix)
	case *image.YCbCr:
		b, ok := b.(*image.YCbCr)
		return ok && a.SubsampleRatio == b.SubsampleRatio &&
			bytes.Equal(a.Y, b.Y) && bytes.Equal(a.Cb, b.Cb) && bytes.Equal(a.Cr, b.Cr)
	}
	ra, rb := image.NewRGBA(a.Bounds()), image.NewRGBA(a.Bounds())
	draw.Draw(ra, ra.Rect, a, a.Bounds().Min, draw.Src)
	draw.Draw(rb, rb.Rect, b, b.Bounds().Min, draw.Src)
	return fmt.Sprintf("%T", a) == fmt.Sprintf("%T", b) && slices.Equal(ra.Pix, rb.Pix)
}
