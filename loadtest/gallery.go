package loadtest

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"image"
	"image/jpeg"
	"sync"
	"time"

	"porthole/internal/scene"
)

// Stamp is what a picture says about itself.
type Stamp struct {
	Seq      uint64
	Captured time.Time
}

// Stamper reads the stamp of a picture as it came from the server. It returns
// [ErrNoStamp] for a picture that carries none, [ErrStampDamaged] for one whose
// stamp cannot be trusted, and any other error for bytes that are no picture.
type Stamper func(picture []byte) (Stamp, error)

// What a [Stamper] says of a picture that can be shown but not dated.
var (
	ErrNoStamp      = errors.New("no picture stamp")
	ErrStampDamaged = errors.New("damaged picture stamp")
)

// maxPixels bounds what ReadPicture decodes; an 8-bit colour picture of this
// size takes 24 MB.
const maxPixels = 8 << 20

// ReadPicture is the [Stamper] of simulated scenes: a JPEG with the strip that
// package scene draws.
func ReadPicture(picture []byte) (Stamp, error) {
	head, err := jpeg.DecodeConfig(bytes.NewReader(picture))
	if err != nil {
		return Stamp{}, fmt.Errorf("read picture: %w", err)
	}
	if head.Width*head.Height > maxPixels {
		return Stamp{}, fmt.Errorf("read picture: %dx%d pixels are too many", head.Width, head.Height)
	}
	img, err := jpeg.Decode(bytes.NewReader(picture))
	if err != nil {
		return Stamp{}, fmt.Errorf("decode picture: %w", err)
	}
	return readStamp(img)
}

// readStamp reads the stamp of a decoded picture.
func readStamp(img image.Image) (Stamp, error) {
	s, err := scene.ReadStamp(img)
	switch {
	case errors.Is(err, scene.ErrStampDamaged):
		return Stamp{}, ErrStampDamaged
	case err != nil:
		return Stamp{}, ErrNoStamp
	}
	return Stamp{Seq: s.Seq, Captured: s.Captured}, nil
}

// picture is one distinct picture, shared by all its viewers. Its fields are
// written once, before done is closed.
type picture struct {
	once     sync.Once
	stamp    Stamp
	stamped  bool
	damaged  bool // there is a stamp, but it is not to be trusted
	source   Source
	err      error // it cannot be shown at all
	resolved bool  // guarded by gallery.mu
	dropped  bool  // likewise: forgotten before it was resolved
}

// dated says whether the picture's age is an age of the live feed.
func (p *picture) dated() bool { return p.stamped && p.source != Loop }

// maxPictures bounds how many pictures are remembered, the oldest go first. At
// one every two seconds that is two hours; a picture older than that would be
// decoded again.
const maxPictures = 4096

// maxETag is the longest ETag that is used. A longer one is treated as none.
const maxETag = 512

// collection counts distinct pictures.
type collection struct {
	Distinct    uint64 `json:"distinct"`
	Unstamped   uint64 `json:"unstamped"`    // can be shown, carries no stamp
	Damaged     uint64 `json:"damaged"`      // can be shown, its stamp is not to be trusted
	NotPictures uint64 `json:"not_pictures"` // cannot be shown
}

// exhibit is what one distinct picture was.
type exhibit uint8

const (
	stamped exhibit = iota
	unstamped
	damagedStamp
	notPicture
)

func (p *picture) exhibit() exhibit {
	switch {
	case p.err != nil:
		return notPicture
	case p.damaged:
		return damagedStamp
	case !p.stamped:
		return unstamped
	}
	return stamped
}

func (c *collection) count(e exhibit) {
	c.Distinct++
	switch e {
	case notPicture:
		c.NotPictures++
	case damagedStamp:
		c.Damaged++
	case unstamped:
		c.Unstamped++
	}
}

func (c *collection) add(o collection) {
	c.Distinct += o.Distinct
	c.Unstamped += o.Unstamped
	c.Damaged += o.Damaged
	c.NotPictures += o.NotPictures
}

// gallery remembers every distinct picture by its ETag, or by a hash of its
// bytes where the server sends no ETag, and has each decoded once.
type gallery struct {
	stamper Stamper
	truth   Truth
	seed    maphash.Seed

	mu       sync.Mutex
	pictures map[string]*picture
	order    []string // ring of keys, oldest at next once it is full
	next     int
	// forgotten counts the pictures that are not remembered any more.
	forgotten collection
}

func newGallery(s Stamper, t Truth) *gallery {
	return &gallery{stamper: s, truth: t, seed: maphash.MakeSeed(), pictures: make(map[string]*picture)}
}

// known returns the picture with this ETag if its stamp has been read: then
// nobody needs its bytes.
func (g *gallery) known(etag string) *picture {
	if etag == "" {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if p := g.pictures[etag]; p != nil && p.resolved {
		return p
	}
	return nil
}

// resolve returns the picture with this ETag and these bytes, which arrived
// complete at the given instant. The first caller decodes; others with the same
// picture wait for it.
func (g *gallery) resolve(etag string, body []byte, at time.Time) *picture {
	if etag == "" {
		etag = fmt.Sprintf("#%016x", maphash.Bytes(g.seed, body)) // no ETag begins with #
	}
	return g.resolveBy(etag, at, func() (Stamp, error) { return g.stamper(body) })
}

// resolveBy is resolve for a picture with a name, of whatever form.
func (g *gallery) resolveBy(name string, at time.Time, read func() (Stamp, error)) *picture {
	g.mu.Lock()
	p := g.pictures[name]
	if p == nil {
		p = new(picture)
		g.remember(name, p)
	}
	g.mu.Unlock()

	p.once.Do(func() {
		if g.truth != nil {
			p.source = g.truth.Source(at)
			if p.source >= sources {
				p.source = Unknown
			}
		}
		stamp, err := read()
		switch {
		case err == nil:
			p.stamp, p.stamped = stamp, true
		case errors.Is(err, ErrStampDamaged):
			p.damaged = true
		case !errors.Is(err, ErrNoStamp):
			p.err = err
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		p.resolved = true
		if p.dropped {
			g.forgotten.count(p.exhibit())
		}
	})
	return p
}

// remember stores p and forgets the oldest when there are too many.
func (g *gallery) remember(key string, p *picture) {
	g.pictures[key] = p
	if len(g.order) < maxPictures {
		g.order = append(g.order, key)
		return
	}
	if old := g.pictures[g.order[g.next]]; old.resolved {
		g.forgotten.count(old.exhibit())
	} else {
		old.dropped = true // counted when it is resolved
	}
	delete(g.pictures, g.order[g.next])
	g.order[g.next] = key
	g.next = (g.next + 1) % maxPictures
}

// exhibits returns what the remembered pictures were, and counts the others.
func (g *gallery) exhibits() (map[string]exhibit, collection) {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make(map[string]exhibit, len(g.pictures))
	for key, p := range g.pictures {
		if p.resolved {
			all[key] = p.exhibit()
		}
	}
	return all, g.forgotten
}
