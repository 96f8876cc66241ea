package loadtest

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strings"
	"time"
)

// plot is a picture of values over time, as SVG. It has no scripts and no fonts,
// and takes its colours from the page, so that it is the same offline, on paper
// and in the dark.
type plot struct {
	title   string
	x       []float64 // seconds
	lines   []line
	marks   []mark
	stacked bool // lines are on top of each other, and filled
	format  func(float64) string
	xFormat func(float64) string
}

// line is one curve. class is its colour on the page.
type line struct {
	name, class string
	y           []float64
}

// mark is a moment with a name.
type mark struct {
	x    float64
	name string
}

// The plot's own units; the page scales it.
const (
	plotWidth, plotHeight        = 480.0, 220.0
	plotLeft, plotRight          = 52.0, 10.0
	plotTop, plotBottom          = 12.0, 24.0
	plotTicksAcross, plotTicksUp = 6, 4
)

// svg draws the plot.
func (p plot) svg() template.HTML {
	var b strings.Builder
	fmt.Fprintf(&b, `<figure><figcaption>%s`, html.EscapeString(p.title))
	for _, l := range p.lines {
		fmt.Fprintf(&b, ` <span class="key %s">%s</span>`, l.class, html.EscapeString(l.name))
	}
	fmt.Fprintf(&b, `</figcaption><svg viewBox="0 0 %g %g" role="img" aria-label="%s">`, plotWidth, plotHeight, html.EscapeString(p.title))
	if len(p.x) < 2 {
		b.WriteString(`<text x="60" y="110">too short a run to draw</text></svg></figure>`)
		return template.HTML(b.String())
	}
	base := make([]float64, len(p.x))
	top := make([][]float64, len(p.lines))
	most := 0.0
	for i, l := range p.lines {
		top[i] = make([]float64, len(p.x))
		for k := range p.x {
			v := l.y[k]
			if p.stacked {
				base[k] += v
				v = base[k]
			}
			top[i][k] = v
			if !math.IsNaN(v) {
				most = max(most, v)
			}
		}
	}
	stepY := niceStep(most, plotTicksUp)
	highest := max(math.Ceil(most/stepY-1e-9), 1) * stepY
	first, last := p.x[0], p.x[len(p.x)-1]
	if first > 0 && first <= last/4 {
		first = 0
	}
	atX := func(x float64) float64 {
		return plotLeft + (x-first)/(last-first)*(plotWidth-plotLeft-plotRight)
	}
	atY := func(y float64) float64 {
		return plotHeight - plotBottom - y/highest*(plotHeight-plotTop-plotBottom)
	}
	for y := 0.0; y <= highest+stepY/2; y += stepY {
		fmt.Fprintf(&b, `<path class="grid" d="M%.1f %.1fH%.1f"/><text class="y" x="%.1f" y="%.1f">%s</text>`,
			plotLeft, atY(y), plotWidth-plotRight, plotLeft-5, atY(y)+4, html.EscapeString(p.format(y)))
	}
	stepX := niceStep(last-first, plotTicksAcross)
	for x := math.Ceil(first/stepX) * stepX; x <= last+stepX/1e6; x += stepX {
		fmt.Fprintf(&b, `<text class="x" x="%.1f" y="%.1f">%s</text>`, atX(x), plotHeight-6, html.EscapeString(p.xFormat(x)))
	}
	if p.stacked {
		for i := len(p.lines) - 1; i >= 0; i-- {
			fmt.Fprintf(&b, `<path class="area %s" d="M%.1f %.1f%sV%.1fZ"/>`, p.lines[i].class, atX(p.x[0]), atY(0), path(p.x, top[i], atX, atY, "L"), atY(0))
		}
	}
	for _, m := range p.marks {
		if m.x > first && m.x < last {
			fmt.Fprintf(&b, `<path class="mark" d="M%.1f %.1fV%.1f"><title>%s</title></path>`, atX(m.x), plotTop, plotHeight-plotBottom, html.EscapeString(m.name))
		}
	}
	if !p.stacked {
		for i, l := range p.lines {
			fmt.Fprintf(&b, `<path class="line %s" d="%s"/>`, l.class, path(p.x, top[i], atX, atY, "M"))
		}
	}
	b.WriteString(`</svg></figure>`)
	return template.HTML(b.String())
}

// path is a polyline that begins with a letter. Where there is no value it has a
// gap.
func path(x, y []float64, atX, atY func(float64) float64, first string) string {
	var b strings.Builder
	letter := first
	for i := range x {
		if math.IsNaN(y[i]) {
			letter = "M"
			continue
		}
		fmt.Fprintf(&b, "%s%.1f %.1f", letter, atX(x[i]), atY(y[i]))
		letter = "L"
	}
	return b.String()
}

// niceStep is the smallest 1, 2 or 5 times a power of ten that divides a range
// into at most n parts.
func niceStep(span float64, n int) float64 {
	if span <= 0 || math.IsInf(span, 0) || math.IsNaN(span) {
		return 1
	}
	raw := span / float64(n)
	power := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, m := range []float64{1, 2, 5} {
		if raw <= m*power*(1+1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// secondsText spells a value of an axis.
func secondsText(v float64) string {
	if v == 0 {
		return "0"
	}
	s := short(time.Duration(math.Round(v * float64(time.Second))))
	for _, unit := range []string{"ms", "s"} {
		if number, ok := strings.CutSuffix(s, unit); ok && strings.Contains(number, ".") {
			return strings.TrimRight(strings.TrimRight(number, "0"), ".") + unit
		}
	}
	return s
}

// clockText spells a time of a run.
func clockText(v float64) string {
	d := time.Duration(math.Round(v)) * time.Second
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 3*time.Hour:
		return fmt.Sprintf("%d:%02d", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%.3g h", d.Hours())
}

// countText spells a number.
func countText(v float64) string {
	if v >= 10_000 {
		return fmt.Sprintf("%.3gk", v/1000)
	}
	return fmt.Sprintf("%.4g", v)
}
