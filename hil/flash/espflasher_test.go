//go:build linux

package flash_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"tinygo.org/x/espflasher/pkg/espflasher"

	"porthole/hil/flash"
	"porthole/internal/espimage"
	"porthole/sim/board"
)

// TestMeasureEspflasher runs another flasher on boards with the same schedules
// of faults, in real time over pseudo-terminals, for comparison. It takes
// minutes and runs only when asked.
func TestMeasureEspflasher(t *testing.T) {
	text := os.Getenv("PORTHOLE_ESPFLASHER_SCHEDULES")
	if text == "" {
		t.Skip("NOT RUN: set PORTHOLE_ESPFLASHER_SCHEDULES=200 to compare with espflasher in real time")
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("PORTHOLE_ESPFLASHER_SCHEDULES=%q is not a number of schedules", text)
	}
	files := small(t)
	const workers = 16 // they wait most of the time
	var mu sync.Mutex
	var healed, failed, corrupt, hung, crashed int
	seeds := make(chan uint64)
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for seed := range seeds {
				s := board.RandomSchedule(seed)
				err, differs := espflash(t, seed, s, files)
				mu.Lock()
				switch {
				case errors.Is(err, context.DeadlineExceeded):
					hung++
				case errors.Is(err, errCrashed):
					crashed++
					t.Logf("seed %d: espflasher %v", seed, err)
				case err != nil:
					failed++
				case differs >= 0:
					corrupt++
					t.Logf("espflasher: silent corruption at 0x%x: seed %d\n%s", differs, seed, s)
				default:
					healed++
				}
				mu.Unlock()
			}
		})
	}
	for i := range n {
		seeds <- uint64(i + 1)
	}
	close(seeds)
	running.Wait()
	type count struct{ right, wrong int }
	var ours [2]count
	for bare := range ours {
		for i := range n {
			seed := uint64(i + 1)
			switch o := flashOver(t, seed, board.RandomSchedule(seed), files, bare == 1); {
			case o.corrupt:
				ours[bare].wrong++
				t.Errorf("silent corruption: seed %d", seed)
			case o.healed:
				ours[bare].right++
			}
		}
	}
	fmt.Printf(`%d schedules of 1 to 5 faults, the same for all; a pseudo-terminal has no reset lines
| flasher | flashed and right | gave up | crashed | hung | said right, and was wrong |
|---|---:|---:|---:|---:|---:|
| rig flash | %d | %d | - | - | %d |
| rig flash without reset lines | %d | %d | - | - | %d |
| espflasher v0.6.0 over a pseudo-terminal | %d | %d | %d | %d | %d |
`, n, ours[0].right, n-ours[0].right-ours[0].wrong, ours[0].wrong, ours[1].right, n-ours[1].right-ours[1].wrong, ours[1].wrong,
		healed, failed, crashed, hung, corrupt)
}

// errCrashed is a panic inside of the other flasher.
var errCrashed = errors.New("crashed")

// espflashPatience is after how long a flasher counts as hung.
const espflashPatience = 3 * time.Minute

// espflash flashes a board with espflasher, over a pseudo-terminal, and gives
// its error and where the flash differs from the files, or -1.
func espflash(t *testing.T, seed uint64, s board.Schedule, files []flash.File) (error, int64) {
	b, err := board.New(board.Config{Seed: seed, Chip: board.WROVERE(testMAC), Faults: s})
	if err != nil {
		t.Error(err)
		return err, -1
	}
	defer b.Close()
	dir, err := os.MkdirTemp(t.TempDir(), "pty")
	if err != nil {
		t.Error(err)
		return err, -1
	}
	p, err := board.OpenPTY(board.PTYConfig{Board: b, Link: filepath.Join(dir, "esp32"), Download: true, CloseReset: 2 * time.Second})
	if err != nil {
		t.Error(err)
		return err, -1
	}
	ctx, cancel := context.WithTimeout(t.Context(), espflashPatience)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }() // closing it at the deadline ends a flasher that hangs
	opts := espflasher.DefaultOptions()
	opts.Compress, opts.FlashBaudRate = true, flash.DefaultBaud
	err = func() (err error) {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("%w: %v", errCrashed, r)
			}
		}()
		f, err := espflasher.New(p.Name(), opts)
		if err != nil {
			return err
		}
		defer f.Close()
		var images []espflasher.ImagePart
		for _, file := range files {
			images = append(images, espflasher.ImagePart{Data: file.Data, Offset: uint32(file.Offset)})
		}
		return f.FlashImages(images, nil)
	}()
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	cancel()
	<-ended
	if err != nil {
		return err, -1
	}
	for _, file := range files {
		have := make([]byte, len(file.Data))
		if _, err := b.ReadFlash(have, file.Offset); err != nil {
			t.Error(err)
			return err, -1
		}
		// It patches the size of the flash into every image.
		if string(have) != string(file.Data) && !espimage.SameProgram(have, file.Data) {
			return nil, file.Offset
		}
	}
	return nil, -1
}
