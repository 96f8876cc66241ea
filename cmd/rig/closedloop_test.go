package main

import (
	"context"
	"crypto/tls"
	"image/jpeg"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tinygo.org/x/espflasher/pkg/espflasher"

	"porthole/internal/boardcfg"
	"porthole/internal/devca"
	"porthole/internal/espimage"
	"porthole/internal/event"
	"porthole/internal/nvs"
	"porthole/internal/rfc2217"
	"porthole/internal/scene"
	"porthole/server"
	"porthole/sim"
	"porthole/sim/board"
)

// TestClosedLoop: a foreign flasher writes everything into an erased board over
// the pseudo-terminal, our own client resets it over the network, and the frames
// of the provisioned camera arrive at a real server over TLS and on its page.
func TestClosedLoop(t *testing.T) {
	ca, err := devca.New()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	token := server.NewToken()
	tokens, err := server.TokensOf("porch", token)
	if err != nil {
		t.Fatal(err)
	}
	loop, err := server.EmbeddedLoop()
	if err != nil {
		t.Fatal(err)
	}
	bus := new(event.Bus)
	srv, err := server.New(server.Config{Tokens: tokens, Loop: loop, Events: bus})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- srv.Run(ctx, tls.NewListener(ln, server.TLS(cert))) }()

	flash, err := board.NewFlash(nil, 4<<20)
	if err != nil {
		t.Fatal(err)
	}
	sc, err := scene.New(scene.Config{Seed: 4, Width: 320, Height: 240, Stamp: true})
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "board")
	d, err := newDevice(deviceConfig{
		board: board.Config{Seed: 4, Flash: flash, AutoDownload: true}, firmware: board.FirmwareConfig{Speed: instant},
		source: newFinite(sim.SceneSource{Scene: sc}, 0), bus: bus,
		world:   &board.World{Points: []board.AccessPoint{{SSID: "home", Password: "correct horse"}}, JoinTime: time.Millisecond},
		rfc2217: "127.0.0.1:0", pty: link, download: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	running := make(chan error, 1)
	go func() { running <- d.run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-running; err != nil {
			t.Errorf("board: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("server: %v", err)
		}
	})

	addr := ln.Addr().(*net.TCPAddr)
	flashWith(t, link, boardcfg.Config{
		SSID: "home", Password: "correct horse", Host: "127.0.0.1", Port: uint16(addr.Port),
		Token: token, CA: string(ca.RootPEM), Interval: 200 * time.Millisecond, Name: "porch",
	}, func() {
		// Asked while the port is open: some time after it closes, the board boots.
		if n := bus.Snapshot().Accepted; n != 0 {
			t.Fatalf("%d frames came from a board in download mode", n)
		}
	})

	client, err := rfc2217.Dial(t.Context(), d.serial.Addr().String(), rfc2217.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, rts := range []bool{true, false} { // DTR released: run, not download
		if err := client.SetDTRRTS(false, rts); err != nil {
			t.Fatal(err)
		}
	}
	readUntil(t, client, "rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)", "Loaded app from partition at offset 0x10000", "porch")

	sub := bus.Subscribe(64)
	defer sub.Close()
	waiting, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for frames := 0; frames < 3; {
		e, ok := sub.Next(waiting)
		if !ok {
			t.Fatalf("no frames: %+v", bus.Snapshot())
		}
		if e.Kind == event.Accepted {
			frames++
			if e.Name != "porch" {
				t.Errorf("frame of camera %q", e.Name)
			}
		}
	}
	web := &http.Client{Transport: &http.Transport{TLSClientConfig: trusting(ca.Pool())}}
	defer web.CloseIdleConnections()
	resp, err := web.Get("https://" + addr.String() + "/latest")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	img, err := jpeg.Decode(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := scene.ReadStamp(img); err != nil {
		t.Errorf("the public picture is not the board's: %v", err)
	}
}

// flashWith writes bootloader, partition table, settings and application with
// the foreign flasher, and looks around before it closes the port. The flasher's
// patience is in real time and short, so on a machine that is busy it may need
// another try; what it does on a quiet one is held by internal/conformance.
func flashWith(t *testing.T, device string, cfg boardcfg.Config, look func()) {
	t.Helper()
	must := func(b []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	layout := espimage.ArduinoTable()
	store := new(nvs.Store)
	if err := cfg.Defaults().Write(store); err != nil {
		t.Fatal(err)
	}
	partition, ok := layout.Label("nvs")
	if !ok {
		t.Fatal("the table has no nvs partition")
	}
	images := []espflasher.ImagePart{
		{Data: must(espimage.DemoBootloader()), Offset: espimage.BootloaderOffset},
		{Data: must(layout.Bytes()), Offset: espimage.TableOffset},
		{Data: must(store.Bytes(int(partition.Size))), Offset: uint32(partition.Offset)},
		{Data: espimage.BootSlot(0).Bytes(), Offset: espimage.OTADataOffset},
		{Data: must(espimage.DemoApp("2.3.4")), Offset: espimage.AppOffset},
	}
	write := func() error {
		f, err := espflasher.New(device, espflasher.DefaultOptions())
		if err != nil {
			return err
		}
		defer f.Close()
		if err := f.FlashImages(images, nil); err != nil {
			return err
		}
		look()
		return nil
	}
	for try := 1; ; try++ {
		err := write()
		if err == nil {
			return
		}
		if try == 3 {
			t.Fatalf("the foreign flasher failed %d times: %v", try, err)
		}
		t.Logf("try %d of the foreign flasher: %v", try, err)
	}
}

// readUntil reads the console until all texts have come.
func readUntil(t *testing.T, c *rfc2217.Client, texts ...string) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	buf := make([]byte, 4096)
	for _, text := range texts {
		for !strings.Contains(all.String(), text) {
			n, err := c.Read(buf)
			if err != nil {
				t.Fatalf("%q was not printed: %v\n%s", text, err, all.String())
			}
			all.Write(buf[:n])
		}
	}
}
