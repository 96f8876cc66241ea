package tui

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	uv "github.com/charmbracelet/ultraviolet"
	"github.com/charmbracelet/x/ansi/kitty"

	"porthole/internal/event"
)

// TestFlood: a serial line that floods costs neither the screen nor a key press,
// and what was lost is said. It runs in real time: that is what it measures.
func TestFlood(t *testing.T) {
	src := newBusSource(t)
	ctx, stop := context.WithCancel(t.Context())
	m := New(ctx, Config{Source: src})
	followed := make(chan struct{})
	go func() { defer close(followed); m.hist.follow(ctx, src) }()
	defer func() { stop(); <-followed }()
	m.Update(tea.WindowSizeMsg{Width: 120, Height: 40})

	line := strings.Repeat("x", 100)
	flooding := make(chan struct{})
	go func() { // 1 MB/s for two seconds, in bursts as a driver hands them over
		defer close(flooding)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for range 200 {
			<-tick.C
			for range 100 {
				src.Publish(event.Event{Source: event.Board, Kind: event.Console, Text: line})
			}
		}
	}()
	var took []time.Duration
	for flooded := false; !flooded; {
		select {
		case <-flooding:
			flooded = true
		default:
		}
		m.Update(tickMsg(time.Now()))
		begin := time.Now()
		m.Update(tea.KeyPressMsg{Code: 'z', Text: "z"})
		if m.View().Content == "" {
			t.Fatal("nothing drawn")
		}
		took = append(took, time.Since(begin))
	}
	// Other tests share the machine, so that the one slowest says nothing.
	slices.Sort(took)
	if p99 := took[len(took)*99/100]; p99 > 100*time.Millisecond {
		t.Errorf("99 of 100 keys took up to %v to the screen", p99)
	}
	t.Logf("%d keys to the screen: p50 %v, p99 %v, slowest %v; %d events lost", len(took), took[len(took)/2], took[len(took)*99/100], took[len(took)-1], src.Dropped())
	m.Update(tickMsg(time.Now()))
	if c := m.View().Content; !strings.Contains(c, "older lines gone") {
		t.Error("the console does not say what it let go")
	}
}

func TestLossIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newBusSource(t)
		for range 9000 { // the subscription holds 8192 and nobody reads yet
			src.Publish(event.Event{Source: event.Board, Kind: event.Console, Text: "x"})
		}
		term := start(t, 120, 40, colorprofile.ASCII, Config{Source: src})
		term.press()
		term.has("808 events lost")
	})
}

// TestAttachedIsTheSame: the same events as JSON lines give the same screen.
func TestAttachedIsTheSame(t *testing.T) {
	shot := func(through func(event.Event) event.Event) (text string) {
		synctest.Test(t, func(t *testing.T) {
			inner := newBusSource(t)
			term := start(t, 120, 40, colorprofile.ASCII, Config{Source: &mapped{inner, through}})
			term.bus = inner
			story(term)
			text = term.text()
		})
		return text
	}
	local := shot(func(e event.Event) event.Event { return e })
	remote := shot(func(e event.Event) event.Event {
		b, err := json.Marshal(e)
		if err != nil {
			t.Error(err)
		}
		var back event.Event
		if err := json.Unmarshal(b, &back); err != nil {
			t.Error(err)
		}
		return back
	})
	if local != remote || !strings.Contains(local, "LOOP") {
		t.Errorf("in process:\n%s\nattached:\n%s", local, remote)
	}
}

type mapped struct {
	*busSource
	through func(event.Event) event.Event
}

func (m *mapped) Next(ctx context.Context) (event.Event, bool) {
	e, ok := m.busSource.Next(ctx)
	return m.through(e), ok
}

