package tui

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"image/color"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/vt"

	"porthole/internal/event"
	"porthole/internal/scene"
)

var update = flag.Bool("update", false, "write the expected screens anew")

// busSource is a bus as a source, with two pictures.
type busSource struct {
	*event.Bus
	sub      *event.Subscription
	pictures [2][]byte
}

func newBusSource(t testing.TB) *busSource {
	b := new(event.Bus)
	s := &busSource{Bus: b, sub: b.Subscribe(8192)}
	for which := range s.pictures {
		sc, err := scene.New(scene.Config{Seed: uint64(which) + 1, Width: 160, Height: 120})
		if err != nil {
			t.Fatal(err)
		}
		s.pictures[which] = sc.JPEG(1, 0)
	}
	return s
}

func (s *busSource) Next(ctx context.Context) (event.Event, bool) { return s.sub.Next(ctx) }
func (s *busSource) Snapshot() event.Snapshot                     { return event.Snapshot{} }
func (s *busSource) Dropped() uint64                              { return s.sub.Dropped() }
func (s *busSource) Picture(_ context.Context, which Which) ([]byte, error) {
	if s.pictures[which] == nil {
		return nil, errors.New("no picture \x1b]0;title\x07here")
	}
	return s.pictures[which], nil
}

// terminal is a dashboard on an emulated terminal. It lives in a synctest bubble.
type terminal struct {
	t      *testing.T
	em     *vt.SafeEmulator
	out    *counter
	keys   *io.PipeWriter
	bus    *busSource
	ended  chan struct{}
	result string
	err    error
}

// counter counts what reaches the terminal, and keeps it.
type counter struct {
	w   io.Writer
	mu  sync.Mutex
	raw bytes.Buffer
}

func (c *counter) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.raw.String()
}

func (c *counter) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.raw.Write(p)
	c.mu.Unlock()
	// Without a terminal as its input the program expects what a terminal's line
	// discipline does to newlines.
	if _, err := c.w.Write(bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n"))); err != nil {
		return 0, err
	}
	return len(p), nil
}

func start(t *testing.T, w, h int, profile colorprofile.Profile, cfg Config) *terminal {
	t.Helper()
	in, keys := io.Pipe()
	em := vt.NewSafeEmulator(w, h)
	term := &terminal{t: t, em: em, out: &counter{w: em}, keys: keys, bus: newBusSource(t), ended: make(chan struct{})}
	if cfg.Source == nil {
		cfg.Source = term.bus
	}
	answered := make(chan struct{})
	go func() { defer close(answered); io.Copy(io.Discard, em) }()
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		defer close(term.ended)
		term.result, term.err = Run(ctx, cfg, tea.WithInput(in), tea.WithOutput(term.out), tea.WithWindowSize(w, h),
			tea.WithColorProfile(profile), tea.WithoutSignalHandler(), tea.WithEnvironment([]string{"TERM=xterm-256color"}))
	}()
	// Between the ticks of the program (200 ms) and of its renderer (50 ms), so that
	// what a test does never happens at the same instant as what the program does,
	// and that what a tick has changed is on the screen.
	time.Sleep(130 * time.Millisecond)
	t.Cleanup(func() {
		stop()
		keys.Close()
		<-term.ended
		time.Sleep(time.Second) // the program's last tick
		em.InputPipe().(io.Closer).Close()
		<-answered
	})
	return term
}

// press types as a person does, and lets the screen follow.
func (term *terminal) press(keys ...string) {
	for _, k := range keys {
		io.WriteString(term.keys, k)
		time.Sleep(400 * time.Millisecond) // a multiple of a tick, see start
	}
	time.Sleep(time.Second)
	synctest.Wait()
}

// publish publishes events one after the other.
func (term *terminal) publish(events ...event.Event) {
	for _, e := range events {
		term.bus.Publish(e)
	}
}

// text is the screen as text, without trailing blanks.
func (term *terminal) text() string {
	var b strings.Builder
	for y := range term.em.Height() {
		var row strings.Builder
		for x := 0; x < term.em.Width(); x++ {
			if c := term.em.CellAt(x, y); c != nil && c.Content != "" {
				row.WriteString(c.Content)
			} else if c == nil || c.Width != 0 {
				row.WriteByte(' ')
			}
		}
		b.WriteString(strings.TrimRight(row.String(), " "))
		b.WriteByte('\n')
	}
	return b.String()
}

