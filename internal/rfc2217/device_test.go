package rfc2217

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
)

// device records what a session does with its port.
type device struct {
	mu       sync.Mutex
	calls    []string
	data     []byte
	writes   int
	baudLock uint32 // when not 0, the only speed the device can do
	fail     error
}

func (d *device) log(format string, args ...any) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, fmt.Sprintf(format, args...))
	return d.fail
}

func (d *device) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.data = append(d.data, p...)
	d.writes++
	return len(p), d.fail
}

func (d *device) SetLine(l Line) (Line, error) {
	if d.baudLock != 0 {
		l.Baud = d.baudLock
	}
	return l, d.log("line %v", l)
}

func (d *device) SetSignals(dtr, rts bool) error {
	return d.log("dtr=%d rts=%d", bit(dtr), bit(rts))
}

func (d *device) SetBreak(on bool) error { return d.log("break=%d", bit(on)) }
func (d *device) Purge(p Purge) error    { return d.log("purge %d", p) }

// take returns the calls since the last take.
func (d *device) take() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	calls := d.calls
	d.calls = nil
	return calls
}

func (d *device) received() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := string(d.data)
	d.data = nil
	return s
}

func (d *device) expect(t *testing.T, want ...string) {
	t.Helper()
	if got := d.take(); !slices.Equal(got, want) {
		t.Errorf("device saw [%s], want [%s]", strings.Join(got, ", "), strings.Join(want, ", "))
	}
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// serve starts a session on one end of a pipe and returns the other end. The
// session is joined at the end of the test.
func serve(t *testing.T, cfg ServerConfig) (*Server, net.Conn, <-chan error) {
	t.Helper()
	local, remote := net.Pipe()
	s := NewServer(remote, cfg)
	ended := make(chan error, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		ended <- s.Run(t.Context())
	}()
	t.Cleanup(func() {
		local.Close()
		<-done
	})
	return s, local, ended
}
