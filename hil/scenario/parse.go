package scenario

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"porthole/internal/cli"
)

// Limits of a file.
const (
	maxFile   = 64 << 10
	maxLine   = 1000
	maxSteps  = 1000
	maxDepth  = 4
	maxRepeat = 100_000
	maxTime   = 24 * time.Hour
)

// Open reads a file.
func Open(path string) (*Scenario, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, cli.Hint(fmt.Errorf("read scenario: %w", err), "give the path of a scenario; the shipped ones are scenarios/*.txt")
	}
	defer f.Close()
	return Parse(f, path)
}

// Parse reads a scenario. file is its name in reports and errors, which have
// the form file:line: what is wrong.
func Parse(r io.Reader, file string) (*Scenario, error) {
	p := parser{s: &Scenario{File: file}}
	lines := bufio.NewScanner(io.LimitReader(r, maxFile+1))
	lines.Buffer(make([]byte, 0, maxLine+2), maxLine+2)
	size := 0
	fail := func(err error) (*Scenario, error) {
		return nil, fmt.Errorf("%s:%d: %w", file, p.line, err)
	}
	p.open = []*[]Step{&p.s.Steps}
	for lines.Scan() {
		p.line++
		if size += len(lines.Bytes()) + 1; size > maxFile {
			return fail(fmt.Errorf("the file has more than %d bytes", maxFile))
		}
		if err := p.parse(strings.TrimSpace(lines.Text())); err != nil {
			return fail(err)
		}
	}
	if err := lines.Err(); err != nil {
		p.line++
		if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("the line has more than %d bytes", maxLine)
		}
		return fail(err)
	}
	switch {
	case len(p.open) > 1:
		return fail(errors.New("a repeat is not closed: a } on a line of its own is missing"))
	case p.steps == 0:
		return fail(errors.New("the scenario has no steps"))
	case p.s.Name == "":
		p.s.Name = file
	}
	return p.s, nil
}

type parser struct {
	s     *Scenario
	line  int
	steps int
	open  []*[]Step // the lists that steps go to, outermost first
}

func (p *parser) parse(line string) error {
	if line == "" || line[0] == '#' {
		return nil
	}
	word, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	if head, err := p.header(word, rest); head {
		return err
	}
	if line == "}" {
		if len(p.open) == 1 {
			return errors.New("a } without a repeat")
		}
		p.open = p.open[:len(p.open)-1]
		if body := *p.open[len(p.open)-1]; len(body[len(body)-1].Body) == 0 {
			return errors.New("a repeat without steps")
		}
		return nil
	}
	st := Step{Line: p.line, Text: line, Verb: Verb(word)}
	grammar, ok := verbs[st.Verb]
	if !ok {
		return cli.Hint(fmt.Errorf("unknown step %q", word), "the steps are: "+verbList())
	}
	if err := grammar.parse(&st, rest); err != nil {
		return cli.Hint(fmt.Errorf("%s: %w", word, err), "the form is: "+grammar.form)
	}
	if p.steps++; p.steps > maxSteps {
		return fmt.Errorf("more than %d steps", maxSteps)
	}
	list := p.open[len(p.open)-1]
	*list = append(*list, st)
	if st.Verb == Repeat {
		if len(p.open) > maxDepth {
			return fmt.Errorf("repeats are nested deeper than %d", maxDepth)
		}
		p.open = append(p.open, &(*list)[len(*list)-1].Body)
	}
	return nil
}

// header handles the lines that say what the scenario is. They come before the
// first step.
func (p *parser) header(word, rest string) (bool, error) {
	switch word {
	case "name", "needs", "soak":
	default:
		return false, nil
	}
	if p.steps > 0 {
		return true, fmt.Errorf("%s belongs before the first step", word)
	}
	switch word {
	case "name":
		if rest == "" || p.s.Name != "" {
			return true, errors.New("want one name, once")
		}
		p.s.Name = rest
	case "needs":
		for need := range strings.FieldsSeq(rest) {
			if Need(need) != NeedsShutoff && Need(need) != NeedsSimulator {
				return true, fmt.Errorf("unknown need %q: want shutoff or simulator", need)
			}
			p.s.Needs = append(p.s.Needs, Need(need))
		}
	case "soak":
		if rest != "" {
			return true, errors.New("soak takes nothing")
		}
		p.s.Soak = true
	}
	return true, nil
}

