// Package nowait makes the system calls of an event loop that never wait: reads
// and writes of sockets that are not blocking, and a look at an epoll instance.
//
// The calls of package syscall announce to the scheduler that the thread may
// wait. For calls that cannot, made more than a hundred thousand times a second,
// the announcement is a good part of their price. Package unsafe is needed for
// nothing else, and by no other package of the server.
package nowait

import (
	"syscall"
	"unsafe"
)

// Read reads what has arrived at a socket that does not block. The error is zero
// or says why nothing was read: EAGAIN where nothing has arrived.
func Read(fd int, p []byte) (int, syscall.Errno) {
	if len(p) == 0 {
		return 0, 0
	}
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// Write writes what a socket that does not block takes at once: some of p, all
// of it, or nothing with the reason, EAGAIN where it is full.
func Write(fd int, p []byte) (int, syscall.Errno) {
	if len(p) == 0 {
		return 0, 0
	}
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// Events fills events with what is ready at an epoll instance now, and returns
// how many it filled.
func Events(epoll int, events []syscall.EpollEvent) (int, syscall.Errno) {
	if len(events) == 0 {
		return 0, 0
	}
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}
