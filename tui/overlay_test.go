package tui

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"porthole/internal/event"
)

// asked makes the bus handle commands and returns what came, arguments in order.
func (term *terminal) asked(names ...string) func() []string {
	var got []string
	for _, n := range names {
		term.bus.Handle(n, func(_ context.Context, c event.Command) (event.Reply, error) {
			words := []string{c.Name}
			for k, v := range c.Args {
				words = append(words, k+"="+v)
			}
			slices.Sort(words[1:])
			got = append(got, strings.Join(words, " "))
			return event.Reply{Text: "ok"}, nil
		})
	}
	return func() []string { return got }
}

func (term *terminal) sent(got func() []string, want ...string) {
	term.t.Helper()
	if !slices.Equal(got(), want) {
		term.t.Errorf("sent %q, want %q", got(), want)
	}
}

// TestFaults: the menu lists what is offered, the title counts down, and the time
// line keeps both ends.
func TestFaults(t *testing.T) {
	inBubble(t, 120, 40, Config{}, func(term *terminal) {
		term.press("b")
		term.has("faults: nothing that is attached offers faults")
		got := term.asked("fault.wifi", "fault.power", "fault.odd", "fault.undo")
		term.press()
		term.press("b")
		term.has("▸ odd", "power          the board has no power", "wifi           the Wi-Fi network is gone", "undone after 30 s")
		term.lacks("▸ undo", "  undo")
		term.press(down, down, down, up, enter)
		term.sent(got, "fault.power")
		term.lacks("Faults:")
		term.publish(event.Event{Source: event.Board, Kind: event.FaultChanged, Fault: event.Fault{Name: "power", Text: "no power", Until: time.Now().Add(30 * time.Second)}})
		term.press()
		term.has("FAULT power, undone in 30 s", "fault power: no power")
		term.press("B")
		term.sent(got, "fault.power", "fault.undo")
		term.publish(event.Event{Source: event.Board, Kind: event.FaultChanged, Fault: event.Fault{Name: "power", Over: true}})
		term.press()
		term.has("b 00:00:0", "fault power undone")
		term.lacks("FAULT")
		term.press("b", esc)
		term.lacks("Faults:")
	})
}

func TestPublicMode(t *testing.T) {
	inBubble(t, 80, 24, Config{}, func(term *terminal) {
		term.press("M")
		term.has("public mode: this server")
		got := term.asked("server.mode")
		term.press()
		term.press("M")
		term.has("▸ auto", "dark")
		term.press(down, enter)
		term.sent(got, "server.mode mode=live")
	})
}

// TestFlash: from the key to the command, through folders, and how far it is.
func TestFlash(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "build"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"notes.txt", "build/firmware.bin", "build/boot\x1b[31m.bin", "build/x.elf"} {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, 1234), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	inBubble(t, 120, 40, Config{Dir: dir}, func(term *terminal) {
		term.press("F")
		term.has("flash board: give the board's port with --port")
		got := term.asked("board.flash", "board.stop")
		term.press()
		term.press("F")
		term.has("Which firmware?", "▸ ..", "build", "folder")
		term.lacks("notes.txt")
		term.press("bu")
		term.has("search: bu", "▸ build")
		term.press(enter)
		term.has("firmware.bin", "2 kB", "boot.bin")
		term.lacks("x.elf")
		term.press("firm", enter)
		term.has("Flash firmware.bin", "place", "empty: by itself")
		term.press("0x10000", enter)
		term.has("Overwrite the firmware of the board?", "at: 0x10000", "y does it")
		term.press("n", "F") // where one was last
		term.press("firm", enter, "app0", enter, "y")
		term.sent(got, "board.flash at=app0 file="+filepath.Join(dir, "build", "firmware.bin"))

		at := func(p event.Progress) {
			p.Work = "flash firmware.bin"
			term.publish(event.Event{Source: event.Bench, Kind: event.Progressed, Progress: p},
				event.Event{Source: event.Board, Kind: event.BoardChanged, Board: event.BoardState{Port: "p", Holder: "us"}})
			term.press()
		}
		at(event.Progress{Phase: "writing", Done: 50, Total: 100})
		term.has("50 % writing", "====", "F 00:0")
		term.press("q")
		term.has("flash firmware.bin is under way", "Leave?")
		term.press("n")
		term.has("quit: not done")
		term.press("X", "y")
		term.sent(got, "board.flash at=app0 file="+filepath.Join(dir, "build", "firmware.bin"), "board.stop")
		at(event.Progress{Ended: true, Failure: "no answer"})
		term.has("flash firmware.bin failed: no answer")
		at(event.Progress{Ended: true})
		term.has("flash firmware.bin is done")
		term.press("q")
		<-term.ended
	})
}

func TestProvision(t *testing.T) {
	inBubble(t, 80, 24, Config{}, func(term *terminal) {
		got := term.asked("board.provision")
		term.press()
		term.press("S")
		term.has("Settings of the board", "▸ Wi-Fi", "only you can read")
		term.press("My Home\x7fe", "\t", "https://cam.example", down, down, down, "5s", down, enter)
		term.has("Overwrite these settings", "ssid: My Home", "server: https://cam.example", "interval: 5s")
		term.press("y")
		term.sent(got, "board.provision interval=5s server=https://cam.example ssid=My Home")
		term.press(":", `board.provision name="two words" crop=none`, enter, "y", ":", `board.provision name="open`, enter)
		term.sent(got, "board.provision interval=5s server=https://cam.example ssid=My Home", "board.provision crop=none name=two words")
	})
}

// TestConfirm: what the caller wants to be asked is asked.
func TestConfirm(t *testing.T) {
	inBubble(t, 80, 24, Config{Confirm: map[string]string{"load.start": "Poll somebody's server?"}}, func(term *terminal) {
		got := term.asked("load.start", "load.more")
		term.press()
		term.press("g", "n", "+", "g")
		term.has("Poll somebody's server?")
		term.press("y")
		term.sent(got, "load.more", "load.start")
	})
}
