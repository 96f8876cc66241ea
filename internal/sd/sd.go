// Package sd speaks the two small protocols between a service and systemd:
// sockets that systemd opened and hands over (sd_listen_fds), and datagrams that
// say how the service is (sd_notify). Outside of systemd every function does
// nothing, so that a program calls them without asking where it runs.
//
// Both are documented stable interfaces; see sd_listen_fds(3) and sd_notify(3).
package sd

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// firstFD is the number of the first descriptor that is handed over.
const firstFD = 3

// maxSockets bounds what LISTEN_FDS may claim.
const maxSockets = 64

// Sockets are the listeners that were handed over, by the name that their socket
// unit gives them (FileDescriptorName=). Take removes one; what is left over at
// the end was meant for nobody.
type Sockets map[string]net.Listener

// Inherit returns the sockets of this process and takes the variables out of
// the environment, so that no child believes they are its own. It works once.
func Inherit() (Sockets, error) {
	vars := []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}
	pid, count, names := os.Getenv(vars[0]), os.Getenv(vars[1]), os.Getenv(vars[2])
	for _, v := range vars {
		os.Unsetenv(v)
	}
	if count == "" || pid != strconv.Itoa(os.Getpid()) {
		return nil, nil // for nobody, or for another process
	}
	return open(count, names, func(fd int) *os.File { return os.NewFile(uintptr(fd), "handed over by systemd") })
}

// open makes listeners of count descriptors from firstFD on.
func open(count, names string, file func(fd int) *os.File) (_ Sockets, err error) {
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > maxSockets {
		return nil, fmt.Errorf("take over sockets: LISTEN_FDS is %q, want a number up to %d", count, maxSockets)
	}
	byName := strings.Split(names, ":")
	if names == "" {
		byName = slices.Repeat([]string{"unknown"}, n) // what systemd says where a unit names none
	}
	if len(byName) != n {
		return nil, fmt.Errorf("take over sockets: %d sockets have %d names (%q)", n, len(byName), names)
	}
	sockets := make(Sockets, n)
	defer func() {
		if err != nil {
			sockets.Close()
		}
	}()
	for i, name := range byName {
		f := file(firstFD + i)
		ln, err := net.FileListener(f) // a copy, closed on exec
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("take over socket %d (%q): %w", i, name, err)
		}
		if _, ok := sockets[name]; ok {
			ln.Close()
			return nil, fmt.Errorf("take over sockets: two of them are named %q", name)
		}
		sockets[name] = ln
	}
	return sockets, nil
}

// Take returns the socket of that name and removes it, or nil.
func (s Sockets) Take(name string) net.Listener {
	ln := s[name]
	delete(s, name)
	return ln
}

// Names lists what was not taken, sorted.
func (s Sockets) Names() []string { return slices.Sorted(maps.Keys(s)) }

// Close closes what was not taken.
func (s Sockets) Close() {
	for name := range s {
		s.Take(name).Close()
	}
}

// Notifier tells the service manager how the process is. The zero value tells
// nobody.
type Notifier struct {
	socket   string
	watchdog time.Duration
}

// NewNotifier returns the notifier of this process and takes the variables out
// of the environment. WatchdogSec= of the unit is understood where it is meant
// for this process.
func NewNotifier() (Notifier, error) {
	socket, usec, pid := os.Getenv("NOTIFY_SOCKET"), os.Getenv("WATCHDOG_USEC"), os.Getenv("WATCHDOG_PID")
	for _, v := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		os.Unsetenv(v)
	}
	n := Notifier{socket: socket}
	if socket == "" || usec == "" || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return n, nil
	}
	us, err := strconv.ParseInt(usec, 10, 64)
	if err != nil || us <= 0 || us > int64(24*time.Hour/time.Microsecond) {
		return n, fmt.Errorf("read watchdog interval: WATCHDOG_USEC is %q", usec)
	}
	n.watchdog = time.Duration(us) * time.Microsecond
	return n, nil
}

// notifyTimeout bounds a datagram to a manager that does not read.
const notifyTimeout = time.Second

// Send sends assignments such as "READY=1" as one message.
func (n Notifier) Send(assignments ...string) error {
	if n.socket == "" {
		return nil
	}
	conn, err := net.Dial("unixgram", n.socket) // a leading @ is an abstract name, for both sides
	if err != nil {
		return fmt.Errorf("notify service manager: %w", err)
	}
	defer conn.Close()
	conn.SetWriteDeadline(time.Now().Add(notifyTimeout))
	if _, err := io.WriteString(conn, strings.Join(assignments, "\n")); err != nil {
		return fmt.Errorf("notify service manager: %w", err)
	}
	return nil
}

// Ready says that the service serves, with a line for `systemctl status`.
func (n Notifier) Ready(status string) error { return n.Send("READY=1", "STATUS="+oneLine(status)) }

// Reloading says that a reload began; [Notifier.Ready] ends it. It is the form
// for Type=notify units with an ExecReload= command; Type=notify-reload, which
// wants the time too, is newer than the Debian that the unit is for.
func (n Notifier) Reloading() error { return n.Send("RELOADING=1") }

// Stopping says that the service is on its way out.
func (n Notifier) Stopping() error { return n.Send("STOPPING=1", "STATUS=stopping") }

// Watch tells the watchdog, twice in its interval, that the service is well,
// until ctx ends. When check fails the sign of life is left out, and a service
// that stays unwell is restarted by systemd; report is told each time. Without
// a watchdog it returns at once.
func (n Notifier) Watch(ctx context.Context, check func() error, report func(error)) {
	if n.watchdog == 0 {
		return
	}
	tick := time.NewTicker(n.watchdog / 2)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			err = n.Send("WATCHDOG=1")
		}
		if err != nil {
			report(fmt.Errorf("sign of life left out: %w", err))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Watchdog returns the interval of the watchdog, 0 for none.
func (n Notifier) Watchdog() time.Duration { return n.watchdog }

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
