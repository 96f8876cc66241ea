package loadtest

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"porthole/internal/cli"
)

// The language of objectives:
//
//	objective = metric [ "." stat ] op value
//	stat      = "p" number | "mean" | "max"       percentile from p0 to p100
//	op        = "<" | "<=" | "==" | "!=" | ">=" | ">"
//	value     = number [ unit ]
//	unit      = "ns" | "us" | "µs" | "ms" | "s" | "m" | "%" | "B" | "kB" | "MB"
//
// A time has a stat and a unit of time. A count has no unit, or % for its share.
// Blanks may stand between the parts.
const (
	maxExpression = 128 // bytes of one objective
	maxObjectives = 64
)

// DefaultObjectives are those of a healthy feed at a period of two seconds.
const DefaultObjectives = "errors == 0, age.p99 < 4.5s"

// quantity is what a metric is measured in.
type quantity uint8

const (
	timeQuantity  quantity = 1 << iota // seconds, by stat
	countQuantity                      // a number
	shareQuantity                      // part of something, 0 to 1
	byteQuantity                       // a number of bytes
)

// metrics names what objectives can be about.
var metrics = map[string]quantity{
	"age":         timeQuantity, // of the picture on the screen, over watch time
	"latency":     timeQuantity, // from the planned instant to the last byte
	"service":     timeQuantity, // from the sending to the last byte
	"first_frame": timeQuantity, // from the join to the first picture
	"recovery":    timeQuantity, // from the beginning of a phase to a picture taken since
	"hiccup":      timeQuantity, // of the generator

	"stalled":     shareQuantity,                 // of the generator's time, in hiccups above 20 ms
	"errors":      countQuantity | shareQuantity, // of the polls sent
	"unfinished":  countQuantity | shareQuantity, // of the polls sent
	"skipped":     countQuantity | shareQuantity, // of the polls due
	"late":        countQuantity | shareQuantity, // of the polls due
	"unchanged":   countQuantity | shareQuantity, // of the polls sent
	"missed":      countQuantity | shareQuantity, // of the pictures there were to see
	"duplicates":  countQuantity | shareQuantity, // of the pictures sent
	"backward":    countQuantity | shareQuantity, // of the pictures shown
	"freezes":     countQuantity | shareQuantity, // number; share of watch time frozen
	"live":        shareQuantity,                 // of the watch time
	"loop":        shareQuantity,                 // of the watch time
	"blank":       shareQuantity,                 // of the watch time
	"unseen":      countQuantity | shareQuantity, // viewers who never saw a picture
	"unrecovered": countQuantity,                 // viewers who saw no picture newer than the phase
	"polls":       countQuantity,
	"reconnects":  countQuantity,
	"viewer_rate": byteQuantity, // body bytes per viewer and minute

	"keys":       countQuantity | shareQuantity, // of the frames that made pictures
	"refetch":    countQuantity | shareQuantity, // keys that repair something, of the same
	"gaps":       countQuantity | shareQuantity, // places where pictures are lacking, of the same
	"lost":       countQuantity | shareQuantity, // pictures lacking there, of those and the frames
	"mismatches": countQuantity | shareQuantity, // wrong checksums, of the frames and those
}

// ofChanges are the metrics of viewers who decode changes.
var ofChanges = []string{"keys", "refetch", "gaps", "lost", "mismatches"}

// operators in the order in which they are tried: longer ones first.
var operators = []string{"<=", ">=", "==", "!=", "<", ">"}

// units by quantity. The factor brings a value to seconds, 1 or bytes.
var units = map[string]struct {
	of     quantity
	factor float64
}{
	"ns": {timeQuantity, 1e-9}, "us": {timeQuantity, 1e-6}, "µs": {timeQuantity, 1e-6},
	"ms": {timeQuantity, 1e-3}, "s": {timeQuantity, 1}, "m": {timeQuantity, 60},
	"": {countQuantity, 1}, "%": {shareQuantity, 0.01},
	"B": {byteQuantity, 1}, "kB": {byteQuantity, 1e3}, "MB": {byteQuantity, 1e6},
}

// Objective is one expectation, such as "age.p99 < 4.5s".
type Objective struct {
	metric string
	stat   string // "p99", "mean", "max"; empty where there is none
	op     string
	number string // as written
	unit   string
	limit  float64 // number x unit
}

// ParseObjective reads one objective.
func ParseObjective(s string) (Objective, error) {
	o, err := parseObjective(s)
	if err != nil {
		return Objective{}, cli.Hint(fmt.Errorf("parse objective %q: %w", clip(s), err),
			"write it like errors == 0, age.p99 < 4.5s, missed < 1% or first_frame.p95 < 500ms")
	}
	return o, nil
}

