package delta

import (
	"image"
	"slices"
)

// Decoder turns frames into pictures. The zero value waits for a key. Memory is
// bounded by the size of the picture, about six bytes a pixel; no input makes it
// panic or work longer than a picture's work.
type Decoder struct {
	now, spare *plane
	seq        uint32
	active     []uint8
	changes    changes
}

// Decode applies a frame. After an error the picture is what it was before.
func (d *Decoder) Decode(frame []byte) error {
	h, body, err := ReadHeader(frame)
	if err != nil {
		return err
	}
	if h.Key {
		if d.now == nil || d.now.w != h.Width || d.now.h != h.Height {
			// A picture of another size replaces this one only if it is right.
			next := Decoder{now: newPlane(h.Width, h.Height), spare: newPlane(h.Width, h.Height)}
			if err := next.decode(&h, body); err != nil {
				return err
			}
			*d = next
			return nil
		}
	} else if d.now == nil || h.Base != d.seq || h.Seq == h.Base {
		return ErrBase
	}
	return d.decode(&h, body)
}

func (d *Decoder) decode(h *Header, body []byte) error {
	if d.spare == nil { // of a clone
		d.spare = newPlane(d.now.w, d.now.h)
	}
	d.changes.parse(h, body, layoutOf(d.now.w, d.now.h), d.active)
	d.changes.apply(d.now, d.spare)
	if d.spare.sum() != h.Sum {
		return ErrSum
	}
	d.now, d.spare, d.seq = d.spare, d.now, h.Seq
	d.active = append(d.active[:0], d.changes.active...)
	return nil
}

// Seq is the number of the picture, and whether there is one.
func (d *Decoder) Seq() (uint32, bool) { return d.seq, d.now != nil }

// Picture returns a copy of the picture, nil if there is none.
func (d *Decoder) Picture() *image.Gray {
	if d.now == nil {
		return nil
	}
	return d.now.gray()
}

// Clone returns a decoder with the same picture, for viewers who go on from it
// each in their own way. It takes a byte a pixel until it decodes, and shares
// nothing with d.
func (d *Decoder) Clone() *Decoder {
	c := &Decoder{seq: d.seq, active: slices.Clone(d.active)}
	if d.now != nil {
		c.now = &plane{w: d.now.w, h: d.now.h, pw: d.now.pw, ph: d.now.ph, pix: slices.Clone(d.now.pix)}
	}
	return c
}
