package loadtest

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Crowd says who is there when. The zero value is steady: Config.Viewers join
// over Config.Ramp and stay. Of Stages and Visits at most one is set.
type Crowd struct {
	// Pattern is what reports call it.
	Pattern string
	// Stages say how many viewers there are, one after the other. Who came first
	// goes first.
	Stages []Stage
	// Visits are people who come at random and stay for a random time.
	Visits *Visits
}

// Stage is a part of a run in which the number of viewers goes to To.
type Stage struct {
	Name string // for reports; may be empty
	For  time.Duration
	To   int
	// Evenly spreads the change over the stage. Otherwise it happens within the
	// first second.
	Evenly bool
}

// jump is how long a change at once takes. A tenth of a thousand people does not
// come in the same millisecond.
const jump = time.Second

// Visits are a Poisson process: arrivals that know nothing of each other, with
// stays that are exponential.
type Visits struct {
	// Curve is how many are there on average, evenly spaced over the run; between
	// two points it goes evenly from one to the other. One point is a constant.
	Curve []float64
	// Stay is how long one stays on average.
	Stay time.Duration
}

// maxVisits bounds how many viewers a run can have in all, present or not.
const maxVisits = 200_000

// check says what is wrong with a crowd.
func (c Crowd) check() error {
	if c.Visits != nil && len(c.Stages) > 0 {
		return errors.New("a crowd of stages and visits at once")
	}
	if len(c.Stages) > maxSteps {
		return fmt.Errorf("%d stages: want at most %d", len(c.Stages), maxSteps)
	}
	for i, s := range c.Stages {
		if s.For <= 0 || s.For > maxRun || s.To < 0 || s.To > maxViewers {
			return fmt.Errorf("stage %d, %d viewers for %v: want 0 to %d for up to %v", i+1, s.To, s.For, maxViewers, maxRun)
		}
	}
	v := c.Visits
	if v == nil {
		return nil
	}
	if len(v.Curve) == 0 || len(v.Curve) > maxCurve || v.Stay < time.Millisecond || v.Stay > maxRun {
		return fmt.Errorf("visits of %v with %d points: want 1ms to %v and 1 to %d points", v.Stay, len(v.Curve), maxRun, maxCurve)
	}
	for _, n := range v.Curve {
		if !(n >= 0 && n <= maxViewers) { // NaN neither
			return fmt.Errorf("visits of %v viewers: want 0 to %d", n, maxViewers)
		}
	}
	if slices.Max(v.Curve) == 0 {
		return errors.New("visits of nobody")
	}
	return nil
}

// maxCurve bounds the points of a curve.
const maxCurve = 10_000

// stay is the time that one viewer is there, since the start of the run. A leave
// of zero is never.
type stay struct{ join, leave time.Duration }

// stays returns the viewers of a run in the order in which they join.
func (c Config) stays() ([]stay, error) {
	rng := rand.New(rand.NewPCG(c.Seed, 0x63726f7764))
	switch {
	case c.Crowd.Visits != nil:
		return c.Crowd.Visits.stays(rng, c.Duration, c.Ramp)
	case len(c.Crowd.Stages) > 0:
		return stageStays(rng, c.Crowd.Stages)
	}
	all := make([]stay, 0, c.Viewers)
	for _, at := range joins(c) {
		all = append(all, stay{join: at})
	}
	return all, nil
}

func stageStays(rng *rand.Rand, stages []Stage) (all []stay, err error) {
	var at time.Duration
	gone, level := 0, 0
	for _, s := range stages {
		span := min(jump, s.For)
		if s.Evenly {
			span = s.For
		}
		n := max(s.To-level, level-s.To)
		for k := range n {
			moment := at + time.Duration((float64(k)+rng.Float64())/float64(n)*float64(span))
			if s.To > level {
				all = append(all, stay{join: moment})
				continue
			}
			// Never before its own join, which may lie within the same second.
			all[gone].leave = max(moment, all[gone].join+1)
			gone++
		}
		if len(all) > maxVisits {
			return nil, fmt.Errorf("the stages need more than %d viewers", maxVisits)
		}
		level = s.To
		at += s.For
	}
	return all, nil
}

// stays draws the visits: those who are there already, who join over the ramp,
// and the arrivals, by thinning a process of the highest rate.
func (v *Visits) stays(rng *rand.Rand, duration, ramp time.Duration) (all []stay, err error) {
	there := func(at time.Duration) float64 {
		if len(v.Curve) == 1 {
			return v.Curve[0]
		}
		x := float64(at) / float64(duration) * float64(len(v.Curve)-1)
		i := min(int(x), len(v.Curve)-2)
		return v.Curve[i] + (x-float64(i))*(v.Curve[i+1]-v.Curve[i])
	}
	visit := func(join time.Duration) {
		all = append(all, stay{join, join + max(time.Duration(rng.ExpFloat64()*float64(v.Stay)), time.Millisecond)})
	}
	for range poisson(rng, v.Curve[0]) {
		visit(time.Duration(rng.Float64() * float64(ramp)))
	}
	most := slices.Max(v.Curve)
	for at, drawn := time.Duration(0), 0; ; drawn++ {
		// Who stays for s on average in a crowd of n is replaced n/s times a second.
		at += max(time.Duration(rng.ExpFloat64()*float64(v.Stay)/most), 1)
		if at >= duration {
			break
		}
		if rng.Float64()*most < there(at) {
			visit(at)
		}
		if len(all) > maxVisits || drawn > 20*maxVisits {
			return nil, fmt.Errorf("the visits are more than %d: use a longer stay or fewer viewers", maxVisits)
		}
	}
	slices.SortStableFunc(all, func(a, b stay) int { return cmp.Compare(a.join, b.join) })
	return all, nil
}

