package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porthole/internal/cli"
	"porthole/internal/event"
	"porthole/loadtest"
)

// until reads events until one fits.
func until(t *testing.T, sub *event.Subscription, what string, fits func(event.Event) bool) event.Event {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	for {
		e, ok := sub.Next(ctx)
		if !ok {
			t.Fatalf("no event came that %s", what)
		}
		if fits(e) {
			return e
		}
	}
}

// TestReadLoad: samples as they come, then the report; a report alone; and what
// is neither.
func TestReadLoad(t *testing.T) {
	line := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(b) + "\n"
	}
	report := &loadtest.Report{Schema: loadtest.Schema, Verdict: loadtest.Breach, Reasons: []string{"too \x1b[31mold"}, Ran: loadtest.Seconds(20 * time.Second),
		Scenario: loadtest.Scenario{Viewers: 150}, Polls: loadtest.Polls{Due: 1500, Errors: 3}, Age: loadtest.Quantiles{P99: loadtest.Seconds(5 * time.Second)}}
	var indented strings.Builder
	if err := report.WriteJSON(&indented); err != nil {
		t.Fatal(err)
	}
	sample := line(loadtest.Sample{At: loadtest.Seconds(time.Second), Viewers: 20, Polls: 10, AgeP99: loadtest.Seconds(2 * time.Second)})
	for _, tt := range []struct {
		name, file string
		fails      string
		samples    int
		viewers    int
		verdict    bool
	}{
		{"run", sample + sample + line(report), "", 2, 20, true},
		{"report", indented.String(), "", 1, 150, true},
		{"report of a newer rig", `{"schema":"porthole.load/1","verdict":"pass","stream":{"kind":"sse"},"scenario":{"viewers":7,"source":"mjpeg"}}`, "", 1, 7, true},
		{"cut", sample + sample[:9], "read load figures", 1, 20, false},
		{"another schema", `{"schema":"porthole.load/9"}`, "porthole.load/9", 0, 0, false},
		{"no JSON", "hello", "read load figures", 0, 0, false},
		{"no object", "[1]", "no figure", 0, 0, false},
		{"empty", "", "read load figures", 0, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bus := new(event.Bus)
			sub := bus.Subscribe(64)
			err := readLoad(t.Context(), bus, strings.NewReader(tt.file))
			if (err == nil) != (tt.fails == "") || err != nil && !strings.Contains(err.Error(), tt.fails) {
				t.Errorf("error %v, want %q", err, tt.fails)
			}
			samples, verdict := 0, false
			for e, ok := sub.TryNext(); ok; e, ok = sub.TryNext() {
				switch {
				case e.Kind == event.LoadSample:
					samples++
				case strings.Contains(e.Text, "report of"):
					verdict = true
					if strings.Contains(e.Text, "\x1b") {
						t.Errorf("escape in %q", e.Text)
					}
				}
			}
			if samples != tt.samples || verdict != tt.verdict || bus.Snapshot().Load.Viewers != tt.viewers {
				t.Errorf("%d samples, verdict %v, %+v", samples, verdict, bus.Snapshot().Load)
			}
		})
	}
}

