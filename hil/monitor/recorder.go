package monitor

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// Recorder writes a recording. Its methods may be called from any goroutine. The
// first error of the writer is kept and returned by Flush and Close; meanwhile
// the session goes on.
type Recorder struct {
	mu     sync.Mutex
	w      *bufio.Writer
	start  time.Time
	last   time.Duration
	redact func(line []byte)
	held   []Record        // records not yet written: a line in them is not complete
	bytes  int             // of their data
	open   map[Op][][]byte // the unfinished line of each direction, in pieces of their data
	err    error
	buf    []byte
	closed bool
}

// Limits of what is held back until a line is complete.
const (
	maxHeldLine = 16 << 10
	maxHeld     = 1 << 20
)

// NewRecorder begins a recording that starts now. redact masks what must not be
// kept in a line, in place and without changing its length; it gets whole lines,
// however the bytes came. Nil keeps everything. The caller closes w after Close.
func NewRecorder(w io.Writer, port string, redact func(line []byte)) (*Recorder, error) {
	r := &Recorder{w: bufio.NewWriterSize(w, 64<<10), start: time.Now(), redact: redact, open: make(map[Op][][]byte)}
	if len(port) > MaxData {
		port = port[:MaxData]
	}
	r.w.Write(Header{Start: r.start, Port: port}.append(nil))
	if err := r.w.Flush(); err != nil {
		return nil, fmt.Errorf("begin recording: %w", err)
	}
	return r, nil
}

// Add appends a record of something that happened at a time. It keeps no
// reference to its data.
func (r *Recorder) Add(at time.Time, rec Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	rec.At = at.Sub(r.start)
	data := rec.Data
	if rec.Op != Received && rec.Op != Sent {
		rec.Data = append([]byte(nil), data[:min(len(data), MaxData)]...)
		r.push(rec)
		return
	}
	for len(data) > 0 {
		n := min(len(data), MaxData)
		rec.Data = append([]byte(nil), data[:n]...)
		data = data[n:]
		r.push(rec)
	}
}

// push takes a record over and writes what is complete.
func (r *Recorder) push(rec Record) {
	// Two goroutines may have read the clock in one order and come here in the
	// other.
	rec.At = max(rec.At, r.last)
	r.last = rec.At
	if r.redact == nil {
		r.write(rec)
		return
	}
	r.held = append(r.held, rec)
	r.bytes += len(rec.Data) + 64
	switch rec.Op {
	case Received, Sent:
		r.scan(rec.Op, rec.Data)
	case Gone, End:
		r.finish(Received)
		r.finish(Sent)
	}
	if r.bytes > maxHeld {
		r.finish(Received)
		r.finish(Sent)
	}
	if len(r.open[Received])+len(r.open[Sent]) == 0 {
		r.release()
	}
}

// scan adds bytes to the unfinished line of their direction and masks every line
// that they complete.
func (r *Recorder) scan(op Op, data []byte) {
	from := 0
	length := 0
	for _, p := range r.open[op] {
		length += len(p)
	}
	for i, c := range data {
		length++
		if c == '\n' || c == '\r' || length >= maxHeldLine {
			r.open[op] = append(r.open[op], data[from:i+1])
			r.finish(op)
			from, length = i+1, 0
		}
	}
	if from < len(data) {
		r.open[op] = append(r.open[op], data[from:])
	}
}

// finish masks the unfinished line of a direction as it is.
func (r *Recorder) finish(op Op) {
	parts := r.open[op]
	r.open[op] = parts[:0]
	switch len(parts) {
	case 0:
	case 1:
		r.redact(parts[0])
	default:
		r.buf = r.buf[:0]
		for _, p := range parts {
			r.buf = append(r.buf, p...)
		}
		line := r.buf
		r.redact(line)
		for _, p := range parts {
			line = line[copy(p, line):]
		}
	}
	clear(parts)
}

// release writes what was held back.
func (r *Recorder) release() {
	for _, rec := range r.held {
		r.write(rec)
	}
	clear(r.held)
	r.held, r.bytes = r.held[:0], 0
}

func (r *Recorder) write(rec Record) {
	if r.err != nil {
		return
	}
	r.buf = rec.append(r.buf[:0])
	if _, err := r.w.Write(r.buf); err != nil {
		r.err = fmt.Errorf("write recording: %w", err)
	}
}

// Flush hands what is complete to the writer. A line that has only begun stays
// back: half a secret cannot be recognised.
func (r *Recorder) Flush() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.flush()
}

func (r *Recorder) flush() error {
	if r.err == nil {
		if err := r.w.Flush(); err != nil {
			r.err = fmt.Errorf("write recording: %w", err)
		}
	}
	return r.err
}

// Close ends the recording.
func (r *Recorder) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return errors.New("recording is closed already")
	}
	r.push(Record{At: time.Since(r.start), Op: End})
	r.closed = true
	return r.flush()
}