// poisson draws a number with a mean of n. Above a thousand the normal
// distribution is as good.
func poisson(rng *rand.Rand, n float64) int {
	if n > 1000 {
		return max(0, int(n+rng.NormFloat64()*math.Sqrt(n)+0.5))
	}
	k := -1
	for p, limit := 1.0, math.Exp(-n); p >= limit; k++ {
		p *= rng.Float64()
	}
	return max(k, 0)
}

// peak returns how many viewers are there at the same time at most.
func peak(all []stay) (most int) {
	type change struct {
		at time.Duration
		by int
	}
	var changes []change
	for _, s := range all {
		changes = append(changes, change{s.join, 1})
		if s.leave > 0 {
			changes = append(changes, change{s.leave, -1})
		}
	}
	slices.SortFunc(changes, func(a, b change) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.by, b.by)) })
	n := 0
	for _, c := range changes {
		n += c.by
		most = max(most, n)
	}
	return most
}

// Patterns are the names that [NewCrowd] knows, with what they are and their
// usual figures.
var Patterns = []Pattern{
	{"steady", "all join over the ramp and stay", 150, 20 * time.Second},
	{"ramp", "from nobody to all, evenly over the whole run", 150, 60 * time.Second},
	{"steps", "five steps of equal height and length", 150, 60 * time.Second},
	{"spike", "a tenth, all of them for the middle third, a tenth again", 150, 60 * time.Second},
	{"poisson", "visitors who come and go at random; as many as viewers on average", 150, 60 * time.Second},
	{"blog-replay", "a weekend of 15,000 visitors after a post was read by many, squeezed into the run", 100, 10 * time.Minute},
	{"hug-of-death", "from nobody to all within a minute, then all stay", 5000, 90 * time.Second},
	{"soak", "visitors who come and go at random, for hours", 150, 8 * time.Hour},
}

// Pattern describes a named crowd.
type Pattern struct {
	Name     string
	Doc      string
	Viewers  int           // at the peak, or on average, unless told otherwise
	Duration time.Duration // unless told otherwise
}

// FindPattern returns the pattern of that name.
func FindPattern(name string) (Pattern, bool) {
	for _, p := range Patterns {
		if p.Name == name {
			return p, true
		}
	}
	return Pattern{}, false
}

// usualStay is how long a visitor of the feed stayed (load-tui, numbers of the
// original feed: 40 GB among 15,000 visitors at 0.75 MB a minute).
const usualStay = 216 * time.Second

// weekend is how many viewers there were hour by hour: quiet, found by many on
// Saturday morning, an ebb, a calmer Sunday. The peak is 100 and the mean 18.75,
// which with 3.6 minutes each makes 15,000 visitors.
var weekend = []float64{
	2, 2, 2, 3, 4, 8, 22, 66, 100, 84, 68, 55, 45, 37, 31, 26, 22, 18, 15, 14, 11, 9, 7, 5,
	4, 3, 3, 4, 6, 8, 11, 14, 16, 17, 16, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 5, 3, 2,
}

// NewCrowd returns a named crowd of a size for a run of a length. A stay of zero
// is the usual one of the pattern.
func NewCrowd(name string, viewers int, duration, stay time.Duration) (Crowd, error) {
	p, ok := FindPattern(name)
	if !ok {
		return Crowd{}, fmt.Errorf("unknown arrivals %q", name)
	}
	viewers = cmp.Or(viewers, p.Viewers)
	duration = cmp.Or(duration, p.Duration)
	c := Crowd{Pattern: name}
	switch name {
	case "ramp":
		c.Stages = []Stage{{For: duration, To: viewers, Evenly: true}}
	case "steps":
		const steps = 5
		for i := range steps {
			c.Stages = append(c.Stages, Stage{For: duration*time.Duration(i+1)/steps - duration*time.Duration(i)/steps, To: viewers * (i + 1) / steps})
		}
	case "spike":
		few := max(viewers/10, 1)
		c.Stages = []Stage{{Name: "before", For: duration / 3, To: few}, {Name: "spike", For: duration / 3, To: viewers}, {Name: "after", For: duration - duration/3*2, To: few}}
	case "hug-of-death":
		rise := min(time.Minute, duration*3/4)
		c.Stages = []Stage{{Name: "rise", For: rise, To: viewers, Evenly: true}, {Name: "hold", For: duration - rise, To: viewers}}
	case "poisson", "soak":
		usual := usualStay
		if name == "poisson" { // several generations within the run
			usual = min(usual, duration/4)
		}
		c.Visits = &Visits{Curve: []float64{float64(viewers)}, Stay: cmp.Or(stay, usual)}
	case "blog-replay":
		// The stays are squeezed like the weekend, but not below what makes a
		// viewer, a few polls; nor are they so long that they smear the curve.
		squeezed := time.Duration(float64(usualStay) * float64(duration) / float64(48*time.Hour))
		c.Visits = &Visits{Stay: cmp.Or(stay, max(squeezed, min(6*time.Second, duration/20)))}
		for _, n := range weekend {
			c.Visits.Curve = append(c.Visits.Curve, n*float64(viewers)/100)
		}
	}
	if stay != 0 && c.Visits == nil {
		return Crowd{}, fmt.Errorf("arrivals %q have no stay: everybody stays as long as the pattern says", name)
	}
	return c, nil
}

// length returns how long the stages take together; 0 without any.
func (c Crowd) length() (sum time.Duration) {
	for _, s := range c.Stages {
		sum += s.For
	}
	return sum
}
