package picture

import "image"

// Fit returns g as a picture of the given size: the largest part of that shape
// around its middle, scaled. It is g itself where nothing is to be done.
func Fit(g *image.Gray, size image.Point) *image.Gray {
	w, h := g.Rect.Dx(), g.Rect.Dy()
	if w == size.X && h == size.Y {
		return g
	}
	part := image.Pt(w, h)
	if w*size.Y > h*size.X { // too wide
		part.X = max(1, (h*size.X+size.Y/2)/size.Y)
	} else {
		part.Y = max(1, (w*size.Y+size.X/2)/size.X)
	}
	at := image.Pt((w-part.X)/2, (h-part.Y)/2)
	columns, rows := taps(part.X, size.X), taps(part.Y, size.Y)
	out := image.NewGray(image.Rectangle{Max: size})
	line := make([]uint32, size.X) // of one source row, scaled across, in 1/256 levels
	sum := make([]uint64, size.X)
	for y, row := range rows {
		clear(sum)
		for _, r := range row {
			src := g.Pix[(at.Y+r.from)*g.Stride+at.X:][:part.X]
			for x, column := range columns {
				v := uint32(0)
				for _, c := range column {
					v += c.weight * uint32(src[c.from])
				}
				line[x] = (v + 1<<7) >> 8
			}
			for x, v := range line {
				sum[x] += uint64(r.weight) * uint64(v)
			}
		}
		dst := out.Pix[y*out.Stride:][:size.X]
		for x, v := range sum {
			dst[x] = uint8((v + 1<<23) >> 24)
		}
	}
	return out
}

// tap is the share of one source pixel in a target pixel, of 1<<16.
type tap struct {
	from   int
	weight uint32
}

// taps returns for each of to pixels what it is made of: the mean of the area it
// covers, or, where it is smaller than a source pixel, what lies between the two
// nearest ones.
func taps(from, to int) [][]tap {
	all := make([][]tap, to)
	for x := range all {
		var t []tap
		if to <= from {
			// In units of 1/to of a source pixel, the target covers from of them.
			for i := x * from / to; i <= ((x+1)*from-1)/to; i++ {
				covered := min((i+1)*to, (x+1)*from) - max(i*to, x*from)
				t = append(t, tap{i, uint32(covered << 16 / from)})
			}
		} else {
			// The middle of the target in 1/(2*to) of a source pixel, from the
			// middle of the first one.
			at := max(0, (2*x+1)*from-to)
			i := min(at/(2*to), from-1)
			part := uint32(at%(2*to)) << 15 / uint32(to)
			t = append(t, tap{i, 1<<16 - part})
			if part > 0 && i+1 < from {
				t = append(t, tap{i + 1, part})
			}
		}
		// What rounding left over goes to the heaviest, so that white stays white.
		rest, heaviest := uint32(1<<16), 0
		for i := range t {
			rest -= t[i].weight
			if t[i].weight > t[heaviest].weight {
				heaviest = i
			}
		}
		t[heaviest].weight += rest
		all[x] = t
	}
	return all
}
