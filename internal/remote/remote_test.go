package remote_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/jpeg"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"porthole/internal/cli"
	"porthole/internal/event"
	"porthole/internal/remote"
	"porthole/server"
)

const (
	uploadToken = "upload-token"
	adminToken  = "admin-token"
)

// serve runs a server's two sides on loopback.
func serve(t *testing.T, bus *event.Bus) (admin, public string) {
	t.Helper()
	tokens, err := server.TokensOf("cam", uploadToken)
	if err != nil {
		t.Fatal(err)
	}
	loop, err := server.EmbeddedLoop()
	if err != nil {
		t.Fatal(err)
	}
	srv, err := server.New(server.Config{Tokens: tokens, Loop: loop, Events: bus, AdminToken: adminToken})
	if err != nil {
		t.Fatal(err)
	}
	a, p := httptest.NewServer(srv.Admin()), httptest.NewServer(srv)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { srv.Direct(ctx); close(done) }()
	t.Cleanup(func() { stop(); <-done; a.CloseClientConnections(); a.Close(); p.Close() })
	return a.URL, p.URL
}

func dial(t *testing.T, cfg remote.Config) *remote.Client {
	t.Helper()
	c, err := remote.Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestSameState: a client that joins in the middle ends with the state of the
// bus itself.
func TestSameState(t *testing.T) {
	bus := new(event.Bus)
	admin, public := serve(t, bus)
	for range 5 {
		bus.Publish(event.Event{Source: event.Camera, Kind: event.Uploaded, Frame: event.FrameInfo{Seq: 1, Bytes: 25000}})
	}
	c := dial(t, remote.Config{Admin: admin, Public: public, Token: adminToken})
	if c.Snapshot().Uploads != 5 {
		t.Errorf("joined with %+v", c.Snapshot())
	}
	upload(t, public)
	bus.Publish(event.Event{Source: event.Board, Kind: event.Console, Text: "\x1b[31mred"})
	bus.Publish(event.Event{Source: event.Bench, Kind: event.Note, Text: "last"})
	for {
		e, ok := c.Next(t.Context())
		if !ok {
			t.Fatal(c.Err())
		}
		if e.Text == "last" && c.Snapshot().Published >= 2 {
			break
		}
		if e.Text == "last" {
			bus.Publish(event.Event{Source: event.Bench, Kind: event.Note, Text: "last"})
		}
	}
	want := bus.Snapshot()
	for got := c.Snapshot(); got.Seq < want.Seq; got = c.Snapshot() {
		c.Next(t.Context())
	}
	got := c.Snapshot()
	// Times cross as JSON, which keeps no monotonic clock and no local zone.
	if !got.Time.Equal(want.Time) || got.Accepted != 1 || got.Mode != event.Live || got.Seq != want.Seq ||
		got.Published != want.Published || got.LastShown != want.LastShown || got.LastAccepted != want.LastAccepted {
		t.Errorf("remote state\n got %+v\nwant %+v", got, want)
	}
	for _, which := range []remote.Picture{remote.Sent, remote.Public} {
		data, err := c.Picture(t.Context(), which)
		if err != nil {
			t.Fatal(err)
		}
		if cfg, err := jpeg.DecodeConfig(bytes.NewReader(data)); err != nil || cfg.Width != 48 {
			t.Errorf("%s: %+v, %v", which, cfg, err)
		}
	}
}

func upload(t *testing.T, public string) {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 48, 32)), nil); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), "POST", public+"/upload", &b)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+uploadToken)
	req.Header.Set("Content-Type", "image/jpeg")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Fatalf("upload: %s", resp.Status)
	}
}

func TestCommands(t *testing.T) {
	bus := new(event.Bus)
	admin, _ := serve(t, bus)
	bus.Handle("camera.off", func(_ context.Context, c event.Command) (event.Reply, error) {
		if c.Args["stuck"] != "" {
			return event.Reply{}, errors.New("the switch is stuck")
		}
		return event.Reply{Text: "off"}, nil
	})
	c := dial(t, remote.Config{Admin: admin, Token: adminToken})
	if names, err := c.Commands(t.Context()); err != nil || !slices.Contains(names, "camera.off") {
		t.Errorf("commands %q, %v", names, err)
	}
	if r, err := c.Do(t.Context(), event.Command{Name: "camera.off"}); err != nil || r.Text != "off" {
		t.Errorf("do: %+v, %v", r, err)
	}
	for _, tt := range []struct {
		name    string
		command event.Command
		says    string
	}{
		{"unknown", event.Command{Name: "make.coffee"}, "nothing here handles"},
		{"fails", event.Command{Name: "camera.off", Args: map[string]string{"stuck": "1"}}, "stuck"},
		{"no name", event.Command{}, "not a command"},
	} {
		_, err := c.Do(t.Context(), tt.command)
		if err == nil || !strings.Contains(err.Error(), tt.says) || cli.HintOf(err) == "" {
			t.Errorf("%s: %v (hint %q)", tt.name, err, cli.HintOf(err))
		}
	}
	if _, err := c.Picture(t.Context(), remote.Sent); err == nil || !strings.Contains(err.Error(), "no upload yet") {
		t.Errorf("picture before any: %v", err)
	}
	if _, err := c.Picture(t.Context(), remote.Public); err == nil {
		t.Error("public picture without a public address")
	}
}

func TestRefused(t *testing.T) {
	bus := new(event.Bus)
	admin, _ := serve(t, bus)
	for _, tt := range []struct {
		name string
		cfg  remote.Config
		says string
	}{
		{"no token", remote.Config{Admin: admin}, "admin token"},
		{"wrong token", remote.Config{Admin: admin, Token: "x"}, "admin token"},
		{"not an address", remote.Config{Admin: "somewhere"}, "is not a server's"},
		{"nobody there", remote.Config{Admin: "http://127.0.0.1:1"}, "refused"},
	} {
		if _, err := remote.Dial(t.Context(), tt.cfg); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	// A page elsewhere must not be able to press the switch.
	req, err := http.NewRequestWithContext(t.Context(), "POST", admin+"/admin/commands", strings.NewReader(`{"name":"camera.off"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+adminToken)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Origin", "https://evil.example")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("a foreign page's command: %s", resp.Status)
	}
}

// TestServerGone: the stream ends with a reason, and a caller can stop waiting.
func TestServerGone(t *testing.T) {
	gone := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte(`{"snapshot":{"seq":0}}` + "\n"))
		w.(http.Flusher).Flush()
		select {
		case <-gone:
		case <-r.Context().Done():
		}
	}))
	defer srv.Close()
	c := dial(t, remote.Config{Admin: srv.URL})
	time.AfterFunc(10*time.Millisecond, func() { close(gone) })
	if _, ok := c.Next(t.Context()); ok || c.Err() == nil {
		t.Errorf("server gone: %v, %v", ok, c.Err())
	}
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("hello\n")) }))
	defer other.Close()
	if _, err := remote.Dial(t.Context(), remote.Config{Admin: other.URL}); err == nil || !strings.Contains(err.Error(), "does not send events") {
		t.Errorf("something else: %v", err)
	}
}
