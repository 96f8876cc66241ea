package frame

import (
	"errors"
	"testing"
)

// fuzzLimits are small, so that the oracle's decodes stay cheap, and allow
// everything that can be allowed.
var fuzzLimits = Limits{MaxBytes: 1 << 16, MaxWidth: 256, MaxHeight: 256, Progressive: true}

func FuzzInspect(f *testing.F) {
	f.Add(photo(f, 16, 16))
	f.Add(file(f, "restart.jpg"))
	f.Fuzz(func(t *testing.T, b []byte) {
		info, err := Inspect(b, fuzzLimits)
		if err != nil {
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Kind < NotJPEG || e.Kind > Malformed || e.Detail == "" {
				t.Fatalf("untyped or empty error %v", err)
			}
			return
		}
		if info.Len+info.Trailing != len(b) || info.Trailing < 0 {
			t.Fatalf("%+v of %d bytes", info, len(b))
		}
		if b[info.Len-2] != 0xFF || b[info.Len-1] != mEOI {
			t.Fatalf("%+v does not end at an EOI", info)
		}
		if info.Width < 1 || info.Width > 256 || info.Height < 1 || info.Height > 256 ||
			info.Components != 1 && info.Components != 3 {
			t.Fatalf("%+v is outside the limits", info)
		}
		// The end is the first one: nothing shorter is a frame, and what
		// follows changes nothing.
		if got, err := Inspect(b[:info.Len], fuzzLimits); err != nil || got.Len != info.Len {
			t.Fatalf("without the trailing bytes: %+v, %v", got, err)
		}
		if _, err := Inspect(b[:info.Len-1], fuzzLimits); err == nil {
			t.Fatal("accepted without its last byte")
		}
		strict := fuzzLimits
		strict.Progressive = false
		_, err = Inspect(b, strict)
		if (err != nil) != info.Progressive {
			t.Fatalf("progressive %v, baseline only: %v", info.Progressive, err)
		}
		if m, err := pixels(b); err == nil {
			if s := m.Bounds().Size(); s.X != info.Width || s.Y != info.Height {
				t.Fatalf("%+v, image/jpeg reads %v", info, s)
			}
		}
	})
}

func FuzzClean(f *testing.F) {
	f.Add(afterSOI(photo(f, 16, 16), jfif(), app(mCOM, "c")))
	f.Add(file(f, "rgb-adobe.jpg"))
	f.Fuzz(func(t *testing.T, b []byte) {
		out, _, err := Clean(b, fuzzLimits)
		if err != nil {
			if out != nil {
				t.Fatal("output beside an error")
			}
			return
		}
		if err := cleanHolds(b, out, fuzzLimits); err != nil {
			t.Fatal(err)
		}
	})
}
