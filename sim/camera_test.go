package sim

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"porthole/internal/event"
	"porthole/internal/netmem"
	"porthole/internal/wire"
)

// frames is a source of numbered frames that are not pictures: the camera does
// not look at them.
type frames struct {
	n   int
	fed []time.Duration
}

func (f *frames) Next(_ context.Context, seq uint64, at time.Duration) ([]byte, error) {
	if f.n > 0 && len(f.fed) == f.n {
		return nil, io.EOF
	}
	f.fed = append(f.fed, at)
	return fmt.Appendf(nil, "frame %d", seq), nil
}

// fakeServer answers uploads on an in-memory network, one per connection.
type fakeServer struct {
	ln *netmem.Listener

	mu      sync.Mutex
	starts  []time.Time
	uploads []string
}

// serveUploads starts a server that answers each upload after delay(n) with
// answer(n), or never where it is empty.
func serveUploads(t *testing.T, delay func(n int) time.Duration, answer func(n int) string) *fakeServer {
	f := &fakeServer{ln: netmem.Listen()}
	go func() {
		for n := 0; ; n++ {
			conn, err := f.ln.Accept()
			if err != nil {
				return
			}
			f.mu.Lock()
			f.starts = append(f.starts, time.Now())
			f.mu.Unlock()
			go func() {
				defer conn.Close()
				req, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					return
				}
				data, err := wire.ReadUpload(req.Body, req.Header.Get("Content-Type"), wire.FieldName, wire.ReadLimits{})
				if err != nil {
					data = []byte(err.Error())
				}
				f.mu.Lock()
				f.uploads = append(f.uploads, string(data))
				f.mu.Unlock()
				time.Sleep(delay(n))
				if a := answer(n); a != "" {
					io.WriteString(conn, a)
				} else {
					io.Copy(io.Discard, conn) // silent until the camera gives up
				}
			}()
		}
	}()
	t.Cleanup(func() { f.ln.Close() })
	return f
}

// seen returns the starts and bodies of the uploads so far.
func (f *fakeServer) seen() (starts []time.Time, uploads []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.starts), slices.Clone(f.uploads)
}

const success = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nSuccess\n"

func testTarget(t *testing.T) Target {
	t.Helper()
	target, err := ParseTarget("http://camera.example.org:8080", "fifteen-bytes-1")
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// TestCadence: starts are two seconds apart; an upload that takes longer is
// followed by the next at once; a silent server costs ten seconds.
func TestCadence(t *testing.T) {
	for _, tt := range []struct {
		name   string
		delay  func(n int) time.Duration
		answer func(n int) string
		starts []time.Duration // since the first
	}{
		{
			"quick answers", func(int) time.Duration { return 30 * time.Millisecond }, func(int) string { return success },
			[]time.Duration{0, 2 * time.Second, 4 * time.Second, 6 * time.Second},
		},
		{
			"one slow answer", func(n int) time.Duration {
				if n == 1 {
					return 3250 * time.Millisecond
				}
				return 0
			}, func(int) string { return success },
			// The reply is seen at the next look, 3.3 s after the second start.
			[]time.Duration{0, 2 * time.Second, 5300 * time.Millisecond, 7300 * time.Millisecond},
		},
		{
			"no answer", func(int) time.Duration { return 0 }, func(n int) string {
				if n == 0 {
					return ""
				}
				return success
			},
			[]time.Duration{0, 10 * time.Second, 12 * time.Second, 14 * time.Second},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := serveUploads(t, tt.delay, tt.answer)
				src := new(frames)
				cam, err := New(Config{Target: testTarget(t), Dial: srv.ln.Dial, Source: src, Frames: len(tt.starts)})
				if err != nil {
					t.Fatal(err)
				}
				if err := cam.Run(t.Context()); err != nil {
					t.Fatal(err)
				}
				var got []time.Duration
				starts, _ := srv.seen()
				for _, s := range starts {
					got = append(got, s.Sub(starts[0]))
				}
				if !slices.Equal(got, tt.starts) {
					t.Errorf("starts %v, want %v", got, tt.starts)
				}
				if !slices.Equal(src.fed, tt.starts) {
					t.Errorf("the source was asked for %v, want %v", src.fed, tt.starts)
				}
			})
		})
	}
}

