package server

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"porthole/internal/nowait"
)

// loop holds parked links: a descriptor and a few words each, no goroutine and
// no buffer. One goroutine reads what arrives, answers it from prebuilt bytes,
// and passes on what is for net/http.
//
// It waits in three steps. Under load it looks again at once. Between the two it
// sleeps for the rest of a tick, so that at a few thousand polls a second it is
// not woken for each (perf 5). With nothing to do it waits in the runtime's
// poller: the links' epoll instance is watched by another, which is armed just
// before, since the runtime's own watch would wake it for every event.
type loop struct {
	front *front
	epoll int      // of the links
	watch *os.File // an epoll instance that watches epoll, once per arming
	wait  syscall.RawConn

	mu    sync.Mutex
	links []*link // by descriptor
	over  bool    // no more are taken
	bell  int     // written to for it to wake up; -1 once closed

	until atomic.Int64 // Unix nanoseconds at which a stopping loop ends; 0 while it runs
	in    [16 << 10]byte
	plain [maxFastHead + 1]byte
	out   []byte  // the records of an answer
	again []*link // with more to read than one turn allows
	batch []*link
	slept time.Time // the deadline of watch

	pushes
}

const (
	epollET   = 1 << 31
	linkEvent = syscall.EPOLLIN | syscall.EPOLLOUT | syscall.EPOLLRDHUP | epollET
	// sweepEvery is how often the deadlines of parked links are looked at.
	sweepEvery = 2 * time.Second
	// busyTick is how many answers within a tick are so many that looking again
	// at once is cheaper than sleeping.
	busyTick = 16
	// spins is how often a busy loop looks before it sleeps.
	spins = 40
)

func newLoops(f *front, n int) ([]*loop, error) {
	var loops []*loop
	for range n {
		lp, err := newLoop(f)
		if err != nil {
			for _, lp := range loops {
				lp.close()
			}
			return nil, fmt.Errorf("wait for viewers: %w", err)
		}
		loops = append(loops, lp)
	}
	return loops, nil
}

func newLoop(f *front) (*loop, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	watch, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		syscall.Close(fd)
		return nil, err
	}
	lp := &loop{front: f, epoll: fd, bell: -1, out: make([]byte, 0, 64<<10)}
	event := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLONESHOT, Fd: int32(fd)}
	err = errors.Join(syscall.SetNonblock(watch, true), syscall.EpollCtl(watch, syscall.EPOLL_CTL_ADD, fd, &event))
	lp.watch = os.NewFile(uintptr(watch), "viewers")
	if err == nil {
		lp.wait, err = lp.watch.SyscallConn()
	}
	if err == nil {
		lp.bell, err = newBell(fd)
	}
	if err != nil {
		lp.close()
		return nil, err
	}
	return lp, nil
}

func (lp *loop) close() {
	lp.watch.Close()
	syscall.Close(lp.epoll)
	lp.mu.Lock()
	defer lp.mu.Unlock()
	if lp.bell >= 0 {
		syscall.Close(lp.bell)
		lp.bell = -1
	}
}

// add parks a link whose connection is a TCP socket. It takes the descriptor
// away from the runtime, so that the loop alone is woken for it. False means
// that the link is still the caller's.
func (lp *loop) add(l *link, wait time.Duration) bool {
	tcp, ok := l.conn.(*net.TCPConn)
	if !ok {
		return false
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return false
	}
	var fd uintptr
	var errno syscall.Errno
	err = raw.Control(func(s uintptr) {
		fd, _, errno = syscall.Syscall(syscall.SYS_FCNTL, s, syscall.F_DUPFD_CLOEXEC, 0)
	})
	if err != nil || errno != 0 {
		return false
	}
	lp.mu.Lock()
	defer lp.mu.Unlock()
	if lp.over {
		syscall.Close(int(fd))
		return false
	}
	lp.front.forget(l)
	tcp.Close()
	l.conn, l.fd, l.fresh, l.hungUp = nil, int(fd), true, false
	l.deadline = time.Now().Add(wait).Unix() + 1
	if n := l.fd + 1; n > len(lp.links) {
		lp.links = append(lp.links, make([]*link, max(n, 2*len(lp.links))-len(lp.links))...)
	}
	lp.links[l.fd] = l
	// From here on the loop may have it.
	event := syscall.EpollEvent{Events: linkEvent, Fd: int32(l.fd)}
	if err := syscall.EpollCtl(lp.epoll, syscall.EPOLL_CTL_ADD, l.fd, &event); err != nil {
		lp.links[l.fd] = nil
		syscall.Close(l.fd)
		l.end()
	}
	return true
}