// styles is how the screen looks, row by row: runs of cells with one style.
func (term *terminal) styles() string {
	name := func(c color.Color) string {
		if c == nil {
			return "-"
		}
		return strings.TrimPrefix(fmt.Sprintf("%v", c), "ansi.")
	}
	var b strings.Builder
	for y := range term.em.Height() {
		last, from := "", 0
		flush := func(x int) {
			if last != "- - 0" && x > from {
				fmt.Fprintf(&b, " %d-%d[%s]", from, x-1, last)
			}
		}
		for x := range term.em.Width() {
			st := "- - 0"
			if c := term.em.CellAt(x, y); c != nil && c.Width > 0 {
				st = fmt.Sprintf("%s %s %d", name(c.Style.Fg), name(c.Style.Bg), c.Style.Attrs)
			}
			if st != last {
				flush(x)
				last, from = st, x
			}
		}
		flush(term.em.Width())
		b.WriteByte('\n')
	}
	return b.String()
}

func (term *terminal) has(parts ...string) {
	term.t.Helper()
	text := term.text()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			term.t.Errorf("the screen lacks %q:\n%s", p, text)
		}
	}
}

func (term *terminal) lacks(parts ...string) {
	term.t.Helper()
	text := term.text()
	for _, p := range parts {
		if strings.Contains(text, p) {
			term.t.Errorf("the screen has %q:\n%s", p, text)
		}
	}
}

// golden compares with a file of testdata, or writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "screen", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the screen differs from %s (write it anew with -update):\n%s\nwant\n%s", path, got, want)
	}
}

// crash is what a board prints, shortened.
var crash = []string{
	"Guru Meditation Error: Core  1 panic'ed (LoadProhibited). Exception was unhandled.",
	"", "Core  1 register dump:", "PC      : 0x400d1a2b  PS      : 0x00060c30  A0      : 0x800d1f04  A1      : 0x3ffb2180",
	"", "Backtrace: 0x400d1a28:0x3ffb2180 0x400d1f01:0x3ffb21a0", "", "ELF file SHA256: 7b1eed647e97babc", "", "Rebooting...",
}

