package board_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"porthole/internal/rfc2217"
	"porthole/sim/board"
)

// netLine is a serial port at the far end of a network.
type netLine struct{ *rfc2217.Client }

func (l netLine) SetBaud(baud int) error       { return l.Client.SetBaud(uint32(baud)) }
func (l netLine) SetLines(dtr, rts bool) error { return l.SetDTRRTS(dtr, rts) }

// TestTranscriptsOverTCP replays the transcripts over the network face, on the
// clock of the wall, with the time that pyserial spends on a line change.
func TestTranscriptsOverTCP(t *testing.T) {
	if testing.Short() {
		t.Skip("NOT RUN: transcripts over TCP take seconds of real time")
	}
	names, err := filepath.Glob("testdata/transcripts/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, name := range names {
		name = filepath.Base(name)
		t.Run(name, func(t *testing.T) {
			t.Parallel() // they spend their time waiting
			cfg := transcriptBoard()
			// EN begins to rise when DTR is asserted; RTS follows 50 ms later and
			// IO0 is held until 150 ms. A machine that is busy with other tests
			// needs the sample in the middle.
			cfg.EN = 100 * time.Millisecond
			if strings.Contains(name, "strict") {
				cfg.ROM = board.ROMStrict
			}
			c := dial(t, serveTCP(t, &board.RFC2217{Board: newBoard(t, cfg)}))
			err := runTranscript(netLine{c}, name, 50*time.Millisecond)
			for range 6 { // as often as esptool resets a board that boots its application
				if err == nil || !strings.Contains(err.Error(), "log boot:0x3") {
					break
				}
				t.Log("this machine was late, again:", err)
				err = runTranscript(netLine{c}, name, 50*time.Millisecond)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}
