package loadtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"porthole/server/delta"
)

// TestNoChanges: servers that have none, and servers that speak otherwise.
func TestNoChanges(t *testing.T) {
	text := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, s) }
	}
	code := func(n int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(n) }
	}
	silent := func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	newest := "7 100 AAAAAAAAAAAAAAAAAAAAAA\n"
	frames := func(answer http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/head" {
				fmt.Fprint(w, newest)
				return
			}
			answer(w, r)
		}
	}
	for _, tt := range []struct {
		name     string
		protocol Protocol
		server   http.HandlerFunc
		class    string
	}{
		{"no changes", Stream, code(http.StatusNoContent), "status"},
		{"not found", Stream, code(http.StatusNotFound), "status-4xx"},
		{"too many", Stream, code(http.StatusServiceUnavailable), "status-5xx"},
		{"nothing at all", Stream, code(http.StatusOK), "closed"},
		{"half a record", Stream, text("\x00\x00\x00\x08half"), "closed"},
		{"a huge record", Stream, text("\xff\xff\xff\xff"), "too-large"},
		{"a page", Stream, text("\x00\x00\x00\x06<html>"), "not-a-picture"},
		{"half a name", Stream, text("\x00\x00\x00\x02Lx"), "not-a-picture"},
		{"a change without a key", Stream, text("\x00\x00\x00\x0c\x10\x00\x00\x00\x07\x01\x00\x00\x00\x00\x10\x17"), "gap"},
		{"no head", Delta, code(http.StatusNotFound), "status-4xx"},
		{"a page as head", Delta, text("<!doctype html><p>Hello</p>"), "protocol"},
		{"a long head", Delta, text(string(make([]byte, 300))), "too-large"},
		{"a key that is gone", Delta, frames(code(http.StatusNotFound)), "status-4xx"},
		{"a key that is a page", Delta, frames(text("<!doctype html><p>Hello</p>")), "not-a-picture"},
		{"half a key", Delta, frames(text("short")), "not-a-picture"},
		{"silence", Stream, silent, "timeout"},
		{"silence for a head", Delta, silent, "timeout"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := Config{TargetURL: "http://feed.example/latest", Protocol: tt.protocol, Duration: 20 * time.Second, Timeout: 3 * time.Second}.withDefaults()
				c.Viewers = 1
				r := playStays(t, tt.server, c, []stay{{}}).report(c)
				balance(t, r)
				if r.Polls.Errors < 4 || r.Polls.Errors > 11 || r.Failures[tt.class] != r.Polls.Errors || r.Polls.New != 0 || r.Unseen != 1 {
					t.Errorf("polls %+v, failures %v, want %s", r.Polls, r.Failures, tt.class)
				}
				if *r.Changes != (Changes{DeltaBytes: r.Changes.DeltaBytes}) {
					t.Errorf("changes %+v", r.Changes)
				}
			})
		})
	}
}

// TestStreamThatFallsSilent: a stream that says nothing for 40 s is given up; one
// that says every 15 s that it lives is not.
func TestStreamThatFallsSilent(t *testing.T) {
	for _, lives := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c := Config{TargetURL: "http://feed.example/latest", Protocol: Stream, Duration: 100 * time.Second}.withDefaults()
			c.Viewers = 1
			r := playStays(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for {
					w.Write(record(nil))
					w.(http.Flusher).Flush()
					if !lives {
						<-r.Context().Done()
						return
					}
					select {
					case <-time.After(15 * time.Second):
					case <-r.Context().Done():
						return
					}
				}
			}), c, []stay{{}}).report(c)
			balance(t, r)
			// Opened at 0, 42 and 84 s, each answered by a record at once.
			want := Polls{Due: 5, Sent: 5, Unchanged: 3, Errors: 2}
			if lives {
				want = Polls{Due: 1, Sent: 1, Unchanged: 1}
			}
			if r.Polls != want || r.Failures["timeout"] != want.Errors {
				t.Errorf("lives %v: polls %+v, failures %v", lives, r.Polls, r.Failures)
			}
		})
	}
}

// TestMergeChanges: the parts of a run add up to the run.
func TestMergeChanges(t *testing.T) {
	const s = time.Second
	// No two things happen at one instant.
	stays := []stay{{}, {join: 300 * time.Millisecond}, {700 * time.Millisecond, 11 * s}, {join: 6500 * time.Millisecond}}
	for _, protocol := range []Protocol{Stream, Delta} {
		config := Config{TargetURL: "http://feed.example/latest", Protocol: protocol, Duration: 14 * s, Period: 1530 * time.Millisecond, Conditional: true,
			Steps: []Step{{At: 7 * s, Name: "trouble"}}}.withDefaults()
		part := func(i, of int) (out *outcome) {
			synctest.Test(t, func(t *testing.T) {
				f := newChanging(2 * s)
				f.crowd = true               // whoever else comes changes nothing
				f.do = func(_, n int) deed { // for a moment
					if time.Since(f.start) > time.Duration(n)*f.period+f.lag+1700*time.Millisecond {
						return send
					}
					return map[int]deed{2: spoil, 4: lose}[n]
				}
				ctx, cancel := context.WithCancel(t.Context())
				var running sync.WaitGroup
				running.Go(func() { f.run(ctx) })
				defer running.Wait()
				defer cancel()
				c := config
				c.Part = Part{i, of}
				out = playStays(t, f, c, c.part(stays))
			})
			return out
		}
		whole, sum := part(0, 0), throughJSON(t, part(0, 2))
		if err := sum.merge(throughJSON(t, part(1, 2))); err != nil {
			t.Fatal(err)
		}
		config.Viewers = len(stays)
		want, got := whole.report(config), sum.report(config)
		for _, r := range []*Report{want, got} {
			r.Generator, r.Agents, r.Series, r.Verdict, r.Reasons = Generator{}, nil, nil, "", nil
			r.hiccups = new(timing)
			balance(t, r)
			// The mean is of a sum of fractions, whose last digit depends on their order.
			round := func(s Seconds) Seconds { return Seconds(time.Duration(s).Round(time.Microsecond)) }
			r.Age.Mean = round(r.Age.Mean)
			for i := range r.Phases {
				r.Phases[i].Age.Mean = round(r.Phases[i].Age.Mean)
			}
		}
		if w, g := marshal(t, want), marshal(t, got); w != g {
			t.Errorf("%s: the whole\n%s\nthe sum of its parts\n%s", protocol, w, g)
		}
		if want.Changes.Refetches == 0 || want.Changes.Mismatches == 0 || want.Phases[1].Changes.Deltas == 0 {
			t.Errorf("%s: %+v", protocol, want.Changes)
		}
	}
}