// TestSession: what was recorded shows the same past, and exports.
func TestSession(t *testing.T) {
	var file bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		src := newBusSource(t)
		rec := NewRecorder(src, &file, 1<<20)
		term := start(t, 120, 40, colorprofile.ASCII, Config{Source: rec})
		term.bus = src
		story(term)
		term.press("q")
		<-term.ended
		if err := rec.Close(); err != nil {
			t.Fatal(err)
		}
	})
	whole := file.Bytes()
	s, err := ReadSession(bytes.NewReader(whole))
	if err != nil {
		t.Fatal(err)
	}
	if len(s.pictures[Sent]) < 25 || len(s.pictures[Public]) != 1 || s.Cut {
		t.Errorf("%d and %d pictures, cut %v", len(s.pictures[Sent]), len(s.pictures[Public]), s.Cut)
	}
	inBubble(t, 120, 40, Config{Session: s, Source: s.Replay()}, func(term *terminal) {
		term.has("RECORDING", "public: LOOP", "2 starts, 1 crashes")
		term.press("[", "[", "[", "[")
		term.has("public: LIVE")
		term.lacks("camera     off")
		before := term.text()
		term.press(" ")
		time.Sleep(5 * time.Second)
		term.press()
		term.has("playing")
		if term.text() == before {
			t.Error("playing moves nothing")
		}
		term.press(" ", "o")
		term.has("a recording cannot be changed")
	})
	var page bytes.Buffer
	if err := s.WriteHTML(&page, "</script><b>evil"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<!doctype html>", "LoadProhibited", `"mode":["waiting"`, `"jpeg":"/9j/`} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("page lacks %q", want)
		}
	}
	if strings.Contains(page.String(), "<b>evil") || strings.Contains(page.String(), "http://") || strings.Contains(page.String(), "src=\"http") {
		t.Error("the page is not closed in itself")
	}

	testFilm(t, s)

	cut, err := ReadSession(bytes.NewReader(whole[:len(whole)-10]))
	if err != nil || !cut.Cut || len(cut.Events) < len(s.Events)-1 {
		t.Errorf("cut file: %v", err)
	}
	for _, tt := range []struct{ name, file, says string }{
		{"empty", "", "no event"},
		{"something else", "{}\n", "not a recording"},
		{"newer", `{"porthole":"session","version":9}` + "\n", "version 1"},
		{"no event", `{"porthole":"session","version":1}` + "\n", "no event"},
		{"broken in the middle", `{"porthole":"session","version":1}` + "\n{\n{\"event\":{}}\n", "line 2"},
		{"week", `{"porthole":"session","version":1}` + "\n" + `{"event":{"time":"2026-01-01T00:00:00Z"}}` + "\n" + `{"event":{"time":"9026-01-01T00:00:00Z"}}` + "\n", "168h"},
		{"long line", `{"porthole":"session","version":1}` + "\n" + strings.Repeat("x", maxSessionLine+1), "too long"},
	} {
		if _, err := ReadSession(strings.NewReader(tt.file)); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestRecordingIsBounded(t *testing.T) {
	src := newBusSource(t)
	var file bytes.Buffer
	rec := NewRecorder(src, &file, 3000)
	for range 50 {
		src.Publish(event.Event{Source: event.Board, Kind: event.Console, Text: "line"})
		if _, ok := rec.Next(t.Context()); !ok {
			t.Fatal("recording stopped the dashboard")
		}
	}
	if err := rec.Close(); !errors.Is(err, ErrSessionFull) || file.Len() > 3000 {
		t.Errorf("%d bytes, %v", file.Len(), err)
	}
	if s, err := ReadSession(&file); err != nil || len(s.Events) == 0 {
		t.Errorf("a full recording: %v", err)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	h := newHistory(func() time.Time { return at }, historySpan)
	for i := range 20_000 {
		at = at.Add(time.Second)
		h.add(event.Event{Time: at, Source: event.Server, Kind: event.Rejected, Text: fmt.Sprint(i)})
		h.keep(Sent, picture{at: at, seq: uint64(i), jpeg: make([]byte, 60_000)})
	}
	h.add(event.Event{Time: at.Add(10_000 * time.Hour), Kind: event.Note}) // a clock that jumps
	h.add(event.Event{Time: at.Add(-10_000 * time.Hour), Kind: event.Note})
	size := 0
	for _, p := range h.pictures[Sent] {
		size += len(p.jpeg)
	}
	if len(h.moments) > 900 || len(h.marks) > maxMarks || size > pictureBytes {
		t.Errorf("%d moments, %d marks, %d bytes of pictures", len(h.moments), len(h.marks), size)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, data := range [][]byte{nil, []byte("x"), {0xff, 0xd8, 0xff, 0xc0, 0, 11, 8, 0xff, 0xff, 0xff, 0xff, 1, 1, 0x11, 0}} {
		if _, err := decode(data); err == nil {
			t.Errorf("%x decodes", data)
		}
	}
}

func TestFit(t *testing.T) {
	for _, tt := range []struct{ pw, ph, w, h, cols, rows int }{
		{800, 600, 80, 100, 80, 30},
		{800, 600, 200, 30, 80, 30},
		{600, 800, 80, 30, 45, 30},
		{1, 1000, 80, 30, 1, 30},
		{1000, 1, 80, 30, 80, 1},
		{800, 600, 7, 30, 0, 0},
	} {
		cols, rows, err := fit(image.Rect(0, 0, tt.pw, tt.ph), tt.w, tt.h)
		if cols != tt.cols || rows != tt.rows || (err == nil) != (tt.cols > 0) {
			t.Errorf("%dx%d in %dx%d: %dx%d, %v; want %dx%d", tt.pw, tt.ph, tt.w, tt.h, cols, rows, err, tt.cols, tt.rows)
		}
	}
}

// FuzzUpdate: no sequence of messages and sizes makes the model panic, and the
// screen never has more rows than the terminal.
func FuzzUpdate(f *testing.F) {
	for _, seed := range []string{"", "z12345?:/", "\x80\x18\x81\xff\x01", "oOyrx\x1b[D[[0 ", "\x82hello\x83\x84\x85\x86\x87\x88", "/a\rnNfpt:q\r", "F\x02\x06x\x06y", "Sab\x02c\x06\x06\x06\x06\x06\x06y", "b\x02\x06BM\x06gy", "m\xa0\x10\xa1\x01\xa2sX", "\x8b\x8c\x8d\x8e\x8f\x90\x91q", "\x80\x00\x80\x01\x81\x02"} {
		f.Add([]byte(seed))
	}
	names := map[byte]tea.KeyPressMsg{
		1: {Code: tea.KeyUp}, 2: {Code: tea.KeyDown}, 3: {Code: tea.KeyLeft}, 4: {Code: tea.KeyRight}, 5: {Code: tea.KeyTab}, 6: {Code: tea.KeyEnter},
		7: {Code: tea.KeyEscape}, 8: {Code: tea.KeyBackspace}, 9: {Code: tea.KeyPgUp}, 10: {Code: tea.KeyPgDown}, 11: {Code: tea.KeyEnd}, 12: {Code: tea.KeyLeft, Mod: tea.ModShift},
	}
	pictures, dir := newBusSource(f).pictures, f.TempDir()
	f.Fuzz(func(t *testing.T, in []byte) {
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		m := New(t.Context(), Config{Source: newFixed(pictures), Dir: dir, Now: func() time.Time { return at }})
		m.Update(tea.WindowSizeMsg{Width: 100, Height: 30})
		h := 30
		for len(in) > 0 {
			b := in[0]
			in = in[1:]
			arg := byte(len(in))
			if len(in) > 0 {
				arg = in[0]
			}
			var msg tea.Msg
			switch {
			case b == 0x80:
				h = int(arg)
				msg = tea.WindowSizeMsg{Width: int(arg) * 2, Height: h}
			case b == 0x81:
				msg = tea.ColorProfileMsg{Profile: colorprofile.Profile(arg % 6)}
			case b == 0xa0:
				msg = tea.MouseClickMsg{X: int(int8(arg)) * 3, Y: int(int8(arg)), Button: tea.MouseLeft}
			case b == 0xa1:
				msg = tea.MouseWheelMsg{Button: tea.MouseWheelUp + tea.MouseButton(arg%2)}
			case b == 0xa2:
				msg = uv.KittyGraphicsEvent{Options: kitty.Options{ID: 31}, Payload: []byte("OK")}
			case b == 0x82:
				msg = tea.PasteMsg{Content: string(in)}
			case b < 0xa0 && b > 0x82:
				at = at.Add(time.Duration(int8(arg)) * time.Second)
				kinds := []event.Kind{event.Accepted, event.Published, event.ModeChanged, event.Console, event.Note, event.LoadSample, event.BoardChanged, event.Rejected, event.UploadFailed, event.Waved, event.PublicSide, event.Progressed, event.FaultChanged}
				m.hist.add(event.Event{
					Time: at, Kind: kinds[int(b)%len(kinds)], Text: string(in), Mode: []event.Mode{event.Live, event.Loop, event.Waiting, "?"}[arg%4],
					Frame: event.FrameInfo{Seq: uint64(arg), Bytes: int(int8(arg))}, Load: event.LoadFigure{Viewers: int(int8(arg)), Polls: uint64(arg), AgeP99: time.Duration(arg) << 50},
					Waves: uint64(arg), Public: event.PublicFigure{Span: time.Duration(int8(arg)), Viewers: int64(int8(arg)), Pictures: uint64(arg) / 2, Unchanged: 1},
					Progress: event.Progress{Work: string(in), Done: int64(int8(arg)), Total: int64(arg) / 2, Ended: arg%5 == 0}, Fault: event.Fault{Name: string(in), Until: at.Add(time.Duration(int8(arg)) * time.Hour), Over: arg%3 == 0},
					Board: event.BoardState{State: string(in), Starts: int(arg), Heap: int(int8(arg))},
				})
			case names[b].Code != 0:
				msg = names[b]
			default:
				msg = tea.KeyPressMsg{Code: rune(b), Text: string(rune(b))}
			}
			settle(m, msg)
			settle(m, tickMsg(at))
			if rows := strings.Count(m.View().Content, "\n") + 1; h > 0 && rows > h {
				t.Fatalf("%d rows on a terminal of %d", rows, h)
			}
		}
	})
}

// settle sends a message and what its commands lead to, but no ticks.
func settle(m *Model, msg tea.Msg) {
	for queue := []tea.Msg{msg}; len(queue) > 0; queue = queue[1:] {
		if queue[0] == nil {
			continue
		}
		at, isTick := queue[0].(tickMsg)
		var cmd tea.Cmd
		if isTick { // Update would arm the next tick, which takes its time
			m.hist.mu.Lock()
			cmd = m.pull(time.Time(at))
			m.hist.mu.Unlock()
		} else {
			_, cmd = m.Update(queue[0])
		}
		if cmd == nil {
			continue
		}
		switch msg := cmd().(type) {
		case tea.BatchMsg:
			for _, c := range msg {
				if c != nil {
					queue = append(queue, c())
				}
			}
		default:
			queue = append(queue, msg)
		}
	}
}

// fixed is a source without events that answers everything.
type fixed struct{ pictures [2][]byte }

func newFixed(pictures [2][]byte) *fixed { return &fixed{pictures} }

func (*fixed) Next(context.Context) (event.Event, bool) { return event.Event{}, false }
func (*fixed) Snapshot() event.Snapshot                 { return event.Snapshot{} }
func (*fixed) Dropped() uint64                          { return 7 }
func (*fixed) Commands() []string {
	return []string{"camera.off", "camera.on", "odd\x1b.name", "board.flash", "board.provision", "fault.wifi", "fault.undo", "server.mode", "load.start"}
}
func (*fixed) Do(context.Context, event.Command) (event.Reply, error) {
	return event.Reply{Text: "ok"}, nil
}
func (s *fixed) Picture(_ context.Context, which Which) ([]byte, error) {
	return s.pictures[which], nil
}

// FuzzSession: no file makes reading, drawing or exporting panic, and what is read
// has a screen and a page.
func FuzzSession(f *testing.F) {
	f.Fuzz(func(t *testing.T, file []byte) {
		s, err := ReadSession(bytes.NewReader(file))
		if err != nil {
			return
		}
		if err := s.WriteHTML(io.Discard, "fuzz"); err != nil {
			t.Fatal(err)
		}
		m := New(t.Context(), Config{Source: s.Replay(), Session: s})
		settle(m, tea.WindowSizeMsg{Width: 120, Height: 40})
		for _, key := range []rune{'[', '[', ']', ' ', '0', 'z', '5', '1'} {
			settle(m, tea.KeyPressMsg{Code: key, Text: string(key)})
			if m.View().Content == "" {
				t.Fatal("nothing drawn")
			}
		}
	})
}
