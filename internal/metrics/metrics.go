// Package metrics writes figures in the text format that Prometheus reads,
// version 0.0.4. It is a writer alone: what is counted is counted by its owner,
// without labels made up from what clients send.
//
// The client library of Prometheus would do the same with nine modules and
// 2.7 MB of a binary of 9.4 MB; its parser and its linter check this writer in
// the tests instead.
package metrics

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// ContentType is what an answer with these figures is sent as.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// Kind is what a family of figures means.
type Kind string

const (
	Counter   Kind = "counter" // only grows; the name ends in _total
	Gauge     Kind = "gauge"
	histogram Kind = "histogram"
)

// Writer collects figures. The zero value is empty and ready to use.
type Writer struct {
	b    bytes.Buffer
	name string // of the open family
}

// Family begins a family: all samples of one name, described once.
func (w *Writer) Family(kind Kind, name, help string) *Writer {
	check(name)
	w.name = name
	fmt.Fprintf(&w.b, "# HELP %s %s\n# TYPE %s %s\n", name, escape(help, false), name, kind)
	return w
}

// Sample adds a figure to the open family. Labels are names and values in turn.
func (w *Writer) Sample(value float64, labels ...string) *Writer {
	w.sample("", value, labels)
	return w
}

// One writes a family with a single figure.
func (w *Writer) One(kind Kind, name, help string, value float64) {
	w.Family(kind, name, help).Sample(value)
}

// Histogram writes a family of durations or sizes. Counts holds how many fell
// into each bucket, not added up; bounds are the upper bounds of the buckets,
// rising. A count more than bounds is for what lies above them all.
func (w *Writer) Histogram(name, help string, bounds []float64, counts []uint64, sum float64, labels ...string) {
	w.Family(histogram, name, help)
	var total uint64
	for i, bound := range bounds {
		total += counts[i]
		w.sample("_bucket", float64(total), append(labels[:len(labels):len(labels)], "le", number(bound)))
	}
	for _, n := range counts[len(bounds):] {
		total += n
	}
	w.sample("_bucket", float64(total), append(labels[:len(labels):len(labels)], "le", "+Inf"))
	w.sample("_sum", sum, labels)
	w.sample("_count", float64(total), labels)
}

func (w *Writer) sample(suffix string, value float64, labels []string) {
	w.b.WriteString(w.name + suffix)
	for i := 0; i+1 < len(labels); i += 2 {
		check(labels[i])
		w.b.WriteString([]string{"{", ","}[min(i, 1)])
		w.b.WriteString(labels[i] + `="` + escape(labels[i+1], true) + `"`)
	}
	if len(labels) > 1 {
		w.b.WriteByte('}')
	}
	w.b.WriteString(" " + number(value) + "\n")
}

// WriteTo sends what was collected.
func (w *Writer) WriteTo(to io.Writer) (int64, error) { return w.b.WriteTo(to) }

// Len is how many bytes were collected.
func (w *Writer) Len() int { return w.b.Len() }

func number(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "+Inf"
	case math.IsInf(v, -1):
		return "-Inf"
	}
	return strconv.FormatFloat(v, 'g', -1, 64) // NaN is written as the format wants it
}

// escape makes a text fit one line, in quotes or not.
func escape(s string, quoted bool) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if quoted {
		return strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`).Replace(s)
	}
	return strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(s)
}

// check panics on a name that no reader takes: names are constants of the
// program.
func check(name string) {
	for i, c := range []byte(name) {
		if c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || i > 0 && c >= '0' && c <= '9' {
			continue
		}
		panic("metrics: bad name " + strconv.Quote(name))
	}
	if name == "" {
		panic("metrics: empty name")
	}
}
