package event

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"testing"
	"testing/synctest"
	"time"
)

func TestSlowSubscriberLosesOldest(t *testing.T) {
	var b Bus
	slow, fast := b.Subscribe(3), b.Subscribe(100)
	defer slow.Close()
	defer fast.Close()
	for range 10 {
		b.Publish(Event{Source: Server, Kind: Note})
	}
	if d := slow.Dropped(); d != 7 {
		t.Errorf("dropped %d, want 7", d)
	}
	for want := uint64(8); want <= 10; want++ {
		if e, ok := slow.TryNext(); !ok || e.Seq != want {
			t.Errorf("got event %d %v, want %d", e.Seq, ok, want)
		}
	}
	if _, ok := slow.TryNext(); ok {
		t.Error("an event too many")
	}
	if fast.Dropped() != 0 {
		t.Error("the fast subscriber lost events")
	}
}

func TestNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b Bus
		s := b.Subscribe(4)
		go func() {
			time.Sleep(time.Second)
			b.Publish(Event{Kind: Note, Text: "one"})
			time.Sleep(time.Second)
			s.Close()
		}()
		start := time.Now()
		if e, ok := s.Next(t.Context()); !ok || e.Text != "one" || !e.Time.Equal(start.Add(time.Second)) {
			t.Errorf("first: %+v %v", e, ok)
		}
		if _, ok := s.Next(t.Context()); ok || time.Since(start) != 2*time.Second {
			t.Errorf("close did not end Next")
		}
		b.Publish(Event{Kind: Note})
		if _, ok := s.TryNext(); ok {
			t.Error("event after close")
		}
		open := b.Subscribe(1)
		defer open.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, ok := open.Next(ctx); ok {
			t.Error("Next outlived its context")
		}
	})
}

func TestNilBus(t *testing.T) {
	var b *Bus
	b.Publish(Event{Kind: Note})
	if b.Snapshot() != (Snapshot{}) {
		t.Error("a nil bus has a state")
	}
	b.Handle("x", nil)()
	if _, err := b.Do(t.Context(), Command{Name: "x"}); !errors.Is(err, ErrNoHandler) || len(b.Commands()) != 0 {
		t.Errorf("a nil bus has commands: %v", err)
	}
	s := b.Subscribe(1)
	s.Close()
	if _, ok := s.Next(t.Context()); ok {
		t.Error("a nil bus has events")
	}
}

func TestSnapshotFollowsEvents(t *testing.T) {
	var b Bus
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := b.Subscribe(16)
	defer s.Close()
	for i, e := range []Event{
		{Source: Camera, Kind: Uploaded, Frame: FrameInfo{Seq: 1, Bytes: 25000}},
		{Source: Server, Kind: Accepted, Frame: FrameInfo{Seq: 1, Bytes: 25000, Width: 800, Height: 600}},
		{Source: Server, Kind: ModeChanged, Mode: Live},
		{Source: Server, Kind: Published, Frame: FrameInfo{Seq: 7, Bytes: 24000, Live: true}},
		{Source: Server, Kind: Rejected, Status: 401, Text: "no token"},
		{Source: Camera, Kind: UploadFailed, Text: "dial: refused"},
		{Source: Server, Kind: ModeChanged, Mode: Loop},
		{Source: Board, Kind: Console, Text: "hello"},
		{Source: Load, Kind: LoadSample, Load: LoadFigure{Viewers: 150}},
		{Source: Board, Kind: BoardChanged, Board: BoardState{State: "running", Reset: "power on", Heap: 200_000, RSSI: -58}},
		{Source: Board, Kind: Progressed, Progress: Progress{Work: "flash app.bin", Phase: "writing", Done: 1, Total: 2}},
		{Source: Board, Kind: FaultChanged, Fault: Fault{Name: "wifi", Until: at.Add(time.Minute)}},
		{Source: Board, Kind: FaultChanged, Fault: Fault{Name: "wifi", Over: true}},
		{Source: Board, Kind: FaultChanged, Fault: Fault{Name: "power", Until: at.Add(time.Hour)}},
	} {
		e.Time = at.Add(time.Duration(i) * time.Second)
		b.Publish(e)
	}
	want := Snapshot{
		Seq: 14, Time: at.Add(13 * time.Second), Mode: Loop, ModeSince: at.Add(6 * time.Second),
		Uploads: 1, Failures: 1, Accepted: 1, Rejected: 1, Published: 1,
		LastUpload:   FrameInfo{Seq: 1, Bytes: 25000},
		LastAccepted: FrameInfo{Seq: 1, Bytes: 25000, Width: 800, Height: 600}, AcceptedAt: at.Add(time.Second),
		LastShown: FrameInfo{Seq: 7, Bytes: 24000, Live: true}, ShownAt: at.Add(3 * time.Second),
		LastProblem: "dial: refused", ProblemAt: at.Add(5 * time.Second), Load: LoadFigure{Viewers: 150},
		Board:    BoardState{State: "running", Reset: "power on", Heap: 200_000, RSSI: -58},
		Progress: Progress{Work: "flash app.bin", Phase: "writing", Done: 1, Total: 2},
		Fault:    Fault{Name: "power", Until: at.Add(time.Hour)},
	}
	if got := b.Snapshot(); got != want {
		t.Errorf("snapshot\n got %+v\nwant %+v", got, want)
	}

	// The same events as JSON lines add up to the same state elsewhere.
	var remote Snapshot
	for {
		e, ok := s.TryNext()
		if !ok {
			break
		}
		line, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		var back Event
		if err := json.Unmarshal(line, &back); err != nil {
			t.Fatal(err)
		}
		if back != e {
			t.Errorf("event changed on the wire:\n got %+v\nwant %+v", back, e)
		}
		remote.Apply(back)
	}
	if remote != want {
		t.Errorf("remote snapshot\n got %+v\nwant %+v", remote, want)
	}
}

