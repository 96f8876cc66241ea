// Package tui is the dashboard: one screen for camera, server, viewers, board
// and its serial console. It knows events and nothing else, so the same screen
// shows what runs in this process, what a server elsewhere tells, and what a
// recording holds.
//
//	Source ──Next──▶ history ◀──pull, 5 a second── Model ──▶ screen
//	   ▲            (rings, one                     │
//	   │             snapshot a second)             │ keys
//	   └───────────── Do, Picture ──────────────────┘
//
// Nothing is pushed into the screen: a goroutine folds events into bounded
// rings, and the model takes what it needs at its own pace. So a flood on the
// serial line costs the screen nothing, and the terminal at most twenty pictures a
// second.
//
// One [Model] holds the state; the panels are plain functions that draw it into
// a rectangle. Text from outside is cleaned on its way in (clean.go): no escape
// sequence that a board or a network sends reaches the terminal.
package tui

import (
	"context"
	"errors"
	"io"
	"time"

	tea "charm.land/bubbletea/v2"

	"porthole/internal/event"
)

// Source is where the dashboard gets its events from and sends its commands to.
// Its methods are called from several goroutines; Next from one only.
type Source interface {
	// Next blocks for the next event. It returns false when there are no more.
	Next(ctx context.Context) (event.Event, bool)
	// Snapshot is the state before the first event that Next returns.
	Snapshot() event.Snapshot
	// Dropped counts the events that were lost on the way.
	Dropped() uint64
	// Do carries out a command.
	Do(ctx context.Context, c event.Command) (event.Reply, error)
	// Commands lists what Do knows at this moment. It must not block.
	Commands() []string
	// Picture fetches a picture as JPEG.
	Picture(ctx context.Context, which Which) ([]byte, error)
}

// Which names one of the two pictures of a feed.
type Which int

// The pictures.
const (
	Sent   Which = iota // by the camera, as it arrived
	Public              // what viewers are shown
)

func (w Which) String() string {
	if w == Public {
		return "public"
	}
	return "sent"
}

// Image says how pictures are drawn.
type Image string

// The ways to draw a picture.
const (
	Auto  Image = ""      // the picture itself where the terminal can, half blocks in colour, else ASCII
	Half  Image = "half"  // half blocks: two pixels a cell, 24 grays
	ASCII Image = "ascii" // one character a cell
	Kitty Image = "kitty" // the picture itself, by kitty's graphics protocol
	NoImg Image = "off"   // words only
)

// Config describes a dashboard. Source is required.
type Config struct {
	Source Source
	Title  string // what it is attached to, in a few words
	// ReadOnly turns every command off.
	ReadOnly bool
	Image    Image
	// Absent says for a panel that has nothing to show what to do to have it.
	Absent map[Panel]string
	// Confirm says for a command what to ask before it is sent, besides what is
	// always asked.
	Confirm map[string]string
	// Dir is where the choice of firmware begins; empty for the current folder.
	Dir string
	// Session is set for a recording: the whole of it is there at once, time
	// stands still, and the crosshair moves through it.
	Session *Session
	// Now is the time that ages are counted from; nil for time.Now. Tests hold
	// it still.
	Now func() time.Time
}

// Panel names a part of the screen.
type Panel int

// The panels, in the order of their keys 1 to 5.
const (
	CameraPanel Panel = iota
	ServerPanel
	LoadPanel
	BoardPanel
	ConsolePanel
	panels
)

var panelNames = [panels]string{"Camera", "Server", "Load", "Board", "Console"}

func (p Panel) String() string { return panelNames[p] }

// framesPerSecond is the most the terminal is written. The model changes five
// times a second (load-tui 4); the rest is for keys, which nobody waits 50 ms for.
const framesPerSecond = 20

// quitWith lets the program quit when ctx ends. A program whose own context ends
// does not wait for its reader of keys before it closes what that reads from; so
// that is only for one that does not quit.
func quitWith(ctx context.Context, p *tea.Program, ended <-chan struct{}) {
	select {
	case <-ended:
		return
	case <-ctx.Done():
	}
	kill := time.AfterFunc(2*time.Second, p.Kill)
	defer kill.Stop()
	p.Quit()
	<-ended
}

// Run shows the dashboard until the user quits or ctx ends, and returns a
// summary of what was seen, for the scrollback. The terminal is restored in
// every case, a panic included. opts are for tests: input, output and size.
func Run(ctx context.Context, cfg Config, opts ...tea.ProgramOption) (summary string, err error) {
	ctx, stop := context.WithCancel(ctx)
	m := New(ctx, cfg)
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		if cfg.Session == nil {
			m.hist.follow(ctx, cfg.Source)
		}
	}()
	defer func() { stop(); <-followed }()
	opts = append([]tea.ProgramOption{tea.WithContext(context.WithoutCancel(ctx)), tea.WithFPS(framesPerSecond)}, opts...)
	p := tea.NewProgram(m, opts...)
	ended, quitted := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(quitted)
		quitWith(ctx, p, ended)
	}()
	_, err = p.Run()
	close(ended)
	<-quitted
	switch {
	case err == nil, ctx.Err() != nil && errors.Is(err, tea.ErrProgramKilled):
		err = nil
	case errors.Is(err, tea.ErrInterrupted), errors.Is(err, io.EOF):
		err = nil // a signal and a closed terminal end the dashboard, they do not fail it
	}
	return m.summary(), err
}
