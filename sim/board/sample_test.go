package board_test

import (
	"bytes"
	"compress/zlib"
	"math/rand/v2"
)

// sample is n bytes that look a little like code: compressible, not repetitive.
func sample(n int) []byte {
	r := rand.New(rand.NewPCG(uint64(n), 7))
	p := make([]byte, n)
	for i := range p {
		if p[i] = byte(r.Uint32()); i >= 64 && r.IntN(3) > 0 {
			p[i] = p[i-1-r.IntN(60)]
		}
	}
	return p
}

// pack compresses as flashers do.
func pack(data []byte) []byte {
	var buf bytes.Buffer
	w, _ := zlib.NewWriterLevel(&buf, zlib.BestCompression)
	w.Write(data)
	w.Close()
	return buf.Bytes()
}
