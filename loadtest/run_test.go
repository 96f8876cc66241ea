package loadtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// The expectations here are computed by hand, beside those that the oracle
// computes in truth_test.go.

// TestOneViewer: the viewer joins at 0 and polls at 0, 2, …, 18. The camera
// takes frame n at 2n s and it is public 0.5 s later, so that each poll brings
// the frame taken 2 s before: its age goes from 2 s to 4 s, evenly. Only frame 0
// comes at age 0 and is shown until the poll at 4 s brings frame 1.
func TestOneViewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const s = time.Second
		r := play(t, newFeed(steady(2*s, 500*time.Millisecond)),
			Config{Viewers: 1, Duration: 20 * s, Ramp: -1, Conditional: true})
		want := Polls{Due: 10, Sent: 10, New: 9, Unchanged: 1}
		if r.Polls != want {
			t.Errorf("polls %+v, want %+v", r.Polls, want)
		}
		if want := (Pictures{Distinct: 9, Shown: 9}); r.Pictures != want {
			t.Errorf("pictures %+v, want %+v", r.Pictures, want)
		}
		// 4 s at ages 0..4 (mean 2), 16 s at ages 2..4 (mean 3).
		near(t, "age mean", r.Age.Mean, 2800*time.Millisecond, time.Microsecond)
		// Below age 2: 2 s. Above: 18 s over 2 s. Half of 20 s is reached at 2+8/9.
		near(t, "age p50", r.Age.P50, 2889*time.Millisecond, AgeResolution)
		near(t, "age p99", r.Age.P99, 3978*time.Millisecond, AgeResolution)
		near(t, "age max", r.Age.Max, 4*s, 0)
		near(t, "watch time", r.Watch.Total, 20*s, 0)
		near(t, "blank time", r.Watch.Blank, 0, 0)
		near(t, "first frame", r.FirstFrame.Max, 0, 0)
		if r.Freezes.Count != 0 || r.Polls.Late != 0 {
			t.Errorf("freezes %+v, late %d", r.Freezes, r.Polls.Late)
		}
		bodies := uint64(0)
		for n := range uint64(9) {
			bodies += uint64(len(fmt.Sprintf("%d 946684800000", n)))
		}
		if r.Traffic.Body != bodies || r.Traffic.WireIn <= bodies {
			t.Errorf("traffic %+v, want %d bytes of pictures", r.Traffic, bodies)
		}
		nearShare(t, "bytes per viewer-minute", r.Traffic.PerViewerMinute, float64(bodies)*3, 0.01)
	})
}

// TestFreezeIsNotOmitted stands the server for 3 s. With a period of 2 s each
// viewer has one poll that waits, and those whose next one falls due before the
// end of the stand skip that. A generator that waits for answers before it
// counts would show none of it.
func TestFreezeIsNotOmitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const s, ms = time.Second, time.Millisecond
		// One viewer, polls at 0, 2, …: the one at 8 s is answered at 11.5 s. The
		// one at 10 s is skipped.
		f := newFeed(func(at time.Duration) (still, time.Duration) {
			p, _ := steady(2*s, 0)(at)
			if at >= 8*s && at < 11500*ms {
				return p, 11500*ms - at
			}
			return p, 0
		})
		r := play(t, f, Config{Viewers: 1, Duration: 20 * s, Ramp: -1, Conditional: true})
		if r.Polls.Skipped != 1 || r.Polls.Sent != 9 || r.Polls.Late != 0 {
			t.Errorf("polls %+v, want 1 skipped, 9 sent", r.Polls)
		}
		near(t, "latency max", r.Latency.Max, 3500*ms, 0)
		near(t, "latency p99", r.Latency.P99, 3500*ms, 0)
		near(t, "latency p50", r.Latency.P50, 0, 0)
		// Frame 3, taken at 6 s, stays until 11.5 s. Frame 4, taken at 8 s and
		// bound for 8 s, comes then, 3.5 s old, and is replaced at 12 s at age 4 s.
		near(t, "age max", r.Age.Max, 5500*ms, 0)
		near(t, "longest freeze", r.Freezes.Longest, 1500*ms, 0)
		near(t, "frozen", r.Freezes.Total, 1500*ms, 0)
		if r.Freezes.Count != 1 {
			t.Errorf("%d freezes", r.Freezes.Count)
		}
		if r.Pictures.Missed != 1 { // frame 5
			t.Errorf("missed %d", r.Pictures.Missed)
		}
	})
}

