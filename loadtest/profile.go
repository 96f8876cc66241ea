package loadtest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"porthole/internal/cli"
)

// Profile is a load test as a text file. One line is one thing; # begins a
// comment.
//
//	name Front page
//	viewers 200                  for how long, how often, by which way:
//	duration 2m                  the flags of rig load, without the dashes
//	period 2s
//	think after
//	protocol h2
//
//	arrivals spike               a named pattern, or stages:
//	stage 30s to 200             evenly to 200 viewers, within 30 s
//	stage 1m at 1000             1000 at once, for a minute
//	stage 1m hold                as many as there are
//
//	at 40s camera stop for 15s   something happens; it begins a phase
//	  expect live < 100%         what must hold in the phase of the line above
//	at 70s server restart as deploy
//	  expect recovery.p95 < 6s
//
//	objective errors == 0, age.p99 < 4.5s
type Profile struct {
	Name       string
	File       string
	Settings   []Setting
	Arrivals   string
	Stages     []Stage
	Steps      []Step // as written, those of stages included
	Objectives []Objective
}

// Setting is a line that has the name of a flag.
type Setting struct {
	Line       int
	Key, Value string
}

// profileKeys are the flags that a profile may set.
var profileKeys = map[string]string{
	"viewers": "viewers 200", "duration": "duration 2m", "period": "period 2s", "ramp": "ramp 8s", "stay": "stay 3m36s",
	"think": "think interval|after|longpoll|events", "protocol": "protocol h1|h2|stream|delta", "etag": "etag on|off",
	"keepalive": "keepalive on|off", "resume": "resume on|off",
	"timeout": "timeout 10s", "freeze-after": "freeze-after 4s", "wait": "wait 25s", "seed": "seed 7",
}

// Limits of a profile.
const (
	maxProfile     = 64 << 10
	maxProfileLine = 1000
	maxSteps       = 200
)

// OpenProfile reads a file.
func OpenProfile(path string) (*Profile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, cli.Hint(fmt.Errorf("read profile: %w", err), "give the path of a profile; loads/*.txt are shipped")
	}
	defer f.Close()
	return ParseProfile(f, path)
}

// ParseProfile reads a profile. file is its name in reports and errors, which
// have the form file:line: what is wrong.
func ParseProfile(r io.Reader, file string) (*Profile, error) {
	p := profileParser{p: &Profile{File: file}}
	lines := bufio.NewScanner(io.LimitReader(r, maxProfile+1))
	lines.Buffer(make([]byte, 0, maxProfileLine+2), maxProfileLine+2)
	number, size := 0, 0
	fail := func(err error) (*Profile, error) { return nil, fmt.Errorf("%s:%d: %w", file, number, err) }
	for lines.Scan() {
		number++
		if size += len(lines.Bytes()) + 1; size > maxProfile {
			return fail(fmt.Errorf("the file has more than %d bytes", maxProfile))
		}
		p.line = number
		if err := p.parse(strings.TrimSpace(lines.Text())); err != nil {
			return fail(err)
		}
	}
	if err := lines.Err(); err != nil {
		number++
		if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("the line has more than %d bytes", maxProfileLine)
		}
		return fail(err)
	}
	if p.p.Arrivals != "" && len(p.p.Stages) > 0 {
		return fail(errors.New("arrivals and stages exclude each other"))
	}
	if p.p.Name == "" {
		p.p.Name = file
	}
	return p.p, nil
}

type profileParser struct {
	p    *Profile
	line int
	at   time.Duration // where the next stage begins
}

const profileForms = "the lines are: name, objective, arrivals, stage, at, expect, and flags of rig load such as viewers 200"

