package sim

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/jpeg"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"porthole/internal/netmem"
	"porthole/internal/scene"
	"porthole/internal/wire"
)

// keptServer answers requests of boards that keep their connection, with the n-th
// answer for the n-th request; the last one lasts.
type keptServer struct {
	ln *netmem.Listener

	mu       sync.Mutex
	conns    int
	requests []time.Time
	bodies   []string
}

func serveKept(t *testing.T, answers ...string) *keptServer {
	s := &keptServer{ln: netmem.Listen()}
	go func() {
		for {
			conn, err := s.ln.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns++
			s.mu.Unlock()
			go s.serve(conn, answers)
		}
	}()
	t.Cleanup(func() { s.ln.Close() })
	return s
}

func (s *keptServer) serve(conn net.Conn, answers []string) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		s.mu.Lock()
		n := min(len(s.requests), len(answers)-1)
		s.requests = append(s.requests, time.Now())
		s.bodies = append(s.bodies, req.URL.Path+" "+string(body))
		s.mu.Unlock()
		if answers[n] == "drop" {
			return
		}
		io.WriteString(conn, answers[n])
		if strings.Contains(answers[n], "Connection: close") {
			return
		}
	}
}

func (s *keptServer) starts() (out []time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, at := range s.requests {
		out = append(out, at.Sub(s.requests[0]))
	}
	return out
}

func jsonAnswer(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// plausible is a source of frames that our firmware sends.
type plausible struct{}

func (plausible) Next(_ context.Context, seq uint64, _ time.Duration) ([]byte, error) {
	b := bytes.Repeat([]byte{byte(seq)}, 5000)
	copy(b, "\xff\xd8")
	copy(b[4998:], "\xff\xd9")
	return b, nil
}

// runFirmware uploads n frames and returns the outcomes.
func runFirmware(t *testing.T, s *keptServer, n int, change func(*Config)) (outcomes []Outcome) {
	t.Helper()
	cfg := Config{
		Target: testTarget(t), Dial: s.ln.Dial, Source: plausible{}, Profile: Firmware, Frames: n, Seed: 3,
		Report: func(o Outcome) { outcomes = append(outcomes, o) },
	}
	if change != nil {
		change(&cfg)
	}
	cam, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := cam.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return outcomes
}

func TestFirmwareKeepsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serveKept(t, jsonAnswer(`{"sequence":1,"waves":2,"interval_ms":0}`))
		outcomes := runFirmware(t, s, 4, nil)
		if s.conns != 1 || !slices.Equal(s.starts(), []time.Duration{0, 2 * time.Second, 4 * time.Second, 6 * time.Second}) {
			t.Errorf("%d connections, requests at %v", s.conns, s.starts())
		}
		if o := outcomes[0]; !o.OK() || o.Reply.Waves != 2 || o.Reply.Line != "HTTP/1.1 200 OK" {
			t.Errorf("outcome %+v", o)
		}
		if !strings.HasPrefix(s.bodies[0], "/upload --LMR\r\n") {
			t.Errorf("body %.40q", s.bodies[0])
		}
	})
}

// TestFirmwareReconnects: a kept connection that the server gave up costs no frame.
func TestFirmwareReconnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ok := jsonAnswer("{}")
		s := serveKept(t, ok, "drop", ok, strings.Replace(ok, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1), ok)
		for _, o := range runFirmware(t, s, 4, nil) {
			if !o.OK() {
				t.Errorf("frame %d: %+v", o.Seq, o)
			}
		}
		if s.conns != 3 {
			t.Errorf("%d connections, want one, another behind the drop, another behind the close", s.conns)
		}
	})
}

func TestFirmwareHeedsTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serveKept(t, jsonAnswer(`{"interval_ms":5000}`), "HTTP/1.1 503 x\r\nRetry-After: 30\r\nContent-Length: 0\r\n\r\n", jsonAnswer("{}"))
		outcomes := runFirmware(t, s, 4, nil)
		if got, want := s.starts(), []time.Duration{0, 5 * time.Second, 35 * time.Second, 40 * time.Second}; !slices.Equal(got, want) {
			t.Errorf("requests at %v, want %v", got, want)
		}
		if o := outcomes[0]; o.Interval != 5*time.Second {
			t.Errorf("outcome %+v", o)
		}
		if o := outcomes[1]; o.OK() || o.Attempt != 1 || o.Wait != 30*time.Second {
			t.Errorf("outcome %+v", o)
		}
	})
}