// stop makes the loop end what it holds, and answers that are on their way by
// deadline.
func (lp *loop) stop(deadline time.Time) {
	lp.until.Store(deadline.UnixNano())
	lp.watch.SetReadDeadline(time.Unix(1, 0))
}

func (lp *loop) run() {
	defer lp.close()
	events := make([]syscall.EpollEvent, 256)
	sweep := time.Now().Add(sweepEvery)
	var tick time.Time // when the current one began
	answers, looks := 0, 0
	for {
		n, errno := nowait.Events(lp.epoll, events)
		now := time.Now()
		if errno != 0 && errno != syscall.EINTR {
			lp.front.log.Error("looking for viewers failed", "error", errno)
		}
		if now.Sub(tick) >= lp.front.times.tick {
			tick, answers = now, 0
		}
		if n > 0 || len(lp.again) > 0 {
			answers += n
			looks = 0
			lp.serve(events[:n], now)
		}
		if until := lp.until.Load(); until != 0 {
			if !lp.drain(now.UnixNano() >= until) {
				return
			}
		}
		if now.After(sweep) {
			lp.sweep(now)
			sweep = now.Add(sweepEvery)
		}
		if more := lp.pushAll(now); more || n > 0 || len(lp.again) > 0 {
			continue
		}
		if answers >= busyTick && looks < spins {
			looks++
			continue
		}
		looks = 0
		if rest := lp.front.times.tick - now.Sub(tick); answers > 1 && rest > 0 {
			time.Sleep(rest)
			continue
		}
		if lp.beatAt.IsZero() || sweep.Before(lp.beatAt) {
			lp.sleep(sweep)
		} else {
			lp.sleep(lp.beatAt)
		}
	}
}

// sleep waits for an event, at most until a time.
func (lp *loop) sleep(until time.Time) {
	if lp.until.Load() != 0 {
		time.Sleep(5 * time.Millisecond)
		return
	}
	if !until.Equal(lp.slept) {
		lp.slept = until
		lp.watch.SetReadDeadline(until)
		if lp.until.Load() != 0 {
			return // stop's deadline may have been before ours
		}
	}
	armed := false
	lp.wait.Read(func(watch uintptr) bool {
		if armed {
			return true
		}
		armed = true
		event := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLONESHOT, Fd: int32(lp.epoll)}
		// Where this fails the loop looks again at the next sweep.
		syscall.EpollCtl(int(watch), syscall.EPOLL_CTL_MOD, lp.epoll, &event)
		return false
	})
}

// serve looks at the links with events, and at those that had more to read.
func (lp *loop) serve(events []syscall.EpollEvent, now time.Time) {
	lp.batch, lp.again = append(lp.batch[:0], lp.again...), lp.again[:0]
	for _, l := range lp.batch {
		if !l.ended.Load() { // by the sweep
			lp.look(l, now)
		}
	}
	lp.batch = lp.batch[:0]
	rung := false
	lp.mu.Lock()
	for _, e := range events {
		if int(e.Fd) == lp.bell {
			rung = true
			continue
		}
		// An event may be of a socket that ended meanwhile; looking at its
		// successor does no harm.
		if l := lp.links[e.Fd]; l != nil {
			l.hungUp = e.Events&(syscall.EPOLLRDHUP|syscall.EPOLLHUP|syscall.EPOLLERR) != 0
			lp.batch = append(lp.batch, l)
		}
	}
	lp.mu.Unlock()
	for _, l := range lp.batch {
		lp.look(l, now)
	}
	clear(lp.batch)
	if rung {
		lp.heed()
	}
}

