package picture

import (
	"image"

	"porthole/internal/frame"
)

// AdmitForeign admits a picture that is not the camera's, such as one of a
// recorded loop: it is brought to the size of the camera's, by scaling it until
// it covers that and cutting off what juts out. Where Config.Camera is not set,
// size is what the camera's pictures have, or zero if none has come yet, which
// leaves the picture as it is. The masks are burned in as on every frame. See
// [Pipeline.Admit] for the rest.
func (p *Pipeline) AdmitForeign(jpeg []byte, info frame.Info, size image.Point) (*Admitted, error) {
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
	steps, _ := ReadSteps(jpeg[:info.Len])
	g = cover(g, size)
	p.masks.Burn(g)
	info.Width, info.Height = size.X, size.Y
	return &Admitted{by: p, gray: g, steps: steps, mean: TrimmedMean(g, p.masks), info: info}, nil
}

// cover scales g to cover size, keeping its shape, and keeps the middle.
func cover(g *image.Gray, size image.Point) *image.Gray {
	w, h := g.Rect.Dx(), g.Rect.Dy()
	// Of g, the part with the shape of size.
	cw, ch := w, max(1, (w*size.Y+size.X/2)/size.X)
	if ch > h {
		cw, ch = max(1, min(w, (h*size.X+size.Y/2)/size.Y)), h
	}
	g = Crop(g, image.Rect(0, 0, cw, ch).Add(image.Pt((w-cw)/2, (h-ch)/2)))
	out := image.NewGray(image.Rectangle{Max: size})
	for y := range size.Y {
		// Pixel centres, in 1/256 of a pixel of g.
		v := min(max(((2*y+1)*ch*128)/size.Y-128, 0), (ch-1)*256)
		up := g.Pix[v/256*g.Stride:][:cw]
		low := g.Pix[min(v/256+1, ch-1)*g.Stride:][:cw]
		fy := v % 256
		for x := range size.X {
			u := min(max(((2*x+1)*cw*128)/size.X-128, 0), (cw-1)*256)
			i, j, fx := u/256, min(u/256+1, cw-1), u%256
			a := int(up[i])*(256-fx) + int(up[j])*fx
			b := int(low[i])*(256-fx) + int(low[j])*fx
			out.Pix[y*out.Stride+x] = uint8((a*(256-fy) + b*fy + 1<<15) >> 16)
		}
	}
	return out
}