func TestBackoff(t *testing.T) {
	b := backoff{rng: newRNG(1)}
	var longest [9]time.Duration
	for range 3000 {
		b.attempt = 0
		for i := range longest {
			longest[i] = max(longest[i], b.next(0))
		}
	}
	for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60} {
		if ceiling := want * time.Second; longest[i] >= ceiling || longest[i] < ceiling*9/10 {
			t.Errorf("attempt %d waits up to %v, want nearly %v", i+1, longest[i], ceiling)
		}
	}
	if got := b.next(time.Hour); got != time.Hour {
		t.Errorf("asked to wait an hour, waits %v", got)
	}
}

// TestBadFrames: what is no picture is not sent; a camera that gives nothing else
// ends the run, and the board starts it anew.
func TestBadFrames(t *testing.T) {
	good, _ := plausible{}.Next(nil, 1, 0)
	for _, tt := range []struct {
		name   string
		frames []string
		sent   int
		err    string
	}{
		{"one cut", []string{string(good), string(good[:3000]), string(good)}, 2, ""},
		{"no start", []string{strings.Repeat("x", 900), string(good)}, 1, ""},
		{"only cut", []string{string(good[:3000]), string(good[:3000]), string(good[:3000])}, 0, "frame has no end"},
		{"only small", []string{"a", "b", "c"}, 0, "frame is too small"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := serveKept(t, jsonAnswer("{}"))
				cam, err := New(Config{Target: testTarget(t), Dial: s.ln.Dial, Source: &listed{frames: tt.frames}, Profile: Firmware})
				if err != nil {
					t.Fatal(err)
				}
				err = cam.Run(t.Context())
				if tt.err == "" && err != nil || tt.err != "" && (err == nil || err.Error() != tt.err) {
					t.Errorf("run: %v, want %q", err, tt.err)
				}
				if len(s.bodies) != tt.sent {
					t.Errorf("%d uploads, want %d", len(s.bodies), tt.sent)
				}
			})
		})
	}
}

// listed is a source of given frames.
type listed struct{ frames []string }

func (l *listed) Next(context.Context, uint64, time.Duration) ([]byte, error) {
	if len(l.frames) == 0 {
		return nil, io.EOF
	}
	f := l.frames[0]
	l.frames = l.frames[1:]
	return []byte(f), nil
}

// TestTiming: what the presets cost in virtual time lies where the sheet has it
// (esp32-wire 3.2).
func TestTiming(t *testing.T) {
	for _, tt := range []struct {
		name      string
		low, high time.Duration // of a 25 kB upload on a connection that stands
	}{
		{"instant", 0, 0},
		{"lan", 230 * time.Millisecond, 850 * time.Millisecond},
		{"internet", 350 * time.Millisecond, 2 * time.Second},
		{"poor", time.Second, 5 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				timing, err := ParseTiming(tt.name)
				if err != nil {
					t.Fatal(err)
				}
				picture := string(bytes.Repeat([]byte{'x'}, 25000))
				picture = "\xff\xd8" + picture[4:] + "\xff\xd9"
				for seed := range uint64(20) {
					s := serveKept(t, jsonAnswer("{}"))
					outcomes := runFirmware(t, s, 2, func(c *Config) {
						c.Timing, c.Seed, c.Source, c.Interval = timing, seed, &listed{frames: []string{picture, picture}}, 20*time.Second
					})
					if took := outcomes[1].Took; took < tt.low || took > tt.high {
						t.Errorf("seed %d: %v, want %v to %v", seed, took, tt.low, tt.high)
					}
				}
			})
		})
	}
	if _, err := ParseTiming("fast"); err == nil {
		t.Error("an unknown preset was taken")
	}
}

