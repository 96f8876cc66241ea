package tui

import (
	"cmp"
	"context"
	"fmt"
	"image"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	uv "github.com/charmbracelet/ultraviolet"

	"porthole/internal/event"
)

// tickEvery is how often the model looks at what has happened.
const tickEvery = 200 * time.Millisecond

// commandTimeout ends a command or the fetch of a picture that does not answer.
const commandTimeout = 15 * time.Second

// Model is the state of the screen. It is used by one goroutine; what other
// goroutines write is in its history.
type Model struct {
	ctx  context.Context
	cfg  Config
	hist *history
	keys []binding

	w, h     int
	profile  colorprofile.Profile
	content  string // what View returns, while nothing changed
	drawn    uint64 // version of the history in content
	drawnAt  int64  // second of content
	dirty    bool
	commands []string

	focus    Panel
	zoom     bool
	help     bool
	helpTop  int
	asking   *question
	input    *input
	overlay  overlay
	lastDir  string // of the firmware picker
	message  string
	isError  bool
	saidAt   time.Time
	cross    time.Time // zero: now
	playing  bool
	played   time.Time // when playing moved the crosshair last
	filter   string
	only     bool
	stamps   bool
	unfolded bool
	held     uint64 // number of the last console line shown, 0 to follow
	heldAt   uint64 // number of lines when it was held

	shown      [2]shownPicture
	areas      [panels]rect // of the panels on the screen
	mouse      bool
	kitty      bool // the terminal shows pictures
	kittyAsked bool
	placed     [2]placement
	fetching   [2]bool
	fetched    [2]uint64 // sequence of the newest fetched
}

// shownPicture is a decoded picture and its cells for one size.
type shownPicture struct {
	of      picture
	img     *image.Gray
	err     error
	thumb   *thumbnail
	w, h    int
	profile colorprofile.Profile
	loading bool

	cols, rows int // of its placeholders on the screen, 0 for none
}

// question is a command that waits for a yes.
type question struct {
	text    string
	command event.Command
	do      tea.Cmd // instead of a command
}

// Messages.
type (
	tickMsg    time.Time
	repliedMsg struct {
		name  string
		reply event.Reply
		err   error
	}
	fetchedMsg struct {
		which Which
		pic   picture
		err   error
	}
	decodedMsg struct {
		which Which
		pic   picture
		img   *image.Gray
		err   error
	}
)

// New returns the model of a dashboard. Whoever uses it without [Run] feeds its
// history by hand.
func New(ctx context.Context, cfg Config) *Model {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	m := &Model{ctx: ctx, cfg: cfg, focus: ConsolePanel, only: true, stamps: true, dirty: true, profile: colorprofile.ANSI256}
	m.hist = newHistory(cfg.Now, historySpan)
	if cfg.Session != nil {
		m.hist = cfg.Session.history()
		m.cfg.Now = m.hist.now
	}
	m.keys = m.bindings()
	if cfg.Source != nil {
		m.commands = cfg.Source.Commands() // so that the first key works
	}
	return m
}

// Init starts the clock of the screen.
func (m *Model) Init() tea.Cmd { return tick() }

func tick() tea.Cmd {
	return tea.Tick(tickEvery, func(t time.Time) tea.Msg { return tickMsg(t) })
}

// Update takes one message.
func (m *Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	m.hist.mu.Lock()
	defer m.hist.mu.Unlock()
	switch msg := msg.(type) {
	case tickMsg:
		return m, tea.Batch(tick(), m.pull(time.Time(msg)))
	case tea.WindowSizeMsg:
		m.w, m.h = min(max(msg.Width, 0), 1000), min(max(msg.Height, 0), 500)
		m.dirty = true
		return m, m.decodes()
	case tea.ColorProfileMsg:
		m.profile = msg.Profile
		m.dirty = true
		return m, m.askKitty()
	case uv.KittyGraphicsEvent:
		m.answered(msg)
	case tea.KeyPressMsg:
		m.dirty = true
		return m, tea.Batch(m.key(msg), m.decodes())
	case tea.PasteMsg:
		m.paste(msg.Content)
	case listedMsg:
		if o, ok := m.overlay.(*picker); ok {
			o.took(msg)
			m.dirty = true
		}
	case tea.MouseClickMsg:
		if msg.Button == tea.MouseLeft {
			m.click(msg.X, msg.Y)
			m.dirty = true
			return m, m.decodes()
		}
	case tea.MouseWheelMsg:
		m.dirty = true
		switch msg.Mouse().Button {
		case tea.MouseWheelUp:
			m.scroll(-3)
		case tea.MouseWheelDown:
			m.scroll(3)
		}
	case repliedMsg:
		m.dirty = true
		if msg.err != nil {
			m.say(msg.name+" failed: "+clean(msg.err.Error()), true)
		} else {
			m.say(clean(msg.name+": "+msg.reply.Text), false)
		}
	case fetchedMsg:
		return m, m.took(msg)
	case decodedMsg:
		m.shown[msg.which] = shownPicture{of: msg.pic, img: msg.img, err: msg.err}
		m.dirty = true
		return m, m.decodes()
	}
	return m, nil
}

