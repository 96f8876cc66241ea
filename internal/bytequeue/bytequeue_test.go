package bytequeue

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func TestOfferDropsTheNewestBeyondTheLimit(t *testing.T) {
	for _, tt := range []struct {
		name        string
		first, next int
		took        int
	}{
		{"one below", 7, 0, 0},
		{"exactly full", 7, 1, 1},
		{"one too many", 7, 2, 1},
		{"already full", 8, 3, 0},
		{"one offer too large", 0, 9, 8},
	} {
		t.Run(tt.name, func(t *testing.T) {
			q := New(8)
			q.Offer(bytes.Repeat([]byte{'a'}, tt.first))
			if got := q.Offer(bytes.Repeat([]byte{'b'}, tt.next)); got != tt.took {
				t.Errorf("took %d bytes, want %d", got, tt.took)
			}
			if got, want := q.Dropped(), uint64(tt.next-tt.took); got != want {
				t.Errorf("dropped %d, want %d", got, want)
			}
			buf := make([]byte, 16)
			n, _ := q.Read(buf)
			want := append(bytes.Repeat([]byte{'a'}, tt.first), bytes.Repeat([]byte{'b'}, tt.took)...)
			if !bytes.Equal(buf[:n], want) {
				t.Errorf("read %q, want %q", buf[:n], want)
			}
		})
	}
}

func TestOrderThroughASmallQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seed := rand.Uint64()
		rng := rand.New(rand.NewPCG(seed, 1))
		want := make([]byte, 10_000)
		for i := range want {
			want[i] = byte(rng.Uint32())
		}
		q := New(37)
		go func() {
			for rest := want; len(rest) > 0; {
				n := min(len(rest), 1+rng.IntN(100))
				if _, err := q.Write(rest[:n]); err != nil {
					t.Error(err)
				}
				rest = rest[n:]
			}
			q.Close(nil)
		}()
		got, err := io.ReadAll(q)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("seed %d: read %d bytes, %v; want the %d written in order", seed, len(got), err, len(want))
		}
	})
}

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := New(8)
		buf := make([]byte, 8)
		start := time.Now()
		q.SetReadDeadline(start.Add(time.Second))
		if _, err := q.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("read ended after %v with %v, want the deadline after 1s", time.Since(start), err)
		}
		q.Offer([]byte("x"))
		if _, err := q.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read past the deadline: %v, want the deadline", err)
		}
		q.SetReadDeadline(time.Time{})
		if n, err := q.Read(buf); n != 1 || err != nil {
			t.Errorf("read after the deadline was lifted: %d, %v", n, err)
		}
		go func() {
			time.Sleep(time.Second)
			q.SetReadDeadline(time.Now()) // moves a read that already waits
		}()
		if _, err := q.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("waiting read: %v, want the deadline", err)
		}
	})
}

func TestCloseDrainsThenFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost := errors.New("unplugged")
		q := New(4)
		q.Offer([]byte("abcd"))
		blocked := make(chan error)
		go func() {
			_, err := q.Write([]byte("e"))
			blocked <- err
		}()
		synctest.Wait()
		q.Close(lost)
		if err := <-blocked; !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("waiting write: %v, want %v", err, io.ErrClosedPipe)
		}
		q.Close(nil) // too late to change the reason
		buf := make([]byte, 8)
		if n, err := q.Read(buf); n != 4 || err != nil {
			t.Errorf("first read %d, %v; want the 4 bytes that were queued", n, err)
		}
		if _, err := q.Read(buf); !errors.Is(err, lost) {
			t.Errorf("drained read: %v, want %v", err, lost)
		}
		if n := q.Offer([]byte("f")); n != 0 {
			t.Errorf("a closed queue took %d bytes", n)
		}
	})
}

func TestDiscardMakesRoomAndIsNotALoss(t *testing.T) {
	q := New(4)
	q.Offer([]byte("abcd"))
	if n := q.Discard(); n != 4 || q.Len() != 0 || q.Dropped() != 0 {
		t.Errorf("discarded %d, left %d, dropped %d; want 4, 0, 0", n, q.Len(), q.Dropped())
	}
	if n := q.Offer([]byte("wxyz")); n != 4 {
		t.Errorf("took %d bytes after a discard, want 4", n)
	}
}

func TestReady(t *testing.T) {
	q := New(4)
	ready := q.Ready()
	if isClosed(ready) {
		t.Fatal("an empty queue is ready")
	}
	q.Offer([]byte("a"))
	if !isClosed(ready) || !isClosed(q.Ready()) {
		t.Error("a queue with a byte in it is not ready")
	}
}

func BenchmarkOffer(b *testing.B) {
	q := New(1 << 16)
	one := []byte{0x55}
	b.ReportAllocs()
	for b.Loop() {
		if q.Offer(one) == 0 {
			q.Discard()
		}
	}
}
