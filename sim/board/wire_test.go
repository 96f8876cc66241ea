package board_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porthole/internal/esprom"
	"porthole/internal/slip"
	"porthole/sim/board"
)

func TestWireIsExclusive(t *testing.T) {
	atBoard(t, board.Config{}, func(t *testing.T, b *board.Board, h *host) {
		w := h.line.(*board.Wire)
		if _, err := b.Connect(); !errors.Is(err, board.ErrBusy) {
			t.Errorf("second host: %v", err)
		}
		w.Close()
		if _, err := w.Write([]byte{1}); !errors.Is(err, board.ErrClosed) {
			t.Errorf("write after close: %v", err)
		}
		if _, err := w.Read(make([]byte, 1)); !errors.Is(err, board.ErrClosed) {
			t.Errorf("read after close: %v", err)
		}
		b.Restart(true) // nobody hears this banner
		w2, err := b.Connect()
		if err != nil {
			t.Fatal(err)
		}
		w2.SetReadDeadline(time.Now().Add(time.Second))
		if n, err := w2.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%d bytes from before the connection, %v", n, err)
		}
		if s := b.Status(); s.Unheard == 0 || !s.Connected {
			t.Errorf("%+v", s)
		}
		if err := w.SetRTS(true); !errors.Is(err, board.ErrClosed) || b.Status().RTS {
			t.Errorf("a closed wire moves lines: %v", err)
		}
		w2.SetReadDeadline(time.Time{})
		b.SetPlugged(false)
		if _, err := w2.Read(make([]byte, 1)); !errors.Is(err, board.ErrUnplugged) {
			t.Errorf("read while unplugged: %v", err)
		}
		if _, err := w2.Write([]byte{1}); !errors.Is(err, board.ErrUnplugged) {
			t.Errorf("write while unplugged: %v", err)
		}
		if _, err := b.Connect(); !errors.Is(err, board.ErrUnplugged) {
			t.Errorf("connect while unplugged: %v", err)
		}
		b.SetPlugged(true)
		w3, err := b.Connect()
		if err != nil {
			t.Fatal(err)
		}
		b.Close()
		if _, err := w3.Write([]byte{1}); !errors.Is(err, board.ErrClosed) {
			t.Errorf("write to a closed board: %v", err)
		}
		if _, err := b.Connect(); !errors.Is(err, board.ErrClosed) {
			t.Errorf("connect to a closed board: %v", err)
		}
	})
}

// TestUnpluggingLetsGoOfReset: a cable that held the chip in reset no longer does.
func TestUnpluggingLetsGoOfReset(t *testing.T) {
	atBoard(t, board.Config{}, func(t *testing.T, b *board.Board, h *host) {
		h.line.SetRTS(true)
		time.Sleep(time.Second)
		b.SetPlugged(false)
		time.Sleep(time.Second)
		if s := b.Status(); s.State != board.StateBoot || s.RTS {
			t.Errorf("%+v", s)
		}
	})
}

func TestBreakAndPurge(t *testing.T) {
	inROM(t, board.Config{}, func(t *testing.T, b *board.Board, h *host) {
		w := h.line.(*board.Wire)
		w.Break() // a stray zero between frames
		if _, err := h.reg(esprom.RegMagic); err != nil {
			t.Error(err)
		}
		h.send(esprom.ReadReg{Addr: esprom.RegMagic}.Request())
		w.Purge()
		if f, err := h.frame(time.Second); err == nil {
			t.Errorf("purged frame % x", f)
		}
	})
}