func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		list string
		want Faults
		bad  bool
	}{
		{"", Faults{}, false},
		{"cut=50,dns=20", Faults{Cut: 50, DNS: 20}, false},
		{"null=1,overflow=2,refuse=3,reset=4,cert=5,wifi=6", Faults{Null: 1, Overflow: 2, Refuse: 3, Reset: 4, Cert: 5, WiFi: 6}, false},
		{"cut", Faults{}, true}, {"cut=0", Faults{}, true}, {"hail=3", Faults{}, true}, {"cut=x", Faults{}, true},
	} {
		got, err := ParseFaults(tt.list)
		if (err != nil) != tt.bad || got != tt.want {
			t.Errorf("%q: %+v, %v", tt.list, got, err)
		}
	}
	for _, tt := range []struct {
		name   string
		faults Faults
		is     func(error) bool
	}{
		{"dns", Faults{DNS: 1}, func(err error) bool { _, ok := errors.AsType[*net.DNSError](err); return ok }},
		{"refuse", Faults{Refuse: 1}, func(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }},
		{"reset", Faults{Reset: 1}, func(err error) bool { return errors.Is(err, syscall.ECONNRESET) }},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := serveKept(t, jsonAnswer("{}"))
			for _, o := range runFirmware(t, s, 3, func(c *Config) { c.Faults = tt.faults }) {
				if o.OK() || !tt.is(o.Err) {
					t.Errorf("%s: %+v", tt.name, o)
				}
			}
		})
	}
}

// TestSensor: the two pictures of the start come first and in colour, later ones
// are two captures old; our firmware sees none of that.
func TestSensor(t *testing.T) {
	sc, err := scene.New(scene.Config{Seed: 1, Width: 160, Height: 120, Interval: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	var plain [][]byte
	for i := range 6 {
		plain = append(plain, sc.JPEG(uint64(i+1), time.Duration(i)*time.Second))
	}
	take := func(s *Sensor) (frames [][]byte) {
		for i := range plain {
			f, err := s.Next(t.Context(), uint64(i+1), time.Duration(i)*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			frames = append(frames, f)
		}
		return frames
	}
	sketch := take(&Sensor{Source: SceneSource{sc}})
	if !inGray(t, plain[0]) || inGray(t, sketch[0]) || inGray(t, sketch[1]) {
		t.Error("the first two pictures are not in colour")
	}
	for i := 2; i < len(sketch); i++ {
		if !bytes.Equal(sketch[i], plain[i-2]) {
			t.Errorf("picture %d is not two captures old", i)
		}
	}
	for i, f := range take(&Sensor{Source: SceneSource{sc}, Fresh: true}) {
		if !bytes.Equal(f, plain[i]) {
			t.Errorf("fresh picture %d is another", i)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		faulty := &Sensor{Source: SceneSource{sc}, Fresh: true, Faults: Faults{Cut: 1, Overflow: 1}}
		began := time.Now()
		f, err := faulty.Next(t.Context(), 1, 0)
		if err != nil || checkSend(f) == nil || time.Since(began) != framePeriod {
			t.Errorf("cut and late: %v, %v after %v", err, checkSend(f), time.Since(began))
		}
		none := &Sensor{Source: SceneSource{sc}, Faults: Faults{Null: 1}}
		if _, err := none.Next(t.Context(), 1, 0); !errors.Is(err, ErrNoFrame) {
			t.Errorf("no picture: %v", err)
		}
	})
}

func inGray(t *testing.T, frame []byte) bool {
	t.Helper()
	img, err := jpeg.Decode(bytes.NewReader(frame))
	if err != nil {
		t.Fatal(err)
	}
	r, g, b, _ := img.At(20, 20).RGBA()
	return r == g && g == b
}

func TestNotice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serveKept(t, "HTTP/1.1 204 No Content\r\n\r\n")
		link, err := NewLink(Config{Target: testTarget(t), Dial: s.ln.Dial, Profile: Firmware})
		if err != nil {
			t.Fatal(err)
		}
		defer link.Close()
		for _, state := range []string{wire.CameraOff, wire.CameraOn} {
			if reply, err := link.Notice(t.Context(), state); err != nil || reply.Status != 204 {
				t.Errorf("%s: %+v, %v", state, reply, err)
			}
		}
		if want := []string{`/camera {"state":"off"}`, `/camera {"state":"on"}`}; !slices.Equal(s.bodies, want) || s.conns != 1 {
			t.Errorf("%d connections, %q", s.conns, s.bodies)
		}
	})
}