// verbs is the grammar: how the rest of a line is read.
var verbs = map[Verb]struct {
	form  string
	parse func(st *Step, rest string) error
}{
	Reset:        {"reset", none},
	Wave:         {"wave", none},
	Flash:        {"flash demo, or flash PLACE=FILE…", files},
	Provision:    {"provision [key=value…]", settings},
	Power:        {"power off|on", oneOf("off", "on")},
	Send:         {"send TEXT", text},
	Fault:        {"fault KIND TRIGGER=N [key=value…]; rig board --list-faults lists the kinds", text},
	CameraCert:   {"camera-cert refuse|accept", oneOf("refuse", "accept")},
	Server:       {"server stop|start", oneOf("stop", "start")},
	WiFi:         {"wifi off|on", oneOf("off", "on")},
	Sleep:        {"sleep 2s", func(st *Step, rest string) (err error) { st.Time, err = parseTime(rest); return err }},
	Repeat:       {"repeat N {", repeat},
	Expect:       {"expect /REGEXP/ [within 5s]", pattern("within")},
	ExpectNot:    {"expect-not /REGEXP/ for 3s", pattern("for")},
	ExpectServer: {"expect-server offline|live|fresh [within 10s], or expect-server quiet for 5s", serverState},
}

func verbList() string {
	return "reset, flash, provision, power, send, wave, fault, camera-cert, server, wifi, sleep, repeat, expect, expect-not, expect-server"
}

func none(_ *Step, rest string) error {
	if rest != "" {
		return fmt.Errorf("%q after a step that takes nothing", rest)
	}
	return nil
}

func text(st *Step, rest string) error {
	if rest == "" {
		return errors.New("takes a text")
	}
	st.Args = []string{rest}
	return nil
}

func oneOf(words ...string) func(*Step, string) error {
	return func(st *Step, rest string) error {
		for _, w := range words {
			if rest == w {
				st.Args = []string{w}
				return nil
			}
		}
		return fmt.Errorf("%q is none of %s", rest, strings.Join(words, ", "))
	}
}

func files(st *Step, rest string) error {
	st.Args = strings.Fields(rest)
	if len(st.Args) == 0 {
		return errors.New("takes demo or files")
	}
	if rest == "demo" {
		return nil
	}
	for _, f := range st.Args {
		if place, name, ok := strings.Cut(f, "="); !ok || place == "" || name == "" {
			return fmt.Errorf("%q is not PLACE=FILE", f)
		}
	}
	return nil
}

// settings takes key=value words; a value with spaces is written in quotes.
func settings(st *Step, rest string) error {
	var keys []string
	for rest != "" {
		key, value, ok := strings.Cut(rest, "=")
		if !ok || key == "" || strings.ContainsAny(key, " \"") {
			return errors.New("want key=value words")
		}
		if strings.HasPrefix(value, `"`) {
			quoted, err := strconv.QuotedPrefix(value)
			if err != nil {
				return fmt.Errorf("value of %q: the quote is not closed", key)
			}
			rest = value[len(quoted):]
			if value, err = strconv.Unquote(quoted); err != nil || rest != "" && rest[0] != ' ' {
				return fmt.Errorf("value of %q: not a quoted text", key)
			}
		} else {
			value, rest, _ = strings.Cut(value, " ")
		}
		rest = strings.TrimSpace(rest)
		keys = append(keys, key+"=…")
		st.Args = append(st.Args, key+"="+value)
	}
	// Some values are secrets, and the text is printed.
	st.Text = strings.Join(append([]string{string(Provision)}, keys...), " ")
	return nil
}

func repeat(st *Step, rest string) error {
	count, ok := strings.CutSuffix(rest, "{")
	n, err := strconv.Atoi(strings.TrimSpace(count))
	if !ok || err != nil || n < 1 || n > maxRepeat {
		return fmt.Errorf("want a count from 1 to %d and a {", maxRepeat)
	}
	st.Count = n
	return nil
}

// pattern takes /regexp/ with a time behind it, after word. A slash within the
// pattern needs no escape: the last one ends it.
func pattern(word string) func(*Step, string) error {
	return func(st *Step, rest string) error {
		end := strings.LastIndexByte(rest, '/')
		if end < 1 || rest[0] != '/' {
			return errors.New("want a regular expression between slashes")
		}
		if end == 1 {
			return errors.New("an empty pattern matches everything")
		}
		var err error
		if st.Pattern, err = regexp.Compile(rest[1:end]); err != nil {
			return err
		}
		return limit(st, strings.TrimSpace(rest[end+1:]), word)
	}
}

// limit takes the time at the end of an expectation.
func limit(st *Step, rest, word string) (err error) {
	if rest == "" && word == "within" {
		st.Time = DefaultWithin
		return nil
	}
	text, ok := strings.CutPrefix(rest, word+" ")
	if !ok {
		return fmt.Errorf("want %q and a time, got %q", word, rest)
	}
	st.Time, err = parseTime(strings.TrimSpace(text))
	return err
}

func serverState(st *Step, rest string) error {
	state, rest, _ := strings.Cut(rest, " ")
	word := "within"
	switch state {
	case "offline", "live", "fresh":
	case "quiet":
		word = "for"
	default:
		return fmt.Errorf("%q is no state of the server", state)
	}
	st.Args = []string{state}
	return limit(st, strings.TrimSpace(rest), word)
}

func parseTime(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 || d > maxTime {
		return 0, fmt.Errorf("%q is no time up to %v, such as 500ms or 2m", s, maxTime)
	}
	return d, nil
}
