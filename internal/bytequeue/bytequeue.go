// Package bytequeue is a bounded queue of bytes between one producer that must
// not wait (a simulated chip, a socket reader) and one consumer that may (a
// test, a flasher) and that sets deadlines. It works under testing/synctest:
// all waiting is on channels and timers.
package bytequeue

import (
	"io"
	"os"
	"sync"
	"time"
)

// Queue is a first-in first-out queue of bytes. Create it with [New]. All
// methods may be called from any goroutine; concurrent readers share the
// stream in no particular order.
type Queue struct {
	max int

	mu      sync.Mutex
	buf     []byte // the queued bytes are buf[head:]
	head    int
	dropped uint64
	err     error         // set once by Close
	more    chan struct{} // closed when bytes, or err, arrive; nil while nobody waits
	room    chan struct{} // closed when bytes leave; nil while nobody waits

	deadline deadline
}

// New returns a queue of at most limit bytes; limit must be positive. Memory
// grows with what is queued, not with the limit.
func New(limit int) *Queue {
	if limit <= 0 {
		panic("bytequeue: limit must be positive")
	}
	return &Queue{max: limit, deadline: deadline{expired: make(chan struct{})}}
}

// Offer queues as much of p as fits, never waits, and reports how many bytes
// it took. The rest is dropped and counted, as a UART does on overrun.
func (q *Queue) Offer(p []byte) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := q.put(p)
	q.dropped += uint64(len(p) - n)
	return n
}

// Write queues all of p, waiting for room. It fails only when the queue is
// closed.
func (q *Queue) Write(p []byte) (int, error) {
	var done int
	for {
		q.mu.Lock()
		if q.err != nil {
			q.mu.Unlock()
			return done, io.ErrClosedPipe
		}
		if done += q.put(p[done:]); done == len(p) {
			q.mu.Unlock()
			return done, nil
		}
		room := await(&q.room)
		q.mu.Unlock()
		<-room
	}
}

func (q *Queue) put(p []byte) int {
	if q.err != nil {
		return 0
	}
	n := min(len(p), q.max-(len(q.buf)-q.head))
	if n == 0 {
		return 0
	}
	if q.head > 0 && len(q.buf)+n > cap(q.buf) {
		q.buf = q.buf[:copy(q.buf, q.buf[q.head:])]
		q.head = 0
	}
	q.buf = append(q.buf, p[:n]...)
	signal(&q.more)
	return n
}

// Read takes up to len(p) bytes, waiting for the first. After the queue was
// closed it drains what is left and then returns Close's error. A passed
// deadline gives [os.ErrDeadlineExceeded], with bytes queued or not, as
// net.Conn does.
func (q *Queue) Read(p []byte) (int, error) {
	for {
		expired := q.deadline.wait()
		select {
		case <-expired:
			return 0, os.ErrDeadlineExceeded
		default:
		}
		q.mu.Lock()
		if n := copy(p, q.buf[q.head:]); n > 0 || len(p) == 0 {
			q.advance(n)
			q.mu.Unlock()
			return n, nil
		}
		if err := q.err; err != nil {
			q.mu.Unlock()
			return 0, err
		}
		more := await(&q.more)
		q.mu.Unlock()
		select {
		case <-more:
		case <-expired:
			return 0, os.ErrDeadlineExceeded
		}
	}
}

func (q *Queue) advance(n int) {
	q.head += n
	if q.head == len(q.buf) {
		q.head = 0
		if cap(q.buf) > shrink {
			q.buf = nil // an idle queue holds no memory
		} else {
			q.buf = q.buf[:0]
		}
	}
	if n > 0 {
		signal(&q.room)
	}
}

// shrink is the buffer size above which an emptied queue gives its memory back.
const shrink = 4 << 10

// Discard removes everything that is queued and reports how much it was. What
// is discarded on purpose does not count as dropped.
func (q *Queue) Discard() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.buf) - q.head
	q.advance(n)
	return n
}

// Len is the number of queued bytes.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.buf) - q.head
}

// Dropped is the number of bytes that [Queue.Offer] did not take.
func (q *Queue) Dropped() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}

// Ready is closed when the queue is not empty or is closed. A later call
// gives a fresh answer.
func (q *Queue) Ready() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.buf) > q.head || q.err != nil {
		c := make(chan struct{})
		close(c)
		return c
	}
	return await(&q.more)
}

// Close ends the queue: nothing more is taken, and readers get err (io.EOF if
// nil) once it is drained. Only the first call counts.
func (q *Queue) Close(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		return
	}
	if err == nil {
		err = io.EOF
	}
	q.err = err
	signal(&q.more)
	signal(&q.room)
}

// SetReadDeadline bounds present and future reads; the zero time means none.
func (q *Queue) SetReadDeadline(t time.Time) error {
	q.deadline.set(t)
	return nil
}

// await returns a channel that the next signal closes. The owner's lock is held,
// for both. With nobody waiting a signal costs nothing, which matters to a chip
// that hands over single bytes.
func await(c *chan struct{}) <-chan struct{} {
	if *c == nil {
		*c = make(chan struct{})
	}
	return *c
}

func signal(c *chan struct{}) {
	if *c != nil {
		close(*c)
		*c = nil
	}
}

// deadline closes a channel at a settable time, in the manner of net.Pipe.
type deadline struct {
	mu      sync.Mutex
	timer   *time.Timer
	expired chan struct{}
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() {
		<-d.expired // the timer has fired: wait until it has closed the channel
	}
	d.timer = nil

	closed := isClosed(d.expired)
	if t.IsZero() {
		if closed {
			d.expired = make(chan struct{})
		}
		return
	}
	if left := time.Until(t); left > 0 {
		if closed {
			d.expired = make(chan struct{})
		}
		expired := d.expired
		d.timer = time.AfterFunc(left, func() { close(expired) })
		return
	}
	if !closed {
		close(d.expired)
	}
}

func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.expired
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
