package board_test

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"porthole/internal/boardcfg"
	"porthole/internal/console"
	"porthole/internal/espimage"
	"porthole/sim/board"
)

// Demo flashes share an image, and provisioning one leaves the rest of it alone.
func TestDemoFlash(t *testing.T) {
	image, err := board.DemoImage(espimage.Demo{Version: "3.2.1"})
	if err != nil {
		t.Fatal(err)
	}
	f, err := board.NewFlash(image, 4<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"first", "second"} {
		cfg := bootConfig
		cfg.Name = name
		if err := board.Provision(f, cfg); err != nil {
			t.Fatal(err)
		}
	}
	got := make([]byte, len(image))
	if _, err := f.ReadAt(got, 0); err != nil {
		t.Fatal(err)
	}
	copy(got[espimage.NVSOffset:][:0x5000], image[espimage.NVSOffset:])
	if !bytes.Equal(got, image) {
		t.Error("provisioning changed more than the nvs partition")
	}
	synctest.Test(t, func(t *testing.T) {
		fw, err := board.NewFirmware(board.FirmwareConfig{Network: harbour(), Uploads: twoFrames})
		if err != nil {
			t.Fatal(err)
		}
		r := bootFlash(t, f, fw)
		defer r.close()
		r.run(5 * time.Second)
		if l := r.lines(console.ConfigRead); len(l) != 1 || l[0].Name != "second" {
			t.Errorf("console\n%s", r.run(0))
		}
		if l := r.lines(console.Boot); len(l) != 1 || l[0].Version != "3.2.1" || len(r.lines(console.UploadOK)) == 0 {
			t.Errorf("console\n%s", r.run(0))
		}
	})
	empty, err := board.NewFlash(nil, 4<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := board.Provision(empty, bootConfig); err == nil {
		t.Error("an erased flash was provisioned")
	}
	if _, err := board.DemoImage(espimage.Demo{Size: 2 << 20}); err == nil {
		t.Error("an application larger than its slot was taken")
	}
	if err := board.Provision(f, boardcfg.Config{}); err == nil {
		t.Error("an empty configuration was written")
	}
}
