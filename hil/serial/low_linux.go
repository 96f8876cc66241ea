package serial

import (
	"fmt"
	"sync"
	"syscall"

	bugst "go.bug.st/serial"
	"golang.org/x/sys/unix"
)

// go.bug.st/serial waits by select(2), whose sets end at descriptor 1023; with
// a higher one it panics (hil 5b). A process with a thousand connections has no
// low descriptor left when it opens a port, so some are held back from the
// start and given up one port at a time.
const (
	selectLimit = 1024
	perPort     = 3 // the device and the two ends of the library's wake-up pipe
	heldPorts   = 4 // more ports than one process has had at once until now
)

// low is the one variable of this package: it is about the descriptor table,
// of which a process has one.
var low lowPool

type lowPool struct {
	mu   sync.Mutex
	want int   // how many descriptors to hold; 0 before ReserveLow
	held []int // descriptors of /dev/null, all below selectLimit
}

// ReserveLow holds low descriptors back for ports to come. A program that
// opens many files calls it first thing; for others it is not needed.
func ReserveLow() {
	low.mu.Lock()
	defer low.mu.Unlock()
	low.want = heldPorts * perPort
	low.refill()
}

// releaseLow holds those back again that a port has given up.
func releaseLow() {
	low.mu.Lock()
	defer low.mu.Unlock()
	low.refill()
}

func (l *lowPool) refill() {
	for len(l.held) < l.want {
		fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return // Open says what it means
		}
		if fd >= selectLimit {
			unix.Close(fd)
			return
		}
		l.held = append(l.held, fd)
	}
}

// openLow opens the data descriptor of a device so that the library can wait on
// it, whatever else the process has open. ctl is a descriptor of the same device.
//
// Other goroutines open files meanwhile and may get the number that was given
// up for this port, hence the attempts.
func openLow(path string, ctl int, mode *bugst.Mode) (bugst.Port, error) {
	low.mu.Lock()
	defer low.mu.Unlock()
	defer low.refill()
	for range heldPorts {
		for range min(perPort, len(low.held)) {
			last := len(low.held) - 1
			unix.Close(low.held[last])
			low.held = low.held[:last]
		}
		port, fd, err := openFound(path, ctl, mode)
		if err != nil {
			return nil, err
		}
		if fd >= 0 && canWait(port) {
			if err := unix.SetNonblock(fd, true); err != nil {
				port.Close()
				return nil, fmt.Errorf("set data descriptor: %w", err)
			}
			return port, nil
		}
		port.Close()
	}
	return nil, ErrManyFiles
}

// openFound opens the device and finds its descriptor, which the library does
// not tell: the one of the same device, below selectLimit, that was not there
// before. It is -1 if there is none. Whatever appeared meanwhile is closed in
// child processes, which the library forgets to ask for.
func openFound(path string, ctl int, mode *bugst.Mode) (bugst.Port, int, error) {
	var device unix.Stat_t
	if err := unix.Fstat(ctl, &device); err != nil {
		return nil, -1, fmt.Errorf("find device: %w", err)
	}
	// No child is started before its descriptors are safe.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()

	var before [selectLimit]bool
	for fd := range before {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		before[fd] = err == nil
	}
	port, err := bugst.Open(path, mode)
	if err != nil {
		return nil, -1, plain(err)
	}
	found := -1
	for fd := range before {
		if before[fd] {
			continue
		}
		var s unix.Stat_t
		if unix.Fstat(fd, &s) != nil {
			continue
		}
		unix.CloseOnExec(fd)
		if s.Mode&unix.S_IFMT == unix.S_IFCHR && s.Rdev == device.Rdev && s.Dev == device.Dev && s.Ino == device.Ino {
			found = fd
		}
	}
	return port, found, nil
}

// canWait tries whether the library can wait on its descriptors: a read of
// nothing goes as far as the wait.
func canWait(port bugst.Port) (ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	if port.SetReadTimeout(0) != nil {
		return false
	}
	port.Read(nil) // what it answers says nothing
	return true
}
