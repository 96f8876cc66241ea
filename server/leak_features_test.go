//go:build !race

package server

import (
	"cmp"
	"image"
	"math"
	"slices"
	"strings"
	"testing"

	"porthole/internal/classify"
	"porthole/internal/event"
	"porthole/server/reservoir"
)

// windowLength is how many pictures in a row are judged together.
const windowLength = 20

// measured is what is computed of one observation and those before it. Each
// number is a channel by which live and recorded pictures might differ.
type measured [channels]float64

const (
	interval   = iota // seconds since the picture before
	size              // bytes, against the median of the last minutes
	changed           // share of blocks that differ from the picture before
	residual          // strength of the noise
	noise             // correlation of the noise with that of the picture before
	luma              // brightness
	lumaStep          // … against the last minutes
	unusual           // … against the last twenty minutes, up or down
	nearest           // distance to the most similar picture that is not recent
	inStep            // that one follows the one that the picture before was most similar to
	repeated          // the same bytes were there before
	headFields        // the header has other fields, or in another order, than most
	tagLength         // of the ETag
	tagForm           // numbers, as file servers make them of size and time
	channels
)

// recent is how many pictures back are no evidence of a repetition.
const recent = 60

// measure computes the channels of all observations.
func measure(t *testing.T, seen []observation) []measured {
	t.Helper()
	common := make(map[string]int)
	for _, o := range seen {
		common[o.fields]++
	}
	most := seen[0].fields
	for f, n := range common {
		if n > common[most] {
			most = f
		}
	}
	out := make([]measured, len(seen))
	bodies := make(map[string]bool)
	var shapes []shape
	var sizes, lumas []float64
	var before, beforeNoise *image.Gray
	for i, o := range seen {
		m := &out[i]
		g := decodeGray(t, o.body)
		rest := residualOf(g)
		look := lookOfGray(g)
		if i > 0 {
			m[interval] = o.at.Sub(seen[i-1].at).Seconds()
		} else {
			m[interval] = DefaultPeriod.Seconds()
		}
		sizes, lumas = append(sizes, float64(len(o.body))), append(lumas, float64(look.Mean)+fraction(g))
		m[size] = sizes[i] / medianOf(sizes[max(0, i-recent):i+1])
		m[luma] = lumas[i]
		m[lumaStep] = lumas[i] - medianOf(lumas[max(0, i-recent):i+1])
		m[unusual] = math.Abs(lumas[i] - medianOf(lumas[max(0, i-10*recent):i+1]))
		m[residual] = deviation(rest)
		if before != nil {
			m[changed] = changedBlocks(before, g)
			m[noise] = correlation(beforeNoise, rest)
		}
		if bodies[string(o.body)] {
			m[repeated] = 1
		}
		if o.fields != most {
			m[headFields] = 1
		}
		m[tagLength] = float64(len(o.etag))
		if strings.Trim(o.etag, `"-0123456789abcdef`) == "" {
			m[tagForm] = 1
		}
		bodies[string(o.body)] = true
		shapes = append(shapes, shapeOf(g))
		before, beforeNoise = g, rest
	}
	compare(out, shapes)
	return out
}

// compare finds for each picture the one most like it that is not recent.
func compare(out []measured, shapes []shape) {
	sortPixels(shapes)
	before := -1
	for i := range shapes {
		best, model := math.MaxInt, -1
		for j := range max(0, i-recent) {
			if d := shapes[i].nearer(&shapes[j], best); d < best {
				best, model = d, j
			}
		}
		out[i][nearest] = math.Log(float64(min(best, 1<<20) + 1))
		if model > 0 && model == before+1 {
			out[i][inStep] = 1
		}
		before = model
	}
}

// featuresOf sums a window up: of each channel mean, deviation and extreme; the
// autocorrelation of sizes; the trend of the brightness.
func featuresOf(w []measured) (f []float64) {
	for c := range channels {
		var of []float64
		for _, m := range w {
			of = append(of, m[c])
		}
		f = append(f, summary(of)...)
	}
	var auto, slope float64
	for i := 1; i < len(w); i++ {
		auto += (w[i][size] - f[4*size]) * (w[i-1][size] - f[4*size])
		slope += w[i][luma] - w[i-1][luma]
	}
	// Where in the window the picture changed most, and how much against the rest.
	var steps []float64
	for _, m := range w {
		steps = append(steps, m[changed])
	}
	at, most := slices.Index(steps, slices.Max(steps)), slices.Max(steps)-medianOf(steps)
	return append(f, auto, slope, math.Abs(slope), float64(at), most, most*(float64(at)-float64(len(w)-1)/2))
}

// summary returns mean, deviation, and the extremes.
func summary(of []float64) []float64 {
	var sum, squares float64
	high, low := math.Inf(-1), math.Inf(1)
	for _, v := range of {
		sum += v
		squares += v * v
		high, low = max(high, v), min(low, v)
	}
	n := float64(len(of))
	mean := sum / n
	return []float64{mean, math.Sqrt(max(squares/n-mean*mean, 0)), high, low}
}

// windows returns the samples of all windows that follow each other, positive
// where most of it is live. Windows with pictures of the loop are left out and
// counted.
func windows(seen []observation, m []measured) (samples []classify.Sample, loops int) {
	return sampled(seen, func(i int) []float64 { return featuresOf(m[i : i+windowLength]) })
}

