package slip

import "iter"

// A Decoder takes a serial line byte by byte and gives back the frames on it. It
// never blocks and never fails for good, so the receiver can live on a line with
// noise. The zero value is ready and limits bodies to MaxBody. Not safe for
// concurrent use.
type Decoder struct {
	// Limit is the largest accepted body in bytes; 0 means MaxBody.
	Limit int
	// Outside, if set, gets every byte that is not part of a frame, in order:
	// boot logs, console lines, noise.
	Outside func(b byte)

	state state
	buf   []byte
}

type state uint8

const (
	outside state = iota // before an opening C0
	inside               // collecting a body
	escaped              // the last byte was DB
	broken               // a bad frame: drop up to the next C0
)

// Push takes one byte. When it completes a frame, the body is returned with ok
// set; the slice is valid until the next Push. When it breaks a frame, err is a
// *FrameError.
func (d *Decoder) Push(b byte) (body []byte, ok bool, err error) {
	switch d.state {
	case outside:
		if b == End {
			d.open()
		} else if d.Outside != nil {
			d.Outside(b)
		}
	case inside:
		switch b {
		case End:
			if len(d.buf) == 0 {
				return nil, false, nil // C0 C0: the second one opens
			}
			d.state = outside
			return d.buf, true, nil
		case Esc:
			d.state = escaped
		default:
			return nil, false, d.add(b)
		}
	case escaped:
		d.state = inside
		switch b {
		case EscEnd:
			return nil, false, d.add(End)
		case EscEsc:
			return nil, false, d.add(Esc)
		case End:
			// The frame ends in the middle of an escape. C0 may as well be the
			// opening byte of the next frame, and an empty frame costs nothing.
			d.open()
		default:
			d.state = broken
		}
		return nil, false, &FrameError{Problem: BadEscape, Byte: b}
	case broken:
		if b == End {
			d.open()
		}
	}
	return nil, false, nil
}

func (d *Decoder) open() {
	d.state = inside
	d.buf = d.buf[:0]
}

func (d *Decoder) add(b byte) error {
	limit := d.Limit
	if limit == 0 {
		limit = MaxBody
	}
	if len(d.buf) >= limit {
		d.state = broken
		return &FrameError{Problem: TooLong, Limit: limit}
	}
	d.buf = append(d.buf, b)
	return nil
}

// Feed takes p and yields the frames that it completes, in order, each as
// (body, nil) or (nil, *FrameError). A body is valid until the next step of the
// loop. All of p is consumed, also when the loop is left early.
func (d *Decoder) Feed(p []byte) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		more := true
		for _, b := range p {
			body, ok, err := d.Push(b)
			if more && (ok || err != nil) {
				more = yield(body, err)
			}
		}
	}
}

// Mid reports whether a frame has begun and is not complete: at the end of a
// stream, that it was cut.
func (d *Decoder) Mid() bool {
	return d.state == escaped || d.state == inside && len(d.buf) > 0
}

// Reset forgets a frame in progress and releases the buffer. Limit and Outside
// stay.
func (d *Decoder) Reset() {
	d.state = outside
	d.buf = nil
}