// pull looks at what has happened since the last tick.
func (m *Model) pull(at time.Time) tea.Cmd {
	now := m.now()
	if m.cfg.Session == nil && !m.hist.ended {
		if len(m.hist.moments) > 0 {
			m.hist.record(now)
		}
		m.hist.dropped = m.cfg.Source.Dropped()
		m.commands = m.cfg.Source.Commands()
	}
	if m.message != "" && at.Sub(m.saidAt) > 8*time.Second {
		m.message, m.dirty = "", true
	}
	if m.playing {
		m.play(at)
	}
	m.played = at
	if m.hist.version != m.drawn || now.Unix() != m.drawnAt {
		m.dirty = true
	}
	return tea.Batch(m.fetch(), m.decodes(), m.sendPictures())
}

// now is the newest time of the source.
func (m *Model) now() time.Time { return m.cfg.Now().Add(-m.hist.skew) }

// instant is the time that all panels show.
func (m *Model) instant() time.Time {
	if m.cross.IsZero() {
		return m.now()
	}
	return m.cross
}

// state is the snapshot that all panels show.
func (m *Model) state() event.Snapshot {
	if m.cross.IsZero() {
		return m.hist.snap
	}
	return m.hist.stateAt(m.cross)
}

// fetch asks for pictures that are newer than what is there.
func (m *Model) fetch() tea.Cmd {
	if m.cfg.Session != nil || m.cfg.Image == NoImg {
		return nil
	}
	s := m.hist.snap
	var cmds []tea.Cmd
	for _, want := range []struct {
		which Which
		seq   uint64
		at    time.Time
		need  bool
	}{
		{Sent, s.LastAccepted.Seq, s.AcceptedAt, s.Accepted > 0},
		// While the camera is live both pictures are the same one.
		{Public, s.LastShown.Seq, s.ShownAt, s.Published > 0 && s.Mode != event.Live},
	} {
		if !want.need || m.fetching[want.which] || m.fetched[want.which] == want.seq {
			continue
		}
		m.fetching[want.which] = true
		src, ctx := m.cfg.Source, m.ctx
		cmds = append(cmds, func() tea.Msg {
			ctx, stop := context.WithTimeout(ctx, commandTimeout)
			defer stop()
			data, err := src.Picture(ctx, want.which)
			return fetchedMsg{want.which, picture{want.at, want.seq, data}, err}
		})
	}
	return tea.Batch(cmds...)
}

// took stores a picture that has arrived. One that could not be fetched is not
// asked for again: the next one is.
func (m *Model) took(msg fetchedMsg) tea.Cmd {
	m.fetching[msg.which] = false
	m.fetched[msg.which] = msg.pic.seq
	if msg.err != nil {
		m.shown[msg.which].err = msg.err
		m.dirty = true
		return nil
	}
	m.hist.keep(msg.which, msg.pic)
	return m.decodes()
}

// decodes starts the decoding of pictures that the instant asks for.
func (m *Model) decodes() tea.Cmd {
	if !m.showsCamera() {
		return nil // the half of what a screen costs
	}
	var cmds []tea.Cmd
	for which := range m.shown {
		s := &m.shown[which]
		p, ok := m.hist.pictureAt(Which(which), m.instant())
		if !ok || s.loading || s.of.seq == p.seq && s.of.at.Equal(p.at) && (s.img != nil || s.err != nil) {
			continue
		}
		s.loading = true
		cmds = append(cmds, func() tea.Msg {
			img, err := decode(p.jpeg)
			return decodedMsg{Which(which), p, img, err}
		})
	}
	return tea.Batch(cmds...)
}

