package loadtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"porthole/internal/netmem"
)

// TestGalleryDecodesOnce has a crowd bring the same pictures at the same time.
func TestGalleryDecodesOnce(t *testing.T) {
	var decoded, asked atomic.Int64
	g := newGallery(func(b []byte) (Stamp, error) {
		decoded.Add(1)
		return textStamp(b)
	}, TruthFunc(func(time.Time) Source { asked.Add(1); return 99 }))
	if g.known(`"7"`) != nil || g.known("") != nil {
		t.Error("knows a picture before it came")
	}
	var crowd sync.WaitGroup
	for range 20 {
		crowd.Go(func() {
			for n := range 50 {
				etag := fmt.Sprintf("%q", fmt.Sprint(n))
				if p := g.resolve(etag, fmt.Appendf(nil, "%d 0", n), time.Now()); p.stamp.Seq != uint64(n) || p.source != Unknown {
					t.Errorf("picture %d: %+v", n, p.stamp)
				}
				if g.known(etag) == nil {
					t.Errorf("picture %d is not known after it came", n)
				}
			}
		})
	}
	crowd.Wait()
	if decoded.Load() != 50 || asked.Load() != 50 || g.collected().Distinct != 50 {
		t.Errorf("%d decoded, truth asked %d times, %d distinct, want 50 of each", decoded.Load(), asked.Load(), g.collected().Distinct)
	}
}

func TestGalleryIsBounded(t *testing.T) {
	g := newGallery(func([]byte) (Stamp, error) { return Stamp{}, nil }, nil)
	for n := range maxPictures + 10 {
		g.resolve(fmt.Sprint(n), nil, time.Time{})
	}
	if len(g.pictures) != maxPictures || len(g.order) != maxPictures {
		t.Errorf("%d pictures, %d keys, want %d", len(g.pictures), len(g.order), maxPictures)
	}
	if g.known("9") != nil || g.known("10") == nil || g.known(fmt.Sprint(maxPictures+9)) == nil {
		t.Error("not the oldest ones went")
	}
}

// TestWithoutETag: the bytes are the identity where the server sends none, or
// one that is too long to keep.
func TestWithoutETag(t *testing.T) {
	for _, etag := range []string{"", `"` + strings.Repeat("e", maxETag) + `"`} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			r := playHandler(t, Config{Viewers: 4, Duration: 20 * time.Second, Ramp: -1, Conditional: true},
				func(w http.ResponseWriter, r *http.Request) {
					if r.Header.Get("If-None-Match") != "" {
						w.WriteHeader(http.StatusBadRequest)
						return
					}
					if etag != "" {
						w.Header().Set("ETag", etag)
					}
					n := time.Since(start) / (4 * time.Second)
					fmt.Fprintf(w, "%d %d", n, start.Add(n*4*time.Second).UnixMilli())
				})
			if want := (Pictures{Distinct: 5, Shown: 20, Duplicates: 20}); r.Pictures != want || r.Polls.Errors > 0 {
				t.Errorf("pictures %+v, want %+v; failures %v", r.Pictures, want, r.Failures)
			}
		})
	}
}

// TestBodies that no picture has: one that never ends, one cut short.
func TestBodies(t *testing.T) {
	const s = time.Second
	for _, tt := range []struct {
		class   string
		handler http.HandlerFunc
	}{
		{"too-large", func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		}},
		{"closed", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, "1 0")
		}},
		{"timeout", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, "1 0")
			http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}},
		{"protocol", func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				io.WriteString(c, "SSH-2.0-OpenSSH_9.2\r\n\r\n")
				c.Close()
			}
		}},
	} {
		t.Run(tt.class, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := playHandler(t, Config{Viewers: 2, Duration: 4 * s, Ramp: -1, Timeout: s, MaxPicture: 100_000}, tt.handler)
				if r.Polls.Sent != 4 || r.Failures[tt.class] != 4 || r.Unseen != 2 {
					t.Errorf("polls %+v, failures %v, unseen %d", r.Polls, r.Failures, r.Unseen)
				}
				if limit := uint64(4 * (100_000 + 32<<10)); r.Traffic.Body > limit {
					t.Errorf("read %d bytes", r.Traffic.Body)
				}
			})
		})
	}
}

