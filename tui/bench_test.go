package tui

import (
	"fmt"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"porthole/internal/event"
)

// BenchmarkScreen is one screen after ten minutes: with a picture, five charts
// and a full console.
func BenchmarkScreen(b *testing.B) {
	for _, size := range sizes {
		b.Run(fmt.Sprintf("%dx%d", size[0], size[1]), func(b *testing.B) {
			at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			m := New(b.Context(), Config{Source: newFixed(newBusSource(b).pictures), Now: func() time.Time { return at }})
			m.Update(tea.ColorProfileMsg{Profile: colorprofile.ANSI256})
			m.Update(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
			for i := range uint64(600) {
				at = at.Add(time.Second)
				f := event.FrameInfo{Seq: i + 1, Bytes: 26_000, Width: 800, Height: 600}
				for _, e := range []event.Event{
					{Source: event.Server, Kind: event.Accepted, Frame: f},
					{Source: event.Server, Kind: event.PublicSide, Public: event.PublicFigure{Span: time.Second, Viewers: int64(i)}},
					{Source: event.Load, Kind: event.LoadSample, Load: event.LoadFigure{At: time.Duration(i) * time.Second, Viewers: int(i), Polls: i, AgeP99: time.Second}},
					{Source: event.Board, Kind: event.BoardChanged, Board: event.BoardState{State: "running", Heap: 200_000 + int(i)}},
					{Source: event.Server, Kind: event.ModeChanged, Mode: []event.Mode{event.Live, event.Loop}[i/100%2]},
				} {
					e.Time = at
					m.hist.add(e)
				}
				for range 10 {
					m.hist.add(event.Event{Time: at, Source: event.Board, Kind: event.Console, Text: "I (450) porthole: upload ok seq=1 bytes=26000 ms=101 status=200"})
				}
			}
			settle(m, tickMsg(at))
			b.ReportAllocs()
			for b.Loop() {
				m.dirty = true
				if m.View().Content == "" {
					b.Fatal("nothing drawn")
				}
			}
		})
	}
}