func TestNextDue(t *testing.T) {
	base := time.Unix(1000, 0)
	for _, tt := range []struct {
		name      string
		now, want time.Duration // since the last start
	}{
		{"early", 100 * time.Millisecond, 2 * time.Second},
		{"just in time", 2 * time.Second, 2 * time.Second},
		{"a late timer keeps the grid", 2090 * time.Millisecond, 2 * time.Second},
		{"a late upload moves it", 2101 * time.Millisecond, 2101 * time.Millisecond},
		{"far too late, once only", time.Minute, time.Minute},
	} {
		if got := nextDue(base, base.Add(tt.now), 2*time.Second).Sub(base); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := []string{success, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", ""}
		srv := serveUploads(t, func(int) time.Duration { return 0 }, func(n int) string { return answers[n] })
		bus := new(event.Bus)
		sub := bus.Subscribe(10)
		defer sub.Close()
		cam, err := New(Config{Target: testTarget(t), Dial: srv.ln.Dial, Source: new(frames), Frames: 3, Events: bus})
		if err != nil {
			t.Fatal(err)
		}
		if err := cam.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i, want := range []struct {
			kind   event.Kind
			status int
			text   string
		}{
			{event.Uploaded, 200, "HTTP/1.1 200 OK"},
			{event.UploadFailed, 401, "server answered HTTP/1.1 401 Unauthorized"},
			{event.UploadFailed, 0, "wait for the reply"},
		} {
			e, ok := sub.TryNext()
			if !ok || e.Kind != want.kind || e.Status != want.status || !strings.Contains(e.Text, want.text) || e.Frame.Seq != uint64(i+1) {
				t.Errorf("event %d: %+v, want %+v", i, e, want)
			}
		}
		if _, uploads := srv.seen(); !slices.Equal(uploads, []string{"frame 1", "frame 2", "frame 3"}) {
			t.Errorf("uploads %q", uploads)
		}
	})
}

// TestPowerCut: nothing leaves the camera after its supply is cut, whether the
// cut comes before the frame is taken or between capture and send.
func TestPowerCut(t *testing.T) {
	for cutAt := range 6 { // the n-th question whether there is power is answered no
		t.Run(fmt.Sprint(cutAt), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := serveUploads(t, func(int) time.Duration { return 0 }, func(int) string { return success })
				var asked int
				cam, err := New(Config{
					Target: testTarget(t), Dial: srv.ln.Dial, Source: new(frames), Frames: 5,
					Powered: func() bool { asked++; return asked <= cutAt },
				})
				if err != nil {
					t.Fatal(err)
				}
				if err := cam.Run(t.Context()); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				// A cut between capture and send leaves a connection without an upload.
				_, uploads := srv.seen()
				if want := cutAt / 2; len(uploads) != want {
					t.Errorf("%d uploads, want %d: %q", len(uploads), want, uploads)
				}
			})
		})
	}
}

func TestRunEnds(t *testing.T) {
	dead := func(context.Context) (net.Conn, error) { return nil, errors.New("no route") }
	broken := errors.New("sensor broke")
	for _, tt := range []struct {
		name string
		src  Source
		err  error
	}{
		{"source ends", &frames{n: 2}, nil},
		{"source fails", failing{broken}, broken},
		{"context ends", new(frames), context.DeadlineExceeded},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				cam, err := New(Config{Target: testTarget(t), Dial: dead, Source: tt.src})
				if err != nil {
					t.Fatal(err)
				}
				if err := cam.Run(ctx); !errors.Is(err, tt.err) {
					t.Errorf("run: %v, want %v", err, tt.err)
				}
			})
		})
	}
}

type failing struct{ err error }

func (f failing) Next(context.Context, uint64, time.Duration) ([]byte, error) { return nil, f.err }

func TestParseTarget(t *testing.T) {
	for _, tt := range []struct {
		url  string
		want Target // zero for an error
	}{
		{"https://feed.example.org", Target{TLS: true, Host: "feed.example.org", Port: 443, Path: "/upload"}},
		{"https://127.0.0.1:8443/", Target{TLS: true, Host: "127.0.0.1", Port: 8443, Path: "/upload"}},
		{"http://[::1]:8080/cam/upload", Target{Host: "::1", Port: 8080, Path: "/cam/upload"}},
		{"https://h/a%20b", Target{TLS: true, Host: "h", Port: 443, Path: "/a%20b"}},
		{"ftp://h", Target{}}, {"h:8443", Target{}}, {"", Target{}}, {"https://", Target{}},
		{"https://h:0", Target{}}, {"https://h:70000", Target{}}, {"https://user@h", Target{}},
		{"https://h/?q=1", Target{}}, {"https://h/#f", Target{}}, {"https://hö", Target{}},
	} {
		got, err := ParseTarget(tt.url, "")
		if (err != nil) != (tt.want == Target{}) || err == nil && got != tt.want {
			t.Errorf("%q: %+v, %v; want %+v", tt.url, got, err, tt.want)
		}
	}
	if _, err := ParseTarget("https://h", "two\r\nlines"); err == nil {
		t.Error("a token that breaks out of its header line was taken")
	}
}

func TestNewRefuses(t *testing.T) {
	dial := func(context.Context) (net.Conn, error) { return nil, nil }
	good := Config{Target: testTarget(t), Dial: dial, Source: new(frames)}
	for name, change := range map[string]func(*Config){
		"no source":         func(c *Config) { c.Source = nil },
		"no dial":           func(c *Config) { c.Dial = nil },
		"negative interval": func(c *Config) { c.Interval = -1 },
		"negative frames":   func(c *Config) { c.Frames = -1 },
		"no target":         func(c *Config) { c.Target = Target{} },
		"newline in a path": func(c *Config) { c.Target.Path = "/\n" },
	} {
		c := good
		change(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := New(good); err != nil {
		t.Error(err)
	}
}
