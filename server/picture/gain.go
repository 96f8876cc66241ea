package picture

import "image"

// Gain pulls the brightness of a feed towards a canonical mean, slowly: what
// the camera's automatic exposure does, the lamp and the time of day leave less
// of a trace, and a moment does not flicker. The zero value is ready.
type Gain struct {
	now  int   // 1<<16 is no change; 0 before the first picture
	mean uint8 // of the last picture, before the gain
}

const (
	canonicalMean = 112
	gainOne       = 1 << 16
	gainLeast     = gainOne / 2 // beyond twice, a night is noise and a day is haze
	gainMost      = gainOne * 2
	gainShift     = 4 // each picture goes 1/16 of the way
)

// Apply changes g in place. mean is its trimmed mean, see [TrimmedMean].
func (a *Gain) Apply(g *image.Gray, mean uint8) {
	want := min(max(ratio(canonicalMean, max(int(mean), 1)), gainLeast), gainMost)
	if a.now == 0 {
		a.now = want
	}
	a.step(g, mean, want)
}

// Return is Apply without a canonical mean: the gain returns to none.
func (a *Gain) Return(g *image.Gray, mean uint8) {
	if a.now == 0 {
		a.now = gainOne
	}
	a.step(g, mean, gainOne)
}

// Join sets the gain so that a picture with the given mean comes out as bright
// as the last one did, as far as the limits of the gain allow.
func (a *Gain) Join(mean uint8) {
	if a.now != 0 {
		a.now = min(max(a.now*max(int(a.mean), 1)/max(int(mean), 1), gainLeast), gainMost)
	}
}

func (a *Gain) step(g *image.Gray, mean uint8, want int) {
	a.mean = mean
	if d := want - a.now; d > -1<<gainShift && d < 1<<gainShift {
		a.now = want
	} else {
		a.now += d >> gainShift
	}
	if a.now == gainOne {
		return
	}
	var table [256]uint8
	for v := range table {
		table[v] = uint8(min((v*a.now+gainOne/2)>>16, 255))
	}
	for y := range g.Rect.Dy() {
		row := g.Pix[y*g.Stride:][:g.Rect.Dx()]
		for x, v := range row {
			row[x] = table[v]
		}
	}
}

// TrimmedMean is the mean brightness without the darkest and the brightest
// eighth of the pixels, so that neither a window nor a screen decides. Masked
// pixels do not count; a picture that is masked altogether has the canonical
// mean.
func TrimmedMean(g *image.Gray, m Masks) uint8 {
	var count [256]int
	w, total := g.Rect.Dx(), 0
	for y := range g.Rect.Dy() {
		row := g.Pix[y*g.Stride:][:w]
		for x := 0; x < w; x += unitWidth {
			if m.covers(x, y) {
				continue
			}
			part := row[x:min(x+unitWidth, w)]
			for _, v := range part {
				count[v]++
			}
			total += len(part)
		}
	}
	if total == 0 {
		return canonicalMean
	}
	low, high := total/8, total-total/8
	sum, at := 0, 0
	for v, n := range count {
		// The pixels of this level are those from at to at+n in order.
		sum += v * max(0, min(at+n, high)-max(at, low))
		at += n
	}
	return uint8((sum + (high-low)/2) / (high - low))
}
