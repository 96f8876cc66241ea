package frame

import (
	"math/rand/v2"
	"testing"
)

// camera is a frame of the size the boards send, 25 kB at SVGA, with noise as
// entropy data: FF and its stuffing come at their natural rate.
func camera(b *testing.B) []byte {
	frame := sensorFrame(b, 800, 600)
	head := frame[:find(b, frame, mSOS)+2+12]
	r := rand.New(rand.NewPCG(1, 2))
	out := append([]byte(nil), head...)
	for len(out) < 25_000-2 {
		c := byte(r.Uint32())
		if out = append(out, c); c == 0xFF {
			out = append(out, 0)
		}
	}
	return append(out, 0xFF, mEOI)
}

func BenchmarkInspect25kB(b *testing.B) {
	f := camera(b)
	b.SetBytes(int64(len(f)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Inspect(f, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkClean25kB(b *testing.B) {
	f := camera(b)
	b.SetBytes(int64(len(f)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Clean(f, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkInspectStuffed is the worst case for the walk: every data byte an
// FF with its stuffing, one megabyte of them.
func BenchmarkInspectStuffed(b *testing.B) {
	f := sensorFrame(b, 16, 8)
	f = f[:len(f)-2]
	for len(f) < DefaultMaxBytes-2 {
		f = append(f, 0xFF, 0)
	}
	f = append(f, 0xFF, mEOI)
	b.SetBytes(int64(len(f)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Inspect(f, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}
