package shutoff_test

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"periph.io/x/conn/v3/gpio"

	"porthole/hil/hiltest"
	"porthole/hil/shutoff"
)

// The crash test runs three kinds of process out of this binary:
//
//	test      starts the others and takes their lives
//	host      plays the line: kernel, wiring, and the witness of every edge
//	subject   switches the camera on and off until it dies
//
// A subject is connected to the host by a socket, which the system closes with
// the process as it would a line's descriptor.
const (
	envRole   = "PORTHOLE_SHUTOFF_ROLE"
	envSocket = "PORTHOLE_SHUTOFF_SOCKET"
	envSeed   = "PORTHOLE_SHUTOFF_SEED"
	envEnd    = "PORTHOLE_SHUTOFF_END"
	envSafe   = "PORTHOLE_SHUTOFF_SAFE"
	envClumsy = "PORTHOLE_SHUTOFF_CLUMSY"
)

func TestMain(m *testing.M) {
	switch os.Getenv(envRole) {
	case "host":
		os.Exit(exitCode(host()))
	case "subject":
		os.Exit(exitCode(subject()))
	}
	os.Exit(m.Run())
}

func exitCode(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, err)
	return 3
}

func biasOf(safe shutoff.Safe) gpio.Level { return gpio.Level(safe == shutoff.SafeHigh) }

// host serves a line until its input ends.
func host() error {
	ln, err := net.Listen("unix", os.Getenv(envSocket))
	if err != nil {
		return err
	}
	pin := hiltest.NewPin(biasOf(shutoff.Safe(os.Getenv(envSafe))))
	done := make(chan error, 1)
	go func() { done <- hiltest.ServePin(ln, pin) }()
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
	ln.Close()
	return <-done
}

// The ways to end.
const (
	endKill   = "kill -9"
	endTerm   = "terminate"
	endPanic  = "panic"
	endOther  = "panic in another goroutine"
	endAbort  = "abort"
	endExit   = "exit without a word"
	endUnplug = "unplug"
	endClose  = "close"
	endLease  = "forget"
)

var ends = []string{endKill, endPanic, endAbort, endUnplug, endOther, endKill, endExit, endClose, endLease, endTerm}

// subject does what a program with a shutoff does, in a random order and as
// fast as it can, until it ends in the way it was told.
func subject() (err error) {
	seed, err := strconv.ParseUint(os.Getenv(envSeed), 10, 64)
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(seed, 0x737562))
	end := os.Getenv(envEnd)
	pin, err := hiltest.DialPin("unix", os.Getenv(envSocket))
	if err != nil {
		return err
	}
	pin.Clumsy = os.Getenv(envClumsy) != ""
	after := time.Duration(rng.Int64N(int64(3 * time.Millisecond)))
	switch end {
	case endOther:
		time.AfterFunc(after, func() { panic("on purpose") })
	case endAbort:
		time.AfterFunc(after, func() { syscall.Kill(os.Getpid(), syscall.SIGABRT) })
	case endExit:
		time.AfterFunc(after, func() { os.Exit(0) })
	case endUnplug:
		time.AfterFunc(after, func() { _ = pin.Unplug(true) })
	}
	stop := time.Now().Add(after)
	sw, err := shutoff.New(shutoff.Config{Pin: shutoff.Chip(pin, "far", 0), Safe: shutoff.Safe(os.Getenv(envSafe))})
	if err != nil {
		if end == endUnplug {
			return nil
		}
		return err
	}
	defer func() {
		if closeErr := sw.Close(); end != endUnplug {
			err = errors.Join(err, closeErr)
		}
		if end == endLease {
			err = nil
		}
	}()
	for {
		lease := time.Duration(1 + rng.Int64N(int64(2*time.Millisecond)))
		var err error
		switch rng.IntN(6) {
		case 0, 1:
			_ = pin.Allow()
			if err = sw.On(lease); err == nil {
				_ = pin.Hold(lease)
			} else {
				_ = pin.Deny()
			}
		case 2:
			if err = sw.Renew(lease); err == nil {
				_ = pin.Hold(lease)
			}
		case 3:
			err = sw.Off()
			_ = pin.Deny()
		case 4:
			if rng.IntN(4) == 0 {
				err = sw.Trip("because")
				_ = pin.Deny()
				err = errors.Join(err, sw.Reset())
			}
		case 5:
			time.Sleep(time.Duration(rng.Int64N(int64(time.Millisecond))))
		}
		// With the adapter in place only the end of a short lease may get in the way.
		if err != nil && end != endUnplug && !errors.Is(err, shutoff.ErrExpired) {
			return err
		}
		if time.Now().Before(stop) {
			continue
		}
		switch end {
		case endPanic:
			panic("on purpose")
		case endClose:
			return nil
		case endUnplug:
			if err != nil && !errors.Is(err, shutoff.ErrExpired) {
				return nil
			}
		case endLease: // on, and then nobody looks after it any more
			_ = pin.Allow()
			_ = sw.On(time.Millisecond)
			_ = pin.Hold(time.Millisecond)
			time.Sleep(3 * time.Millisecond)
			return nil
		}
	}
}

func self(ctx context.Context, role string, env ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), append(env, envRole+"="+role, "GOTRACEBACK=none", "GOMAXPROCS=2")...)
	return cmd
}