// send gives a command to the source.
func (m *Model) send(c event.Command) tea.Cmd {
	m.say(c.Name+" …", false)
	src, ctx := m.cfg.Source, m.ctx
	return func() tea.Msg {
		ctx, stop := context.WithTimeout(ctx, commandTimeout)
		defer stop()
		r, err := src.Do(ctx, c)
		return repliedMsg{c.Name, r, err}
	}
}

func (m *Model) say(text string, isError bool) {
	m.message, m.isError, m.saidAt, m.dirty = text, isError, time.Now(), true
}

// key takes a key press: what is open on top of the panels gets it first.
func (m *Model) key(k tea.KeyPressMsg) tea.Cmd {
	name := k.String()
	switch {
	case name == "ctrl+c":
		return tea.Quit
	case m.input != nil:
		return m.inputKey(name, k.Text)
	case m.asking != nil:
		q := m.asking
		m.asking = nil
		switch {
		case name != "y" && name != "Y":
			m.say(cmp.Or(q.command.Name, "quit")+": not done", false)
			return nil
		case q.do != nil:
			return q.do
		}
		return m.send(q.command)
	case m.overlay != nil:
		return m.overlay.key(m, name, k.Text)
	case m.help:
		switch name {
		case "down", "j", "pgdown":
			m.helpTop++
		case "up", "k", "pgup":
			m.helpTop = max(m.helpTop-1, 0)
		case "q":
			return tea.Quit
		default:
			m.help, m.helpTop = false, 0
		}
		return nil
	}
	return m.press(name)
}

func (m *Model) paste(text string) {
	switch o := m.overlay.(type) {
	case *form:
		o.insert(text)
	default:
		if m.input != nil {
			m.input.insert(text)
		}
	}
	m.dirty = true
}

// quit asks first where leaving would end work in the middle of it.
func (m *Model) quit() tea.Cmd {
	if p := m.hist.snap.Progress; m.cfg.Session == nil && p.Work != "" && !p.Ended {
		m.asking = &question{text: p.Work + " is under way. Leaving stops it, and the board may be left without a program that runs. Leave?", do: tea.Quit}
		return nil
	}
	if m.kitty {
		return tea.Sequence(tea.Raw(forgetPictures()), tea.Quit)
	}
	return tea.Quit
}

func (m *Model) back() tea.Cmd {
	switch {
	case m.zoom:
		m.zoom = false
	case !m.cross.IsZero():
		m.live()
	default:
		m.held = 0
	}
	return nil
}

func (m *Model) focusOn(p Panel) { m.focus = p }

// View draws the screen, when something changed since the last time.
func (m *Model) View() tea.View {
	m.hist.mu.Lock()
	defer m.hist.mu.Unlock()
	if m.dirty && m.w > 0 && m.h > 0 {
		m.content = m.draw()
		m.drawn, m.drawnAt, m.dirty = m.hist.version, m.now().Unix(), false
	}
	v := tea.NewView(m.content)
	v.AltScreen = true
	v.MouseMode = m.mouseMode()
	v.WindowTitle = "porthole"
	return v
}

// summary is what stays above the prompt.
func (m *Model) summary() string {
	m.hist.mu.Lock()
	defer m.hist.mu.Unlock()
	s := m.hist.snap
	var b strings.Builder
	fmt.Fprintf(&b, "camera   %d frames sent, %d not taken; the server accepted %d and refused %d\n", s.Uploads, s.Failures, s.Accepted, s.Rejected)
	fmt.Fprintf(&b, "public   %s, %d pictures shown\n", modeWords(s.Mode), s.Published)
	if b1 := s.Board; b1 != (event.BoardState{}) {
		fmt.Fprintf(&b, "board    %s, %d starts, %d crashes\n", orDash(clean(b1.State)), b1.Starts, b1.Panics)
	}
	if r := m.hist.run; r.Polls > 0 {
		fmt.Fprintf(&b, "load     %d viewers, %d polls, %d errors, age p99 of the worst second %v\n", r.Viewers, r.Polls, r.Errors, r.AgeP99.Round(time.Millisecond))
	}
	if s.LastProblem != "" {
		fmt.Fprintf(&b, "problem  %s  %s\n", s.ProblemAt.Format("15:04:05"), clean(s.LastProblem))
	}
	fmt.Fprintf(&b, "events   %d seen, %d lost, %d console lines\n", m.hist.received, m.hist.dropped, m.hist.lines.total)
	return b.String()
}