// TestStandAtTheEnd: a server that stands when the run ends is given up; the
// polls are counted and their latency is what they waited so far.
func TestStandAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const s = time.Second
		f := newFeed(func(at time.Duration) (still, time.Duration) {
			p, _ := steady(2*s, 0)(at)
			if at >= 15*s {
				return p, time.Hour
			}
			return p, 0
		})
		before := time.Now()
		r := play(t, f, Config{Viewers: 3, Duration: 20 * s, Ramp: -1})
		if took := time.Since(before); (took - 24*s).Abs() > hiccupInterval {
			t.Errorf("took %v: want 20 s and two periods", took)
		}
		if r.Polls.Unfinished != 3 || r.Polls.Skipped != 3 || r.Polls.Errors != 0 {
			t.Errorf("polls %+v", r.Polls)
		}
		near(t, "latency max", r.Latency.Max, 8*s, 0) // from 16 s to 24 s
		near(t, "age max", r.Age.Max, 6*s, 0)         // the frame of 14 s until 20 s
		near(t, "watch time", r.Watch.Total, 60*s, 0)
	})
}

func TestTimeoutAndNoPicture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const s = time.Second
		f := newFeed(func(time.Duration) (still, time.Duration) { return still{}, time.Hour })
		objectives, err := ParseObjectives("errors == 0, age.p99 < 4.5s, first_frame.p95 < 1s, unseen == 0")
		if err != nil {
			t.Fatal(err)
		}
		r := play(t, f, Config{Viewers: 2, Duration: 20 * s, Ramp: -1, Timeout: 5 * s, Objectives: objectives})
		// Polls at 0, 6, 12, 18; those between are skipped.
		if r.Polls.Sent != 8 || r.Polls.Skipped != 12 {
			t.Errorf("polls %+v", r.Polls)
		}
		if r.Failures["timeout"] != 8 || r.Polls.Unfinished != 0 { // the last ones at 23 s
			t.Errorf("failures %v, unfinished %d", r.Failures, r.Polls.Unfinished)
		}
		near(t, "latency p50", r.Latency.P50, 5*s, 5*time.Millisecond)
		near(t, "blank", r.Watch.Blank, 40*s, 0)
		near(t, "first frame", r.FirstFrame.P50, 20*s, 20*time.Millisecond)
		if r.Unseen != 2 || r.Verdict != Breach {
			t.Errorf("unseen %d, verdict %s", r.Unseen, r.Verdict)
		}
		if o := r.Objectives[1]; o.Measured != nil || o.Met {
			t.Errorf("age measured without a picture: %+v", o)
		}
	})
}

// TestLoop has the camera off from 6 s to 12 s; the feed then replays frames of
// an hour ago. The truth tells which is which.
func TestLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const s = time.Second
		looping := func(at time.Duration) bool { return at >= 6*s && at < 12*s }
		replay := func(at time.Duration) (still, time.Duration) {
			p, _ := steady(2*s, 0)(at)
			if looping(at) {
				p = still{p.seq % 3, p.captured%(6*s) - time.Hour}
			}
			return p, 0
		}
		start := time.Now()
		truth := TruthFunc(func(at time.Time) Source {
			if looping(at.Sub(start)) {
				return Loop
			}
			return Live
		})
		c := Config{Viewers: 1, Duration: 20 * s, Ramp: -1, Conditional: true, Truth: truth}
		r := play(t, newFeed(replay), c)
		near(t, "live", r.Watch.Live, 14*s, 0)
		near(t, "loop", r.Watch.Loop, 6*s, 0)
		near(t, "dated", r.Watch.Dated, 14*s, 0)
		near(t, "age max", r.Age.Max, 2*s, 0)
		if r.Pictures.Backward != 0 || r.Pictures.Missed != 0 || r.Pictures.Shown != 10 {
			t.Errorf("pictures %+v: the loop is not out of order", r.Pictures)
		}

		// Without the truth the same feed is taken at its word.
		start, c.Truth = time.Now(), nil
		r = play(t, newFeed(replay), c)
		near(t, "unknown", r.Watch.Unknown, 20*s, 0)
		near(t, "age max", r.Age.Max, time.Hour+2*s, 10*s)
		if r.Pictures.Backward != 1 || len(r.Notes) < 2 {
			t.Errorf("pictures %+v, notes %q", r.Pictures, r.Notes)
		}
	})
}