// sampled does the same with the features of the windows that begin at i.
func sampled(seen []observation, features func(i int) []float64) (samples []classify.Sample, loops int) {
	for i := windowLength; i+windowLength <= len(seen); i += windowLength {
		live, loop := 0, 0
		for _, o := range seen[i : i+windowLength] {
			switch o.mode {
			case event.Live:
				live++
			case event.Loop:
				loop++
			}
		}
		if loop > 0 {
			loops++
			continue
		}
		samples = append(samples, classify.Sample{Features: features(i), Positive: 2*live > windowLength})
	}
	return samples, loops
}

// switches returns the samples around each change from live to a recording,
// positive where that was because the camera was unplugged.
func switches(seen []observation, m []measured) (samples []classify.Sample) {
	const around = 6
	for i := around; i+around <= len(seen); i++ {
		if seen[i-1].mode == event.Live && seen[i].mode == event.Replay {
			samples = append(samples, classify.Sample{Features: featuresOf(m[i-around : i+around]), Positive: seen[i].why == cameraLate})
		}
	}
	return samples
}

func lookOfGray(g *image.Gray) (l reservoir.Look) {
	w, h := g.Rect.Dx(), g.Rect.Dy()
	total := 0
	for j := range reservoir.ThumbHeight {
		for i := range reservoir.ThumbWidth {
			sum, n := 0, 0
			for y := j * h / reservoir.ThumbHeight; y < (j+1)*h/reservoir.ThumbHeight; y++ {
				for x := i * w / reservoir.ThumbWidth; x < (i+1)*w/reservoir.ThumbWidth; x++ {
					sum += int(g.Pix[y*g.Stride+x])
					n++
				}
			}
			l.Thumb[j*reservoir.ThumbWidth+i] = uint8(sum / n)
			total += sum / n
		}
	}
	l.Mean = uint8(total / len(l.Thumb))
	return l
}

// fraction is what the mean loses to rounding.
func fraction(g *image.Gray) float64 {
	sum := 0
	for _, v := range g.Pix {
		sum += int(v)
	}
	mean := float64(sum) / float64(len(g.Pix))
	return mean - math.Floor(mean)
}

// shape is a picture, four pixels to one, without its brightness.
type shape [leakWidth / 4 * leakHeight / 4]int16

func shapeOf(g *image.Gray) (s shape) {
	total := 0
	for j := range leakHeight / 4 {
		for i := range leakWidth / 4 {
			sum := 0
			for y := range 4 {
				for _, v := range g.Pix[(4*j+y)*g.Stride+4*i:][:4] {
					sum += int(v)
				}
			}
			s[j*leakWidth/4+i] = int16(sum / 16)
			total += sum / 16
		}
	}
	for i := range s {
		s[i] -= int16(total / len(s))
	}
	return s
}

// sortPixels puts first in all shapes what varies most from one to another: most
// pairs are seen to be far apart by a part of them then.
func sortPixels(shapes []shape) {
	var variance [len(shape{})]float64
	for p := range variance {
		var sum, squares float64
		for i := range shapes {
			v := float64(shapes[i][p])
			sum += v
			squares += v * v
		}
		variance[p] = squares - sum*sum/float64(len(shapes))
	}
	places := make([]int, len(variance))
	for i := range places {
		places[i] = i
	}
	slices.SortFunc(places, func(a, b int) int { return cmp.Compare(variance[b], variance[a]) })
	for i := range shapes {
		was := shapes[i]
		for k, p := range places {
			shapes[i][k] = was[p]
		}
	}
}

// nearer returns the distance of two shapes, or anything that is not below best.
func (s *shape) nearer(o *shape, best int) (d int) {
	const part = 40
	for at := 0; at < len(s) && d < best; at += part {
		a, b := s[at:at+part:at+part], o[at:at+part:at+part]
		for i, v := range a {
			x := int(v) - int(b[i])
			d += max(x, -x)
		}
	}
	return d
}

func medianOf(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}

// residualOf returns what is left of g when each pixel's neighbours are taken
// away, plus 128.
func residualOf(g *image.Gray) *image.Gray {
	w, h := g.Rect.Dx(), g.Rect.Dy()
	out := image.NewGray(g.Rect)
	for y := 1; y < h-1; y++ {
		for x := 1; x < w-1; x++ {
			i := y*g.Stride + x
			d := 4*int(g.Pix[i]) - int(g.Pix[i-1]) - int(g.Pix[i+1]) - int(g.Pix[i-g.Stride]) - int(g.Pix[i+g.Stride])
			out.Pix[y*out.Stride+x] = uint8(min(max(128+d/4, 0), 255))
		}
	}
	return out
}

func deviation(g *image.Gray) float64 {
	sum := 0
	for _, v := range g.Pix {
		d := int(v) - 128
		sum += d * d
	}
	return math.Sqrt(float64(sum) / float64(len(g.Pix)))
}

func correlation(a, b *image.Gray) float64 {
	var ab, aa, bb float64
	for i, v := range a.Pix {
		x, y := float64(v)-128, float64(b.Pix[i])-128
		ab, aa, bb = ab+x*y, aa+x*x, bb+y*y
	}
	return ab / math.Sqrt(aa*bb+1)
}

func changedBlocks(a, b *image.Gray) float64 {
	w, h := a.Rect.Dx()/8, a.Rect.Dy()/8
	n := 0
	for j := range h {
		for i := range w {
			sum := 0
			for y := range 8 {
				for x := range 8 {
					k := (8*j+y)*a.Stride + 8*i + x
					d := int(a.Pix[k]) - int(b.Pix[k])
					sum += max(d, -d)
				}
			}
			if sum > 3*64 {
				n++
			}
		}
	}
	return float64(n) / float64(w*h)
}
