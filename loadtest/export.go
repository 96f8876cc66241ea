package loadtest

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Exporter shows a run that is under way to Prometheus. Give [Run] its Observe.
// Its names and labels are few and fixed: no address, no text of an error.
type Exporter struct {
	mu   sync.Mutex
	last Sample // of the last second
	sum  Sample // counts since the start
}

// Observe takes a second of the run.
func (e *Exporter) Observe(s Sample) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last = s
	e.sum = e.sum.join(s)
}

// ServeHTTP implements http.Handler.
func (e *Exporter) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_ = e.write(w) // whoever asked is gone
}

func (e *Exporter) write(w io.Writer) error {
	e.mu.Lock()
	last, sum := e.last, e.sum
	e.mu.Unlock()
	var b strings.Builder
	metric := func(name, kind, help string, values ...any) {
		fmt.Fprintf(&b, "# HELP porthole_load_%s %s\n# TYPE porthole_load_%s %s\n", name, help, name, kind)
		for i := 0; i < len(values); i += 2 {
			fmt.Fprintf(&b, "porthole_load_%s%s %v\n", name, values[i], values[i+1])
		}
	}
	seconds := func(s Seconds) float64 { return time.Duration(s).Seconds() }
	metric("viewers", "gauge", "Viewers who are there.", "", last.Viewers)
	metric("polls_total", "counter", "Polls that fell due.", "", sum.Polls)
	metric("answers_total", "counter", "Answers, by what they were.", `{kind="new"}`, sum.New, `{kind="unchanged"}`, sum.Unchanged, `{kind="error"}`, sum.Errors)
	metric("skipped_total", "counter", "Polls that were not made because the one before was in flight.", "", sum.Skipped)
	metric("late_total", "counter", "Polls that the generator made too late.", "", sum.Late)
	metric("picture_bytes_total", "counter", "Bytes of pictures.", "", sum.Bytes)
	metric("age_seconds", "gauge", "Age of the picture on the screen over the last second.", `{quantile="0.5"}`, seconds(last.AgeP50), `{quantile="0.99"}`, seconds(last.AgeP99))
	metric("latency_seconds", "gauge", "From the planned instant to the last byte over the last second.", `{quantile="0.99"}`, seconds(last.LatencyP99))
	metric("keys_total", "counter", "Keys that viewers of changes got, the first of each viewer included.", "", sum.Keys)
	metric("refetches_total", "counter", "Keys that they got because something had gone wrong.", "", sum.Refetches)
	metric("gaps_total", "counter", "Places where pictures were lacking between two changes.", "", sum.Gaps)
	metric("mismatches_total", "counter", "Changes that made another picture than the server's.", "", sum.Mismatches)
	_, err := io.WriteString(w, b.String())
	return err
}
