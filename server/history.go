package server

import (
	"context"
	"sync"
	"time"

	"porthole/internal/event"
)

// Sample is one moment of the last hour, for the charts of the private side.
// Counts are since the start of the server.
type Sample struct {
	At        time.Time `json:"at"`
	Live      bool      `json:"live"` // the public sees the camera
	Accepted  uint64    `json:"accepted"`
	Published uint64    `json:"published"`
	Viewers   int64     `json:"viewers"`
	Bytes     uint64    `json:"bytes"`
}

const (
	sampleEvery = 10 * time.Second
	maxSamples  = 360 // an hour
)

// history keeps samples in memory only: what the public saw when must not be
// found on a disk.
type history struct {
	mu      sync.Mutex
	samples []Sample // a ring once it is full
	next    int
	live    time.Duration // with the camera shown
	other   time.Duration
}

// run samples until ctx ends.
func (h *history) run(ctx context.Context, now func() Sample) {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		h.add(now())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (h *history) add(s Sample) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := len(h.samples); n > 0 {
		span := s.At.Sub(h.samples[(h.next+n-1)%n].At)
		if s.Live {
			h.live += span
		} else {
			h.other += span
		}
	}
	if len(h.samples) < maxSamples {
		h.samples = append(h.samples, s)
		return
	}
	h.samples[h.next] = s
	h.next = (h.next + 1) % maxSamples
}

// all returns the samples, the oldest first.
func (h *history) all() []Sample {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append(append([]Sample{}, h.samples[h.next:]...), h.samples[:h.next]...)
}

func (h *history) spent() (live, other time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.live, h.other
}

// sample returns this moment.
func (s *Server) sample() Sample {
	t, st := s.Truth(), s.Stats()
	return Sample{At: time.Now(), Live: t.Mode == event.Live, Accepted: t.Accepted, Published: t.Published, Viewers: st.Viewers, Bytes: st.Bytes}
}
