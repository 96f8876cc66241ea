package board

import (
	"bytes"
	"compress/zlib"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
)

func deflate(t testing.TB, level int, data []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := zlib.NewWriterLevel(&buf, level)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// inflateAll feeds stream in pieces of n bytes.
func inflateAll(stream []byte, n int) (out []byte, z *inflater, err error) {
	z = newInflater()
	for len(stream) > 0 {
		k := min(n, len(stream))
		z.feed(stream[:k])
		stream = stream[k:]
		for {
			p, err := z.next()
			if err != nil {
				return out, z, err
			}
			if len(p) == 0 {
				break
			}
			out = append(out, p...)
		}
	}
	return out, z, nil
}

// mixed is data with runs, text-like parts and noise, so that all block types and
// long distances occur.
func mixed(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	var p []byte
	for len(p) < n {
		switch r.IntN(4) {
		case 0:
			p = append(p, bytes.Repeat([]byte{byte(r.Uint32())}, r.IntN(3000))...)
		case 1:
			for range r.IntN(2000) {
				p = append(p, "etaoin shrdlu"[r.IntN(13)])
			}
		case 2:
			for range r.IntN(5000) {
				p = append(p, byte(r.Uint32()))
			}
		default:
			if k := min(len(p), windowSize); k > 0 {
				from := len(p) - 1 - r.IntN(k)
				p = append(p, p[from:min(from+r.IntN(400), len(p))]...)
			}
		}
	}
	return p[:n]
}

func TestInflate(t *testing.T) {
	for _, size := range []int{0, 1, 255, outChunk - 1, outChunk, outChunk + 1, windowSize, windowSize + 1, 300_000} {
		data := mixed(size)
		for _, level := range []int{zlib.NoCompression, zlib.BestSpeed, zlib.BestCompression, zlib.HuffmanOnly} {
			stream := deflate(t, level, data)
			for _, piece := range []int{1, 7, 1024, 1 << 20} {
				out, z, err := inflateAll(stream, piece)
				if err != nil || !z.done() || !bytes.Equal(out, data) {
					t.Fatalf("%d bytes, level %d, pieces of %d: %d bytes, done %v, %v", size, level, piece, len(out), z.done(), err)
				}
			}
		}
	}
}

// TestInflateKeepsUp checks what the standard library cannot do: a flushed block
// is given out completely before the next one arrives.
func TestInflateKeepsUp(t *testing.T) {
	var buf bytes.Buffer
	w := zlib.NewWriter(&buf)
	z := newInflater()
	for i := range 5 {
		part := mixed(100 * (i + 1))
		w.Write(part)
		w.Flush()
		z.feed(buf.Bytes())
		buf.Reset()
		got, err := z.next()
		if err != nil || !bytes.Equal(got, part) {
			t.Fatalf("part %d: %d of %d bytes, %v", i, len(got), len(part), err)
		}
	}
}

func TestInflateFailures(t *testing.T) {
	good := deflate(t, zlib.BestCompression, mixed(5000))
	broken := func(f func(p []byte) []byte) []byte { return f(bytes.Clone(good)) }
	for _, tt := range []struct {
		name   string
		stream []byte
		want   error
	}{
		{"no zlib", []byte("not a zlib stream"), errDeflate},
		{"dictionary", []byte{0x78, 0xBB, 0, 0, 0, 0}, errDeflate},
		{"reserved block type", []byte{0x78, 0x9C, 0x07}, errDeflate},
		{"stored length complement", []byte{0x78, 0x9C, 0x01, 5, 0, 5, 0}, errDeflate},
		{"distance before the start", []byte{0x78, 0x9C, 0x03, 0x02, 0, 0}, errDeflate},
		{"checksum", broken(func(p []byte) []byte { p[len(p)-1] ^= 1; return p }), errAdler},
	} {
		for _, piece := range []int{1, 1 << 20} {
			if _, z, err := inflateAll(tt.stream, piece); !errors.Is(err, tt.want) || z.done() {
				t.Errorf("%s in pieces of %d: %v, want %v", tt.name, piece, err, tt.want)
			} else if _, err := z.next(); err == nil {
				t.Errorf("%s: the failure is not final", tt.name)
			}
		}
	}
	if _, z, err := inflateAll(good[:len(good)-1], 64); err != nil || z.done() {
		t.Errorf("cut stream: done %v, %v", z.done(), err)
	}
}

// FuzzInflate compares with the standard library: same output, and the same verdict
// on complete streams.
func FuzzInflate(f *testing.F) {
	f.Add(deflate(f, zlib.BestCompression, mixed(3000)), uint16(64))
	f.Add(deflate(f, zlib.NoCompression, mixed(300)), uint16(1))
	f.Fuzz(func(t *testing.T, stream []byte, piece uint16) {
		const most = 1 << 20
		var want []byte
		zr, wantErr := zlib.NewReader(bytes.NewReader(stream))
		if wantErr == nil {
			want, wantErr = io.ReadAll(io.LimitReader(zr, most))
		}
		if len(want) == most {
			t.Skip("a bomb: bounded by the loaders, not here")
		}
		out, z, err := inflateAll(stream, max(int(piece), 1))
		if wantErr == nil && (err != nil || !z.done() || !bytes.Equal(out, want)) {
			t.Fatalf("standard library: %d bytes; got %d, done %v, %v", len(want), len(out), z.done(), err)
		}
		if wantErr != nil && z.done() {
			t.Fatalf("accepted a stream that the standard library refuses: %v", wantErr)
		}
	})
}

func BenchmarkInflate(b *testing.B) {
	data := mixed(1 << 20)
	stream := deflate(b, zlib.BestCompression, data)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, _, err := inflateAll(stream, 0x400); err != nil {
			b.Fatal(err)
		}
	}
}
