package picture

import "image"

// Crop returns a copy of the part r of g, with origin (0, 0) and adjacent rows.
// r counts from the corner of g and must lie inside of it; an empty r means all
// of g.
func Crop(g *image.Gray, r image.Rectangle) *image.Gray {
	if r.Empty() {
		r = image.Rect(0, 0, g.Rect.Dx(), g.Rect.Dy())
	}
	out := image.NewGray(image.Rect(0, 0, r.Dx(), r.Dy()))
	for y := range r.Dy() {
		copy(out.Pix[y*out.Stride:][:r.Dx()], g.Pix[(r.Min.Y+y)*g.Stride+r.Min.X:])
	}
	return out
}

// Downscale returns g scaled to the given width, keeping its shape, or g itself
// if it is not wider. Each pixel is the mean of the area it covers, edges
// weighted by their share, exact before the final rounding: with widths w and
// W, source pixel i covers [i*W, (i+1)*W) and target pixel x covers
// [x*w, (x+1)*w) of the same line, and weights are whole numbers.
func Downscale(g *image.Gray, width int) *image.Gray {
	w, h := g.Rect.Dx(), g.Rect.Dy()
	if width <= 0 || width >= w {
		return g
	}
	height := max(1, (h*width+w/2)/w)
	out := image.NewGray(image.Rect(0, 0, width, height))
	var (
		line = make([]uint64, width) // one source row, summed across: at most 255*w each
		sum  = make([]uint64, width) // weighted lines of one target row: at most 255*w*h
		all  = uint64(w) * uint64(h)
		y    = 0 // target row
	)
	for i := range h {
		across(line, g.Pix[i*g.Stride:][:w])
		// Source row i covers [i*height, (i+1)*height), which holds the end of
		// at most one target row.
		from, to := i*height, (i+1)*height
		end := (y + 1) * h
		add(sum, line, uint64(min(to, end)-from))
		if to < end {
			continue
		}
		row := out.Pix[y*out.Stride:][:width]
		for x, s := range sum {
			row[x] = uint8((s + all/2) / all)
		}
		clear(sum)
		y++
		add(sum, line, uint64(to-end))
	}
	return out
}

// across sums the pixels of one row into the areas of the line's entries.
func across(line []uint64, row []uint8) {
	w, width := len(row), len(line)
	x, end := 0, w
	clear(line)
	for i, v := range row {
		to := (i + 1) * width
		if to < end {
			line[x] += uint64(v) * uint64(width)
			continue
		}
		line[x] += uint64(v) * uint64(width-(to-end))
		if x++; x < width {
			line[x] += uint64(v) * uint64(to-end)
		}
		end += w
	}
}

func add(sum, line []uint64, weight uint64) {
	if weight == 0 {
		return
	}
	for x, v := range line {
		sum[x] += v * weight
	}
}
