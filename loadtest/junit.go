package loadtest

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"porthole/internal/cli"
)

// JUnit, as the readers of continuous integration understand it: a test case is
// an objective, and one says whether the generator was sound.
type (
	junitSuite struct {
		XMLName  xml.Name    `xml:"testsuite"`
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Time     string      `xml:"time,attr"`
		Started  string      `xml:"timestamp,attr"`
		Cases    []junitCase `xml:"testcase"`
		Out      string      `xml:"system-out"`
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		Failure *junitTrouble `xml:"failure"`
		Error   *junitTrouble `xml:"error"`
		Out     string        `xml:"system-out,omitempty"`
	}
	junitTrouble struct {
		Message string `xml:"message,attr"`
	}
)

// WriteJUnit writes the report as JUnit XML. A missed objective is a failure; an
// unsound generator and an objective that could not be measured are errors.
func (r *Report) WriteJUnit(w io.Writer) error {
	s := junitSuite{
		Name: "load", Time: fmt.Sprintf("%.3f", time.Duration(r.Ran).Seconds()), Started: r.Started.UTC().Format("2006-01-02T15:04:05"),
	}
	if r.Scenario.Name != "" {
		s.Name = "load: " + cli.Printable(r.Scenario.Name)
	}
	add := func(class string, o Result) {
		c := junitCase{Name: o.Objective, Class: class, Out: o.Shown}
		switch {
		case o.Measured == nil:
			c.Error = &junitTrouble{"not measured"}
			s.Errors++
		case !o.Met:
			c.Failure = &junitTrouble{"measured " + o.Shown}
			s.Failures++
		}
		s.Cases = append(s.Cases, c)
	}
	sound := junitCase{Name: "the generator is sound", Class: "load"}
	if r.Verdict == Inconclusive {
		sound.Error = &junitTrouble{cli.Printable(strings.Join(r.Reasons, "; "))}
		s.Errors++
	}
	s.Cases = append(s.Cases, sound)
	for _, o := range r.Objectives {
		add("load", o)
	}
	for _, p := range r.Phases {
		for _, o := range p.Objectives {
			add("load."+cli.Printable(p.Name), o)
		}
	}
	s.Tests = len(s.Cases)
	var text strings.Builder
	if err := r.WriteText(&text); err != nil {
		return err
	}
	s.Out = text.String()
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(s); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	_, err := io.WriteString(w, "\n")
	return err
}