func TestCommand(t *testing.T) {
	var b Bus
	boom := errors.New("boom")
	remove := b.Handle("camera.off", func(_ context.Context, c Command) (Reply, error) {
		if c.Args["fail"] != "" {
			return Reply{}, boom
		}
		return Reply{Text: "off"}, nil
	})
	if r, err := b.Do(t.Context(), Command{Name: "camera.off"}); err != nil || r.Text != "off" {
		t.Errorf("got %+v, %v", r, err)
	}
	if _, err := b.Do(t.Context(), Command{Name: "camera.off", Args: map[string]string{"fail": "1"}}); !errors.Is(err, boom) {
		t.Errorf("handler's error lost: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Do(ctx, Command{Name: "camera.off"}); !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: %v", err)
	}
	if got := b.Commands(); len(got) != 1 || got[0] != "camera.off" {
		t.Errorf("commands %q", got)
	}
	replaced := b.Handle("camera.off", func(context.Context, Command) (Reply, error) { return Reply{Text: "other"}, nil })
	remove() // comes too late: another handler has the name
	if r, err := b.Do(t.Context(), Command{Name: "camera.off"}); err != nil || r.Text != "other" {
		t.Errorf("replaced handler: %+v, %v", r, err)
	}
	replaced()
	if _, err := b.Do(t.Context(), Command{Name: "camera.off"}); !errors.Is(err, ErrNoHandler) {
		t.Errorf("after remove: %v", err)
	}
}

func TestParseCommand(t *testing.T) {
	for _, tt := range []struct {
		text, name string
		args       map[string]string
	}{
		{"camera.off", "camera.off", nil},
		{"  load.start  viewers=5   for=2m ", "load.start", map[string]string{"viewers": "5", "for": "2m"}},
		{`board.provision name="two words" ssid=a=b`, "board.provision", map[string]string{"name": "two words", "ssid": "a=b"}},
		{`x.y a=""`, "x.y", map[string]string{"a": ""}},
		{"", "", nil}, {"camera", "", nil}, {"x.y word", "", nil}, {"x.y =v", "", nil}, {`x.y a="open`, "", nil},
	} {
		c, ok := ParseCommand(tt.text)
		if ok != (tt.name != "") || ok && (c.Name != tt.name || !maps.Equal(c.Args, tt.args)) {
			t.Errorf("%q: %+v %v", tt.text, c, ok)
		}
	}
}
