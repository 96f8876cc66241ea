package picture

import (
	"image"

	"porthole/internal/frame"
)

// Admitted is a frame of a camera that may be shown: decoded, masked, and
// complete to its last row. It is immutable, so it may be held back, recorded
// and rendered by any goroutine. It holds one byte a pixel.
type Admitted struct {
	by    *Pipeline   // whose masks are in it
	gray  *image.Gray // origin (0, 0), adjacent rows; nil from a pass-through
	steps Steps       // that the camera quantised it with
	mean  uint8
	info  frame.Info
	jpeg  []byte // of a pass-through only
}

// Size returns the width and height that the camera sent.
func (a *Admitted) Size() image.Point { return image.Pt(a.info.Width, a.info.Height) }

// Mean is the trimmed mean brightness outside of the masks, 0..255.
func (a *Admitted) Mean() uint8 { return a.mean }

// JPEG returns the frame as a file to keep: masked, and on the quantisation
// steps of the camera, so that admitting it again gives the same picture but
// for rounding. It is not meant to be published.
func (a *Admitted) JPEG() ([]byte, error) {
	if a.gray == nil {
		return a.jpeg, nil
	}
	var table [64]uint8
	for i, step := range a.steps {
		table[i] = uint8(min(max(step, 1), 255))
	}
	e := newEncoder(table)
	e.lone = true
	return e.Encode(a.gray)
}

// Admit decodes a frame, which [frame.Inspect] or [frame.Clean] must have
// accepted with info, burns the masks in and checks that it is complete. It
// changes nothing of the pipeline. The error is an *Error.
//
// Any number of goroutines may call it: they take turns, so that one picture at
// a time is being decoded.
func (p *Pipeline) Admit(jpeg []byte, info frame.Info) (*Admitted, error) {
	if err := p.checkSize(info.Width, info.Height); err != nil {
		return nil, err
	}
	if p.through {
		return &Admitted{by: p, info: info, jpeg: jpeg[:info.Len:info.Len]}, nil
	}
	p.turn.Lock()
	defer p.turn.Unlock()
	g, rgb, err := Decode(jpeg, info)
	if err != nil {
		return nil, err
	}
	if rgb && p.masks.cell != nil {
		return nil, fail(Unsupported, "an RGB picture cannot be masked for certain")
	}
	steps, _ := ReadSteps(jpeg[:info.Len])
	// The copy lets go of the colour planes, which share memory with the luma.
	return p.admit(Crop(g, image.Rectangle{}), steps, info)
}

// AdmitRecorded is Admit for a picture that need not be of this camera, such as
// one of a loop. A picture of another size is fitted to that of the camera, or
// to size where the configuration does not give it, so that live and recorded
// pictures have one size; the zero size leaves it as it is. It gets the masks
// too, so that they do not tell one from the other.
func (p *Pipeline) AdmitRecorded(jpeg []byte, info frame.Info, size image.Point) (*Admitted, error) {
	if p.cfg.Camera != (image.Point{}) {
		size = p.cfg.Camera
	}
	if p.through || size == (image.Point{}) || size == image.Pt(info.Width, info.Height) {
		return p.Admit(jpeg, info)
	}
	p.turn.Lock()
	defer p.turn.Unlock()
	g, _, err := Decode(jpeg, info)
	if err != nil {
		return nil, err
	}
	// Scaled, it is on no quantiser's steps: those of the usual camera will do.
	var steps Steps
	for i, step := range quantTable(DefaultQuality) {
		steps[i] = uint16(step)
	}
	info.Width, info.Height = size.X, size.Y
	return p.admit(Fit(g, size), steps, info)
}

// admit takes over at the decoded picture, which it keeps.
func (p *Pipeline) admit(g *image.Gray, steps Steps, info frame.Info) (*Admitted, error) {
	p.masks.Burn(g)
	if err := CheckTail(g, p.masks); err != nil {
		return nil, err
	}
	return &Admitted{by: p, gray: g, steps: steps, mean: TrimmedMean(g, p.masks), info: info}, nil
}

func (p *Pipeline) checkSize(width, height int) error {
	if c := p.cfg.Camera; c != (image.Point{}) && (width != c.X || height != c.Y) {
		return fail(Size, "%d x %d pixels, the camera sends %d x %d", width, height, c.X, c.Y)
	}
	return nil
}

// Adopt returns a as this pipeline would have admitted it: to the masks it has,
// those of p are added. It is a itself if p admitted it. The error is an *Error.
func (p *Pipeline) Adopt(a *Admitted) (*Admitted, error) {
	switch {
	case a.by == p:
		return a, nil
	case p.through != (a.gray == nil):
		return nil, fail(Unsupported, "admitted by a pipeline of another kind")
	case p.through:
		return a, nil
	}
	if err := p.checkSize(a.info.Width, a.info.Height); err != nil {
		return nil, err
	}
	return p.admit(Crop(a.gray, image.Rectangle{}), a.steps, a.info)
}
