package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/vt"

	"porthole/internal/event"
	"porthole/server"
	"porthole/tui"
)

// onScreen is a dashboard on an emulated terminal.
type onScreen struct {
	mu   sync.Mutex // the emulator guards itself, but not the cells it gives
	em   *vt.SafeEmulator
	done chan struct{}
	stop context.CancelFunc
}

// Write implements io.Writer: what a terminal's line discipline does to newlines.
func (s *onScreen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.em.Write(bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n"))); err != nil {
		return 0, err
	}
	return len(p), nil
}

func screenOf(t *testing.T, cfg tui.Config) *onScreen {
	ctx, stop := context.WithCancel(context.Background())
	s := &onScreen{em: vt.NewSafeEmulator(120, 40), done: make(chan struct{}), stop: stop}
	in, keys := io.Pipe()
	answered := make(chan struct{})
	go func() { defer close(answered); io.Copy(io.Discard, s.em) }()
	go func() {
		defer close(s.done)
		if _, err := tui.Run(ctx, cfg, tea.WithInput(in), tea.WithOutput(s), tea.WithWindowSize(120, 40), tea.WithColorProfile(colorprofile.ASCII),
			tea.WithoutSignalHandler(), tea.WithEnvironment([]string{"TERM=xterm-256color"})); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		stop()
		keys.Close()
		<-s.done
		s.em.InputPipe().(io.Closer).Close()
		<-answered
	})
	return s
}

func (s *onScreen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for y := range s.em.Height() {
		for x := range s.em.Width() {
			if c := s.em.CellAt(x, y); c != nil && c.Content != "" {
				b.WriteString(c.Content)
			} else {
				b.WriteByte(' ')
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// TestAttachedShowsTheSame: one story feeds a dashboard in the process of the
// server and one that is attached over its private side, and their screens are
// the same to the last character.
func TestAttachedShowsTheSame(t *testing.T) {
	bus := new(event.Bus)
	loop, err := server.EmbeddedLoop()
	if err != nil {
		t.Fatal(err)
	}
	srv, err := server.New(server.Config{Tokens: mustTokens(t), Loop: loop, Events: bus, AdminToken: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	admin := httptest.NewServer(srv.Admin())
	defer admin.Close()
	begin := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	// Something is known before either joins.
	bus.Publish(event.Event{Time: begin, Source: event.Server, Kind: event.ModeChanged, Mode: event.Waiting})
	here := newBusSource(bus, nil)
	there, err := newRemoteSource(t.Context(), admin.URL, "", "secret", nil)
	if err != nil {
		t.Fatal(err)
	}
	joined := join(there, newBusSource(new(event.Bus), nil), true)
	defer func() { joined.close(); there.Close(); here.sub.Close() }()

	at := begin
	say := func(e event.Event) { e.Time = at; bus.Publish(e) }
	for i := range uint64(40) {
		at = begin.Add(time.Duration(i+1) * time.Second)
		f := event.FrameInfo{Seq: i + 1, Bytes: 26_000, Width: 800, Height: 600, Live: true}
		say(event.Event{Source: event.Camera, Kind: event.Uploaded, Frame: f})
		say(event.Event{Source: event.Server, Kind: event.Accepted, Frame: f})
		say(event.Event{Source: event.Server, Kind: event.Published, Frame: f})
		say(event.Event{Source: event.Server, Kind: event.PublicSide, Public: event.PublicFigure{Span: time.Second, Viewers: int64(i), Requests: i, Pictures: i, Bytes: 26_000 * i, P99: time.Millisecond}})
		say(event.Event{Source: event.Load, Kind: event.LoadSample, Load: event.LoadFigure{At: time.Duration(i) * time.Second, Viewers: int(i), Polls: i, AgeP50: time.Second, AgeP99: 2 * time.Second}})
		say(event.Event{Source: event.Board, Kind: event.Console, Text: fmt.Sprintf("I (%d) porthole: upload ok seq=%d", i, i)})
	}
	say(event.Event{Source: event.Server, Kind: event.ModeChanged, Mode: event.Live, Text: "frame accepted"})
	say(event.Event{Source: event.Server, Kind: event.Rejected, Status: 422, Text: "the JPEG is cut"})
	say(event.Event{Source: event.Server, Kind: event.Waved, Waves: 3})
	say(event.Event{Source: event.Board, Kind: event.FaultChanged, Fault: event.Fault{Name: "wifi", Text: "gone", Until: at.Add(time.Minute)}})
	say(event.Event{Source: event.Bench, Kind: event.Progressed, Progress: event.Progress{Work: "flash app.bin", Phase: "writing", Done: 1, Total: 3}})
	say(event.Event{Source: event.Board, Kind: event.BoardChanged, Board: event.BoardState{Port: "p", Holder: "rig flash", Pin: "gpiochip0:17, Low: camera off", State: "running", Reset: "panic", Firmware: "porthole 1", WiFi: "x", Camera: "on", Heap: 1, PSRAM: 2, RSSI: -3, Starts: 4, Panics: 5}})
	say(event.Event{Source: event.Bench, Kind: event.Note, Text: "that is all"})

	now := func() time.Time { return at }
	screens := [2]*onScreen{
		screenOf(t, tui.Config{Source: here, Title: "x", Image: tui.NoImg, Now: now}),
		screenOf(t, tui.Config{Source: joined, Title: "x", Image: tui.NoImg, Now: now}),
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var local, remote string
	for range 400 {
		local, remote = screens[0].text(), screens[1].text()
		if local == remote && strings.Contains(local, "that is all") {
			break
		}
		<-tick.C
	}
	if local != remote || !strings.Contains(local, "that is all") {
		t.Fatalf("in process:\n%s\nattached:\n%s", local, remote)
	}
	for _, want := range []string{"public: LIVE", "frame 40", "39, 0 streaming", "FAULT wifi", "33 % writing", "held by rig flash", "gpiochip0:17", "3 waves"} {
		if !strings.Contains(local, want) {
			t.Errorf("both lack %q:\n%s", want, local)
		}
	}
}

func mustTokens(t *testing.T) *server.Tokens {
	t.Helper()
	tokens, err := server.TokensOf("test", server.NewToken())
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}
