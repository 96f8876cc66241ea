package tui

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/charmbracelet/colorprofile"

	"porthole/internal/event"
)

func inBubble(t *testing.T, w, h int, cfg Config, f func(term *terminal)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(start(t, w, h, colorprofile.ASCII, cfg)) })
}

const (
	left, right, up, down = "\x1b[D", "\x1b[C", "\x1b[A", "\x1b[B"
	esc, enter            = "\x1b", "\r"
)

// TestCommands: keys send commands, ask first where it matters, and say why they
// do nothing.
func TestCommands(t *testing.T) {
	inBubble(t, 120, 40, Config{}, func(term *terminal) {
		sent := term.commands("camera.off", "camera.on", "board.panic")
		term.press() // what handlers there are is known after a tick
		term.press("o")
		term.has("✓ camera.off: done camera.off")
		term.press("O")
		term.has("Turn the camera on?", "y does it")
		term.press("n")
		term.has("camera.on: not done")
		term.press("O", "y")
		term.press("r")
		term.has("reset board: give the board's port with --port")
		term.press("+")
		term.has("more viewers: no load runs in this process: g starts one")
		term.press(":", "board.panic reason=StoreProhibited", enter)
		term.has("Crash the application")
		term.press("y")
		if got := sent(); !slices.Equal(got, []string{"camera.off", "camera.on", "board.panic reason=StoreProhibited"}) {
			t.Errorf("sent %q", got)
		}
	})
}

func TestReadOnly(t *testing.T) {
	inBubble(t, 120, 40, Config{ReadOnly: true}, func(term *terminal) {
		sent := term.commands("camera.off", "camera.on")
		term.has("read-only")
		term.press("o")
		term.has("read-only: started with --read-only")
		term.press("O", "y", ":", "camera.off", enter)
		if got := sent(); len(got) != 0 {
			t.Errorf("a read-only dashboard sent %q", got)
		}
	})
}

// TestEveryKeyIsTold: help and palette come from the table that keys are read
// from, and no key means two things.
func TestEveryKeyIsTold(t *testing.T) {
	m := New(t.Context(), Config{})
	seen := make(map[string]string)
	for _, b := range m.keys {
		if b.help == "" || b.name == "" {
			t.Errorf("%q has no words", b.keys)
		}
		if b.command != "" && b.remedy == "" {
			t.Errorf("%s does not say what to do where it cannot work", b.name)
		}
		for _, k := range b.keys {
			if seen[k] != "" {
				t.Errorf("key %s is %s and %s", k, seen[k], b.name)
			}
			seen[k] = b.name
		}
	}
	inBubble(t, 120, 60, Config{}, func(term *terminal) {
		term.press("?")
		for _, b := range m.keys {
			term.has(b.keys[0])
			if !strings.Contains(term.text(), b.help) && !strings.Contains(term.text(), b.name+" — not now: ") {
				t.Errorf("help does not tell %s", b.name)
			}
		}
		term.press("x")
		term.lacks("Keys:")
		term.press(":", "zoo")
		term.has("▸ zoom")
		term.press(enter)
		term.has("╭─ ▸ 5 Console")
		term.lacks("1 Camera")
	})
}

func TestConsole(t *testing.T) {
	inBubble(t, 120, 40, Config{}, func(term *terminal) {
		lines := func(from, to int) {
			for i := from; i <= to; i++ {
				term.publish(event.Event{Source: event.Board, Kind: event.Console, Text: fmt.Sprintf("I (%d) app: line %04d", i, i)})
			}
			term.press()
		}
		lines(1, 100)
		term.has("line 0100")
		term.press("p")
		lines(101, 223)
		term.has("PAUSED, +123 new", "line 0100")
		term.lacks("line 0101")
		term.press("p")
		term.has("line 0223")
		term.lacks("PAUSED")
		term.press(up, up)
		term.has("PAUSED", "line 0221")
		term.lacks("line 0222")
		term.press(down, down)
		term.lacks("PAUSED")

		// The first press opens the search, and the last search is kept.
		term.press("/", "line 005", enter)
		term.has("only /line 005", "line 0050", "line 0059")
		term.lacks("line 0223")
		term.press("t")
		term.has("only /line 005")
		term.lacks("00:00:0")
		term.press("f")
		term.has("marks /line 005", "line 0223")
		term.press("n", "n")
		term.has("line 0058", "◂")
		term.lacks("line 0059")
		term.press("p", "/")
		term.has("/line 005")
		term.press("\x15", enter) // ctrl+u
		term.lacks("marks /")

		lines(224, 6000)
		term.has("line 6000", "1000 older lines gone")
	})
}