func TestStatusesAndDamage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const s = time.Second
		codes := []int{200, 503, 404, 302, 200, 200, 200, 200, 200, 200}
		f := newFeed(steady(2*s, 0))
		f.status = func(at time.Duration) int { return codes[int(at/(2*s))] }
		stamper := func(b []byte) (Stamp, error) {
			st, err := textStamp(b)
			switch st.Seq {
			case 5:
				return Stamp{}, errors.New("not a picture")
			case 6:
				return Stamp{}, ErrNoStamp
			case 7:
				return Stamp{}, fmt.Errorf("wrapped: %w", ErrStampDamaged)
			}
			return st, err
		}
		r := play(t, f, Config{Viewers: 1, Duration: 20 * s, Ramp: -1, Stamper: stamper})
		for class, want := range map[string]uint64{"status-5xx": 1, "status-4xx": 1, "status": 1, "not-a-picture": 1} {
			if r.Failures[class] != want {
				t.Errorf("%s: %d, want %d", class, r.Failures[class], want)
			}
		}
		if r.Polls.Errors != 4 || r.Polls.New != 6 {
			t.Errorf("polls %+v", r.Polls)
		}
		if want := (Pictures{Distinct: 7, Unstamped: 1, Damaged: 1, NotPictures: 1, Shown: 6, Missed: 3 + 3}); r.Pictures != want {
			t.Errorf("pictures %+v, want %+v", r.Pictures, want)
		}
		// Frame 0 until frame 4 comes, frame 4 until frame 6; 6 and 7 have no age.
		near(t, "age max", r.Age.Max, 8*s, 0)
		near(t, "dated", r.Watch.Dated, 16*s, 0)
	})
}

// TestDuplicates: a server that ignores If-None-Match sends everything again.
// Each picture is decoded once all the same.
func TestDuplicates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const s = time.Second
		decoded := make(map[string]int)
		stamper := func(b []byte) (Stamp, error) {
			decoded[string(b)]++ // alone: pictures of virtual time resolve one by one
			return textStamp(b)
		}
		r := play(t, newFeed(steady(4*s, 0)), Config{Viewers: 5, Duration: 20 * s, Ramp: -1, Stamper: stamper})
		if r.Polls.New != 50 || r.Pictures.Duplicates != 25 || r.Pictures.Shown != 25 || r.Pictures.Missed != 0 {
			t.Errorf("polls %+v, pictures %+v", r.Polls, r.Pictures)
		}
		for b, n := range decoded {
			if n != 1 {
				t.Errorf("picture %q was decoded %d times", b, n)
			}
		}
		if len(decoded) != 5 || r.Pictures.Distinct != 5 {
			t.Errorf("%d pictures decoded, %d distinct", len(decoded), r.Pictures.Distinct)
		}
	})
}

// TestCancel ends a run whose server stands, whose dials hang, and whose poll
// is an hour away. It returns at once with what it has. The bubble fails the
// test if a goroutine stays behind.
func TestCancel(t *testing.T) {
	hang := func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	deaf := func(context.Context, string, string) (net.Conn, error) {
		c, s := net.Pipe()
		go func() { io.Copy(io.Discard, s); s.Close() }()
		return c, nil
	}
	for _, tt := range []struct {
		name string
		url  string
		dial func(context.Context, string, string) (net.Conn, error)
	}{
		{"a dial that hangs", "http://feed.example/latest", hang},
		{"a server that does not answer", "http://feed.example/latest", deaf},
		{"a TLS handshake that hangs", "https://feed.example/latest", deaf},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				why := errors.New("enough")
				time.AfterFunc(1500*time.Millisecond, func() { cancel(why) })
				before := time.Now()
				r, err := Run(ctx, Config{TargetURL: tt.url, Viewers: 5, Duration: time.Hour, Period: 10 * time.Minute, Ramp: -1,
					Timeout: time.Hour, Dial: tt.dial, Stamper: textStamp}, nil)
				if !errors.Is(err, why) {
					t.Errorf("error %v, want the cause", err)
				}
				if took := time.Since(before); took > 1501*time.Millisecond {
					t.Errorf("took %v", took)
				}
				if r == nil || r.Verdict != Inconclusive || r.Polls.Unfinished != 5 || r.Polls.Errors != 0 {
					t.Fatalf("report %+v", r)
				}
				near(t, "watch time", r.Watch.Total, 7500*time.Millisecond, 0)
				if !strings.HasPrefix(r.Reasons[0], "interrupted after 1.50s of") {
					t.Errorf("reasons %q", r.Reasons)
				}
			})
		})
	}
}

// TestServerRestart refuses connections for 5 s and cuts those there are.
func TestServerRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const s = time.Second
		f := newFeed(steady(2*s, 0))
		refused := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connect: no route to 192.0.2.1:43211")}
		srv := &restarting{feed: f, down: refused}
		srv.up()
		time.AfterFunc(7*s, srv.stop)
		time.AfterFunc(11500*time.Millisecond, srv.up)
		defer srv.stop()
		r, err := Run(t.Context(), Config{TargetURL: "http://feed.example/latest", Viewers: 4, Duration: 20 * s, Ramp: -1,
			Dial: srv.dial, Stamper: textStamp, Conditional: true}, nil)
		if err != nil {
			t.Fatal(err)
		}
		balance(t, r)
		if r.Failures["unreachable"] != 8 || len(r.Failures) != 1 { // the polls at 8 s and 10 s
			t.Errorf("failures %v", r.Failures)
		}
		if r.Connections != (Connections{Opened: 8, Reopened: 4}) {
			t.Errorf("connections %+v", r.Connections)
		}
		near(t, "age max", r.Age.Max, 6*s, 0) // the frame of 6 s until 12 s
	})
}

