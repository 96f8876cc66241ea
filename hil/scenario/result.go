package scenario

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"porthole/internal/cli"
)

// Outcome is how a scenario ended.
type Outcome string

// The outcomes.
const (
	Passed  Outcome = "passed"
	Failed  Outcome = "failed"
	Skipped Outcome = "skipped" // not run, and the reason says why
	Broken  Outcome = "broken"  // the bench is at fault: nothing was learnt about the board
)

// Result is what came of a scenario. As JSON it is one line of a report.
type Result struct {
	Name     string        `json:"name"`
	File     string        `json:"file"`
	Bench    string        `json:"bench,omitempty"`
	Outcome  Outcome       `json:"outcome"`
	Started  time.Time     `json:"started"`
	Took     time.Duration `json:"took_ns"`
	Steps    int           `json:"steps"` // that were done, every turn of a repeat
	Line     int           `json:"line,omitempty"`
	Step     string        `json:"step,omitempty"` // that failed
	Reason   string        `json:"reason,omitempty"`
	Hint     string        `json:"hint,omitempty"`
	Notes    []string      `json:"notes,omitempty"` // what was left out
	Tail     []string      `json:"tail,omitempty"`  // of the console, from outside
	Evidence []string      `json:"evidence,omitempty"`
}

// where is the place of a failure.
func (r Result) where() string {
	if r.Line == 0 {
		return r.File
	}
	return fmt.Sprintf("%s:%d: %s", r.File, r.Line, r.Step)
}

// WriteText writes a result for people. Nothing from outside is written raw.
func WriteText(w io.Writer, r Result) error {
	var b strings.Builder
	word := map[Outcome]string{Passed: "ok     ", Failed: "FAILED ", Skipped: "NOT RUN", Broken: "BROKEN "}[r.Outcome]
	fmt.Fprintf(&b, "%s %-28s %8s  %d steps", word, cli.Printable(r.Name), r.Took.Round(10*time.Millisecond), r.Steps)
	if r.Outcome == Skipped {
		fmt.Fprintf(&b, ": %s", cli.Printable(r.Reason))
	}
	b.WriteByte('\n')
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "        %s\n", cli.Printable(n))
	}
	if r.Outcome == Failed || r.Outcome == Broken {
		fmt.Fprintf(&b, "        %s\n        %s\n", cli.Printable(r.where()), cli.Printable(r.Reason))
		if r.Hint != "" {
			fmt.Fprintf(&b, "        hint: %s\n", cli.Printable(r.Hint))
		}
		if len(r.Tail) > 0 {
			b.WriteString("        the console's last lines:\n")
		}
		for _, l := range r.Tail {
			fmt.Fprintf(&b, "        | %s\n", cli.Printable(l))
		}
		for _, l := range r.Evidence {
			fmt.Fprintf(&b, "        %s\n", cli.Printable(l))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteJSON writes a result as one line.
func WriteJSON(w io.Writer, r Result) error { return json.NewEncoder(w).Encode(r) }

// JUnit, as the readers of continuous integration understand it.
type (
	junitSuites struct {
		XMLName  xml.Name   `xml:"testsuites"`
		Tests    int        `xml:"tests,attr"`
		Failures int        `xml:"failures,attr"`
		Errors   int        `xml:"errors,attr"`
		Skipped  int        `xml:"skipped,attr"`
		Time     string     `xml:"time,attr"`
		Suite    junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Time     string      `xml:"time,attr"`
		Started  string      `xml:"timestamp,attr,omitempty"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		Time    string        `xml:"time,attr"`
		Failure *junitTrouble `xml:"failure"`
		Error   *junitTrouble `xml:"error"`
		Skipped *junitTrouble `xml:"skipped"`
		Out     string        `xml:"system-out,omitempty"`
	}
	junitTrouble struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// WriteJUnit writes all results as one JUnit file.
func WriteJUnit(w io.Writer, results []Result) error {
	s := junitSuite{Name: "hil", Tests: len(results)}
	var took time.Duration
	for i, r := range results {
		if i == 0 {
			s.Started = r.Started.UTC().Format("2006-01-02T15:04:05")
		}
		took += r.Took
		c := junitCase{Name: cli.Printable(r.Name), Class: "hil." + cli.Printable(r.Bench), Time: seconds(r.Took)}
		var text strings.Builder
		if err := WriteText(&text, r); err != nil {
			return err
		}
		trouble := &junitTrouble{Message: cli.Printable(r.Reason), Text: text.String()}
		switch r.Outcome {
		case Failed:
			c.Failure = trouble
			s.Failures++
		case Broken:
			c.Error = trouble
			s.Errors++
		case Skipped:
			c.Skipped = &junitTrouble{Message: trouble.Message}
			s.Skipped++
		default:
			c.Out = text.String()
		}
		s.Cases = append(s.Cases, c)
	}
	s.Time = seconds(took)
	all := junitSuites{Tests: s.Tests, Failures: s.Failures, Errors: s.Errors, Skipped: s.Skipped, Time: s.Time, Suite: s}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(all); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