func (p *profileParser) parse(line string) error {
	if line == "" || line[0] == '#' {
		return nil
	}
	word, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	if form, ok := profileKeys[word]; ok {
		if rest == "" || len(strings.Fields(rest)) != 1 {
			return cli.Hint(fmt.Errorf("%s takes one value", word), "the form is: "+form)
		}
		for _, s := range p.p.Settings {
			if s.Key == word {
				return fmt.Errorf("%s is set twice, first in line %d", word, s.Line)
			}
		}
		p.p.Settings = append(p.p.Settings, Setting{p.line, word, rest})
		return nil
	}
	hint, parse := "", (func(string) error)(nil)
	switch word {
	case "name":
		hint, parse = "name TEXT", p.name
	case "objective":
		hint, parse = "objective errors == 0, age.p99 < 4.5s", p.objective
	case "arrivals":
		hint, parse = "arrivals PATTERN, one of "+patternNames(), p.arrivals
	case "stage":
		hint, parse = "stage 30s to N, stage 30s at N, or stage 30s hold; with as NAME behind it", p.stage
	case "at":
		hint, parse = "at 40s camera stop [for 10s] [as NAME]", p.step
	case "expect":
		hint, parse = "expect errors < 1%, below the line that it is about", p.expect
	default:
		return cli.Hint(fmt.Errorf("unknown line %q", clip(word)), profileForms)
	}
	if err := parse(rest); err != nil {
		return cli.Hint(fmt.Errorf("%s: %w", word, err), "the form is: "+hint)
	}
	return nil
}

func patternNames() string {
	var names []string
	for _, p := range Patterns {
		names = append(names, p.Name)
	}
	return strings.Join(names, ", ")
}

func (p *profileParser) name(rest string) error {
	if rest == "" || p.p.Name != "" {
		return errors.New("want one name, once")
	}
	p.p.Name = rest
	return nil
}

func (p *profileParser) objective(rest string) error {
	list, err := ParseObjectives(rest)
	if err == nil && len(list) == 0 {
		err = errors.New("nothing")
	}
	if len(p.p.Objectives)+len(list) > maxObjectives {
		return fmt.Errorf("more than %d", maxObjectives)
	}
	p.p.Objectives = append(p.p.Objectives, list...)
	return err
}

func (p *profileParser) arrivals(rest string) error {
	if _, ok := FindPattern(rest); !ok || p.p.Arrivals != "" {
		return fmt.Errorf("want one pattern, once, got %q", clip(rest))
	}
	p.p.Arrivals = rest
	return nil
}

func (p *profileParser) stage(rest string) error {
	rest, name := cutName(rest)
	words := strings.Fields(rest)
	if len(words) < 2 {
		return errors.New("want a time and what happens")
	}
	d, err := profileTime(words[0])
	if err != nil {
		return err
	}
	s := Stage{Name: name, For: d}
	switch {
	case words[1] == "hold" && len(words) == 2:
		if len(p.p.Stages) == 0 {
			return errors.New("there is nobody to hold yet")
		}
		s.To = p.p.Stages[len(p.p.Stages)-1].To
	case (words[1] == "to" || words[1] == "at") && len(words) == 3:
		n, err := strconv.Atoi(words[2])
		if err != nil || n < 0 || n > maxViewers {
			return fmt.Errorf("%q viewers: want 0 to %d", clip(words[2]), maxViewers)
		}
		s.To, s.Evenly = n, words[1] == "to"
	default:
		return fmt.Errorf("%q is none of to, at and hold", clip(words[1]))
	}
	if len(p.p.Stages) == maxSteps || p.at+d > maxRun {
		return fmt.Errorf("more than %d stages or %v", maxSteps, maxRun)
	}
	p.p.Stages = append(p.p.Stages, s)
	// A step that does nothing: expectations hang on it.
	p.p.Steps = append(p.p.Steps, Step{At: p.at, Name: s.Name})
	if name == "" {
		p.p.Steps[len(p.p.Steps)-1].Name = s.describe(len(p.p.Stages) - 1)
	}
	p.at += d
	return nil
}

