package picture

import (
	"image"
	"sync"

	"porthole/internal/frame"
)

// Pipeline makes the public picture of each frame of one camera. Its methods
// may be called by any number of goroutines: they take turns, so that one
// picture at a time is in memory.
type Pipeline struct {
	cfg   Config
	masks Masks
	turn  *sync.Mutex

	// Under turn.
	gain     Gain
	denoiser *Denoiser
	encoder  *Encoder
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
	if cfg.Denoise {
		p.denoiser = new(Denoiser)
	}
	return p, nil
}

// Process makes the public picture of a frame, which [frame.Inspect] or
// [frame.Clean] must have accepted with info. The error is an *Error if the
// picture is to blame. A refused picture changes nothing: what comes after it
// is as if it had never been.
func (p *Pipeline) Process(jpeg []byte, info frame.Info) (Result, error) {
	if c := p.cfg.Camera; c != (image.Point{}) && (info.Width != c.X || info.Height != c.Y) {
		return Result{}, fail(Size, "%d x %d pixels, the camera sends %d x %d", info.Width, info.Height, c.X, c.Y)
	}
	p.turn.Lock()
	defer p.turn.Unlock()
	g, rgb, err := Decode(jpeg, info)
	if err != nil {
		return Result{}, err
	}
	if rgb && p.masks.cell != nil {
		return Result{}, fail(Unsupported, "an RGB picture cannot be masked for certain")
	}
	steps, _ := ReadSteps(jpeg[:info.Len])
	return p.process(g, steps)
}

// process takes over at the decoded picture, which it overwrites.
func (p *Pipeline) process(g *image.Gray, steps Steps) (Result, error) {
	p.masks.Burn(g)
	if err := CheckTail(g, p.masks); err != nil {
		return Result{}, err
	}
	r := Result{Mean: TrimmedMean(g, p.masks), Moving: 1000}
	g = Downscale(Crop(g, p.cfg.Crop), p.cfg.Width)
	if p.cfg.Normalize {
		p.gain.Apply(g, r.Mean)
	}
	if p.denoiser != nil {
		r.Moving = p.denoiser.Apply(g, steps)
	}
	var err error
	if r.JPEG, err = p.encoder.Encode(g); err != nil {
		return Result{}, err
	}
	r.Picture, r.Width, r.Height = g, g.Rect.Dx(), g.Rect.Dy()
	return r, nil
}
