package monitor

import (
	"sync"
	"time"
)

// chunk is what the reader took in at one time.
type chunk struct {
	at    time.Time
	op    Op // Received, Lost, Gone, Back, or empty for a text
	data  []byte
	lost  uint64
	text  string
	err   error
	final bool // of Gone: nothing comes after it
}

// record is the data that the chunk has in a recording.
func (c *chunk) record() []byte {
	if c.op == Received {
		return c.data
	}
	return []byte(c.text)
}

// maxChunks bounds the queue where bytes come one at a time; beyond it they are
// joined, which costs the time of the later ones.
const maxChunks = 64 << 10

// intake is the queue between the reader, which never waits, and the rest. What
// does not fit is counted, and the count stands in the queue where the bytes
// would.
type intake struct {
	limit int
	ready chan struct{} // holds a token while there may be something

	mu     sync.Mutex
	chunks []chunk
	head   int // chunks[:head] are taken
	bytes  int
}

func newIntake(limit int) *intake {
	return &intake{limit: limit, ready: make(chan struct{}, 1)}
}

// receive queues a copy of what came from the board.
func (in *intake) receive(at time.Time, p []byte) {
	in.mu.Lock()
	defer in.mu.Unlock()
	n := min(len(p), in.limit-in.bytes)
	last := in.lastChunk()
	switch {
	case n == 0:
	case last != nil && last.op == Received && len(in.chunks)-in.head >= maxChunks:
		last.data = append(last.data, p[:n]...)
	case last != nil && last.op == Lost:
		n = 0 // once bytes are missing, they are until there is room to speak of
		if in.bytes <= in.limit/2 {
			n = min(len(p), in.limit-in.bytes)
			in.push(chunk{at: at, op: Received, data: append([]byte(nil), p[:n]...)})
		}
	default:
		in.push(chunk{at: at, op: Received, data: append([]byte(nil), p[:n]...)})
	}
	in.bytes += n
	if missed := uint64(len(p) - n); missed > 0 {
		if last := in.lastChunk(); last != nil && last.op == Lost {
			last.lost += missed
		} else {
			in.push(chunk{at: at, op: Lost, lost: missed})
		}
	}
	in.signal()
}

// tell queues something that is not bytes. It is never dropped: there is one per
// change of the port.
func (in *intake) tell(c chunk) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.push(c)
	in.signal()
}

func (in *intake) push(c chunk) {
	if in.head > 0 && len(in.chunks) == cap(in.chunks) {
		n := copy(in.chunks, in.chunks[in.head:])
		clear(in.chunks[n:])
		in.chunks, in.head = in.chunks[:n], 0
	}
	in.chunks = append(in.chunks, c)
}

func (in *intake) lastChunk() *chunk {
	if in.head == len(in.chunks) {
		return nil
	}
	return &in.chunks[len(in.chunks)-1]
}

func (in *intake) signal() {
	select {
	case in.ready <- struct{}{}:
	default:
	}
}

// next takes the oldest chunk, without waiting.
func (in *intake) next() (chunk, bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.head == len(in.chunks) {
		return chunk{}, false
	}
	c := in.chunks[in.head]
	in.chunks[in.head] = chunk{}
	in.bytes -= len(c.data)
	if in.head++; in.head == len(in.chunks) {
		in.chunks, in.head = in.chunks[:0], 0
	}
	return c, true
}
