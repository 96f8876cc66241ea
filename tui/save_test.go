package tui

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"porthole/internal/event"
)

// TestSave: what is remembered can be saved at any time, and shows the same.
func TestSave(t *testing.T) {
	dir := t.TempDir()
	inBubble(t, 120, 40, Config{Dir: dir}, func(term *terminal) {
		term.press("s")
		term.has("save session: nothing has happened yet")
		story(term)
		term.press("s")
		term.has("save session: 1", "rig tui --replay shows it")
		term.press("s")
		term.has("save session")
	})
	files, err := filepath.Glob(filepath.Join(dir, "porthole-*.jsonl"))
	if err != nil || len(files) == 0 {
		t.Fatalf("files %q, %v", files, err)
	}
	f, err := os.Open(files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	s, err := ReadSession(f)
	if err != nil {
		t.Fatal(err)
	}
	inBubble(t, 120, 40, Config{Session: s, Source: s.Replay()}, func(term *terminal) {
		term.has("public: LOOP", "2 starts, 1 crashes", "30 taken", "shown to the public")
		term.press("s")
		term.has("this is a recording already")
	})
}

// TestSaveKeepsCounting: what no longer fits is in the state that the file begins
// with, so that figures stay right.
func TestSaveKeepsCounting(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	h := newHistory(func() time.Time { return at }, historySpan)
	const all = 3 * keptEvents
	for i := range uint64(all) {
		h.add(event.Event{Seq: i + 1, Time: at, Source: event.Server, Kind: event.Accepted, Frame: event.FrameInfo{Seq: i + 1}})
	}
	if n := len(h.events); n < keptEvents || n > keptEvents*9/8 {
		t.Errorf("%d events are kept", n)
	}
	if got := h.base.Accepted + uint64(len(h.events)); got != all {
		t.Errorf("%d of %d frames are accounted for", got, all)
	}
}

func mouse(button, x, y int, end string) string {
	return fmt.Sprintf("\x1b[<%d;%d;%d%s", button, x+1, y+1, end)
}

// TestMouse: off until it is asked for; then a click focuses, one on the time
// line goes back, the wheel scrolls.
func TestMouse(t *testing.T) {
	inBubble(t, 120, 40, Config{}, func(term *terminal) {
		story(term)
		if strings.Contains(term.out.String(), "\x1b[?1006h") {
			t.Error("the mouse was taken from the terminal")
		}
		term.press("m")
		term.has("the mouse focuses")
		if !strings.Contains(term.out.String(), "\x1b[?1006h") {
			t.Error("the mouse was not switched on")
		}
		term.press(mouse(0, 90, 5, "M"))
		term.has("▸ 2 Server")
		term.press(mouse(0, 10, 30, "M"))
		term.has("▸ 5 Console")
		term.press(mouse(64, 10, 30, "M"))
		term.has("PAUSED")
		term.press(mouse(65, 10, 30, "M"), mouse(65, 10, 30, "M"))
		term.lacks("PAUSED")
		term.press(mouse(0, 100, 37, "M"))
		term.has("PAST: ")
		term.press("0", "m")
		term.has("selects text again")
	})
	inBubble(t, 80, 24, Config{}, func(term *terminal) {
		story(term)
		term.press("m", mouse(0, 10, 1, "M"))
		term.has("▸ 1 Camera")
	})
}
