package slip

import (
	"errors"
	"io"
)

// A Reader reads frames from a byte stream. The first error of the stream is
// final: every later call returns it again. A *FrameError is not; the next call
// goes on behind the bad frame.
type Reader struct {
	r    io.Reader
	d    Decoder
	buf  [512]byte
	rest []byte // unread part of buf
	err  error
}

// NewReader returns a Reader for bodies up to limit bytes, 0 meaning MaxBody.
// Bytes between frames go to outside, which may be nil.
func NewReader(r io.Reader, limit int, outside func(b byte)) *Reader {
	return &Reader{r: r, d: Decoder{Limit: limit, Outside: outside}}
}

// ReadFrame returns the next body, valid until the next call. At the end of the
// stream it returns io.EOF between frames and io.ErrUnexpectedEOF inside one.
func (r *Reader) ReadFrame() ([]byte, error) {
	for empty := 0; ; {
		for i, b := range r.rest {
			body, ok, err := r.d.Push(b)
			if ok || err != nil {
				r.rest = r.rest[i+1:]
				return body, err
			}
		}
		r.rest = nil
		if r.err != nil {
			return nil, r.err
		}
		n, err := r.r.Read(r.buf[:])
		r.rest = r.buf[:n]
		if empty++; n > 0 {
			empty = 0
		}
		switch {
		case errors.Is(err, io.EOF):
			r.err = io.EOF
			if r.midAfterRest() {
				r.err = io.ErrUnexpectedEOF
			}
		case err != nil:
			r.err = err
		case empty >= 100:
			r.err = io.ErrNoProgress
		}
	}
}

// midAfterRest tells whether the stream ends inside a frame. The bytes in rest
// are still to be decoded, so it looks ahead with a copy that collects nothing.
func (r *Reader) midAfterRest() bool {
	d := Decoder{Limit: r.d.Limit, state: r.d.state}
	d.buf = append(d.buf, r.d.buf...)
	for range d.Feed(r.rest) {
	}
	return d.Mid()
}

// Buffered returns the bytes that were read from the stream and not yet decoded:
// what a change of protocol after a frame must take over.
func (r *Reader) Buffered() []byte { return r.rest }
