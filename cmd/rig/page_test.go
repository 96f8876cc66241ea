package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"image"
	"image/png"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"porthole/internal/browsertest"
	"porthole/internal/event"
	"porthole/internal/scene"
	"porthole/sim"
)

// TestPage is the whole product at once: a simulated camera uploads over TLS to
// the production server, and a real browser shows the demo page.
func TestPage(t *testing.T) {
	sc, err := scene.New(scene.Config{Seed: 11, Stamp: true, Width: 320, Height: 240})
	if err != nil {
		t.Fatal(err)
	}
	bus := new(event.Bus)
	f, err := newFeed(feedConfig{
		https: "127.0.0.1:0", http: "127.0.0.1:0", admin: "127.0.0.1:0",
		source: sim.SceneSource{Scene: sc}, bus: bus, interval: 200 * time.Millisecond,
		offline: 2 * time.Second, period: 200 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("feed: %v", err)
		}
	})

	tab := browsertest.New(t).Tab(t, 1280, 800)
	tab.Open("http://" + f.http.Addr().String() + "/")
	tab.Run(`document.querySelector('porthole-feed').setAttribute('interval', '200')`)

	// The camera's pictures carry the stamp, the built-in loop's do not.
	seen := make(map[[sha256.Size]byte]bool)
	next := func(want string, ok func(image.Image) bool) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for {
			data, sum := shown(t, tab)
			if data != nil && !seen[sum] && ok(data) {
				seen[sum] = true
				return
			}
			if ctx.Err() != nil {
				t.Fatalf("no %s picture came", want)
			}
			tab.Wait(`new Promise(done => document.querySelector('porthole-feed').addEventListener('frame', () => done(true), {once: true}))`)
		}
	}
	live := func(img image.Image) bool { _, err := scene.ReadStamp(img); return err == nil }
	// Recorded ones have the camera's size, so that nobody can tell by it.
	loop := func(img image.Image) bool { return !live(img) && img.Bounds().Dx() == 320 }
	for range 3 {
		next("live", live)
	}

	button := `document.querySelector('porthole-feed').shadowRoot.querySelector('button')`
	tab.Run(button + `.click()`)
	tab.Wait(button + `.getAttribute('aria-pressed') === 'true'`)
	_, paused := shown(t, tab)
	published := bus.Snapshot().Published
	waitFor(t, bus, func(s event.Snapshot) bool { return s.Published > published+5 })
	if _, still := shown(t, tab); still != paused {
		t.Error("the picture changed although the page is paused")
	}
	tab.Run(button + `.click()`)
	next("live", live)

	command := func(name string) {
		t.Helper()
		if _, err := bus.Do(t.Context(), event.Command{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	command("camera.off")
	waitFor(t, bus, func(s event.Snapshot) bool { return s.Mode == event.Loop })
	for range 2 {
		next("recorded", loop)
	}
	if mode := f.server.Truth().Mode; mode != event.Loop {
		t.Errorf("truth is %s", mode)
	}
	command("camera.on")
	next("live", live)

	// The same server, as a client that trusts the development CA sees it.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: trusting(f.roots)}}
	defer client.CloseIdleConnections()
	resp, err := client.Get("https://" + f.https.Addr().String() + "/status")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 || !strings.Contains(string(body), `"Image":"/latest"`) {
		t.Errorf("status over TLS: %s %s", resp.Status, body)
	}
	if problems := tab.Problems(); len(problems) > 0 {
		t.Errorf("the browser complains: %q", problems)
	}
}

// shown returns the picture that the page shows, nil before the first.
func shown(t *testing.T, tab *browsertest.Tab) (image.Image, [sha256.Size]byte) {
	t.Helper()
	url := browsertest.Eval[string](tab, `document.querySelector('porthole-feed').shadowRoot.querySelector('canvas.front')?.toDataURL('image/png') ?? ''`)
	encoded, ok := strings.CutPrefix(url, "data:image/png;base64,")
	if !ok {
		return nil, [sha256.Size]byte{}
	}
	data, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return img, sha256.Sum256(data)
}

// waitFor blocks until the events add up to a state.
func waitFor(t *testing.T, bus *event.Bus, ok func(event.Snapshot) bool) {
	t.Helper()
	sub := bus.Subscribe(1)
	defer sub.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for !ok(bus.Snapshot()) {
		if _, more := sub.Next(ctx); !more {
			t.Fatalf("did not come: %+v", bus.Snapshot())
		}
	}
}
