package loadtest

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"strings"
	"time"
)

//go:embed report.tmpl
var reportPage string

// page is the template of the HTML report.
var page = template.Must(template.New("report").Funcs(template.FuncMap{
	"memory":  func(n int64) string { return size(float64(n)) },
	"percent": percent, "size": size, "ratio": ratio[uint64],
	"seconds": func(s Seconds) string { return s.String() },
	"round":   func(s Seconds) time.Duration { return time.Duration(s).Round(time.Second) },
}).Parse(reportPage))

// WriteHTML writes the report as one page that needs nothing else: no network,
// no scripts.
func (r *Report) WriteHTML(w io.Writer) error {
	title := "Load test"
	if r.Scenario.Name != "" {
		title = r.Scenario.Name
	}
	err := page.Execute(w, map[string]any{
		"Title": title, "R": r, "Who": r.Scenario.who(), "How": r.Scenario.how(), "When": r.Scenario.when(),
		"Body": float64(r.Traffic.Body), "Wire": float64(r.Traffic.WireIn + r.Traffic.WireOut),
		"Tiles": r.tiles(), "Plots": r.plots(), "Lines": r.distributions(), "Watch": r.watchText(),
		"Started": r.Started.UTC().Format("2 January 2006, 15:04:05 UTC"),
	})
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// tile is one of the figures at the top.
type tile struct{ Value, Name, About string }

func (r *Report) tiles() []tile {
	list := []tile{}
	if r.Watch.Dated > 0 {
		list = append(list, tile{r.Age.P99.String(), "age on screen, p99", "half of the time below " + r.Age.P50.String()})
	}
	if r.FirstFrame.Count > 0 {
		list = append(list, tile{r.FirstFrame.P95.String(), "first picture, p95", "from the join to the last byte"})
	}
	if r.Service.Count > 0 {
		list = append(list, tile{r.Service.P99.String(), "answer, p99", "half of them below " + r.Service.P50.String()})
	}
	if c := r.Changes; c != nil {
		list = append(list, tile{fmt.Sprint(c.Refetches), "keys fetched again", fmt.Sprintf("%d gaps, %d wrong pictures", c.Gaps, c.Mismatches)})
	}
	return append(list,
		tile{fmt.Sprint(r.Polls.Errors), "errors", fmt.Sprintf("of %d polls", r.Polls.Sent)},
		tile{percent(ratio(r.Pictures.Missed, r.Pictures.Missed+r.Pictures.Shown)), "missed", fmt.Sprintf("%d pictures shown", r.Pictures.Shown)},
		tile{percent(r.Freezes.Share), "frozen", fmt.Sprintf("older than %s", r.Freezes.After)},
		tile{size(r.Traffic.PerViewerMinute), "per viewer-minute", size(float64(r.Traffic.WireIn+r.Traffic.WireOut)) + " on the wire"},
	)
}

// plots are the pictures of the page.
func (r *Report) plots() []template.HTML {
	n := len(r.Series)
	x := make([]float64, n)
	column := func(of func(Sample, float64) float64) []float64 {
		y := make([]float64, n)
		before := Seconds(0)
		for i, s := range r.Series {
			y[i] = of(s, max(time.Duration(s.At-before).Seconds(), 1e-3))
			before = s.At
		}
		return y
	}
	for i, s := range r.Series {
		x[i] = time.Duration(s.At).Seconds()
	}
	var marks []mark
	for _, p := range r.Phases {
		marks = append(marks, mark{time.Duration(p.From).Seconds(), p.Name})
	}
	draw := func(title string, format func(float64) string, stacked bool, lines ...line) template.HTML {
		return plot{title: title, x: x, lines: lines, marks: marks, stacked: stacked, format: format, xFormat: clockText}.svg()
	}
	per := func(count func(Sample) uint64) []float64 {
		return column(func(s Sample, span float64) float64 { return float64(count(s)) / span })
	}
	plots := []template.HTML{
		draw("Age of the picture on the screen", secondsText, false,
			line{"p50", "c1", column(func(s Sample, _ float64) float64 { return known(s.AgeP50) })},
			line{"p99", "c2", column(func(s Sample, _ float64) float64 { return known(s.AgeP99) })}),
		draw("Viewers", countText, false, line{"there", "c1", column(func(s Sample, _ float64) float64 { return float64(s.Viewers) })}),
		draw("Answers a second", countText, true,
			line{"new", "c1", per(func(s Sample) uint64 { return s.New })},
			line{"unchanged", "c3", per(func(s Sample) uint64 { return s.Unchanged })},
			line{"errors", "c2", per(func(s Sample) uint64 { return s.Errors })},
			line{"skipped", "c4", per(func(s Sample) uint64 { return s.Skipped })}),
		draw("From the planned instant to the last byte, p99", secondsText, false,
			line{"latency", "c1", column(func(s Sample, _ float64) float64 { return time.Duration(s.LatencyP99).Seconds() })}),
		draw("Pictures, Mbit a second", countText, false,
			line{"bodies", "c1", column(func(s Sample, span float64) float64 { return float64(s.Bytes) * 8 / 1e6 / span })}),
		r.curve(),
	}
	if r.Changes != nil {
		plots = append(plots, draw("Keys and what they repair, a second", countText, false,
			line{"keys", "c1", per(func(s Sample) uint64 { return s.Keys })},
			line{"fetched again", "c2", per(func(s Sample) uint64 { return s.Refetches })},
			line{"gaps", "c4", per(func(s Sample) uint64 { return s.Gaps })}))
	}
	return plots
}

// known is an age as a number, and none where nothing with an age was shown: the
// loop, or nothing at all.
func known(age Seconds) float64 {
	if age == 0 {
		return math.NaN()
	}
	return time.Duration(age).Seconds()
}

// curve is the distribution of the two that matter most.
func (r *Report) curve() template.HTML {
	p := plot{title: "Share of the polls that were answered within", format: func(v float64) string { return fmt.Sprintf("%.0f%%", v*100) }, xFormat: secondsText}
	q := r.Latency
	if q.Count == 0 {
		return ""
	}
	points := []struct {
		share float64
		at    Seconds
	}{{0, 0}, {0.50, q.P50}, {0.90, q.P90}, {0.95, q.P95}, {0.99, q.P99}}
	var y []float64
	for _, pt := range points {
		p.x, y = append(p.x, time.Duration(pt.at).Seconds()), append(y, pt.share)
	}
	p.lines = []line{{"latency", "c1", y}}
	if p.x[len(p.x)-1] <= 0 {
		return ""
	}
	return p.svg()
}

// Class is the verdict's class on the page.
func (v Verdict) Class() string { return strings.ToLower(string(v)) }

// Mark is the word before an objective.
func (o Result) Mark() string { return o.mark() }
