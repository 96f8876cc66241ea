package server

import (
	"encoding/binary"
	"math"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"porthole/internal/nowait"
)

const (
	// never is the deadline of a viewer who has got everything.
	never = math.MaxInt64
	// pushBatch is how many viewers get a picture before the loop looks at its
	// other links.
	pushBatch = 32
	// mostUnsent is how many bytes the system keeps for a viewer that it cannot
	// send yet; its own bound is megabytes, hours of old pictures.
	mostUnsent      = 16 << 10
	tcpNotsentLowat = 25 // TCP_NOTSENT_LOWAT, which package syscall lacks
)

// pushes is the part of a loop that serves viewers of streams.
type pushes struct {
	viewers [streamKinds][]*link
	due     []*link // viewers whose turn comes, in that order
	passed  int     // of due, who had it
	chunks  map[chunkKey]chunk
	beatAt  time.Time // when to look who needs a beat, at the latest; zero: never
	news    [streamKinds]atomic.Bool
}

// ring tells the loop that there is something new for the viewers of a kind.
func (lp *loop) ring(kind streamKind) {
	lp.news[kind].Store(true)
	lp.mu.Lock()
	defer lp.mu.Unlock()
	if lp.bell >= 0 {
		var one [8]byte // is added to a count that nobody reads, and that does not overflow in a lifetime
		binary.NativeEndian.PutUint64(one[:], 1)
		nowait.Write(lp.bell, one[:])
	}
}

// heed queues the viewers for whom there is something new.
func (lp *loop) heed() {
	// Those who still wait for the last picture stay in front.
	lp.due = slices.Delete(lp.due, 0, lp.passed)
	lp.passed = 0
	clear(lp.chunks)
	for kind := range lp.news {
		if lp.news[kind].Swap(false) {
			for _, l := range lp.viewers[kind] {
				lp.queue(l)
			}
		}
	}
}

// begin makes a viewer of a link that asked for a stream. ok is false where
// net/http has to answer.
func (lp *loop) begin(l *link, h *fastHead, request []byte, now time.Time) (ok bool, _ error) {
	s := lp.front.server
	v := &viewer{sent: now.UnixNano(), origin: h.audience(s.policy)}
	switch {
	case h.headOnly:
		return false, nil
	case h.path == pathEvents:
		if s.current.Load() == nil {
			return false, nil
		}
		if v.kind = eventStream; !lp.front.sighted.Load() {
			poke(lp.front.pokes)
		}
	case s.deltas == nil:
		return false, nil
	default:
		if h.name != nil {
			v.line, v.seq, v.resumed = s.deltas.resume(string(h.name), string(h.seq))
		}
		if v.resumed {
			break
		}
		v.line = nil
		if _, err := s.deltas.feed.Young(); err != nil { // no picture yet
			return false, nil
		}
	}
	if !s.streams.enter() {
		return false, nil
	}
	s.stats.streams.Add(1)
	v.ask, v.at = request, len(lp.viewers[v.kind])
	lp.viewers[v.kind] = append(lp.viewers[v.kind], l)
	if lp.beatAt.IsZero() {
		lp.beatAt = now.Add(lp.front.times.beat)
	}
	l.viewer, l.deadline = v, never
	// Where the system knows no such bound it has its own.
	syscall.SetsockoptInt(l.fd, syscall.IPPROTO_TCP, tcpNotsentLowat, mostUnsent)
	err := lp.push(l, now)
	if v.ask != nil { // it waits, and the request's bytes are the loop's
		v.ask = slices.Clone(v.ask)
	}
	return true, err
}

// pushAll gives the next viewers what they lack. It reports whether others are
// waiting for it.
func (lp *loop) pushAll(now time.Time) (more bool) {
	if !lp.beatAt.IsZero() && !now.Before(lp.beatAt) {
		lp.beats(now)
	}
	for range min(pushBatch, len(lp.due)-lp.passed) {
		l := lp.due[lp.passed]
		lp.due[lp.passed] = nil
		lp.passed++
		v := l.viewer
		if v == nil || !v.queued { // it ended, or net/http has it
			continue
		}
		v.queued = false
		if lp.push(l, now) != nil {
			lp.end(l)
		}
	}
	if lp.passed == len(lp.due) {
		lp.due, lp.passed = lp.due[:0], 0
	}
	return lp.passed < len(lp.due)
}

func (lp *loop) queue(l *link) {
	if !l.viewer.queued {
		l.viewer.queued = true
		lp.due = append(lp.due, l)
	}
}

// beats queues the viewers who have not got anything for too long.
func (lp *loop) beats(now time.Time) {
	lp.beatAt = time.Time{}
	if len(lp.viewers[frameStream])+len(lp.viewers[eventStream]) == 0 {
		return
	}
	// Whoever is sent something from now on needs no beat before that.
	next := now.Add(lp.front.times.beat).UnixNano()
	for _, viewers := range lp.viewers {
		for _, l := range viewers {
			v := l.viewer
			if len(l.rest) > 0 || v.line == nil && v.kind == frameStream { // it gets something else first
				continue
			}
			if at := v.sent + int64(lp.front.times.beat); at > now.UnixNano() {
				next = min(next, at)
			} else {
				lp.queue(l)
			}
		}
	}
	lp.beatAt = time.Unix(0, next)
}

