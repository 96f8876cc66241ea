package loadtest

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "rewrite golden files")

// goldenReport is a run in virtual time with something of everything; what
// depends on the machine is replaced.
func goldenReport(t *testing.T) *Report {
	t.Helper()
	var r *Report
	synctest.Test(t, func(t *testing.T) {
		const s = time.Second
		f := newFeed(func(at time.Duration) (still, time.Duration) {
			p, _ := steady(2*s, 130*time.Millisecond)(at)
			if at > 8*s && at < 11*s {
				return p, 11*s - at
			}
			return p, 40 * time.Millisecond
		})
		f.status = func(at time.Duration) int {
			if at > 17*s {
				return 503
			}
			return 200
		}
		start := time.Now()
		objectives, err := ParseObjectives("errors == 0, age.p99 < 8s, missed < 5%, live > 50%, first_frame.p95 < 500ms, viewer_rate < 1kB")
		if err != nil {
			t.Fatal(err)
		}
		truth := TruthFunc(func(at time.Time) Source {
			if at.Sub(start) > 14*s {
				return Loop
			}
			return Live
		})
		r = play(t, f, Config{Viewers: 12, Duration: 20 * s, Conditional: true, Seed: 4711, Objectives: objectives, Truth: truth})
	})
	r.Generator = Generator{CPU: Seconds(1234 * time.Millisecond), CPUPerPoll: Seconds(456 * time.Microsecond), CPUs: 2, InProcess: true,
		Hiccup: Quantiles{Count: 17000, Mean: 80_000, P50: 70_000, P90: 120_000, P95: 200_000, P99: 1_500_000, Max: 6_900_000}}
	// What falls due just as a second ends is in the one or in the other.
	r.Series = []Sample{{At: Seconds(time.Second), Viewers: 3, Polls: 3, New: 3, Bytes: 42, AgeP50: Seconds(500 * time.Millisecond),
		AgeP99: Seconds(time.Second), LatencyP99: Seconds(40 * time.Millisecond)}, {At: Seconds(2 * time.Second), Viewers: 6, Polls: 3, Errors: 1, Final: true}}
	return r
}

func TestReportGolden(t *testing.T) {
	r := goldenReport(t)
	var text, js bytes.Buffer
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteJSON(&js); err != nil {
		t.Fatal(err)
	}
	for n, line := range strings.Split(text.String(), "\n") {
		if utf8.RuneCountInString(line) > 80 {
			t.Errorf("line %d has more than 80 columns: %q", n+1, line)
		}
	}
	for name, got := range map[string][]byte{"report.txt": text.Bytes(), "report.json": js.Bytes()} {
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs (-update rewrites it); got:\n%s", path, got)
		}
	}

	var back Report
	if err := json.Unmarshal(js.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	back.total, back.hiccups = r.total, r.hiccups
	if !reflect.DeepEqual(&back, r) {
		t.Errorf("the report does not survive JSON:\n%+v\n%+v", &back, r)
	}
}

// TestTextIsHarmless: the target comes from outside.
func TestTextIsHarmless(t *testing.T) {
	r := &Report{Scenario: Scenario{Target: "http://a/\x1b[2J"}}
	var b strings.Builder
	if err := r.WriteText(&b); err != nil || strings.Contains(b.String(), "\x1b") {
		t.Errorf("%q, %v", b.String(), err)
	}
}

func TestSeconds(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0", time.Nanosecond: "0.000000001", 1500 * time.Millisecond: "1.5", -time.Second: "-1", time.Hour: "3600",
	} {
		b, err := json.Marshal(Seconds(d))
		if err != nil || string(b) != want {
			t.Errorf("%v is %s, want %s (%v)", d, b, want, err)
		}
		var back Seconds
		if err := json.Unmarshal(b, &back); err != nil || back != Seconds(d) {
			t.Errorf("%s reads as %v (%v)", b, time.Duration(back), err)
		}
	}
	for _, bad := range []string{`"1s"`, `1e300`, `{}`, `-1e10`} {
		if err := json.Unmarshal([]byte(bad), new(Seconds)); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}
