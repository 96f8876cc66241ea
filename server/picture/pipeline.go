package picture

import (
	"image"
	"math/rand/v2"
	"sync"

	"porthole/server/webp"
)

// Pipeline makes the public pictures of one camera, in two steps, between which
// a frame may wait: [Pipeline.Admit] when a frame arrives, [Pipeline.Render]
// when it is published. Its methods may be called by any number of goroutines.
type Pipeline struct {
	cfg     Config
	masks   Masks
	turn    *sync.Mutex // of who decodes
	through bool        // does nothing

	mu       sync.Mutex // guards what follows
	gain     Gain
	denoiser *Denoiser
	encoder  *Encoder
	webp     *webp.Encoder // nil without
	saved    []state       // before a frame that can be revoked; one or none
}

// New returns a pipeline for cfg, or an error that says what is wrong with it.
func New(cfg Config) (*Pipeline, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	p := &Pipeline{
		cfg:     cfg,
		masks:   NewMasks(cfg.Camera, cfg.Masks),
		turn:    cfg.Turn,
		encoder: NewEncoder(cfg.Quality),
	}
	if p.turn == nil {
		p.turn = new(sync.Mutex)
	}
	if cfg.WebP {
		p.webp = webp.NewEncoder(webpIndex(cfg.Quality))
	}
	if cfg.Denoise {
		p.denoiser = new(Denoiser)
	}
	return p, nil
}

// webpIndex is the quantiser of WebP for a quality number of the JPEG. At the
// usual one, of the simulated room, it gives less than half of the bytes, 1.3 dB
// further from the room without noise.
func webpIndex(quality int) int { return min(quality*5/2, webp.MaxIndex) }

// PassThrough returns a pipeline that decodes and encodes nothing: the bytes
// that come in go out. It gives up what this package is for, so that a day of a
// feed passes within seconds of virtual time, and has no other use.
func PassThrough() *Pipeline { return &Pipeline{through: true} }

// Masked reports whether anything is painted over.
func (p *Pipeline) Masked() bool { return p.masks.cell != nil }

// Manner is how a frame is rendered beyond what the configuration says.
type Manner struct {
	// Join says that the frame before was from another time. The brightness goes
	// on where it was, and returns over some frames to what it would be.
	Join bool
	// Grain, if set, makes every picture differ from all others by an amount
	// that nobody sees.
	Grain *rand.Rand
	// Revocable frames can be taken back by [Pipeline.Revoke].
	Revocable bool
}

// Render makes the public picture of an admitted frame. Gain and denoiser go on
// from the frame rendered before, so frames are rendered in the order in which
// they are published, each once. The error is an *Error, and only possible for
// frames that another pipeline admitted: its masks are added to theirs, which
// may be impossible. A refused frame changes nothing.
func (p *Pipeline) Render(a *Admitted) (*Result, error) { return p.RenderIn(a, Manner{}) }

// RenderIn is Render in a manner.
func (p *Pipeline) RenderIn(a *Admitted, m Manner) (*Result, error) {
	a, err := p.Adopt(a)
	if err != nil {
		return nil, err
	}
	if p.through {
		return &Result{JPEG: a.jpeg, Width: a.info.Width, Height: a.info.Height, Moving: 1000}, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.saved = p.saved[:0]
	if m.Revocable {
		p.save()
	}
	r := &Result{Mean: a.mean, Moving: 1000}
	g := Downscale(Crop(a.gray, p.cfg.Crop), p.cfg.Width)
	if m.Join {
		p.gain.Join(r.Mean)
	}
	if p.cfg.Normalize {
		p.gain.Apply(g, r.Mean)
	} else {
		p.gain.Return(g, r.Mean)
	}
	if p.denoiser != nil {
		r.Moving = p.denoiser.Apply(g, a.steps)
	}
	if m.Grain != nil {
		sprinkle(g, m.Grain, int(p.encoder.table[0]))
	}
	if r.JPEG, err = p.encoder.Encode(g); err != nil {
		return nil, err
	}
	if p.webp != nil {
		if r.WebP, err = p.encodeWebP(g, m.Grain); err != nil {
			return nil, err
		}
	}
	r.Picture, r.Width, r.Height = g, g.Rect.Dx(), g.Rect.Dy()
	return r, nil
}

// encodeWebP makes the second rendition. Its quantiser is coarser than that of
// the JPEG and swallows what makes that one differ, so it gets grain of its own:
// larger squares, as little as survives.
func (p *Pipeline) encodeWebP(g *image.Gray, grain *rand.Rand) ([]byte, error) {
	if grain != nil {
		g = Crop(g, image.Rectangle{})
		lift(g, grain, 16, p.webp.Visible())
	}
	return p.webp.Encode(g)
}

// state is what a frame changes for the frames after it.
type state struct {
	gain     Gain
	denoiser *Denoiser
}

func (p *Pipeline) save() {
	s := state{gain: p.gain}
	if p.denoiser != nil {
		s.denoiser = p.denoiser.clone()
	}
	p.saved = append(p.saved, s)
}

// Revoke takes back the frame rendered last, if it was revocable: what comes
// after it is as if it had never been.
func (p *Pipeline) Revoke() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.saved) == 0 {
		return
	}
	p.gain, p.denoiser = p.saved[0].gain, p.saved[0].denoiser
	p.saved = p.saved[:0]
}