// TestBothClocks: a poll that was sent 300 ms after its time took 300 ms longer
// by the one clock than by the other, and is late.
func TestBothClocks(t *testing.T) {
	const ms = time.Millisecond
	viewers := make([]viewer, 1)
	planned := time.Unix(1_800_000_000, 0)
	viewers[0].init(0, &url.URL{Scheme: "http", Host: "feed.example"}, planned, time.Time{})
	r := newRecorder(viewers, time.Second)
	for _, behind := range []time.Duration{lateAfter, 300 * ms} {
		p := &poll{planned: planned, sent: planned.Add(behind)}
		r.due(&viewers[0], planned, p.sent, false)
		r.done(&viewers[0], p, nil, p.sent.Add(50*ms))
	}
	r.roll(planned.Add(time.Second), time.Second)
	near(t, "latency", Seconds(r.total.planned.max), 350*ms, 0)
	near(t, "service", Seconds(r.total.sent.max), 50*ms, 0)
	if r.total.counts.late != 1 {
		t.Errorf("%d late, want the one above %v", r.total.counts.late, lateAfter)
	}
}

// TestDialer ends dials that the HTTP client has forgotten about.
func TestDialer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		target := &url.URL{Scheme: "https", Host: "[2001:db8::1]"}
		var asked string
		d := newDialer(ctx, make([]viewer, 3), target, func(ctx context.Context, _, addr string) (net.Conn, error) {
			asked = addr
			<-ctx.Done()
			return nil, ctx.Err()
		})
		time.AfterFunc(time.Second, cancel)
		if _, err := d.dial(context.Background(), "tcp", "v2.invalid:443"); !errors.Is(err, errRunOver) || asked != "[2001:db8::1]:443" {
			t.Errorf("dialled %q: %v", asked, err)
		}
		d.close()
		if _, err := d.dial(t.Context(), "tcp", "v2.invalid:443"); !errors.Is(err, errRunOver) {
			t.Errorf("dial after the end: %v", err)
		}
		for _, addr := range []string{"v3.invalid:443", "v-1.invalid:443", "v.invalid:443", "feed.example:443", "v1.invalid"} {
			if _, err := d.dial(t.Context(), "tcp", addr); err == nil {
				t.Errorf("%q was dialled", addr)
			}
		}
	})
}

// playHandler is play with a handler of the test's own.
func playHandler(t *testing.T, c Config, h http.HandlerFunc) *Report {
	t.Helper()
	ln := netmem.Listen()
	srv := &http.Server{Handler: h}
	var serving sync.WaitGroup
	serving.Go(func() { srv.Serve(ln) })
	defer serving.Wait()
	defer srv.Close()
	c.TargetURL, c.Dial, c.Stamper = "http://feed.example/latest", ln.DialContext, textStamp
	r, err := Run(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	balance(t, r)
	return r
}

// TestDialerClosesWhatIsLeft: no connection outlives the dialer.
func TestDialerClosesWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		d := newDialer(t.Context(), make([]viewer, 1), &url.URL{Scheme: "http", Host: "feed.example"},
			func(context.Context, string, string) (net.Conn, error) { return ours, nil })
		c, err := d.dial(t.Context(), "tcp", "v0.invalid:80")
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, d.close)
		if _, err := theirs.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the far end reads %v", err)
		}
		if err := c.Close(); err != nil {
			t.Errorf("closed twice: %v", err)
		}
	})
}

// collected is what the gallery adds to a report.
func (g *gallery) collected() collection {
	pictures, forgotten := g.exhibits()
	return (&outcome{Pictures: pictures, Forgotten: forgotten}).collection()
}