// TestOverrun: a host that does not read loses bytes, counted, and one that floods
// a busy chip too; neither costs memory without bound or the board its life.
func TestOverrun(t *testing.T) {
	inStub(t, board.Config{Latency: true}, func(t *testing.T, b *board.Board, h *host) {
		ask := slip.Append(nil, esprom.ReadReg{}.Request().Append(nil))
		h.line.Write(bytes.Repeat(ask, 5000))
		if s := b.Status(); s.Overrun == 0 {
			t.Error("16 kB of unread replies and no overrun")
		}
		h.drain(time.Millisecond)
		before := b.Status().Overrun
		h.send(esprom.Bare{Op: esprom.EraseFlashOp}.Request()) // busy for 10 s
		h.line.Write(make([]byte, 100_000))
		if s := b.Status(); s.Overrun-before < 20_000 {
			t.Errorf("%d bytes lost of 100,000 to a busy chip", s.Overrun-before)
		}
		if err := h.connect(); err != nil {
			t.Error(err)
		}
	})
}

func TestConfigRefused(t *testing.T) {
	for name, cfg := range map[string]board.Config{
		"EN too short": {EN: time.Microsecond},
		"EN too long":  {EN: time.Minute},
		"strap bits":   {Strap: 0x53},
		"revision":     {Chip: board.Chip{Revision: esprom.Revision{Major: 4}}},
	} {
		if b, err := board.New(cfg); err == nil {
			b.Close()
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestProgramLife: one program runs at a time, a reset ends it, and the next start
// waits for a slow one; nothing of the old run is printed after the reset.
func TestProgramLife(t *testing.T) {
	running, most := 0, 0
	slow := board.ProgramFunc(func(ctx context.Context, m *board.Machine) {
		running++
		most = max(most, running)
		m.Running()
		m.Printf("up %#x %v\r\n", m.Strap(), m.Reason())
		<-ctx.Done()
		if _, err := m.Write([]byte("ghost")); !errors.Is(err, board.ErrReset) {
			t.Errorf("write after a reset: %v", err)
		}
		if _, err := m.Read(make([]byte, 1)); !errors.Is(err, board.ErrReset) {
			t.Errorf("read after a reset: %v", err)
		}
		if err := m.Erase(0, 4096); !errors.Is(err, board.ErrReset) {
			t.Errorf("erase after a reset: %v", err)
		}
		time.Sleep(300 * time.Millisecond)
		running--
	})
	atBoard(t, board.Config{Program: slow}, func(t *testing.T, b *board.Board, h *host) {
		time.Sleep(time.Second)
		for range 3 {
			h.hardReset()
			time.Sleep(time.Second)
		}
		h.listen(time.Second)
		if most != 1 {
			t.Errorf("%d programs at once", most)
		}
		if n := strings.Count(h.log.String(), "up 0x13 POWERON_RESET\r\n"); n != 4 || strings.Contains(h.log.String(), "ghost") {
			t.Errorf("%d starts in %q", n, h.log.String())
		}
		// A reset into download mode while the old program still ends.
		if err := h.connect(); err != nil {
			t.Error(err)
		}
	})
}

// TestProgramFlash: a program writes flash with the latencies of the part; a reset
// in the middle ends the call, not the operation.
func TestProgramFlash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		done := make(chan error, 4)
		b := newBoardInBubble(t, board.Config{Latency: true, Program: board.ProgramFunc(func(ctx context.Context, m *board.Machine) {
			done <- m.Program(0x1000, []byte("stored"))
			done <- m.Program(int64(m.FlashSize())-1, []byte("xx"))
			done <- m.Erase(0x1000, 3*board.SectorSize)
		})})
		defer b.Close()
		time.Sleep(board.DefaultEN + 60*time.Millisecond)
		b.PressEN(true)
		synctest.Wait()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := <-done; err == nil {
			t.Error("wrote beyond the end")
		}
		if err := <-done; !errors.Is(err, board.ErrReset) {
			t.Errorf("erase across a reset: %v", err)
		}
		p := make([]byte, 6)
		if b.ReadFlash(p, 0x1000); !bytes.Equal(p, bytes.Repeat([]byte{0xFF}, 6)) {
			t.Errorf("flash holds %q", p)
		}
	})
}
