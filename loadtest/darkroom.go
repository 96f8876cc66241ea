package loadtest

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"image"
	"sync"
	"time"

	"porthole/server/delta"
)

// maxDeveloped bounds how many decoded pictures are remembered, the oldest go
// first. A picture that some viewer still has on the screen stays until that one
// has the next. Of the usual 800x600 they take 23 MB, of the largest 92 MB.
const maxDeveloped = 48

// darkroom decodes frames of changes for all viewers. Those who began with one
// key and got every frame since have the same picture: each frame is decoded
// once for all of them.
type darkroom struct {
	gallery *gallery
	seed    maphash.Seed

	mu    sync.Mutex
	known map[uint64]*developed
	order [maxDeveloped]uint64 // ring of what is known, oldest at next once it is full
	count int
	next  int
}

// developed is a decoded picture, shared by all who have it. Its fields are
// written once.
type developed struct {
	once sync.Once
	// id is a hash of the key that it began with and of all frames since: equal
	// ids are equal pictures, and equal decoders.
	id      uint64
	decoder *delta.Decoder // never decodes itself; nil if err is set
	seq     uint32
	size    image.Point
	life    uint32 // of a line of pictures of that size
	picture *picture
	err     error // of delta.Decoder
}

func newDarkroom(g *gallery) *darkroom {
	return &darkroom{gallery: g, seed: maphash.MakeSeed(), known: make(map[uint64]*developed)}
}

// develop returns what a frame makes of a picture, nil for none, with err set if
// that is nothing. The frame arrived complete at the given instant. The first
// caller decodes; others with the same picture and frame wait for it. The frame
// is not kept.
func (d *darkroom) develop(from *developed, frame []byte, at time.Time) *developed {
	next := d.find(from, frame)
	next.once.Do(func() { next.err = d.decode(next, from, frame, at) })
	return next
}

// find returns the entry for a picture and a frame.
func (d *darkroom) find(from *developed, frame []byte) *developed {
	var h maphash.Hash
	h.SetSeed(d.seed)
	if from != nil {
		var id [8]byte
		binary.BigEndian.PutUint64(id[:], from.id)
		h.Write(id[:])
	}
	h.Write(frame)
	id := h.Sum64()
	d.mu.Lock()
	defer d.mu.Unlock()
	if p := d.known[id]; p != nil {
		return p
	}
	p := &developed{id: id}
	d.known[id] = p
	if d.count == maxDeveloped {
		delete(d.known, d.order[d.next])
	} else {
		d.count++
	}
	d.order[d.next] = id
	d.next = (d.next + 1) % maxDeveloped
	return p
}

func (d *darkroom) decode(p, from *developed, frame []byte, at time.Time) error {
	decoder := new(delta.Decoder)
	if from != nil {
		decoder = from.decoder.Clone()
	}
	if err := decoder.Decode(frame); err != nil {
		return err
	}
	p.seq, _ = decoder.Seq()
	img := decoder.Picture()
	p.size = img.Rect.Size()
	p.life = delta.LineLife(p.size.X, p.size.Y)
	// The number names the picture. Lines have it in slightly other pixels, which
	// makes no other picture of it, and agents count the same ones together.
	p.picture = d.gallery.resolveBy(fmt.Sprintf("~%d", p.seq), at, func() (Stamp, error) { return readStamp(img) })
	// A clone has neither the picture before nor what the frame said.
	p.decoder = decoder.Clone()
	return nil
}
