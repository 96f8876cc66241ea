package tui

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"

	"github.com/charmbracelet/colorprofile"
)

// maxPixels bounds what is decoded: a picture claims its size in a few bytes.
const maxPixels = 1600 * 1200

// decode reads a JPEG as gray. It is called outside of Update.
func decode(data []byte) (*image.Gray, error) {
	cfg, err := jpeg.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("decode picture: %w", err)
	}
	if cfg.Width <= 0 || cfg.Height <= 0 || cfg.Width*cfg.Height > maxPixels {
		return nil, fmt.Errorf("decode picture: %dx%d is too large", cfg.Width, cfg.Height)
	}
	img, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("decode picture: %w", err)
	}
	switch img := img.(type) {
	case *image.Gray:
		return img, nil
	case *image.YCbCr: // luma is the gray picture
		return &image.Gray{Pix: img.Y, Stride: img.YStride, Rect: img.Rect}, nil
	}
	b := img.Bounds()
	gray := image.NewGray(b)
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			gray.Set(x, y, color.GrayModel.Convert(img.At(x, y)))
		}
	}
	return gray, nil
}

var errNoRoom = errors.New("too small for a picture")

// fit is the largest size in cells, within w x h, that keeps the proportions of
// a picture. A cell is twice as high as wide.
func fit(b image.Rectangle, w, h int) (int, int, error) {
	if w < 8 || h < 4 || b.Empty() {
		return 0, 0, errNoRoom
	}
	cols, rows := w, (w*b.Dy()+b.Dx())/(2*b.Dx())
	if rows > h {
		cols, rows = min(h*2*b.Dx()/b.Dy(), w), h
	}
	return max(cols, 1), max(rows, 1), nil
}

// shrink averages a picture down to w x h and stretches its contrast between the
// 2nd and the 98th percentile: rooms at dusk use few grays.
func shrink(img *image.Gray, w, h int) []uint8 {
	out := average(img, w, h)
	var histogram [256]int
	for _, v := range out {
		histogram[v]++
	}
	lo, hi := percentile(&histogram, len(out)/50), percentile(&histogram, len(out)-len(out)/50-1)
	if hi-lo < 16 {
		return out // flat: stretching would show noise
	}
	for i, v := range out {
		out[i] = uint8(min(max((int(v)-lo)*255/(hi-lo), 0), 255))
	}
	return out
}

// average reduces a picture to w x h by the mean of each part.
func average(img *image.Gray, w, h int) []uint8 {
	b := img.Bounds()
	out := make([]uint8, w*h)
	for y := range h {
		y0, y1 := b.Min.Y+y*b.Dy()/h, b.Min.Y+max((y+1)*b.Dy()/h, y*b.Dy()/h+1)
		for x := range w {
			x0, x1 := b.Min.X+x*b.Dx()/w, b.Min.X+max((x+1)*b.Dx()/w, x*b.Dx()/w+1)
			sum := 0
			for yy := y0; yy < y1; yy++ {
				at := img.PixOffset(x0, yy)
				for _, v := range img.Pix[at : at+x1-x0] {
					sum += int(v)
				}
			}
			out[y*w+x] = uint8(sum / ((x1 - x0) * (y1 - y0)))
		}
	}
	return out
}

func percentile(histogram *[256]int, n int) int {
	for v, count := range histogram {
		if n -= count; n < 0 {
			return v
		}
	}
	return 255
}

// ramp are characters from dark to light.
const ramp = " .:-=+*#%@"

// bayer is the order in which dots of a 4x4 dither light up.
var bayer = [4][4]int{{0, 8, 2, 10}, {12, 4, 14, 6}, {3, 11, 1, 9}, {15, 7, 13, 5}}

// fourGrays are the palette's own grays: the only ones that a terminal with 16
// colours has.
var fourGrays = [4]int16{1 + 0, 1 + 8, 1 + 7, 1 + 15}

// shadeOf gives a pixel's colour: one of 24 grays, which is quantised enough for
// camera noise not to repaint the whole picture, or one of four with dither.
func shadeOf(v uint8, x, y int, profile colorprofile.Profile) int16 {
	if profile >= colorprofile.ANSI256 {
		return int16(1 + 232 + int(v)*24/256)
	}
	return fourGrays[min((int(v)*3+bayer[y%4][x%4]*255/16)/255, 3)]
}

// thumbnail is a picture in cells, ready to be drawn.
type thumbnail struct {
	w, h  int
	cells []cell
}

// newThumbnail draws a picture into at most w x h cells.
func newThumbnail(img *image.Gray, w, h int, how Image, profile colorprofile.Profile) (*thumbnail, error) {
	cols, rows, err := fit(img.Bounds(), w, h)
	if err != nil {
		return nil, err
	}
	t := &thumbnail{w: cols, h: rows, cells: make([]cell, cols*rows)}
	if how == ASCII || how == Auto && profile < colorprofile.ANSI {
		for i, v := range shrink(img, cols, rows) {
			t.cells[i].r = rune(ramp[int(v)*len(ramp)/256])
		}
		return t, nil
	}
	pixels := shrink(img, cols, rows*2)
	for y := range rows {
		for x := range cols {
			top, low := pixels[2*y*cols+x], pixels[(2*y+1)*cols+x]
			t.cells[y*cols+x] = cell{'▀', style{fg: shadeOf(top, x, 2*y, profile), bg: shadeOf(low, x, 2*y+1, profile)}}
		}
	}
	return t, nil
}

func (t *thumbnail) draw(c *canvas, x, y int) {
	for i, cl := range t.cells {
		c.set(x+i%t.w, y+i/t.w, cl.r, cl.st)
	}
}
