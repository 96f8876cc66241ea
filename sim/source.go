package sim

import (
	"context"
	"fmt"
	"io"
	"time"

	"porthole/internal/frame"
	"porthole/internal/scene"
)

// Source gives a camera its frames.
type Source interface {
	// Next returns the JPEG that the sensor delivers for upload seq (from 1),
	// at after the start of the run. io.EOF ends the run in order. The caller
	// does not change the bytes.
	Next(ctx context.Context, seq uint64, at time.Duration) ([]byte, error)
}

// SceneSource is the simulated room as a camera's source.
type SceneSource struct{ Scene *scene.Scene }

// Next implements Source.
func (s SceneSource) Next(_ context.Context, seq uint64, at time.Duration) ([]byte, error) {
	return s.Scene.JPEG(seq, at), nil
}

// Order is how a finite set of frames is walked.
type Order string

// The orders.
const (
	LoopOrder Order = "loop"      // 1 2 3 1 2 3 …
	PingPong  Order = "ping-pong" // 1 2 3 2 1 2 …
	Once      Order = "once"      // 1 2 3, then the end
)

// ParseOrder returns the order called s.
func ParseOrder(s string) (Order, error) {
	switch o := Order(s); o {
	case LoopOrder, PingPong, Once:
		return o, nil
	}
	return "", fmt.Errorf("order %q: want loop, ping-pong or once", s)
}

// index returns which of n frames comes at step i (from 0), false after the end.
func (o Order) index(i uint64, n int) (int, bool) {
	count := uint64(n)
	switch {
	case o == Once:
		return int(min(i, count)), i < count
	case o == PingPong && n > 1:
		i %= 2 * (count - 1)
		return int(min(i, 2*(count-1)-i)), true
	default:
		return int(i % count), true
	}
}

// checkFrame refuses what no camera sends. Everything that is a JPEG from SOI to
// EOI passes, with whatever follows it: those bytes are uploaded as they are.
func checkFrame(name string, data []byte, limits frame.Limits) error {
	if _, err := frame.Inspect(data, limits); err != nil {
		return fmt.Errorf("frame %q: %w", name, err)
	}
	return nil
}

// readBounded reads a whole frame, of at most limit bytes.
func readBounded(r io.Reader, name string, limit int) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return nil, fmt.Errorf("read frame %q: %w", name, err)
	}
	if len(data) > limit {
		return nil, fmt.Errorf("frame %q is larger than %d bytes", name, limit)
	}
	return data, nil
}
