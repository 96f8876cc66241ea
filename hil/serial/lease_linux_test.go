package serial

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"porthole/internal/cli"
)

// leaseDir is a folder whose path leaves room for a socket's name.
func leaseDir(t testing.TB) Leases {
	t.Helper()
	dir, err := os.MkdirTemp("", "lease")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return Leases{Dir: dir}
}

func mustAcquire(t testing.TB, l Leases, port string, req Request) *Lease {
	t.Helper()
	lease, err := l.Acquire(t.Context(), port, req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lease.Release() })
	return lease
}

func TestLease(t *testing.T) {
	l := leaseDir(t)
	first := mustAcquire(t, l, "board", Request{Purpose: "first"})
	mustAcquire(t, l, "other board", Request{})

	_, err := l.Acquire(t.Context(), "board", Request{Purpose: "second"})
	locked, ok := errors.AsType[*LockedError](err)
	if !ok || locked.Holder.Purpose != "first" || locked.Holder.PID != os.Getpid() || cli.HintOf(err) == "" {
		t.Fatalf("second acquisition: %v", err)
	}
	if !strings.Contains(err.Error(), `port "board" is locked by `) {
		t.Errorf("message: %v", err)
	}
	if h, ok := l.Status("board"); !ok || h.Purpose != "first" || !h.Until.IsZero() || time.Since(h.Since) > time.Minute {
		t.Errorf("status: %+v, %t", h, ok)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := l.Acquire(ctx, "board", Request{Wait: true}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a wait that is given up: %v", err)
	}
	waited := make(chan error, 1)
	go func() {
		lease, err := l.Acquire(t.Context(), "board", Request{Wait: true})
		if err == nil {
			err = lease.Release()
		}
		waited <- err
	}()
	if err := first.Release(); err != nil {
		t.Error(err)
	}
	if err := <-waited; err != nil {
		t.Errorf("who waited: %v", err)
	}
	if h, ok := l.Status("board"); ok {
		t.Errorf("free, yet held by %v", h)
	}
	if err := first.Release(); err != nil {
		t.Errorf("released again: %v", err)
	}
}

func TestReservation(t *testing.T) {
	l := leaseDir(t)
	h, err := l.Reserve(t.Context(), "board", Request{For: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if h.PID != os.Getppid() || h.Until.Sub(h.Since) != time.Hour {
		t.Errorf("reserved for %+v", h)
	}
	// This process was started by the one that it is reserved for.
	mustAcquire(t, l, "board", Request{}).Release()
	if _, ok := l.Status("board"); !ok {
		t.Error("using a reserved port has ended the reservation")
	}
	// Renewed, not stacked.
	if h, err = l.Reserve(t.Context(), "board", Request{For: time.Minute}); err != nil || h.Until.Sub(h.Since) != time.Minute {
		t.Errorf("renewed: %+v, %v", h, err)
	}

	stranger := h
	stranger.ID = "0123"
	for _, tt := range []struct {
		name   string
		change func(*Holder)
		free   bool
	}{
		{"somebody else's", func(*Holder) {}, false},
		{"its time is up", func(h *Holder) { h.Until = time.Now().Add(-time.Millisecond) }, true},
		{"its process is dead", func(h *Holder) { h.PID = 1 << 30 }, true},
		{"another process has its number now", func(h *Holder) { h.Start++ }, true},
		{"named in the environment", func(h *Holder) { h.ID = "4567" }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv(LeaseEnv, "4567")
			h := stranger
			h.Process = sleeper(t)
			tt.change(&h)
			if err := l.record("board", "reserved").write(h); err != nil {
				t.Fatal(err)
			}
			lease, err := l.Acquire(t.Context(), "board", Request{})
			if tt.free {
				if err != nil {
					t.Fatal(err)
				}
				lease.Release()
				return
			}
			if locked, ok := errors.AsType[*LockedError](err); !ok || locked.Holder.PID != h.PID {
				t.Errorf("got %v", err)
			}
			if err := l.Unlock("board"); err != nil {
				t.Errorf("unlock: %v", err)
			}
			mustAcquire(t, l, "board", Request{}).Release()
		})
	}
	if err := l.Unlock("free board"); !errors.Is(err, ErrNotLocked) {
		t.Errorf("unlock of a free port: %v", err)
	}
	lease := mustAcquire(t, l, "used board", Request{})
	if err := l.Unlock("used board"); err == nil || !strings.Contains(cli.HintOf(err), "kill "+strconv.Itoa(os.Getpid())) {
		t.Errorf("unlock of a port in use: %v", err)
	}
	lease.Release()
}

// sleeper is a process that is neither this one nor its ancestor.
func sleeper(t *testing.T) Process {
	t.Helper()
	cmd := child(t, "hold-stdin")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	p := processOf(cmd.Process.Pid)
	if !p.alive() {
		t.Fatalf("process %d is not alive", p.PID)
	}
	return p
}

func holdStdin() error {
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// TestLeaseFolder: a folder that others can write to is no place for leases.
func TestLeaseFolder(t *testing.T) {
	l := leaseDir(t)
	if err := os.Chmod(l.Dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Acquire(t.Context(), "board", Request{}); err == nil || cli.HintOf(err) == "" {
		t.Errorf("folder of everybody: %v", err)
	}
	link := filepath.Join(leaseDir(t).Dir, "link")
	if err := os.Symlink(leaseDir(t).Dir, link); err != nil {
		t.Fatal(err)
	}
	if _, err := (Leases{Dir: link}).Acquire(t.Context(), "board", Request{}); err == nil {
		t.Error("a link was taken for a folder")
	}
	// Rubbish in a lease's file is nobody.
	l = leaseDir(t)
	for _, text := range []string{"", "{", strings.Repeat("x", 1<<20), `{"pid":-1}`, `{"pid":0}`} {
		for _, purpose := range []string{"use", "reserved"} {
			if err := os.WriteFile(l.record("board", purpose).text(), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if h, ok := l.Status("board"); ok {
			t.Errorf("%.10q is %v", text, h)
		}
		mustAcquire(t, l, "board", Request{}).Release()
	}
}

// TestLeaseKill: a lease ends with its process, however that ends.
func TestLeaseKill(t *testing.T) {
	l := leaseDir(t)
	var worst time.Duration
	for range 10 {
		cmd := child(t, "hold-lease", "LEASES="+l.Dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdin, _ = os.Open("/dev/zero") // it waits for an end that does not come
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
			t.Fatalf("child: %q, %v", line, err)
		}
		if h, ok := l.Status("board"); !ok || h.PID != cmd.Process.Pid {
			t.Fatalf("held by %v, want %d", h, cmd.Process.Pid)
		}
		got := make(chan time.Time, 1)
		waiting, stop := context.WithTimeout(t.Context(), 10*time.Second)
		go func() {
			defer close(got)
			if lease, err := l.Acquire(waiting, "board", Request{Wait: true}); err == nil {
				got <- time.Now()
				lease.Release()
			}
		}()
		killed := time.Now()
		cmd.Process.Kill()
		at, ok := <-got
		<-got // closed: the lease is released
		stop()
		if !ok {
			t.Fatal("never freed")
		}
		worst = max(worst, at.Sub(killed))
		cmd.Wait()
	}
	t.Logf("free again after at most %v", worst)
	if worst > 100*time.Millisecond {
		t.Errorf("free again after %v, want at most 100ms", worst)
	}
}

func holdLease() error {
	_, err := Leases{Dir: os.Getenv("LEASES")}.Acquire(context.Background(), "board", Request{})
	if err != nil {
		return err
	}
	fmt.Println("held")
	return holdStdin()
}

// TestLeaseCrowd: many processes take the lease over and over, and no two have
// it at once. PORTHOLE_LONG=1 runs 64 processes with 1,000 acquisitions each.
func TestLeaseCrowd(t *testing.T) {
	processes, each := 8, 50
	if os.Getenv("PORTHOLE_LONG") != "" {
		processes, each = 64, 1000
	}
	l := leaseDir(t)
	work := t.TempDir()
	if err := os.WriteFile(filepath.Join(work, "count"), []byte("0"), 0o600); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	var wg sync.WaitGroup
	for range processes {
		wg.Go(func() {
			out, err := child(t, "crowd", "SERIAL_TEST_STRICT=1", "LEASES="+l.Dir, "WORK="+work, "EACH="+strconv.Itoa(each)).CombinedOutput()
			if err != nil {
				t.Errorf("child: %v\n%s", err, out)
			}
		})
	}
	wg.Wait()
	text, err := os.ReadFile(filepath.Join(work, "count"))
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != strconv.Itoa(processes*each) {
		t.Errorf("counted %s, want %d: two had the lease at once", text, processes*each)
	}
	t.Logf("%d processes, %d acquisitions each, %s in all, 0 overlaps, %v", processes, each, text, time.Since(start).Round(time.Millisecond))
}

// crowd counts in a file, which goes wrong if two do it at once, and marks the
// time in which it does so with a file that must not exist yet.
func crowd() error {
	l := Leases{Dir: os.Getenv("LEASES")}
	each, err := strconv.Atoi(os.Getenv("EACH"))
	if err != nil {
		return err
	}
	count, mark := filepath.Join(os.Getenv("WORK"), "count"), filepath.Join(os.Getenv("WORK"), "mark")
	once := func() error {
		lease, err := l.Acquire(context.Background(), "board", Request{Wait: true})
		if err != nil {
			return err
		}
		defer lease.Release()
		f, err := os.OpenFile(mark, os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return fmt.Errorf("overlap: %w", err)
		}
		f.Close()
		text, err := os.ReadFile(count)
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(string(text))
		if err != nil {
			return err
		}
		if err := os.WriteFile(count, []byte(strconv.Itoa(n+1)), 0o600); err != nil {
			return err
		}
		return os.Remove(mark)
	}
	for range each {
		if err := once(); err != nil {
			return err
		}
	}
	return nil
}
