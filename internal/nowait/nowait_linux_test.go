package nowait

import (
	"bytes"
	"syscall"
	"testing"
)

func TestSocketPair(t *testing.T) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fds[0])
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(epoll)
	if err := syscall.EpollCtl(epoll, syscall.EPOLL_CTL_ADD, fds[0], &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fds[0])}); err != nil {
		t.Fatal(err)
	}
	events := make([]syscall.EpollEvent, 4)
	buf := make([]byte, 10)
	if n, errno := Events(epoll, events); n != 0 || errno != 0 {
		t.Errorf("nothing ready: %d, %v", n, errno)
	}
	if n, errno := Read(fds[0], buf); n != 0 || errno != syscall.EAGAIN {
		t.Errorf("nothing arrived: %d, %v", n, errno)
	}
	if n, errno := Write(fds[1], []byte("hello")); n != 5 || errno != 0 {
		t.Fatalf("write: %d, %v", n, errno)
	}
	if n, errno := Events(epoll, events); n != 1 || errno != 0 || int(events[0].Fd) != fds[0] || events[0].Events != syscall.EPOLLIN {
		t.Errorf("one ready: %d, %v, %+v", n, errno, events[0])
	}
	if n, errno := Read(fds[0], buf); errno != 0 || !bytes.Equal(buf[:n], []byte("hello")) {
		t.Errorf("read %q, %v", buf[:n], errno)
	}
	full := 0
	for {
		n, errno := Write(fds[1], make([]byte, 1<<16))
		if errno == syscall.EAGAIN {
			break
		}
		if errno != 0 {
			t.Fatal(errno)
		}
		full += n
	}
	if full == 0 {
		t.Error("nothing fitted in")
	}
	syscall.Close(fds[1])
	for {
		n, errno := Read(fds[0], buf)
		if errno != 0 {
			t.Fatal(errno)
		}
		if n == 0 {
			break // the end
		}
	}
	if _, errno := Write(fds[0], []byte("x")); errno != syscall.EPIPE {
		t.Errorf("write to a closed end: %v", errno)
	}
	if n, errno := Write(fds[0], nil); n != 0 || errno != 0 {
		t.Errorf("empty write: %d, %v", n, errno)
	}
}
