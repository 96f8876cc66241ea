package wire

import (
	"bytes"
	"io"
	"math/rand/v2"
	"mime/multipart"
	"testing"
)

// noise is an image of the size the boards send, with returns and hyphens at
// the rate of compressed data.
func noise(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func sketchBody(image []byte) []byte { return []byte(partHead + string(image) + partTail) }

func benchUpload(b *testing.B, image []byte) {
	body := sketchBody(image)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ReadUpload(bytes.NewReader(body), ContentType, FieldName, ReadLimits{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadUpload25kB(b *testing.B) { benchUpload(b, noise(25_000)) }

// BenchmarkReadUploadNearMisses is the worst case for the search: a megabyte
// of almost delimiters.
func BenchmarkReadUploadNearMisses(b *testing.B) {
	benchUpload(b, bytes.Repeat([]byte("\r\n--LMR?"), DefaultMaxFile/8))
}

// BenchmarkMimeMultipart25kB is the standard library on the same body.
func BenchmarkMimeMultipart25kB(b *testing.B) {
	body := sketchBody(noise(25_000))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		mr := multipart.NewReader(bytes.NewReader(body), Boundary)
		p, err := mr.NextPart()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadAll(p); err != nil {
			b.Fatal(err)
		}
		if _, err := mr.NextPart(); err != io.EOF {
			b.Fatal(err)
		}
	}
}

func BenchmarkSketch25kB(b *testing.B) {
	r := Request{Host: "camera.example.org", Path: UploadPath, Token: "0123456789abcde", JPEG: noise(25_000)}
	b.SetBytes(int64(len(r.JPEG)))
	b.ReportAllocs()
	for b.Loop() {
		if err := r.Sketch(io.Discard, SketchOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}