// TestSamples: what is emitted every second adds up to the report.
func TestSamples(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const s = time.Second
		srv := &restarting{feed: newFeed(steady(2*s, 100*time.Millisecond))}
		srv.up()
		defer srv.stop()
		var all []Sample
		r, err := Run(t.Context(), Config{TargetURL: "http://feed.example/latest", Viewers: 10, Duration: 10 * s, Ramp: 5 * s,
			Dial: srv.dial, Stamper: textStamp, Conditional: true}, func(sample Sample) { all = append(all, sample) })
		if err != nil {
			t.Fatal(err)
		}
		if len(all) != 10 || !all[9].Final || all[8].Final {
			t.Fatalf("%d samples, want 10 with the last one final", len(all))
		}
		var polls, fresh, bytes uint64
		for i, sample := range all {
			polls, fresh, bytes = polls+sample.Polls, fresh+sample.New, bytes+sample.Bytes
			if sample.At != Seconds(time.Duration(i+1)*s) {
				t.Errorf("sample %d is of %v", i, sample.At)
			}
			// Two joins a second for five seconds.
			if want := min(2*(i+1), 10); sample.Viewers != want {
				t.Errorf("%d viewers after %d s, want %d", sample.Viewers, i+1, want)
			}
			if sample.AgeP50 <= 0 && i > 0 || sample.AgeP99 > Seconds(4200*time.Millisecond) {
				t.Errorf("sample %d has ages %v, %v", i, sample.AgeP50, sample.AgeP99)
			}
		}
		if polls != r.Polls.Due || fresh != r.Polls.New || bytes != r.Traffic.Body {
			t.Errorf("samples add up to %d polls, %d new, %d bytes; report %+v %+v", polls, fresh, bytes, r.Polls, r.Traffic)
		}
	})
}

// TestResultsFile reads the results back as `vegeta report` does.
func TestResultsFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const s = time.Second
		f := newFeed(func(at time.Duration) (still, time.Duration) {
			p, _ := steady(2*s, 0)(at)
			if at > 8*s && at < 11*s {
				return p, 11*s - at
			}
			return p, 0
		})
		f.status = func(at time.Duration) int {
			if at > 15*s {
				return http.StatusBadGateway
			}
			return http.StatusOK
		}
		var file bytes.Buffer
		r := play(t, f, Config{Viewers: 7, Duration: 20 * s, Results: &file})
		if r.Polls.Skipped == 0 || r.Polls.Errors == 0 {
			t.Fatalf("polls %+v: the test wants skipped and failed ones", r.Polls)
		}
		dec := vegeta.DecoderFor(&file)
		if dec == nil {
			t.Fatal("no decoder takes it")
		}
		var m vegeta.Metrics
		seen := make(map[uint64]bool)
		for {
			var res vegeta.Result
			if err := dec.Decode(&res); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			seen[res.Seq] = true
			if len(res.Body) > 0 || len(res.Headers) > 0 {
				t.Fatalf("result carries %d bytes and %d headers", len(res.Body), len(res.Headers))
			}
			m.Add(&res)
		}
		m.Close()
		if m.Requests != r.Polls.Sent || m.BytesIn.Total != r.Traffic.Body {
			t.Errorf("%d requests, %d bytes, want %d, %d", m.Requests, m.BytesIn.Total, r.Polls.Sent, r.Traffic.Body)
		}
		for n := range m.Requests {
			if !seen[n] {
				t.Errorf("number %d is missing", n)
			}
		}
		if m.StatusCodes["502"] != int(r.Polls.Errors) || len(m.Errors) != 1 || m.Errors[0] != "status-5xx" {
			t.Errorf("codes %v, errors %q", m.StatusCodes, m.Errors)
		}
		near(t, "longest latency", Seconds(m.Latencies.Max), time.Duration(r.Service.Max), 0)
	})
}

func TestResultsFileThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := &restarting{feed: newFeed(steady(time.Second, 0))}
		srv.up()
		defer srv.stop()
		full := errors.New("disk full")
		r, err := Run(t.Context(), Config{TargetURL: "http://feed.example/", Viewers: 2, Duration: 4 * time.Second,
			Dial: srv.dial, Stamper: textStamp, Results: failingWriter{full}}, nil)
		if !errors.Is(err, full) || r == nil || r.Polls.Sent == 0 {
			t.Errorf("error %v, report %v", err, r != nil)
		}
	})
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }
