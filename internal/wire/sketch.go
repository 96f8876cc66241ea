package wire

import (
	"fmt"
	"io"
	"iter"
	"strconv"
)

// SketchOptions changes the sketch profile. The zero value is faithful.
type SketchOptions struct {
	// FixLastKB sends the last 1024 bytes of an image whose length is a
	// multiple of 1024.
	FixLastKB bool
}

// Sketch writes the request as the board's program does: exactly one Write per
// record, none of them empty, nothing buffered. It stops at the first error;
// what was written by then stays written.
func (r Request) Sketch(w io.Writer, opt SketchOptions) error {
	if err := r.validate(); err != nil {
		return fmt.Errorf("write upload: %w", err)
	}
	i := 0
	for record := range r.SketchRecords(opt) {
		i++
		n, err := w.Write(record)
		if err == nil && n < len(record) {
			err = io.ErrShortWrite
		}
		if err != nil {
			return fmt.Errorf("write record %d of upload: %w", i, err)
		}
	}
	return nil
}

// SketchRecords yields the plaintext of each record in order. A record is
// valid until the next one is asked for; image records are views into r.JPEG.
// Host, Path and Token are taken as they are.
func (r Request) SketchRecords(opt SketchOptions) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		buf := make([]byte, 0, 128)
		text := func(parts ...string) bool {
			buf = buf[:0]
			for _, p := range parts {
				buf = append(buf, p...)
			}
			return yield(buf)
		}
		// println is two writes: the text, then the line end (esp32-wire 1.2).
		line := func(parts ...string) bool { return text(parts...) && text(crlf) }

		if !line("POST ", r.Path, " HTTP/1.1") ||
			!line("Host: ", r.Host) ||
			!line("Authorization: Bearer ", r.Token) ||
			!line("Content-Length: ", strconv.Itoa(r.ContentLength())) ||
			!line("Content-Type: ", ContentType) ||
			!text(crlf) ||
			!text(partHead) {
			return
		}
		// The sketch's own loop: whole chunks while more than one is left, then
		// the remainder. A remainder of exactly one chunk satisfies neither
		// branch, and that is the defect.
		size := len(r.JPEG)
		for n := 0; n < size; n += ChunkLen {
			switch {
			case n+ChunkLen < size:
				if !yield(r.JPEG[n : n+ChunkLen]) {
					return
				}
			case size%ChunkLen > 0 || opt.FixLastKB:
				if !yield(r.JPEG[n:]) {
					return
				}
			}
		}
		text(partTail)
	}
}

// validate refuses what would change the shape of the request. The sketch
// itself checks nothing; its values are compiled in.
func (r Request) validate() error {
	if r.Host == "" {
		return fmt.Errorf("empty host")
	}
	if r.Path == "" || r.Path[0] != '/' {
		return fmt.Errorf("path %q does not start with a slash", r.Path)
	}
	for _, f := range []struct{ name, value string }{{"host", r.Host}, {"path", r.Path}} {
		if !visible(f.value) {
			return fmt.Errorf("%s %q holds a blank or a control character", f.name, f.value)
		}
	}
	if !visible(r.Token) {
		// The value is a secret and stays out of the message.
		return fmt.Errorf("token holds a blank or a control character")
	}
	return nil
}

// visible reports whether s consists of printable ASCII without blanks.
func visible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