// lineHost starts a host process and returns a connection to look at it.
func lineHost(t *testing.T, safe shutoff.Safe) (socket string, view *hiltest.RemotePin) {
	t.Helper()
	dir, err := os.MkdirTemp("", "pin") // t.TempDir is too long a path for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket = filepath.Join(dir, "s")
	cmd := self(context.WithoutCancel(t.Context()), "host", envSocket+"="+socket, envSafe+"="+string(safe))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("host: %v", err)
	}
	if view, err = hiltest.DialPin("unix", socket); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		view.Hang()
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("host: %v", err)
		}
	})
	return socket, view
}

// crash runs one subject to its end and waits until the line is safe.
func crash(t *testing.T, seed uint64, end string, safe shutoff.Safe, socket string, view *hiltest.RemotePin, env ...string) {
	rng := rand.New(rand.NewPCG(seed, 0x74657374))
	cmd := self(t.Context(), "subject", append(env, envSocket+"="+socket, envSeed+"="+strconv.FormatUint(seed, 10), envEnd+"="+end, envSafe+"="+string(safe))...)
	stderr := new(tail)
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if sig, ok := map[string]os.Signal{endKill: syscall.SIGKILL, endTerm: syscall.SIGTERM}[end]; ok {
		// From before the pin is taken to the middle of the work.
		life := time.NewTimer(time.Duration(rng.Int64N(int64(12 * time.Millisecond))))
		<-life.C
		if err := cmd.Process.Signal(sig); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
	err := cmd.Wait()
	want := map[string]int{endPanic: 2, endOther: 2, endAbort: 2, endKill: -1, endTerm: -1}[end]
	if code := cmd.ProcessState.ExitCode(); code != want {
		t.Errorf("seed %d, %s: exit code %d (%v), want %d\n%s", seed, end, code, err, want, stderr)
	}
	deadline := time.Now().Add(5 * time.Second)
	for {
		r, err := view.Report()
		if err != nil {
			t.Fatal(err)
		}
		if r.Safe {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("seed %d, %s: the camera is on 5 s after the end of the process", seed, end)
		}
	}
	if end == endUnplug {
		if err := view.Unplug(false); err != nil {
			t.Fatal(err)
		}
	}
}

// tail keeps the first bytes of what a process has to say.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p[:min(len(p), 500-len(t.b))]...)
	return len(p), nil
}

func (t *tail) String() string { return string(t.b) }

// However a program ends, the camera never comes on outside of the time it was
// allowed to. PORTHOLE_LONG=1 runs the full count.
func TestCrashes(t *testing.T) {
	runs := 200
	if testing.Short() {
		runs = 40
	}
	if os.Getenv("PORTHOLE_LONG") != "" {
		runs = 10_000
	}
	seed, err := strconv.ParseUint(cmp.Or(os.Getenv("PORTHOLE_SEED"), "1"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	const workers = 4
	var total hiltest.PinReport
	var mu sync.Mutex
	began := time.Now()
	t.Run("all", func(t *testing.T) {
		for w := range workers {
			t.Run(fmt.Sprintf("worker %d", w), func(t *testing.T) {
				t.Parallel()
				safe := []shutoff.Safe{shutoff.SafeLow, shutoff.SafeHigh}[w%2]
				socket, view := lineHost(t, safe)
				for i := w; i < runs; i += workers {
					s := seed + uint64(i)
					crash(t, s, ends[(i/workers)%len(ends)], safe, socket, view)
					if t.Failed() {
						t.Fatalf("PORTHOLE_SEED=%d", s)
					}
				}
				r, err := view.Report()
				if err != nil {
					t.Fatal(err)
				}
				if r.Illegal != 0 {
					t.Errorf("safe %s, seeds %d to %d: %d edges switched the camera on outside its time", safe, seed, seed+uint64(runs), r.Illegal)
				}
				mu.Lock()
				defer mu.Unlock()
				total.Edges += r.Edges
				total.Windows += r.Windows
				total.Illegal += r.Illegal
				total.Late = max(total.Late, r.Late)
			})
		}
	})
	t.Logf("%d runs in %v: %d windows, %d edges, %d of them illegal; longest overtime %v", runs, time.Since(began).Round(time.Millisecond), total.Windows, total.Edges, total.Illegal, total.Late)
	// How late a timer is depends on the machine; this bound is for the gross.
	if total.Late > 2*time.Second {
		t.Errorf("the camera stayed on %v beyond its lease", total.Late)
	}
	if total.Edges < runs {
		t.Errorf("%d edges in %d runs: the test has not tested much", total.Edges, runs)
	}
}

// The witness sees a driver that sets the direction first and the level later:
// on a pin that is safe high, every opening would switch the camera on.
func TestCrashesSeeGlitches(t *testing.T) {
	socket, view := lineHost(t, shutoff.SafeHigh)
	for i := range 5 {
		crash(t, uint64(i), endClose, shutoff.SafeHigh, socket, view, envClumsy+"=1")
	}
	r, err := view.Report()
	if err != nil {
		t.Fatal(err)
	}
	if r.Illegal < 5 {
		t.Errorf("%d of 5 glitches seen", r.Illegal)
	}
}
