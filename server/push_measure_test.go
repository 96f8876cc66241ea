package server

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"porthole/internal/devca"
	"porthole/internal/scene"
	"porthole/server/picture"
)

// fanoutEnv makes the test binary the crowd: address and number of viewers.
const fanoutEnv = "PORTHOLE_FANOUT"

// TestFanoutCrowd is not a test but the viewers of TestMeasureFanout, who need a
// process and descriptors of their own. For every record it prints when it came
// to whom, as percentiles over all viewers.
func TestFanoutCrowd(t *testing.T) {
	addr, count, ok := strings.Cut(os.Getenv(fanoutEnv), " ")
	if !ok {
		return
	}
	n, err := strconv.Atoi(count)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	arrived := map[uint32][]int64{}
	var open atomic.Int64
	var work sync.WaitGroup
	greeting := make(chan struct{}, 64)
	sessions := tls.NewLRUClientSessionCache(0)
	for range n {
		greeting <- struct{}{}
		work.Go(func() {
			c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, ClientSessionCache: sessions})
			if err == nil {
				_, err = io.WriteString(c, "GET /stream HTTP/1.1\r\nHost: feed.example\r\n\r\n")
			}
			<-greeting
			if err != nil {
				fmt.Println("# dial:", err)
				return
			}
			defer c.Close()
			open.Add(1)
			r := bufio.NewReaderSize(c, 512)
			for {
				line, err := r.ReadString('\n')
				if err != nil {
					return
				}
				if line == "\r\n" {
					break
				}
			}
			// Chunks: their sizes are not looked at, each flush is one.
			for {
				line, err := r.ReadString('\n')
				if err != nil {
					return
				}
				size, err := strconv.ParseUint(strings.TrimSpace(line), 16, 32)
				if err != nil || size == 0 {
					return
				}
				head, err := r.Peek(int(min(size, 9)))
				if err != nil {
					return
				}
				if size > 9 && head[4] == 0x10 {
					seq, at := binary.BigEndian.Uint32(head[5:]), time.Now().UnixNano()
					mu.Lock()
					arrived[seq] = append(arrived[seq], at)
					mu.Unlock()
				}
				if _, err := r.Discard(int(size) + 2); err != nil {
					return
				}
			}
		})
	}
	for greeting <- struct{}{}; len(greeting) > 1; {
		time.Sleep(50 * time.Millisecond)
	}
	fmt.Println("ready", open.Load())
	work.Wait() // until the server ends
	for seq, list := range arrived {
		slices.Sort(list)
		fmt.Println("seq", seq, len(list), list[len(list)/2], list[len(list)*99/100], list[len(list)-1])
	}
}

func residentKB(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, _ := strconv.Atoi(strings.Fields(rest)[0])
			return kb
		}
	}
	t.Fatal("no VmRSS")
	return 0
}

func spent() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// TestMeasureFanout holds streams over TLS from another process and publishes:
// memory a viewer, CPU a publication beyond that of an empty server, and how
// long until everybody has the frame. PORTHOLE_VIEWERS sets how many; without it
// a few do, in a hurry, to see that it works.
func TestMeasureFanout(t *testing.T) {
	n, pause := 50, 50*time.Millisecond
	if v, err := strconv.Atoi(os.Getenv("PORTHOLE_VIEWERS")); err == nil {
		n, pause = v, 2*time.Second
	}
	const publications = 12
	ca, err := devca.New()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	s := testServer(t, func(c *Config) {
		c.Deltas, c.Serving.MaxConnsPerAddr, c.Serving.MaxStreams, c.Log, c.Period = DeltasStrict, -1, n+10, nil, time.Hour
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- newFront(s, publicTimes).serve(ctx, time.Second, NewTLSListener(ln, TLS(cert))) }()

	room, err := scene.New(scene.Config{Seed: 5})
	if err != nil {
		t.Fatal(err)
	}
	at, next := map[uint32]time.Time{}, 0
	publish := func() time.Duration {
		g := room.Picture(uint64(next+1), time.Duration(next)*2*time.Second)
		next++
		before := spent()
		s.showRendition(&picture.Result{JPEG: []byte("jpeg"), Picture: g})
		seq, _ := s.deltas.feed.Seq()
		at[seq] = time.Now() // when the frame was there to be sent
		time.Sleep(pause)
		return spent() - before
	}
	publish()
	var empty, full []time.Duration
	for range publications {
		empty = append(empty, publish())
	}
	memory := residentKB(t)

	crowd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFanoutCrowd$")
	crowd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d", fanoutEnv, ln.Addr(), n))
	var problems bytes.Buffer
	crowd.Stderr = &problems
	out, err := crowd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := crowd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	viewers := 0
	for viewers == 0 && lines.Scan() {
		if _, err := fmt.Sscanf(lines.Text(), "ready %d", &viewers); err != nil {
			t.Log(lines.Text())
		}
	}
	if viewers < n*99/100 {
		t.Fatalf("%d of %d viewers came: %s", viewers, n, problems.String())
	}
	publish() // the first one finds buffers to grow
	for range publications {
		full = append(full, publish())
	}
	memory = residentKB(t) - memory
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	var worst, p99s time.Duration
	counted, missed := 0, 0
	for lines.Scan() {
		var seq uint32
		var got int
		var p50, p99, most int64
		if _, err := fmt.Sscanf(lines.Text(), "seq %d %d %d %d %d", &seq, &got, &p50, &p99, &most); err != nil || at[seq].IsZero() {
			continue
		}
		if s, _ := s.deltas.feed.Seq(); s-seq >= publications {
			continue
		}
		counted++
		missed += viewers - got
		p99s += time.Unix(0, p99).Sub(at[seq])
		worst = max(worst, time.Unix(0, most).Sub(at[seq]))
	}
	crowd.Wait()
	if counted != publications || missed > 0 {
		t.Errorf("%d of %d publications arrived, %d times a viewer lacked one", counted, publications, missed)
	}
	// Of medians: coding a picture costs more than sending it, and varies more.
	slices.Sort(empty)
	slices.Sort(full)
	extra := full[publications/2] - empty[publications/2]
	t.Logf("%d viewers: %.1f kB each, %v of CPU a publication (%.1f %% of a core at one in 2 s), all have it after %v (p99, mean), %v (worst)",
		viewers, float64(memory)/float64(viewers), extra.Round(100*time.Microsecond), 100*extra.Seconds()/2, (p99s / time.Duration(max(counted, 1))).Round(100*time.Microsecond), worst.Round(100*time.Microsecond))
}
