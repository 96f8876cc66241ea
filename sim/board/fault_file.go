package board

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The text form of a schedule: one fault a line, blank lines and # comments.
//
//	flip rx=1042 bit=3
//	stall rx=2000 for=250ms
//	unplug command=14 for=2s power=1
//	powercut time=1.5s
//	ignorewrite write=5 count=3
//
// The first word is the kind (FaultSpecs), the second the trigger with the number
// of its occurrence, or a time for "time"; the rest are parameters, which have
// defaults. Numbers may be hexadecimal with 0x.

// maxFaultLine bounds a line of a schedule in bytes.
const maxFaultLine = 200

// ParseSchedule reads the text form.
func ParseSchedule(r io.Reader) (Schedule, error) {
	var s Schedule
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 0, maxFaultLine), maxFaultLine)
	n := 0
	for sc.Scan() {
		n++
		text, _, _ := strings.Cut(sc.Text(), "#")
		words := strings.Fields(text)
		if len(words) == 0 {
			continue
		}
		if len(s) == MaxFaults {
			return nil, fmt.Errorf("parse schedule: line %d: more than %d faults", n, MaxFaults)
		}
		f, err := parseFault(words)
		if err != nil {
			return nil, fmt.Errorf("parse schedule: line %d: %w", n, err)
		}
		s = append(s, f)
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("parse schedule: line %d: %w", n+1, err)
	}
	return s, nil
}

// ParseFault reads one fault, as on a line of a schedule.
func ParseFault(line string) (Fault, error) {
	words := strings.Fields(line)
	if len(words) == 0 || len(line) > maxFaultLine {
		return Fault{}, fmt.Errorf("parse fault: empty or above %d bytes", maxFaultLine)
	}
	return parseFault(words)
}

func parseFault(words []string) (Fault, error) {
	spec, ok := FindFault(words[0])
	if !ok {
		return Fault{}, fmt.Errorf("unknown fault %q", words[0])
	}
	f := Fault{Name: spec.Name, For: spec.For, Value: spec.Default}
	seen := make(map[string]bool, len(words))
	for _, word := range words[1:] {
		key, value, ok := strings.Cut(word, "=")
		if !ok || seen[key] {
			return Fault{}, fmt.Errorf("fault %s: %q is not one more key=value", f.Name, word)
		}
		seen[key] = true
		if err := f.set(spec, key, value); err != nil {
			return Fault{}, fmt.Errorf("fault %s: %s: %w", f.Name, key, err)
		}
	}
	if f.On == 0 {
		return Fault{}, fmt.Errorf("fault %s: no trigger; give one of %v", f.Name, spec.On)
	}
	return f, f.Check()
}

func (f *Fault) set(spec FaultSpec, key, value string) (err error) {
	switch {
	case key == "count":
		f.Count, err = strconv.ParseUint(value, 0, 32)
		if f.Count == 1 {
			f.Count = 0
		}
	case key == "for":
		f.For, err = time.ParseDuration(value)
	case key == spec.Param && key != "":
		f.Value, err = strconv.ParseUint(value, 0, 32)
	default:
		on := Trigger(slices.Index(triggerNames[:], key))
		if key == "" || on <= 0 || on >= triggers {
			return fmt.Errorf("unknown key")
		}
		if f.On != 0 {
			return fmt.Errorf("a second trigger")
		}
		if f.On = on; on == OnTime {
			f.At, err = time.ParseDuration(value)
			return err
		}
		f.N, err = strconv.ParseUint(value, 0, 64)
	}
	return err
}

// String is the line of a schedule for f; ParseFault reads it back.
func (f Fault) String() string {
	spec, _ := FindFault(f.Name)
	var b strings.Builder
	if f.On == OnTime {
		fmt.Fprintf(&b, "%s time=%v", f.Name, f.At)
	} else {
		fmt.Fprintf(&b, "%s %v=%d", f.Name, f.On, f.N)
	}
	if f.Count > 1 {
		fmt.Fprintf(&b, " count=%d", f.Count)
	}
	if spec.For != 0 {
		fmt.Fprintf(&b, " for=%v", f.For)
	}
	if spec.Param != "" {
		fmt.Fprintf(&b, " %s=%#x", spec.Param, f.Value)
	}
	return b.String()
}

// String is the text form of the whole schedule.
func (s Schedule) String() string {
	var b strings.Builder
	for _, f := range s {
		b.WriteString(f.String())
		b.WriteByte('\n')
	}
	return b.String()
}

// reach is how far into a session the random occurrences of a trigger lie: a
// flashing session of a few kilobytes counts that many.
var reach = [triggers]uint64{
	OnRX: 20_000, OnTX: 4_000, OnCommand: 80, OnSync: 2, OnHello: 1, OnBaud: 1,
	OnErase: 8, OnWrite: 12, OnMD5: 4, OnPacket: 4, OnRead: 1, OnReset: 2,
	OnTime: 8_000, // ms
}

// RandomSchedule makes one to five faults from a seed, of any kind.
func RandomSchedule(seed uint64) Schedule { return randomSchedule(seed, faultSpecs) }

// HealingSchedule is RandomSchedule without the faults that need a person.
func HealingSchedule(seed uint64) Schedule {
	specs := slices.DeleteFunc(slices.Clone(faultSpecs), func(s FaultSpec) bool { return !s.Heals })
	return randomSchedule(seed, specs)
}

func randomSchedule(seed uint64, specs []FaultSpec) Schedule {
	r := rand.New(rand.NewPCG(seed, 0x6661756c7473))
	s := make(Schedule, 1+r.IntN(5))
	for i := range s {
		spec := specs[r.IntN(len(specs))]
		f := Fault{Name: spec.Name, On: spec.On[r.IntN(len(spec.On))]}
		// Small numbers are as likely as large ones: the start of a session is
		// where most of its variety lies.
		n := 1 + r.Uint64N(1+r.Uint64N(reach[f.On]))
		if f.On == OnTime {
			f.At = time.Duration(n) * time.Millisecond
		} else {
			f.N = n
		}
		if spec.Count && f.On != OnTime && r.IntN(4) == 0 {
			f.Count = 2 + r.Uint64N(4)
		}
		if spec.For != 0 {
			f.For = time.Duration(1+r.Int64N(int64(2*spec.For/time.Millisecond))) * time.Millisecond
		}
		if spec.Param != "" {
			f.Value = spec.Low + r.Uint64N(spec.High-spec.Low+1)
		}
		s[i] = f
	}
	return s
}