// story is an evening: a board starts, its camera is seen by 150 viewers, it
// crashes, its camera is cut, the loop plays.
func story(term *terminal) {
	board := event.BoardState{Port: "/dev/ttyUSB0", State: "running", Reset: "poweron", Firmware: "porthole 1.2.0", WiFi: "Harbour", Camera: "on", Heap: 214_664, PSRAM: 4_192_123, RSSI: -58, Starts: 1}
	console := func(lines ...string) {
		for _, l := range lines {
			term.publish(event.Event{Source: event.Board, Kind: event.Console, Text: l})
		}
	}
	term.publish(event.Event{Source: event.Server, Kind: event.ModeChanged, Mode: event.Waiting})
	time.Sleep(time.Second)
	console("ets Jul 29 2019 12:21:46", "rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)", "I (339) porthole: boot project=\"porthole\" version=\"1.2.0\" reset=\"poweron\" heap=214664 psram=4192123")
	term.publish(event.Event{Source: event.Board, Kind: event.BoardChanged, Board: board})
	for i := range uint64(30) {
		f := event.FrameInfo{Seq: i + 1, Bytes: 25_000 + int(i)*10, Width: 800, Height: 600, Took: 100 * time.Millisecond}
		term.publish(event.Event{Source: event.Camera, Kind: event.Uploaded, Frame: f}, event.Event{Source: event.Server, Kind: event.Accepted, Frame: f})
		if i == 0 {
			term.publish(event.Event{Source: event.Server, Kind: event.ModeChanged, Mode: event.Live})
		}
		f.Live = true
		term.publish(event.Event{Source: event.Server, Kind: event.Published, Frame: f})
		term.publish(event.Event{Source: event.Server, Kind: event.PublicSide, Public: event.PublicFigure{
			Span: time.Second, Viewers: int64(i) * 5, Connections: int64(i)*5 + 2, Streams: int64(i), Requests: i * 3, Pictures: i * 2, Unchanged: i, Bytes: i * 25_000, Refused: i / 29, P99: 850 * time.Microsecond,
		}})
		console(fmt.Sprintf("I (%d) porthole: upload ok seq=%d bytes=%d ms=101 status=200", 2000*i+450, i+1, f.Bytes))
		if i >= 10 {
			term.publish(event.Event{Source: event.Load, Kind: event.LoadSample, Load: event.LoadFigure{
				At: time.Duration(i-10) * 2 * time.Second, Viewers: min(int(i-10)*15, 150), Polls: (i - 10) * 8, Bytes: (i - 10) * 8 * 25_000,
				AgeP50: 1900 * time.Millisecond, AgeP99: time.Duration(2000+i*40) * time.Millisecond, DoneP99: 12 * time.Millisecond, Skipped: i / 29,
			}})
		}
		if i == 20 {
			console("W (41000) porthole: wifi lost ssid=\"Harbour\" reason=8 why=\"ASSOC_LEAVE\"")
			term.publish(event.Event{Source: event.Server, Kind: event.Rejected, Status: 422, Text: "the JPEG is cut"})
		}
		time.Sleep(2 * time.Second)
	}
	console(crash...)
	board.State, board.Panics = "crashed", 1
	term.publish(event.Event{Source: event.Board, Kind: event.BoardChanged, Board: board},
		event.Event{Source: event.Board, Kind: event.Note, Text: "crash on core 1: LoadProhibited\n  #0  0x400d1a28  camera::grab at src/main.cpp:41\n"})
	console("E (12) porthole: camera error code=0x105 why=\"not found\"", "W (13) porthole: camera off")
	board.State, board.Starts, board.Reset, board.Camera = "running", 2, "panic", "off"
	term.publish(event.Event{Source: event.Board, Kind: event.BoardChanged, Board: board})
	term.publish(event.Event{Source: event.Server, Kind: event.CoverChanged, Cover: event.Cover{Clips: 120, Bytes: 40 << 20, Length: 6 * time.Hour, Days: 3.25, Bare: 2}},
		event.Event{Source: event.Server, Kind: event.Waved, Waves: 1}, event.Event{Source: event.Server, Kind: event.Waved, Waves: 2},
		event.Event{Source: event.Board, Kind: event.FaultChanged, Fault: event.Fault{Name: "sensor", Text: "the camera sensor does not answer", Until: time.Now().Add(20 * time.Second)}})
	time.Sleep(9 * time.Second)
	term.publish(event.Event{Source: event.Server, Kind: event.ModeChanged, Mode: event.Loop, Text: "camera silent for 10s"},
		event.Event{Source: event.Server, Kind: event.Published, Frame: event.FrameInfo{Seq: 4, Bytes: 21_000, Width: 800, Height: 600}})
	time.Sleep(3 * time.Second)
	synctest.Wait()
}

// commands makes the bus handle what a simulated board does.
func (term *terminal) commands(names ...string) (done func() []string) {
	var got []string
	for _, n := range names {
		term.bus.Handle(n, func(_ context.Context, c event.Command) (event.Reply, error) {
			var s strings.Builder
			s.WriteString(c.Name)
			for _, k := range []string{"reason", "viewers"} {
				if v := c.Args[k]; v != "" {
					s.WriteString(" " + k + "=" + v)
				}
			}
			got = append(got, s.String())
			return event.Reply{Text: "done \x1b[31m" + n}, nil
		})
	}
	return func() []string { return got }
}

var sizes = [][2]int{{80, 24}, {120, 40}, {200, 50}}

// TestScreens holds the whole screen and each panel against the expected ones, at
// three sizes, as text without colour and as styles in 16 and 256 colours.
func TestScreens(t *testing.T) {
	for _, size := range sizes {
		for _, p := range []struct {
			name    string
			profile colorprofile.Profile
		}{{"none", colorprofile.ASCII}, {"16", colorprofile.ANSI}, {"256", colorprofile.ANSI256}} {
			t.Run(fmt.Sprintf("%dx%d-%s", size[0], size[1], p.name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					term := start(t, size[0], size[1], p.profile, Config{Title: "test"})
					term.commands("camera.off", "camera.on", "board.reset")
					story(term)
					var b strings.Builder
					add := func(name string) {
						fmt.Fprintf(&b, "=== %s\n", name)
						if p.profile == colorprofile.ASCII {
							b.WriteString(term.text())
						} else {
							b.WriteString(term.styles())
						}
					}
					add("all")
					term.press("z")
					for i := range panels {
						term.press(string(rune('1' + i)))
						add(i.String())
					}
					term.press("z", "?")
					add("help")
					golden(t, fmt.Sprintf("%dx%d-%s.txt", size[0], size[1], p.name), b.String())
				})
			})
		}
	}
}
