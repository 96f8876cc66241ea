package loadtest

import "time"

// AgeResolution is the width of the bins that ages are kept in. Percentiles are
// interpolated inside a bin; mean and maximum are exact.
const AgeResolution = 10 * time.Millisecond

// ageLimit bounds the bins. Watch time at a higher age is kept as one sum.
const ageLimit = 10 * time.Minute

// ages is a histogram of watch time over picture age. Its masses are whole
// nanoseconds of watching, so adding two of them is exact. The zero value is
// empty and ready.
type ages struct {
	bins   []time.Duration // watch time at ages [i, i+1) x AgeResolution
	beyond time.Duration   // watch time at ageLimit and above
	future time.Duration   // watch time at ages below zero: clocks differ
	total  time.Duration
	moment float64 // integral of age over watch time, in s²
	max    time.Duration
}

// sweep adds a picture that was shown for d and was of age a at the beginning:
// the mass d, spread evenly over the ages from a to a+d.
func (g *ages) sweep(a, d time.Duration) {
	if d <= 0 {
		return
	}
	g.moment += d.Seconds() * (a.Seconds() + d.Seconds()/2)
	if g.total == 0 || a+d > g.max {
		g.max = a + d
	}
	g.total += d
	if a < 0 {
		below := min(d, -a)
		g.future += below
		a, d = a+below, d-below
	}
	for d > 0 && a < ageLimit {
		bin := int(a / AgeResolution)
		part := min(d, time.Duration(bin+1)*AgeResolution-a)
		g.grow(bin + 1)
		g.bins[bin] += part
		a, d = a+part, d-part
	}
	g.beyond += d
}

// grow makes room for n bins. n is at most ageLimit/AgeResolution.
func (g *ages) grow(n int) {
	for len(g.bins) < n {
		g.bins = append(g.bins, 0)
	}
}

// add adds the watch time of o.
func (g *ages) add(o *ages) {
	if o.total == 0 {
		return
	}
	if g.total == 0 || o.max > g.max {
		g.max = o.max
	}
	g.grow(len(o.bins))
	for i, m := range o.bins {
		g.bins[i] += m
	}
	g.beyond += o.beyond
	g.future += o.future
	g.total += o.total
	g.moment += o.moment
}

// reset empties the histogram and keeps its memory.
func (g *ages) reset() {
	clear(g.bins)
	*g = ages{bins: g.bins[:0]}
}

// quantile returns the age that was not exceeded for the share q of the watch
// time. Ages below zero count as zero.
func (g *ages) quantile(q float64) time.Duration {
	if g.total == 0 {
		return 0
	}
	want := q * float64(g.total)
	seen := float64(g.future)
	if want <= seen {
		return 0
	}
	for i, m := range g.bins {
		if m > 0 && seen+float64(m) >= want {
			inside := (want - seen) / float64(m)
			age := time.Duration((float64(i) + inside) * float64(AgeResolution))
			return min(age, g.max)
		}
		seen += float64(m)
	}
	return g.max
}

// mean returns the mean age over the watch time.
func (g *ages) mean() time.Duration {
	if g.total == 0 {
		return 0
	}
	return time.Duration(g.moment / g.total.Seconds() * float64(time.Second))
}
