package sim

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"porthole/internal/frame"
)

// maxIndexed bounds the frames of a file that is played in any order.
const maxIndexed = 100_000

// splitter cuts a stream of concatenated JPEGs (MJPEG) into frames. Bytes
// between two frames, as multipart recordings have, are skipped.
type splitter struct {
	r      *bufio.Reader
	name   string
	limits frame.Limits
	off    int64 // of the next byte of r
	frames int
}

func newSplitter(r io.Reader, name string, limits frame.Limits) *splitter {
	return &splitter{r: bufio.NewReaderSize(r, 64<<10), name: name, limits: limits.WithDefaults()}
}

func (s *splitter) readByte() (byte, error) {
	b, err := s.r.ReadByte()
	if err == nil {
		s.off++
	}
	return b, err
}

// next returns the next frame and its offset in the stream; io.EOF after the last.
func (s *splitter) next() (jpeg []byte, off int64, err error) {
	if err := s.skipToSOI(); err != nil {
		return nil, 0, err
	}
	off = s.off - 2
	jpeg = append(make([]byte, 0, 32<<10), 0xFF, 0xD8)
	for {
		b, err := s.readByte()
		if errors.Is(err, io.EOF) {
			return nil, off, fmt.Errorf("frame %d at byte %d of %q is cut", s.frames+1, off, s.name)
		}
		if err != nil {
			return nil, off, fmt.Errorf("read %q: %w", s.name, err)
		}
		jpeg = append(jpeg, b)
		if len(jpeg) > s.limits.MaxBytes {
			return nil, off, fmt.Errorf("frame %d at byte %d of %q is larger than %d bytes", s.frames+1, off, s.name, s.limits.MaxBytes)
		}
		if b != 0xD9 || jpeg[len(jpeg)-2] != 0xFF {
			continue
		}
		// An EOI may belong to a thumbnail: only a walk can tell.
		_, err = frame.Inspect(jpeg, s.limits)
		if e, ok := errors.AsType[*frame.Error](err); ok && e.Kind == frame.Cut {
			continue
		}
		if err != nil {
			return nil, off, fmt.Errorf("frame %d at byte %d of %q: %w", s.frames+1, off, s.name, err)
		}
		s.frames++
		return jpeg, off, nil
	}
}

// skipToSOI consumes up to and including the next SOI marker.
func (s *splitter) skipToSOI() error {
	for prev := byte(0); ; {
		b, err := s.readByte()
		if errors.Is(err, io.EOF) {
			if s.frames == 0 {
				return fmt.Errorf("no JPEG in %q", s.name)
			}
			return io.EOF
		}
		if err != nil {
			return fmt.Errorf("read %q: %w", s.name, err)
		}
		if prev == 0xFF && b == 0xD8 {
			return nil
		}
		prev = b
	}
}

// Recording is a source that plays a file of concatenated JPEGs.
type Recording struct {
	r     io.ReaderAt
	name  string
	order Order
	spans []span
	step  uint64
}

type span struct {
	off int64
	n   int
}

// OpenRecording returns the source for the file r. All frames are checked first.
func OpenRecording(r io.ReaderAt, size int64, name string, order Order, limits frame.Limits) (*Recording, error) {
	rec := &Recording{r: r, name: name, order: order}
	split := newSplitter(io.NewSectionReader(r, 0, size), name, limits)
	for {
		jpeg, off, err := split.next()
		if err == io.EOF {
			return rec, nil
		}
		if err != nil {
			return nil, fmt.Errorf("open source: %w", err)
		}
		if len(rec.spans) == maxIndexed {
			return nil, fmt.Errorf("open source: more than %d frames in %q", maxIndexed, name)
		}
		rec.spans = append(rec.spans, span{off, len(jpeg)})
	}
}

// Len returns the number of frames in the file.
func (r *Recording) Len() int { return len(r.spans) }

// Next implements Source.
func (r *Recording) Next(context.Context, uint64, time.Duration) ([]byte, error) {
	i, ok := r.order.index(r.step, len(r.spans))
	if !ok {
		return nil, io.EOF
	}
	r.step++
	jpeg := make([]byte, r.spans[i].n)
	if _, err := r.r.ReadAt(jpeg, r.spans[i].off); err != nil {
		return nil, fmt.Errorf("read frame %d of %q: %w", i+1, r.name, err)
	}
	if !bytes.HasPrefix(jpeg, []byte{0xFF, 0xD8}) {
		return nil, fmt.Errorf("read frame %d of %q: the file has changed", i+1, r.name)
	}
	return jpeg, nil
}

// Stream is a source that plays concatenated JPEGs as they arrive, such as from
// standard input. Each frame is played once.
type Stream struct {
	frames chan result
}

type result struct {
	jpeg []byte
	err  error
}

// NewStream returns the source for r. Reading goes one frame ahead, in a
// goroutine that ends with the stream or with ctx; a Read of r that never
// returns keeps it.
func NewStream(ctx context.Context, r io.Reader, name string, limits frame.Limits) *Stream {
	s := &Stream{make(chan result)}
	split := newSplitter(r, name, limits)
	go func() {
		for {
			jpeg, _, err := split.next()
			select {
			case s.frames <- result{jpeg, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				close(s.frames)
				return
			}
		}
	}()
	return s
}

// Next implements Source. It waits for a frame to arrive.
func (s *Stream) Next(ctx context.Context, _ uint64, _ time.Duration) ([]byte, error) {
	select {
	case r, ok := <-s.frames:
		if !ok {
			return nil, io.EOF
		}
		return r.jpeg, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