// TestChangesGolden: how reports tell of changes.
func TestChangesGolden(t *testing.T) {
	objectives, err := ParseObjectives("errors == 0, refetch == 0, refetch < 20%, gaps == 0, lost < 10%, mismatches == 0, keys <= 4")
	if err != nil {
		t.Fatal(err)
	}
	var r *Report
	synctest.Test(t, func(t *testing.T) {
		f := newChanging(2 * time.Second)
		first := only(spoil, 8)
		first(f)
		spoilt := f.do
		f.do = func(asked, n int) deed {
			if n == 5 && time.Since(f.start) < 11*time.Second {
				return lose
			}
			return spoilt(asked, n)
		}
		live := TruthFunc(func(time.Time) Source { return Live })
		r = playChanges(t, f, Config{Protocol: Stream, Objectives: objectives, Seed: 4711, Truth: live}, []stay{{}, {join: 500 * time.Millisecond}})
	})
	r.Generator = Generator{CPU: Seconds(1234 * time.Millisecond), CPUPerPoll: Seconds(456 * time.Microsecond), CPUs: 2}
	r.Traffic.WireIn, r.Traffic.WireOut = 4000, 400
	r.Verdict, r.Reasons = Breach, nil
	var text, summary, page bytes.Buffer
	if err := errors.Join(r.WriteText(&text), r.WriteSummary(&summary), r.WriteHTML(&page)); err != nil {
		t.Fatal(err)
	}
	for n, line := range strings.Split(text.String(), "\n") {
		if utf8.RuneCountInString(line) > 80 {
			t.Errorf("line %d has more than 80 columns: %q", n+1, line)
		}
	}
	golden(t, "changes.txt", text.Bytes())
	for _, want := range []string{r.Changes.Frames(), r.Changes.Faults()} {
		if !strings.Contains(summary.String(), want) || !strings.Contains(page.String(), want) {
			t.Errorf("no %q in\n%s", want, summary.String())
		}
	}
	if n := strings.Count(page.String(), "<svg"); n != 7 || !strings.Contains(page.String(), "keys fetched again") {
		t.Errorf("%d plots", n)
	}
}

// FuzzChanges: whatever a server sends, viewers of both protocols refuse it or
// show it, and count what they got.
func FuzzChanges(f *testing.F) {
	feed := delta.NewFeed(quick, 6)
	g := image.NewGray(image.Rect(0, 0, 20, 20))
	var stream []byte
	var line *delta.Line
	for n := range 4 {
		g.Pix[30*n] = 200
		if err := feed.Show(g); err != nil {
			f.Fatal(err)
		}
		if n == 0 {
			line, _ = feed.Join()
			stream = append(record(append([]byte{'L'}, make([]byte, 16)...)), record(line.Key.Data)...)
			continue
		}
		frame, _ := line.Frame(line.Key.Seq + uint32(n))
		stream = append(append(stream, frame.Record...), record(nil)...)
	}
	f.Add(stream)
	f.Add(stream[:len(stream)-20])
	f.Add([]byte("7 100 AAAAAAAAAAAAAAAAAAAAAA\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := Config{TargetURL: "http://feed.example/latest", Protocol: Stream}.withDefaults()
		target, err := c.check()
		if err != nil {
			t.Fatal(err)
		}
		r := newRun(t.Context(), c, target, []stay{{}})
		defer r.close()
		w := &watcher{viewer: &r.dialer.viewers[0], run: r, poll: new(poll)}
		body := bytes.NewReader(b)
		var got changes
		for {
			rec, err := readRecord(body, &r.transport.bytes)
			if err != nil {
				break
			}
			f := w.got(rec.Bytes())
			if f == none && rec.Len() > 0 && !isName(rec.Bytes()) && w.picture == nil {
				t.Fatal("a frame was taken and made nothing")
			}
			if f != none && w.picture != nil {
				t.Fatal("a picture was kept after a failure")
			}
		}
		w.release()
		got = w.shard.tally.counts.changes
		if got.keys > 0 && got.refetches+got.planned != got.keys-1 || got.keys == 0 && got.deltas > 0 || got.lost > 0 && got.gaps == 0 {
			t.Errorf("%+v", got)
		}
		if h, err := parseHead(string(b)); (h == nil) == (err == nil) {
			t.Errorf("head %v, %v", h, err)
		}
	})
}
