//go:build !race

package server

import (
	"image"
	"testing"

	"porthole/internal/classify"
	"porthole/server/delta"
)

// A viewer of changes sees more than one of pictures: how many bytes each change
// has, and which blocks it is of.

// coded is what a viewer of changes sees of one.
type coded struct {
	bytes  int
	blocks blockMap
}

// blockMap says which blocks of 16x16 pixels another picture has.
type blockMap [(leakWidth + 15) / 16 * ((leakHeight + 15) / 16)]bool

// follower is a viewer of changes. It begins once, with a key.
type follower struct {
	feed    *delta.Feed
	line    *delta.Line
	seq     uint32
	decoder delta.Decoder
	now     *image.Gray
}

// next takes the newest frame.
func (f *follower) next(t *testing.T) coded {
	t.Helper()
	var frames []delta.Frame
	if f.line != nil {
		var ok bool
		if frames, _, ok = f.line.Next(f.seq); !ok {
			f.line = nil // pictures of another size
		}
	}
	if f.line == nil {
		line, err := f.feed.Join()
		if err != nil {
			t.Fatal(err)
		}
		f.line, f.now = line, nil
		after, _, _ := line.Next(line.Key.Seq)
		frames = append([]delta.Frame{line.Key}, after...)
	}
	var c coded
	for _, frame := range frames {
		if err := f.decoder.Decode(frame.Data); err != nil {
			t.Fatal(err)
		}
		c = coded{bytes: len(frame.Data)}
		f.seq = frame.Seq
	}
	g := f.decoder.Picture()
	if f.now != nil && f.now.Rect == g.Rect && len(frames) > 0 {
		c.blocks = changedMap(f.now, g)
	}
	f.now = g
	return c
}

func changedMap(a, b *image.Gray) (m blockMap) {
	w := b.Rect.Dx()
	for i, v := range b.Pix {
		if v != a.Pix[i] {
			m[i/w/16*((leakWidth+15)/16)+i%w/16] = true
		}
	}
	return m
}

// Channels of changes.
const (
	changeSize  = iota // bytes, against the median of the last minutes
	changeShare        // of the blocks
	changeX            // middle of the blocks, 0 to 1
	changeY
	changeSame // share of the blocks that changed with the picture before, too
	changeChannels
)

// changeWindows sums the windows of changes up, as windows does those of
// pictures.
func changeWindows(seen []observation) (samples []classify.Sample) {
	m := make([][changeChannels]float64, len(seen))
	var sizes []float64
	for i, o := range seen {
		sizes = append(sizes, float64(o.change.bytes))
		m[i][changeSize] = sizes[i] / max(1, medianOf(sizes[max(0, i-recent):i+1]))
		var n, x, y, same float64
		for j, is := range o.change.blocks {
			if !is {
				continue
			}
			n++
			x += float64(j % ((leakWidth + 15) / 16))
			y += float64(j / ((leakWidth + 15) / 16))
			if i > 0 && seen[i-1].change.blocks[j] {
				same++
			}
		}
		m[i][changeShare] = n / float64(len(o.change.blocks))
		m[i][changeX], m[i][changeY], m[i][changeSame] = 0.5, 0.5, 0.5
		if n > 0 {
			m[i][changeX], m[i][changeY], m[i][changeSame] = x/n/float64(leakWidth/16), y/n/float64(leakHeight/16), same/n
		}
	}
	samples, _ = sampled(seen, func(i int) (f []float64) {
		for c := range changeChannels {
			var of []float64
			for _, row := range m[i : i+windowLength] {
				of = append(of, row[c])
			}
			f = append(f, summary(of)...)
		}
		return f
	})
	return samples
}