// look goes on with one link.
func (lp *loop) look(l *link, now time.Time) {
	if len(l.rest) > 0 {
		if !lp.flush(l) || len(l.rest) > 0 {
			return
		}
	}
	if l.viewer != nil && l.viewer.deaf() {
		if l.in = nil; l.hungUp {
			lp.finish(l)
		}
		return
	}
	if len(l.in) > 0 { // came before its answers could leave
		if lp.decrypt(l, now) {
			l.in = nil
			lp.again = append(lp.again, l)
		}
		return
	}
	n, errno := nowait.Read(l.fd, lp.in[:])
	switch {
	case errno == syscall.EAGAIN || errno == syscall.EINTR:
		n = 0
		if l.tls == nil || !l.fresh {
			l.fresh = false
			return
		}
	case errno != 0 || n == 0:
		lp.finish(l)
		return
	}
	l.fresh = false
	if l.tls == nil {
		ok, err := lp.answer(l, lp.in[:n], now)
		switch {
		case err != nil:
			lp.end(l)
		case !ok:
			lp.hand(l, lp.in[:n])
		case l.hungUp:
			lp.again = append(lp.again, l)
		}
		return
	}
	l.in = lp.in[:n]
	if !lp.decrypt(l, now) {
		return
	}
	l.in = nil
	if n == len(lp.in) || l.hungUp {
		lp.again = append(lp.again, l) // edge-triggered: nobody tells again
	}
}

// decrypt serves what has arrived on a TLS link. It reports whether the link is
// still parked.
func (lp *loop) decrypt(l *link, now time.Time) bool {
	for {
		lp.out = lp.out[:0]
		l.join = &lp.out // what TLS itself wants to say
		n, err := l.tls.Read(lp.plain[:])
		l.join = nil
		if len(lp.out) > 0 && lp.write(l, lp.out, true) != nil {
			lp.end(l)
			return false
		}
		if n > 0 {
			ok, sent := lp.answer(l, lp.plain[:n], now)
			switch {
			case sent != nil:
				lp.end(l)
				return false
			case !ok:
				lp.hand(l, lp.plain[:n])
				return false
			}
		}
		switch {
		case err == error(errNotYet):
			return true
		case err != nil:
			lp.finish(l)
			return false
		case len(l.rest) > 0:
			// It reads too slowly for more. What has arrived waits with it.
			l.in = append([]byte(nil), l.in...)
			return false
		}
	}
}

// answer does what a link asks for in b, if it needs nothing of net/http.
func (lp *loop) answer(l *link, b []byte, now time.Time) (ok bool, _ error) {
	if l.viewer != nil {
		l.viewer.heard += len(b)
		return true, nil
	}
	h, ok := parseFast(b)
	switch {
	case !ok:
		return false, nil
	case h.path == pathStream || h.path == pathEvents:
		return lp.begin(l, &h, b, now)
	}
	return l.fast(&h, now, lp.send)
}

// send writes an answer, all of it or the rest later.
func (lp *loop) send(l *link, answer []byte) error {
	l.deadline = time.Now().Add(lp.front.times.idle).Unix() + 1
	if l.tls == nil {
		return lp.write(l, answer, false)
	}
	lp.out = lp.out[:0]
	l.join = &lp.out
	_, err := l.tls.Write(answer)
	l.join = nil
	if err != nil {
		return err
	}
	return lp.write(l, lp.out, true)
}

// write hands bytes to the socket; what it does not take is kept, as a copy
// where the bytes are not the link's to keep.
func (lp *loop) write(l *link, b []byte, scratch bool) error {
	if len(l.rest) > 0 {
		l.rest = append(l.rest, b...)
		return nil
	}
	n, errno := nowait.Write(l.fd, b)
	if errno != 0 && errno != syscall.EAGAIN && errno != syscall.EINTR {
		return errno
	}
	if n < len(b) {
		l.rest = b[n:len(b):len(b)]
		if scratch {
			l.rest = append([]byte(nil), l.rest...)
		}
		l.deadline = time.Now().Add(lp.front.times.write).Unix() + 1
	}
	return nil
}

// flush goes on with an answer that the socket did not take at once. It reports
// whether the link lives.
func (lp *loop) flush(l *link) bool {
	n, errno := nowait.Write(l.fd, l.rest)
	if errno != 0 && errno != syscall.EAGAIN && errno != syscall.EINTR {
		lp.end(l)
		return false
	}
	if l.rest = l.rest[n:]; len(l.rest) == 0 {
		l.rest = nil
		l.fresh = true // requests may have arrived meanwhile
		l.deadline = time.Now().Add(lp.front.times.idle).Unix() + 1
		if l.viewer != nil {
			l.deadline, l.viewer.sent = never, time.Now().UnixNano()
			lp.queue(l) // for what it missed
		}
	}
	return true
}