func TestPanicFolds(t *testing.T) {
	inBubble(t, 120, 40, Config{}, func(term *terminal) {
		for _, l := range append(crash, "ets Jul 29 2019 12:21:46") {
			term.publish(event.Event{Source: event.Board, Kind: event.Console, Text: l})
		}
		term.press()
		term.has("enter opens: Guru Meditation Error", "ets Jul 29")
		term.lacks("register dump")
		term.press("5", "z")
		term.has("▸ crash, 10 lines, enter opens: Guru")
		term.press(enter)
		term.has("│ Core  1 register dump", "│ Rebooting")
		term.press(enter, "/", "backtrace", enter)
		term.has("Backtrace: 0x400d1a28") // a match inside a folded crash is shown
	})
}

// TestTime: the crosshair takes all panels back to one instant.
func TestTime(t *testing.T) {
	inBubble(t, 120, 40, Config{}, func(term *terminal) {
		story(term)
		term.has("public: LOOP", "crashes", "13 s ago")
		term.press("[", "[", "[", "[") // back over the evening
		text := term.text()
		if !strings.Contains(text, "PAST") || !strings.Contains(text, "public: LIVE") {
			t.Errorf("not in the past:\n%s", text)
		}
		term.lacks("recorded loop", "camera     off")
		term.press(left)
		term.press("0")
		term.has("public: LOOP")
		term.lacks("PAST")
		term.press(left, "\x1b[1;2D") // and shift
		term.has("PAST: 1")
		term.press(esc)
		time.Sleep(time.Second)
		term.press()
		term.lacks("PAST")
	})
}

// TestStrip: what a board or a network sends cannot steer the terminal.
func TestStrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newBusSource(t)
		src.pictures = [2][]byte{} // so that the error of fetching one is shown
		term := start(t, 120, 40, colorprofile.ASCII, Config{Source: src, Title: "ti\x1b[2Jtle\x07"})
		term.bus = src
		evil := "a\x1b[31mred\x1b[0m b\x1b]0;owned\x07c\x1b_Gapc\x1b\\d\x1bP+q\x1b\\e\u202Ef\u009b31mg\rh\x00i"
		term.publish(
			event.Event{Source: event.Board, Kind: event.Console, Text: evil},
			event.Event{Source: event.Server, Kind: event.Rejected, Status: 400, Text: evil},
			event.Event{Source: event.Bench, Kind: event.Note, Text: evil + "\nsecond"},
			event.Event{Source: event.Board, Kind: event.BoardChanged, Board: event.BoardState{State: evil, Reset: evil, Firmware: evil, Port: evil, Holder: evil, WiFi: evil, Camera: evil}},
			event.Event{Source: event.Server, Kind: event.Accepted, Frame: event.FrameInfo{Seq: 1}})
		term.press()
		for range panels {
			term.press("\t")
		}
		term.has("ared bcde·f", "second")
		raw := term.out.String()
		for _, bad := range []string{"owned", "\x1b_", "\x1bP", "\u202e", "\u009b", "Gapc", "]0;title"} {
			if i := strings.Index(raw, bad); i >= 0 {
				t.Errorf("%q reached the terminal: %q", bad, raw[max(i-20, 0):i+20])
			}
		}
	})
}

// TestSizes: below the smallest layout one line says what matters, and every size
// is filled but not exceeded.
func TestSizes(t *testing.T) {
	inBubble(t, 39, 12, Config{}, func(term *terminal) {
		story(term)
		if lines := strings.Split(strings.TrimRight(term.text(), "\n"), "\n"); len(lines) != 1 || !strings.HasPrefix(lines[0], "LOOP · last frame 13 s ago") {
			t.Errorf("%q", lines)
		}
	})
}

func TestQuitLeavesASummary(t *testing.T) {
	inBubble(t, 80, 24, Config{}, func(term *terminal) {
		story(term)
		if !term.em.IsAltScreen() {
			t.Error("not on the alternate screen")
		}
		term.press("q")
		<-term.ended
		if term.em.IsAltScreen() || term.em.CursorHidden() || term.err != nil {
			t.Errorf("the terminal was not restored: %v", term.err)
		}
		for _, want := range []string{"30 frames sent", "accepted 30 and refused 1", "LOOP", "2 starts, 1 crashes", "150 viewers", "the JPEG is cut"} {
			if !strings.Contains(term.result, want) {
				t.Errorf("summary lacks %q:\n%s", want, term.result)
			}
		}
	})
}

// panicky is a source whose figures make the program panic.
type panicky struct{ *busSource }

func (panicky) Dropped() uint64 { panic("a bug") }

func TestPanicRestoresTheTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term := start(t, 80, 24, colorprofile.ASCII, Config{Source: panicky{newBusSource(t)}})
		<-term.ended
		time.Sleep(time.Second)
		if term.em.IsAltScreen() || term.em.CursorHidden() || term.err == nil {
			t.Errorf("after a panic: alt screen %v, error %v", term.em.IsAltScreen(), term.err)
		}
	})
}