// pushEvents tells a viewer of events what is new: of pictures that it missed
// only the newest.
func (lp *loop) pushEvents(l *link, now time.Time) error {
	v, s := l.viewer, lp.front.server
	p := s.current.Load()
	waves, _ := s.waves.listen()
	var b []byte
	if v.pub == nil {
		b = frameChunk(slices.Concat(retryMessage, p.event, waveMessage(waves)))
	} else {
		if p != v.pub {
			b = frameChunk(p.event)
		}
		if waves != v.waves {
			b = append(b, frameChunk(waveMessage(waves))...)
		}
		if b == nil && now.UnixNano()-v.sent >= int64(lp.front.times.beat) {
			b = eventBeatChunk
		}
	}
	if b == nil {
		return nil
	}
	v.pub, v.waves = p, waves
	return lp.tell(l, b, now)
}

// push sends a viewer what it lacks. One that has not read what it was sent
// before gets it when it has, or a key if that is too much.
func (lp *loop) push(l *link, now time.Time) error {
	v, d := l.viewer, lp.front.server.deltas
	if len(l.rest) > 0 {
		return nil
	}
	if v.kind == eventStream {
		return lp.pushEvents(l, now)
	}
	if v.line != nil {
		k := chunkKey{v.line, v.seq, firstNothing}
		if v.resumed {
			k.first = firstBeat
		}
		c := lp.chunk(k)
		switch {
		case !c.ok: // too far behind
		case c.bytes != nil:
			v.seq, v.resumed = c.seq, false
			return lp.tell(l, c.bytes, now)
		case now.UnixNano()-v.sent >= int64(lp.front.times.beat):
			return lp.tell(l, beatChunk, now)
		default:
			return nil
		}
		v.line, v.resumed, v.waits = nil, false, false
	}
	var c chunk
	line, _ := d.feed.Young()
	if line != nil {
		c = lp.chunk(chunkKey{line, line.Key.Seq, firstKey})
	}
	if !c.ok {
		failed := lp.front.failedKeys.Load()
		if v.waits && v.failed != failed {
			lp.giveUp(l)
			return nil
		}
		v.waits, v.failed = true, failed
		poke(lp.front.keys) // it rings
		return nil
	}
	v.line, v.seq = line, c.seq
	return lp.tell(l, c.bytes, now)
}

// chunk returns what a viewer lacks, as made since the bell last rang.
func (lp *loop) chunk(k chunkKey) chunk {
	c, ok := lp.chunks[k]
	if !ok {
		c = lp.front.server.deltas.chunk(k)
		if lp.chunks == nil {
			lp.chunks = make(map[chunkKey]chunk)
		}
		lp.chunks[k] = c
	}
	return c
}

// tell sends bytes to a viewer, at first behind the head of the answer.
func (lp *loop) tell(l *link, b []byte, now time.Time) error {
	v := l.viewer
	v.sent = now.UnixNano()
	var head []byte
	if v.ask != nil {
		contentType := typeFrames
		if v.kind == eventStream {
			contentType = typeEvents
		}
		head = lp.front.server.appendStreamHead(nil, v.origin, contentType, now)
		v.ask = nil
		lp.front.stats.requests[classOf(pathStream)].Add(1)
	}
	lp.front.stats.bytes.Add(uint64(len(head) + len(b)))
	if l.tls == nil && head == nil {
		return lp.write(l, b, false)
	}
	lp.out = lp.out[:0]
	if l.tls == nil {
		lp.out = append(append(lp.out, head...), b...)
	} else {
		l.join = &lp.out
		var err error
		if head != nil {
			_, err = l.tls.Write(head)
		}
		if err == nil {
			_, err = l.tls.Write(b)
		}
		l.join = nil
		if err != nil {
			return err
		}
	}
	err := lp.write(l, lp.out, true)
	if err == nil && v.left {
		lp.finish(l)
	}
	return err
}

// giveUp ends the wait for a key that cannot be made. Whoever has no answer yet
// gets it from net/http.
func (lp *loop) giveUp(l *link) {
	ask := l.viewer.ask
	if ask == nil || l.viewer.heard > 0 || l.viewer.left {
		l.viewer.ask = nil
		lp.finish(l)
		return
	}
	lp.forget(l)
	lp.again = slices.DeleteFunc(lp.again, func(o *link) bool { return o == l })
	lp.hand(l, ask)
}

// finish ends a link whose other side says no more. A stream gets its end, as
// far as the socket takes it.
func (lp *loop) finish(l *link) {
	v := l.viewer
	switch {
	case v == nil:
	case v.ask != nil && !v.left:
		v.left = true // net/http, too, notices behind the first frames
		return
	case len(l.rest) == 0 && v.ask == nil:
		v.left = false
		lp.tell(l, lastChunk, time.Now())
		l.rest = nil
	}
	lp.end(l)
}

// forget makes a link that is no viewer any more of one that was.
func (lp *loop) forget(l *link) {
	v := l.viewer
	if v == nil {
		return
	}
	viewers := lp.viewers[v.kind]
	last := len(viewers) - 1
	viewers[v.at] = viewers[last]
	viewers[v.at].viewer.at = v.at
	viewers[last] = nil
	lp.viewers[v.kind] = viewers[:last]
	l.viewer = nil
	lp.front.server.streams.leave()
	lp.front.stats.streams.Add(-1)
}

// newBell returns a descriptor that can be written to so that a loop wakes up.
func newBell(epoll int) (int, error) {
	bell, _, errno := syscall.Syscall(syscall.SYS_EVENTFD2, 0, syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if errno != 0 {
		return -1, errno
	}
	// Edge-triggered: what is written need not be read.
	event := syscall.EpollEvent{Events: syscall.EPOLLIN | epollET, Fd: int32(bell)}
	if err := syscall.EpollCtl(epoll, syscall.EPOLL_CTL_ADD, int(bell), &event); err != nil {
		syscall.Close(int(bell))
		return -1, err
	}
	return int(bell), nil
}
