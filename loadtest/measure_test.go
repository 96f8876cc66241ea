package loadtest

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// measureEnv makes this test program a server of pictures, so that the CPU and
// memory that are measured are the viewers' alone.
const measureEnv = "PORTHOLE_TEST_PICTURES"

// servePictures serves a new 25 kB picture every two seconds until standard
// input ends.
func servePictures() {
	body := make([]byte, 25_000)
	start := time.Now()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := int(time.Since(start) / (2 * time.Second))
		etag := fmt.Sprintf(`"%x"`, n)
		w.Header().Set("ETag", etag)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.Write(body)
	}))
	if os.Getenv(measureEnv) == "tls" {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	fmt.Println(srv.URL)
	io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// pictureServer starts one and returns its address.
func pictureServer(t *testing.T, kind string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), measureEnv+"="+kind)
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
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// anyPicture dates whatever it is given: decoding is not what is measured.
func anyPicture([]byte) (Stamp, error) { return Stamp{Captured: time.Now()}, nil }

// bare polls like a crowd with as little as possible: a goroutine, a connection
// and a reader for each viewer, and nothing is recorded. It is what the engines
// are compared with.
func bare(t *testing.T, url string, viewers int, d, ramp time.Duration, seed uint64) (polls int64) {
	t.Helper()
	address, isTLS := strings.CutPrefix(url, "https://")
	address = strings.TrimPrefix(address, "http://")
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, join := range joins(Config{Viewers: viewers, Ramp: ramp, Seed: seed}) {
		all.Go(func() {
			n := int64(0)
			defer func() { mu.Lock(); polls += n; mu.Unlock() }()
			due := time.Now().Add(join)
			if sleepUntil(ctx, due) != nil {
				return
			}
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Error(err)
				return
			}
			if isTLS {
				conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
			}
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
			for {
				if _, err := io.WriteString(conn, "GET /latest HTTP/1.1\r\nHost: x\r\nUser-Agent: x\r\n\r\n"); err != nil {
					return
				}
				in := readers.Get().(*bufio.Reader)
				in.Reset(conn)
				resp, err := http.ReadResponse(in, nil)
				if err != nil {
					return
				}
				if _, err := io.Copy(io.Discard, resp.Body); err != nil {
					return
				}
				readers.Put(in)
				n++
				due = due.Add(2 * time.Second)
				if sleepUntil(ctx, due) != nil {
					return
				}
			}
		})
	}
	all.Wait()
	return polls
}

// resident is the process's resident memory.
func resident() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// TestMeasurePoll compares what a poll costs the generator, CPU and memory, with
// a bare poller's, side by side in one run: PORTHOLE_MEASURE=1 go test -run
// MeasurePoll -v ./loadtest. PORTHOLE_LONG=1 does it with 5,000 viewers.
func TestMeasurePoll(t *testing.T) {
	if os.Getenv("PORTHOLE_MEASURE") == "" {
		t.Skip("set PORTHOLE_MEASURE=1 to measure for a minute")
	}
	viewers, rounds, watch, ramp := 1000, 2, 10*time.Second, 3*time.Second
	if os.Getenv("PORTHOLE_LONG") != "" { // 5,000 handshakes take their time
		viewers, watch, ramp = 5000, 30*time.Second, 12*time.Second
	}
	type figure struct {
		cpu    time.Duration
		polls  int64
		memory int64
	}
	fmt.Printf("%d viewers, a poll of 25 kB every 2 s, %d rounds of %v, the server in another process\n| protocol | generator | CPU per poll | of a bare poller's | memory per viewer |\n|---|---|---:|---:|---:|\n", viewers, rounds, watch)
	for _, kind := range []string{"plain", "tls"} {
		url := pictureServer(t, kind)
		sums := make(map[string]*figure)
		names := []string{"bare", "vegeta", "raw"}
		for range rounds {
			for _, name := range names {
				runtime.GC()
				debug.FreeOSMemory()
				before, cpu := resident(), processCPU()
				var most int64
				watching, stop := context.WithCancel(t.Context())
				var meter sync.WaitGroup
				meter.Go(func() {
					for sleepUntil(watching, time.Now().Add(100*time.Millisecond)) == nil {
						most = max(most, resident())
					}
				})
				var polls int64
				if name == "bare" {
					polls = bare(t, url, viewers, watch, ramp, 5)
				} else {
					r, err := Run(t.Context(), Config{TargetURL: url + "/latest", TLS: &tls.Config{InsecureSkipVerify: true}, Viewers: viewers, Duration: watch,
						Ramp: ramp, Seed: 5, Engine: Engine(name), Stamper: anyPicture}, nil)
					if err != nil {
						t.Fatal(err)
					}
					polls = int64(r.Polls.Sent)
					if r.Polls.Errors > 0 {
						t.Errorf("%s: failures %v", name, r.Failures)
					}
				}
				stop()
				meter.Wait()
				f := sums[name]
				if f == nil {
					f = new(figure)
					sums[name] = f
				}
				f.cpu += processCPU() - cpu
				f.polls += polls
				f.memory = max(f.memory, (most-before)/int64(viewers))
			}
		}
		per := func(name string) time.Duration { return sums[name].cpu / time.Duration(sums[name].polls) }
		for _, name := range names {
			fmt.Printf("| %s | %s | %v | %.2f | %.1f kB |\n", kind, name, per(name).Round(time.Microsecond), float64(per(name))/float64(per("bare")), float64(sums[name].memory)/1e3)
		}
	}
}

func TestMain(m *testing.M) {
	if os.Getenv(measureEnv) != "" {
		servePictures()
	}
	os.Exit(m.Run())
}