// TestFollowLoad: a file that is being written is followed until its report.
func TestFollowLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "samples")
	bus := new(event.Bus)
	if _, err := followLoad(bus, path); err == nil {
		t.Error("a missing file is followed")
	}
	out, err := openSamples(path)
	if err != nil {
		t.Fatal(err)
	}
	l, err := followLoad(bus, path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	sub := bus.Subscribe(64)
	for n := range 3 {
		out.add(loadtest.Sample{Viewers: n + 1})
		until(t, sub, "shows the new viewer", func(e event.Event) bool { return e.Load.Viewers == n+1 })
	}
	if err := out.finish(&loadtest.Report{Schema: loadtest.Schema, Verdict: loadtest.Pass}); err != nil {
		t.Fatal(err)
	}
	until(t, sub, "tells the verdict", func(e event.Event) bool { return strings.Contains(e.Text, ": pass") })
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// TestLoadFromTheDashboard: groups of viewers join and leave one run.
func TestLoadFromTheDashboard(t *testing.T) {
	bus := new(event.Bus)
	frames := &sourceFlags{Source: "scene", Order: "loop", Interval: 500 * time.Millisecond, Seed: 1, Stamp: true}
	src, err := frames.open(t.Context(), cli.IO{Out: io.Discard, Err: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	defer src.close()
	f, err := newFeed(feedConfig{https: "127.0.0.1:0", interval: 500 * time.Millisecond, seed: 1, source: src, bus: bus})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- f.run(ctx) }()
	defer func() {
		stop()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	}()
	r := newLoadRunner(bus, loadtest.Config{TargetURL: "https://" + f.https.Addr().String() + "/latest", TLS: trusting(f.roots), Period: 500 * time.Millisecond, InProcess: true})
	defer r.close()
	sub := bus.Subscribe(8192)
	for bus.Snapshot().Published == 0 {
		until(t, sub, "shows a picture", func(e event.Event) bool { return e.Kind == event.Published })
	}
	do := func(name string, args map[string]string) (string, error) {
		reply, err := bus.Do(t.Context(), event.Command{Name: name, Args: args})
		return reply.Text, err
	}
	for _, c := range []event.Command{
		{Name: "load.more"}, {Name: "load.less"}, {Name: "load.stop"},
		{Name: "load.start", Args: map[string]string{"viewers": "0"}}, {Name: "load.start", Args: map[string]string{"viewers": "9999"}},
		{Name: "load.start", Args: map[string]string{"for": "2h"}},
	} {
		if _, err := do(c.Name, c.Args); err == nil {
			t.Errorf("%v was done", c)
		}
	}
	if _, err := do("load.start", map[string]string{"viewers": "6"}); err != nil {
		t.Fatal(err)
	}
	seen := func(what string, viewers int) {
		t.Helper()
		until(t, sub, what, func(e event.Event) bool { return e.Kind == event.LoadSample && e.Load.Viewers == viewers })
	}
	seen("shows the first six", 6)
	if _, err := do("load.start", nil); err == nil {
		t.Error("a second run was begun")
	}
	if text, err := do("load.more", map[string]string{"viewers": "3"}); err != nil || !strings.Contains(text, "9 in all") {
		t.Errorf("more: %q, %v", text, err)
	}
	seen("shows nine", 9)
	if _, err := do("load.less", nil); err != nil {
		t.Error(err)
	}
	seen("shows six again", 6)
	if _, err := do("load.less", nil); err == nil {
		t.Error("the first group left")
	}
	if _, err := do("load.stop", nil); err != nil {
		t.Error(err)
	}
	until(t, sub, "ends the run", func(e event.Event) bool { return e.Kind == event.LoadSample && e.Load.Finished })
	until(t, sub, "reports", func(e event.Event) bool { return strings.Contains(e.Text, "report of 6 viewers") })
}

// TestLoadFigures: the worst group stands for all, and what a group counted
// between two figures is not lost.
func TestLoadFigures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := new(event.Bus)
		a, b := &loadGroup{viewers: 10}, &loadGroup{viewers: 5}
		r := &loadRunner{bus: bus, begun: time.Now(), groups: []*loadGroup{a, b}}
		ms := func(n int) loadtest.Seconds { return loadtest.Seconds(time.Duration(n) * time.Millisecond) }
		r.took(b, loadtest.Sample{Viewers: 5, Polls: 2, AgeP99: ms(900)})
		r.took(b, loadtest.Sample{Viewers: 5, Polls: 3, AgeP99: ms(800)})
		time.Sleep(time.Second)
		r.took(a, loadtest.Sample{Viewers: 10, Polls: 7, Errors: 1, AgeP50: ms(300), AgeP99: ms(500)})
		want := event.LoadFigure{At: time.Second, Viewers: 15, Polls: 12, Errors: 1, AgeP50: 300 * time.Millisecond, AgeP99: 800 * time.Millisecond}
		if got := bus.Snapshot().Load; got != want {
			t.Errorf("got %+v\nwant %+v", got, want)
		}
		r.took(a, loadtest.Sample{Viewers: 10, Polls: 7})
		if got := bus.Snapshot().Load; got.Polls != 7 {
			t.Errorf("counted twice: %+v", got)
		}
		r.left(b, nil, errors.New("x"), true)
		r.left(a, nil, nil, true)
		if got := bus.Snapshot().Load; !got.Finished || len(r.groups) != 0 {
			t.Errorf("after the last group: %+v", got)
		}
	})
}