// cutName takes "as NAME" off the end of a line.
func cutName(rest string) (line, name string) {
	if i := strings.LastIndex(rest, " as "); i >= 0 {
		return rest[:i], strings.TrimSpace(rest[i+4:])
	}
	return rest, ""
}

func (p *profileParser) step(rest string) error {
	rest, name := cutName(rest)
	words := strings.Fields(rest)
	if len(words) < 2 {
		return errors.New("want a time and what happens")
	}
	at, err := time.ParseDuration(words[0])
	if err != nil || at < 0 || at > maxRun {
		return fmt.Errorf("%q is no time such as 40s", clip(words[0]))
	}
	s := Step{At: at, Name: name, Do: words[1:]}
	if n := len(s.Do); n >= 3 && s.Do[n-2] == "for" {
		if s.For, err = profileTime(s.Do[n-1]); err != nil {
			return err
		}
		s.Do = s.Do[:n-2]
	}
	if len(p.p.Steps) >= maxSteps {
		return fmt.Errorf("more than %d steps", maxSteps)
	}
	p.p.Steps = append(p.p.Steps, s)
	return nil
}

func (p *profileParser) expect(rest string) error {
	if len(p.p.Steps) == 0 {
		return errors.New("no stage or at line stands above it")
	}
	list, err := ParseObjectives(rest)
	if err == nil && len(list) == 0 {
		err = errors.New("nothing")
	}
	s := &p.p.Steps[len(p.p.Steps)-1]
	if len(s.Expect)+len(list) > maxObjectives {
		return fmt.Errorf("more than %d", maxObjectives)
	}
	s.Expect = append(s.Expect, list...)
	return err
}

func profileTime(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 || d > maxRun {
		return 0, fmt.Errorf("%q is no time such as 30s or 2m", clip(s))
	}
	return d, nil
}

// Apply puts what the profile says into a configuration whose fields the
// profile does not set are left alone.
func (p *Profile) Apply(c *Config) error {
	for _, s := range p.Settings {
		if err := c.set(s.Key, s.Value); err != nil {
			return cli.Usage(cli.Hint(fmt.Errorf("%s:%d: %w", p.File, s.Line, err), "the form is: "+profileKeys[s.Key]))
		}
	}
	c.Name = p.Name
	c.Steps = append(c.Steps, p.Steps...)
	c.Objectives = append(c.Objectives, p.Objectives...)
	if len(p.Stages) > 0 {
		c.Crowd = Crowd{Pattern: "stages", Stages: p.Stages}
	}
	return nil
}

// set sets a field by the name of its flag.
func (c *Config) set(key, value string) (err error) {
	duration := func(d *time.Duration) { *d, err = profileTime(value) }
	number := func(n *int) {
		if *n, err = strconv.Atoi(value); err != nil || *n < 1 {
			err = fmt.Errorf("%q is no number from 1", clip(value))
		}
	}
	toggle := func(b *bool, on bool) {
		switch value {
		case "on":
			*b = on
		case "off":
			*b = !on
		default:
			err = fmt.Errorf("%q is neither on nor off", clip(value))
		}
	}
	switch key {
	case "viewers":
		number(&c.Viewers)
	case "duration":
		duration(&c.Duration)
	case "period":
		duration(&c.Period)
	case "ramp":
		duration(&c.Ramp)
	case "stay":
		duration(&c.Stay)
	case "timeout":
		duration(&c.Timeout)
	case "freeze-after":
		duration(&c.FreezeAfter)
	case "wait":
		duration(&c.Wait)
	case "think":
		c.Think = Think(value)
	case "protocol":
		c.Protocol = Protocol(value)
	case "etag":
		toggle(&c.Conditional, true)
	case "keepalive":
		toggle(&c.Reconnect, false)
	case "resume":
		toggle(&c.Resume, true)
	case "seed":
		if c.Seed, err = strconv.ParseUint(value, 10, 64); err != nil {
			err = fmt.Errorf("%q is no seed", clip(value))
		}
	}
	return err
}
