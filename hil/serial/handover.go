package serial

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// A port changes hands between processes over a socket beside the lease. It
// belongs to the holder, such as a monitor, that is willing to step back:
//
//	flasher                          monitor
//	connect
//	{"who":…,"purpose":…}\n   ─▶     closes the port, ends its lease
//	                          ◀─     yielded\n
//	takes the lease, opens
//	…
//	ends its lease, closes the
//	connection                ─▶     takes the lease and the port again
//
// A flasher that dies closes the connection too, and a monitor that dies ends
// its lease: neither leaves the port stuck.
const (
	yielded   = "yielded\n"
	askWithin = 5 * time.Second
	maxAsk    = 4 << 10
)

// ask gets the holder to give the port up, and takes its lease. The connection
// stays open as long as the lease.
func (l Leases) ask(ctx context.Context, key string, req Request, holder Holder) (*Lease, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	rec := l.record(key, "use")
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", rec.socket())
	if err != nil {
		return nil, fmt.Errorf("ask %v for the port: %w", holder, err)
	}
	fail := func(err error) (*Lease, error) {
		conn.Close()
		return nil, fmt.Errorf("ask %v for the port: %w", holder, err)
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := json.NewEncoder(conn).Encode(req.holder(self())); err != nil {
		return fail(err)
	}
	answer := make([]byte, len(yielded))
	for n := 0; n < len(answer); {
		more, err := conn.Read(answer[n:])
		if n += more; err != nil {
			return fail(err)
		}
	}
	if string(answer) != yielded {
		return fail(fmt.Errorf("answer %q", answer))
	}
	// Somebody who waits may be faster; then it is a lease like any other.
	req.Wait = true
	for {
		lease, err := l.try(key, req)
		if err == nil {
			lease.loan = conn
			return lease, nil
		}
		if _, ok := errors.AsType[*LockedError](err); !ok || ctx.Err() != nil {
			return fail(err)
		}
		timer := time.NewTimer(time.Millisecond)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// lender answers those who ask for a port.
type lender struct {
	ln     net.Listener
	socket string
}

// listenYield opens the socket of a port whose lease this process holds, which
// is why a socket that is there already is a leftover.
func (l Leases) listenYield(port string) (*lender, error) {
	socket := l.record(port, "use").socket()
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("listen for requests: %w", err)
	}
	ln, err := net.Listen("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("listen for requests: %w", err)
	}
	return &lender{ln, socket}, nil
}

// next waits for somebody who asks.
func (l *lender) next() (*loan, error) {
	for {
		conn, err := l.ln.Accept()
		if err != nil {
			return nil, err
		}
		conn.SetReadDeadline(time.Now().Add(time.Second))
		r := bufio.NewReaderSize(conn, maxAsk)
		line, err := r.ReadSlice('\n')
		var who Holder
		if err == nil {
			err = json.Unmarshal(line, &who)
		}
		if err != nil {
			conn.Close()
			continue
		}
		conn.SetReadDeadline(time.Time{})
		return &loan{conn: conn, to: who}, nil
	}
}

func (l *lender) close() error {
	if err := l.ln.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// loan is a port that was given to another process.
type loan struct {
	conn net.Conn
	to   Holder
}

// grant tells the other process that the port is free.
func (l *loan) grant() error {
	l.conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, err := l.conn.Write([]byte(yielded))
	return err
}

// returned waits until the other process is done, or dead.
func (l *loan) returned() {
	buf := make([]byte, 1)
	for {
		if _, err := l.conn.Read(buf); err != nil {
			return
		}
	}
}

func (l *loan) close() error { return l.conn.Close() }

// String says who has the port, for people.
func (l *loan) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s (pid %d)", l.to.Purpose, l.to.PID))
}