// ParseObjectives reads a list separated by commas. An empty list is no
// objectives.
func ParseObjectives(list string) ([]Objective, error) {
	var all []Objective
	if strings.TrimSpace(list) == "" {
		return nil, nil
	}
	for s := range strings.SplitSeq(list, ",") {
		if len(all) == maxObjectives {
			return nil, fmt.Errorf("parse objectives: more than %d", maxObjectives)
		}
		o, err := ParseObjective(s)
		if err != nil {
			return nil, err
		}
		all = append(all, o)
	}
	return all, nil
}

func clip(s string) string {
	if len(s) > maxExpression {
		return s[:maxExpression] + "…"
	}
	return s
}

func parseObjective(s string) (o Objective, err error) {
	if len(s) > maxExpression {
		return o, fmt.Errorf("longer than %d bytes", maxExpression)
	}
	at := strings.IndexAny(s, "<>=!")
	if at < 0 {
		return o, errors.New("no comparison")
	}
	left, right := strings.TrimSpace(s[:at]), s[at:]
	for _, op := range operators {
		if strings.HasPrefix(right, op) {
			o.op = op
			break
		}
	}
	if o.op == "" {
		return o, fmt.Errorf("unknown comparison %q", right[:1])
	}
	o.metric, o.stat, _ = strings.Cut(left, ".")
	kind, ok := metrics[o.metric]
	if !ok {
		return o, fmt.Errorf("unknown metric %q", o.metric)
	}
	switch _, err := statOf(o.stat); {
	case kind == timeQuantity && err != nil:
		return o, fmt.Errorf("metric %q: %w", o.metric, err)
	case kind != timeQuantity && strings.Contains(left, "."):
		return o, fmt.Errorf("metric %q has no %q", o.metric, o.stat)
	}
	return o, o.parseValue(strings.TrimSpace(right[len(o.op):]), kind)
}

func (o *Objective) parseValue(s string, kind quantity) error {
	end := strings.IndexFunc(s, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if end < 0 {
		end = len(s)
	}
	o.number, o.unit = s[:end], strings.TrimSpace(s[end:])
	value, err := strconv.ParseFloat(o.number, 64)
	if err != nil || math.IsInf(value, 0) {
		return fmt.Errorf("%q is not a number", o.number)
	}
	unit, ok := units[o.unit]
	if !ok {
		return fmt.Errorf("unknown unit %q", o.unit)
	}
	if unit.of&kind == 0 {
		return fmt.Errorf("metric %q is not measured in %q", o.metric, o.unit)
	}
	o.limit = value * unit.factor
	return nil
}

// statOf returns the quantile of a stat: 0 to 1, or meanStat or maxStat.
func statOf(stat string) (float64, error) {
	switch stat {
	case "mean":
		return meanStat, nil
	case "max":
		return maxStat, nil
	case "":
		return 0, errors.New(`needs a percentile, "mean" or "max"`)
	}
	digits, ok := strings.CutPrefix(stat, "p")
	if !ok || strings.ContainsFunc(digits, func(r rune) bool { return (r < '0' || r > '9') && r != '.' }) {
		return 0, fmt.Errorf("unknown figure %q", stat)
	}
	p, err := strconv.ParseFloat(digits, 64)
	if err != nil || p > 100 {
		return 0, fmt.Errorf("unknown percentile %q", stat)
	}
	return p / 100, nil
}

const (
	meanStat = -1
	maxStat  = -2
)

// String returns the objective in its usual spelling.
func (o Objective) String() string {
	left := o.metric
	if o.stat != "" {
		left += "." + o.stat
	}
	return left + " " + o.op + " " + o.number + o.unit
}

// holds compares a measured value with the limit.
func (o Objective) holds(measured float64) bool {
	switch o.op {
	case "<":
		return measured < o.limit
	case "<=":
		return measured <= o.limit
	case "==":
		return measured == o.limit
	case "!=":
		return measured != o.limit
	case ">=":
		return measured >= o.limit
	case ">":
		return measured > o.limit
	}
	return false
}

// show spells a measured value in the objective's kind of unit.
func (o Objective) show(measured float64) string {
	switch units[o.unit].of {
	case timeQuantity:
		return short(time.Duration(measured * float64(time.Second)))
	case shareQuantity:
		return percent(measured)
	case byteQuantity:
		return size(measured)
	}
	return strconv.FormatFloat(measured, 'f', -1, 64)
}
