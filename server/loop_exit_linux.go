package server

import (
	"net"
	"os"
	"syscall"
	"time"

	"porthole/internal/nowait"
)

// take removes a link from the loop without closing it.
func (lp *loop) take(l *link) {
	lp.mu.Lock()
	lp.links[l.fd] = nil
	lp.mu.Unlock()
}

// end closes a link, with the farewell of TLS where the socket takes it.
func (lp *loop) end(l *link) {
	lp.take(l)
	lp.forget(l)
	if l.tls != nil && len(l.rest) == 0 {
		lp.out = lp.out[:0]
		l.join = &lp.out
		l.tls.Close() // of a parked link: no more than the farewell
		l.join = nil
		nowait.Write(l.fd, lp.out)
	}
	l.rest, l.in = nil, nil
	syscall.Close(l.fd)
	l.end()
}

// hand makes an ordinary connection of a link again and gives it to net/http.
func (lp *loop) hand(l *link, pre []byte) {
	if len(l.rest) > 0 { // of TLS itself, to a client that does not even read that
		lp.end(l)
		return
	}
	pre = append([]byte(nil), pre...)
	l.in = append([]byte(nil), l.in...)
	lp.take(l)
	event := syscall.EpollEvent{}
	syscall.EpollCtl(lp.epoll, syscall.EPOLL_CTL_DEL, l.fd, &event)
	file := os.NewFile(uintptr(l.fd), "viewer")
	conn, err := net.FileConn(file)
	file.Close()
	if err != nil {
		lp.front.log.Debug("connection not handed on", "error", err)
		l.end()
		return
	}
	l.conn = conn
	lp.front.work.Go(func() { lp.front.hand(l, pre) })
}

// sweep ends the links whose time is over.
func (lp *loop) sweep(now time.Time) {
	lp.mu.Lock()
	var over []*link
	for _, l := range lp.links {
		if l != nil && l.deadline < now.Unix() {
			over = append(over, l)
		}
	}
	lp.mu.Unlock()
	for _, l := range over {
		if len(l.rest) > 0 {
			lp.front.stats.slowPeers.Add(1)
		}
		lp.end(l)
	}
}

// drain ends every link of a stopping loop, at first those without an answer on
// its way. It reports whether any is left.
func (lp *loop) drain(now bool) bool {
	lp.mu.Lock()
	lp.over = true
	var idle []*link
	left := 0
	for _, l := range lp.links {
		switch {
		case l == nil:
		case now || len(l.rest) == 0:
			idle = append(idle, l)
		default:
			left++
		}
	}
	lp.mu.Unlock()
	for _, l := range idle {
		if l.viewer != nil {
			l.viewer.left = true
		}
		lp.finish(l)
	}
	return left > 0
}
