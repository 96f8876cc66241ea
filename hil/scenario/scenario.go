// Package scenario runs stories on a board: text files that say what is done to
// it and what must be seen then, on its console and on the private side of the
// server. The same file runs on the simulated board and on a real one; a [Bench]
// hides which.
//
//	name Shutoff drill               what reports call it
//	needs shutoff                    or "simulator": not run where there is none
//	soak                             run only when soaking is asked for
//
//	reset                            press the reset button
//	flash demo                       or PLACE=FILE…: 0x10000=app.bin, nvs=nvs.bin
//	provision ssid=x token=${TOKEN}  change the configuration, from the environment too
//	power off | on                   cut the camera's supply, or give it back
//	send status                      type a line on the console
//	wave                             wave at the camera, as a viewer does
//	fault powercut write=12 for=1s   simulator: what goes wrong, and when
//	camera-cert refuse | accept      simulator: the server shows a wrong certificate
//	server stop | start              simulator
//	wifi off | on                    simulator
//	sleep 2s
//	repeat 10 { … }                  the brace ends its line, its fellow has one of its own
//
//	expect /camera off/ within 2s             a line of the console
//	expect-not /Guru Meditation/ for 3s       no such line from now on
//	expect-server offline within 12s          "live": what the public is shown
//	expect-server fresh within 5s             a frame is accepted, from now on
//	expect-server quiet for 5s                no frame is accepted from now on
//
// Each expect looks at the lines after the one that the last expect has found,
// but never at lines from before the last step that did something: what was
// there already proves nothing. Lines are matched without colours and line ends.
//
// On the simulator a story that begins with flash has a board that was never
// flashed; any other has one that works. On a real board, faults and a provision
// without settings are left out, which reports say; what else is not possible
// there is an error, unless the scenario needs the simulator.
//
// A fault is one of the simulated board's schedule. Occurrences count from the
// start of the story, wherever in the file it stands.
package scenario

import (
	"regexp"
	"slices"
	"time"
)

// Verb is the first word of a step.
type Verb string

// The verbs.
const (
	Reset        Verb = "reset"
	Flash        Verb = "flash"
	Provision    Verb = "provision"
	Power        Verb = "power"
	Send         Verb = "send"
	Wave         Verb = "wave"
	Fault        Verb = "fault"
	CameraCert   Verb = "camera-cert"
	Server       Verb = "server"
	WiFi         Verb = "wifi"
	Sleep        Verb = "sleep"
	Repeat       Verb = "repeat"
	Expect       Verb = "expect"
	ExpectNot    Verb = "expect-not"
	ExpectServer Verb = "expect-server"
)

// Need is what a scenario cannot do without.
type Need string

// The needs.
const (
	NeedsShutoff   Need = "shutoff"
	NeedsSimulator Need = "simulator"
)

// Scenario is a parsed file.
type Scenario struct {
	Name  string
	File  string // for reports
	Soak  bool
	Needs []Need
	Steps []Step
}

// Step is one line of a scenario.
type Step struct {
	Line int
	Text string // as written, without the values of settings
	Verb Verb
	// Args are the words after the verb: of an action what it is about, of
	// expect-server what is expected.
	Args []string
	// Pattern is what expect and expect-not look for.
	Pattern *regexp.Regexp
	// Time is the limit of an expectation, or how long to sleep.
	Time time.Duration
	// Count and Body belong to repeat.
	Count int
	Body  []Step
}

// DefaultWithin is the limit of an expectation that names none.
const DefaultWithin = 10 * time.Second

// Faults returns the faults of all steps, in the order of the file, each as a
// line of a schedule.
func (s *Scenario) Faults() []string { return faults(s.Steps) }

func faults(steps []Step) (lines []string) {
	for _, st := range steps {
		switch st.Verb {
		case Fault:
			lines = append(lines, st.Args[0])
		case Repeat:
			lines = append(lines, faults(st.Body)...)
		}
	}
	return lines
}

// FromScratch reports whether the story begins by flashing the board.
func (s *Scenario) FromScratch() bool {
	for _, st := range s.Steps {
		if st.Verb != Fault {
			return st.Verb == Flash
		}
	}
	return false
}

// needs reports whether the scenario cannot do without n.
func (s *Scenario) needs(n Need) bool { return slices.Contains(s.Needs, n) }
