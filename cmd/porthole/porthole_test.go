package main

import (
	"bytes"
	"context"
	"flag"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"porthole/internal/cli"
	"porthole/internal/clitest"
)

var update = flag.Bool("update", false, "write the expected output of the scripts anew")

func TestMain(m *testing.M) { clitest.Main(m, "porthole", func() int { return app().Main() }) }

// TestScripts runs the stories of testdata/script.
func TestScripts(t *testing.T) { clitest.Run(t, *update, nil) }

// watched keeps what a command prints and wakes who waits for a line.
type watched struct {
	mu   sync.Mutex
	text bytes.Buffer
	news chan struct{}
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case w.news <- struct{}{}:
	default:
	}
	return w.text.Write(p)
}

// find waits for the expression's first group.
func (w *watched) find(t *testing.T, expr string) string {
	t.Helper()
	re := regexp.MustCompile(expr)
	late := time.After(30 * time.Second)
	for {
		w.mu.Lock()
		m := re.FindStringSubmatch(w.text.String())
		w.mu.Unlock()
		if m != nil {
			return m[1]
		}
		select {
		case <-w.news:
		case <-late:
			t.Fatalf("%s was not printed:\n%s", expr, w.text.String())
		}
	}
}

// serve starts `porthole serve` with free ports and returns what it prints.
// At the end of the test it must end without an error, and soon; that it is
// within a second is shown where time is the test's own.
func serve(t *testing.T, args ...string) *watched {
	t.Helper()
	out := &watched{news: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	code := make(chan int, 1)
	args = append([]string{"serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"}, args...)
	go func() { code <- app().Run(ctx, args, cli.IO{In: strings.NewReader(""), Out: io.Discard, Err: out}) }()
	t.Cleanup(func() {
		began := time.Now()
		cancel()
		if c := <-code; c != 0 {
			t.Errorf("exit code %d\n%s", c, out.text.String())
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("took %v to end", took)
		}
	})
	return out
}

// runQuietly runs a command to its end and returns the exit code.
func runQuietly(t *testing.T, errs io.Writer, args []string) int {
	t.Helper()
	return app().Run(t.Context(), args, cli.IO{In: strings.NewReader(""), Out: io.Discard, Err: errs})
}
