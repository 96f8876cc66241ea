package scenario_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"porthole/hil/scenario"
)

// FuzzParse: whatever a file holds, it is a scenario within the limits or
// refused with the line; what was read reads the same when it is read again.
func FuzzParse(f *testing.F) {
	shipped, err := filepath.Glob("../../scenarios/*.txt")
	if err != nil || len(shipped) == 0 {
		f.Fatalf("%d shipped scenarios, %v", len(shipped), err)
	}
	for _, path := range shipped {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := scenario.Parse(strings.NewReader(text), "fuzz.txt")
		if err != nil {
			if s != nil || !strings.HasPrefix(err.Error(), "fuzz.txt:") {
				t.Errorf("error %q with %v, want fuzz.txt:LINE: and nothing", err, s)
			}
			return
		}
		if s.Name == "" || len(s.Steps) == 0 {
			t.Errorf("name %q, %d steps", s.Name, len(s.Steps))
		}
		lines := strings.Count(text, "\n") + 1
		steps, last := 0, 0
		walk(s.Steps, 1, func(st scenario.Step, depth int) {
			steps++
			if st.Line <= last || st.Line > lines {
				t.Errorf("step %q in line %d after line %d of %d", st.Text, st.Line, last, lines)
			}
			last = st.Line
			if depth > 5 || st.Time < 0 || st.Time > 24*time.Hour {
				t.Errorf("step %q: depth %d, time %v", st.Text, depth, st.Time)
			}
			switch st.Verb {
			case scenario.Repeat:
				if st.Count < 1 || len(st.Body) == 0 {
					t.Errorf("repeat of %d steps %d times", len(st.Body), st.Count)
				}
			case scenario.Expect, scenario.ExpectNot:
				if st.Pattern == nil || st.Time == 0 {
					t.Errorf("step %q: pattern %v within %v", st.Text, st.Pattern, st.Time)
				}
			case scenario.Provision:
				for _, arg := range st.Args {
					key, value, ok := strings.Cut(arg, "=")
					if !ok || key == "" {
						t.Errorf("setting %q", arg)
					}
					// The text is printed and some values are secrets. Short ones
					// may be in the keys.
					if len(value) > 3 && strings.Contains(st.Text, "="+value) {
						t.Errorf("step %q shows the value %q", st.Text, value)
					}
				}
			}
		})
		if steps > 1000 {
			t.Errorf("%d steps", steps)
		}
		for _, line := range s.Faults() {
			if line == "" {
				t.Error("an empty fault")
			}
		}
		again, err := scenario.Parse(strings.NewReader(text), "fuzz.txt")
		if err != nil || again.Name != s.Name || !slices.Equal(texts(again.Steps), texts(s.Steps)) {
			t.Errorf("read again: %v, %v", again, err)
		}
	})
}

func walk(list []scenario.Step, depth int, visit func(scenario.Step, int)) {
	for _, st := range list {
		visit(st, depth)
		walk(st.Body, depth+1, visit)
	}
}

func texts(list []scenario.Step) (out []string) {
	walk(list, 1, func(st scenario.Step, _ int) { out = append(out, st.Text) })
	return out
}
