package rfc2217

import "sync"

// outbox orders what a session has to send: answers to commands, which are
// never lost, and data of the line, which is dropped when the client does not
// keep up. Order between the two is kept, so that a client that waits for an
// answer has seen everything from before it.
type outbox struct {
	maxData    int
	maxControl int

	mu        sync.Mutex
	parts     []part
	data      int // bytes of data in parts, unescaped
	control   int // bytes of commands in parts
	suspended bool
	closed    bool
	dropped   uint64

	work chan struct{} // capacity 1: something to send, or closed
	room chan struct{} // closed and replaced when commands have left
}

// part is a run of bytes of one kind. Data is not escaped yet.
type part struct {
	command bool
	bytes   []byte
}

func newOutbox(maxData, maxControl int) *outbox {
	return &outbox{
		maxData: maxData, maxControl: maxControl,
		work: make(chan struct{}, 1), room: make(chan struct{}),
	}
}

// addData queues bytes of the line and reports how many it had no room for.
func (o *outbox) addData(p []byte) (lost int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return len(p)
	}
	n := min(len(p), o.maxData-o.data)
	lost = len(p) - n
	o.dropped += uint64(lost)
	if n == 0 {
		return lost
	}
	o.data += n
	if k := len(o.parts); k > 0 && !o.parts[k-1].command {
		o.parts[k-1].bytes = append(o.parts[k-1].bytes, p[:n]...)
	} else {
		o.parts = append(o.parts, part{bytes: append([]byte(nil), p[:n]...)})
	}
	o.wake()
	return lost
}

// addCommand queues an encoded command. When too many wait already, because
// the client asks and does not read, it waits for the client if wait is set
// and gives up otherwise.
func (o *outbox) addCommand(p []byte, wait bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for !o.closed && o.control > 0 && o.control+len(p) > o.maxControl {
		if !wait {
			return
		}
		room := o.room
		o.mu.Unlock()
		<-room
		o.mu.Lock()
	}
	if o.closed {
		return
	}
	o.control += len(p)
	o.parts = append(o.parts, part{command: true, bytes: p})
	o.wake()
}

// purge removes the data that has not been sent.
func (o *outbox) purge() {
	o.mu.Lock()
	defer o.mu.Unlock()
	kept := o.parts[:0]
	for _, p := range o.parts {
		if p.command {
			kept = append(kept, p)
		}
	}
	clear(o.parts[len(kept):])
	o.parts = kept
	o.data = 0
}

// suspend holds data back, not commands, until it is called with false.
func (o *outbox) suspend(on bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.suspended = on
	o.wake()
}

func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return
	}
	o.closed = true
	o.parts = nil
	close(o.room)
	o.wake()
}

func (o *outbox) lost() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.dropped
}

func (o *outbox) wake() {
	select {
	case o.work <- struct{}{}:
	default:
	}
}

// next waits for something to send, appends up to about size bytes of it,
// encoded, to buf, and reports false once the outbox is closed.
func (o *outbox) next(buf []byte, size int) ([]byte, bool) {
	for {
		o.mu.Lock()
		if o.closed {
			o.mu.Unlock()
			return buf, false
		}
		buf = o.take(buf, size)
		o.mu.Unlock()
		if len(buf) > 0 {
			return buf, true
		}
		<-o.work
	}
}

func (o *outbox) take(buf []byte, size int) []byte {
	var i int
	kept := o.parts[:0]
	for ; i < len(o.parts) && len(buf) < size; i++ {
		p := o.parts[i]
		switch {
		case p.command:
			buf = append(buf, p.bytes...)
			o.control -= len(p.bytes)
			close(o.room)
			o.room = make(chan struct{})
		case o.suspended:
			kept = append(kept, p)
		default:
			n := min(len(p.bytes), size-len(buf))
			buf = AppendData(buf, p.bytes[:n])
			o.data -= n
			if p.bytes = p.bytes[n:]; len(p.bytes) > 0 {
				kept = append(kept, p)
			}
		}
	}
	n := len(kept)
	n += copy(o.parts[n:], o.parts[i:])
	clear(o.parts[n:])
	o.parts = o.parts[:n]
	return buf
}
