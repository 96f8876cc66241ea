package board_test

import (
	"bytes"
	"context"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"porthole/internal/console"
	"porthole/sim"
	"porthole/sim/board"
)

// padded makes the pictures of stamped as large as our firmware sends them.
type padded struct {
	stamped
	size int
}

func (p padded) Next(ctx context.Context, seq uint64, at time.Duration) ([]byte, error) {
	f, err := p.stamped.Next(ctx, seq, at)
	f = f[:len(f)-2]
	f = append(f, bytes.Repeat([]byte{' '}, p.size)...)
	return append(f, 0xFF, 0xD9), err
}

func (p padded) captured(t testing.TB, frame []byte) time.Duration {
	return p.stamped.captured(t, bytes.ReplaceAll(frame, []byte{' '}, nil))
}

// TestShutoffAtEveryRecord: our firmware on the simulated board, with the cut before
// every record of an upload: no picture taken after it is ever accepted, and
// pictures are back within five seconds of the release, newer than it.
// PORTHOLE_LONG=1 makes it a thousand runs.
func TestShutoffAtEveryRecord(t *testing.T) {
	runs := 200
	if os.Getenv("PORTHOLE_LONG") != "" {
		runs = 1000
	}
	flash := provisioned(t, nil)
	for seed := range uint64(runs) {
		synctest.Test(t, func(t *testing.T) {
			srv := newFrameSink(t, nil)
			defer srv.close()
			src := padded{stamped{time.Now()}, 700 + int(seed*997%12_000)}
			records := (src.size+40)/4096 + 3 // head, slices, tail
			cutAt := 3*records + int(seed)%(records+1)
			var cut atomic.Int64 // virtual time
			var wired atomic.Pointer[board.Board]
			w := srv.world()
			w.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := srv.l.DialContext(ctx, network, address)
				return &countedConn{conn, func() {
					if cutAt--; cutAt == 0 {
						cut.Store(int64(time.Since(src.begun)))
						wired.Load().SetShutoff(true)
					}
				}}, err
			}
			uploader := board.NewUploader(board.UploaderConfig{Source: src, Profile: sim.Firmware, Seed: seed})
			r := bootBoard(t, flash, board.FirmwareConfig{Network: w, Uploads: uploader.Run, Notify: uploader.Notify}, board.Chip{})
			defer r.close()
			defer uploader.Close()
			wired.Store(r.b)
			r.run(40 * time.Second)
			at := time.Duration(cut.Load())
			if at == 0 {
				t.Fatalf("seed %d: the cut was never reached", seed)
			}
			for _, f := range srv.take() {
				if c := src.captured(t, f); c > at {
					t.Errorf("seed %d, cut at %v: a picture of %v was accepted", seed, at, c)
				}
			}
			if n := len(r.lines(console.CameraOff)); n != 1 {
				t.Errorf("seed %d: %d camera off lines", seed, n)
			}
			r.b.SetShutoff(false)
			release := time.Since(src.begun)
			r.run(5 * time.Second)
			frames := srv.take()
			if len(frames) == 0 {
				t.Fatalf("seed %d: no picture within 5 s of the release\n%s", seed, r.run(0))
			}
			if c := src.captured(t, frames[0]); c < release {
				t.Errorf("seed %d: the first picture is of %v, released at %v", seed, c, release)
			}
		})
	}
}

// countedConn calls before each write.
type countedConn struct {
	net.Conn
	before func()
}

func (c *countedConn) Write(p []byte) (int, error) {
	c.before()
	return c.Conn.Write(p)
}
