package serial

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"porthole/internal/cli"
)

// Holder says who has a port, for others to read.
type Holder struct {
	Process
	ID      string    `json:"id,omitzero"` // of this lease
	Who     string    `json:"who"`         // user
	Purpose string    `json:"purpose"`     // such as "rig flash"
	Since   time.Time `json:"since"`
	Until   time.Time `json:"until,omitzero"`  // zero: as long as its process lives
	Yields  bool      `json:"yields,omitzero"` // gives the port to whoever asks
	Lends   bool      `json:"lends,omitzero"`  // has it for what it starts
}

// String describes the holder in a sentence's end.
func (h Holder) String() string {
	if h.Who == "" {
		return "another process"
	}
	s := fmt.Sprintf("%s (%s, pid %d) since %s", h.Who, h.Purpose, h.PID, h.Since.Local().Format(time.TimeOnly))
	if !h.Until.IsZero() {
		s += " until " + h.Until.Local().Format(time.TimeOnly)
	}
	return s
}

// current reports that the holder still counts: its process lives and its time
// is not up.
func (h Holder) current() bool {
	return (h.Until.IsZero() || time.Now().Before(h.Until)) && h.alive()
}

// ours reports that the holder has the port for this process.
func (h Holder) ours() bool {
	return h.Lends && h.PID != os.Getpid() && (h.ID == os.Getenv(LeaseEnv) || h.covers(os.Getpid()))
}

// LeaseEnv is the environment variable that names the lease that a command was
// started under. On Linux it is not needed: there the process tree tells.
const LeaseEnv = "RIG_LEASE"

// LockedError says that somebody else has the port.
type LockedError struct {
	Port   string
	Holder Holder
}

// Error implements error.
func (e *LockedError) Error() string {
	return fmt.Sprintf("port %q is locked by %v", e.Port, e.Holder)
}

// Request is who asks for a port, and how.
type Request struct {
	// Purpose is shown to others; what the process was called as if empty.
	Purpose string

	// For bounds the lease; zero is as long as the process lives. Nobody can
	// take a port away from a process that uses it: who sets a bound keeps it.
	For time.Duration

	// Wait has Acquire wait, as long as its context lets it, for a port that
	// is taken.
	Wait bool

	// Lends has the port for the processes that this one starts, not for itself.
	Lends bool

	// Yields tells others that this holder gives the port up when asked.
	// A request that yields does not make others yield.
	Yields bool
}

func (r Request) holder(p Process) Holder {
	h := Holder{Process: p, ID: newID(), Who: whoAmI(), Purpose: r.Purpose, Since: time.Now().Round(0), Yields: r.Yields, Lends: r.Lends}
	if h.Purpose == "" {
		h.Purpose = purpose(os.Args)
	}
	if r.For > 0 {
		h.Until = h.Since.Add(r.For)
	}
	return h
}

func newID() string { return fmt.Sprintf("%016x", rand.Uint64()) }

// Lease is the right to use a port. It ends with Release, and with the process
// at the latest: it is a lock on an open file.
type Lease struct {
	Holder Holder
	record record
	file   *os.File
	loan   net.Conn // to the process that gave the port up; it takes it back when this closes
	once   sync.Once
}

// Release ends the lease.
func (l *Lease) Release() error {
	var err error
	l.once.Do(func() {
		err = l.record.remove()
		err = errors.Join(err, l.file.Close())
		if l.loan != nil {
			l.loan.Close()
		}
	})
	return err
}

// Acquire takes the lease of a port, by its identity ([Info].ID).
//
// A port that is reserved by a shell, or held for a command ("rig lock PORT --
// make flash"), can be used by what that shell or command starts; among those
// the same rules apply once more.
func (l Leases) Acquire(ctx context.Context, port string, req Request) (*Lease, error) {
	if err := l.prepare(); err != nil {
		return nil, err
	}
	key := port
	pause := time.Millisecond
	for {
		lease, err := l.try(key, req)
		locked, ok := errors.AsType[*LockedError](err)
		if !ok {
			return lease, err
		}
		if locked.Holder.ours() {
			key = port + " in " + locked.Holder.ID
			continue
		}
		locked.Port = port
		if locked.Holder.Yields && !req.Yields {
			if lease, err := l.ask(ctx, key, req, locked.Holder); err == nil {
				return lease, nil
			}
		}
		if !req.Wait {
			return nil, cli.Hint(locked, "wait for it with --wait, or end it: rig unlock "+quoted(port))
		}
		// Nothing wakes who waits for a lock and can give up, so look again:
		// soon, but not all at the same moment.
		timer := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, fmt.Errorf("%w: %w", locked, context.Cause(ctx))
		}
		pause = min(pause*2, longestPause)
	}
}

// longestPause keeps the time in which a freed port is noticed well below
// 100 ms.
const longestPause = 20 * time.Millisecond

// try takes the lease if it is free.
func (l Leases) try(key string, req Request) (*Lease, error) {
	rec := l.record(key, "use")
	file, free, err := tryLock(rec.lock())
	if err != nil {
		return nil, err
	}
	if !free {
		h, _ := rec.read() // just taken, or just left: then it is nobody yet
		return nil, &LockedError{Port: key, Holder: h}
	}
	if h, ok := l.reservation(key); ok && !h.ours() {
		file.Close()
		return nil, &LockedError{Port: key, Holder: h}
	}
	lease := &Lease{Holder: req.holder(self()), record: rec, file: file}
	if err := rec.write(lease.Holder); err != nil {
		file.Close()
		return nil, err
	}
	return lease, nil
}

// Reserve keeps a port for the process that called this one (the shell) and
// what it starts, without a process that holds it: until its time is up, that
// process ends, or [Leases.Unlock].
func (l Leases) Reserve(ctx context.Context, port string, req Request) (Holder, error) {
	lease, err := l.Acquire(ctx, port, req)
	if err != nil {
		return Holder{}, err
	}
	defer lease.Release()
	if h, ok := l.reservation(port); ok && h.ours() {
		// A second lock by the same shell renews the first one.
		if err := l.record(port, "reserved").remove(); err != nil {
			return Holder{}, err
		}
	}
	req.Lends = true
	h := req.holder(parent())
	return h, l.record(port, "reserved").write(h)
}

// reservation is who has reserved a port, if that still counts.
func (l Leases) reservation(key string) (Holder, bool) {
	h, err := l.record(key, "reserved").read()
	return h, err == nil && h.current()
}

// Status is who has a port now: who uses it, or else who has reserved it.
func (l Leases) Status(port string) (Holder, bool) {
	if h, err := l.record(port, "use").read(); err == nil && h.alive() {
		return h, true
	}
	return l.reservation(port)
}

// ErrNotLocked means that there was nothing to unlock.
var ErrNotLocked = errors.New("is not locked")

// Unlock ends the reservation of a port, whoever made it. A port in use by a
// running process is not taken away: the error says which.
func (l Leases) Unlock(port string) error {
	if err := l.prepare(); err != nil {
		return err
	}
	_, reserved := l.reservation(port)
	if err := l.record(port, "reserved").remove(); err != nil {
		return err
	}
	if h, err := l.record(port, "use").read(); err == nil && h.alive() {
		return cli.Hint(&LockedError{Port: port, Holder: h}, fmt.Sprintf("it is freed when that process ends: kill %d", h.PID))
	}
	if !reserved {
		return fmt.Errorf("port %q %w", port, ErrNotLocked)
	}
	return nil
}

func quoted(port string) string {
	if strings.ContainsAny(port, " '\"\\$&;()<>|*?`") {
		return "'" + port + "'"
	}
	return port
}
