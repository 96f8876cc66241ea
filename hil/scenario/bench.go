package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"porthole/internal/cli"
)

// Bench is a board with what is around it, for one scenario.
type Bench interface {
	// Name says what is being tested, for reports.
	Name() string
	// Console is what the board prints, from the start of the bench.
	Console() *Console
	// Do carries out a step that does something. ErrNotHere says that this
	// bench cannot.
	Do(ctx context.Context, st Step) error
	// Truth asks the private side of the server.
	Truth(ctx context.Context) (Truth, error)
	// Evidence is what helps to understand a failure, a line each: seed, trace.
	Evidence() []string
	// Close ends the bench and leaves the camera off.
	Close() error
}

// ErrNotHere means that a bench cannot do what a step asks for: real boards have
// no faults on demand.
var ErrNotHere = errors.New("not possible on this bench")

// Truth is what the server's private side says about what the public is shown.
type Truth struct {
	Mode     string `json:"mode"`     // "live", "loop" or "waiting"
	Accepted uint64 `json:"accepted"` // frames so far
}

// truthTimeout bounds one question to the server.
const truthTimeout = 2 * time.Second

// AskTruth asks the private side of a server at an address like
// http://127.0.0.1:9100, with a token if it is not empty.
func AskTruth(ctx context.Context, client *http.Client, admin, token string) (Truth, error) {
	var t Truth
	ctx, cancel := context.WithTimeout(ctx, truthTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", strings.TrimSuffix(admin, "/")+"/admin/truth", nil)
	if err != nil {
		return t, cli.Hint(fmt.Errorf("ask server: %w", err), "--server takes the private address, http://127.0.0.1:9100")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(req)
	if err != nil {
		return t, cli.Hint(fmt.Errorf("ask server: %w", err), "--server takes the private address of a server that runs")
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		return t, cli.Hint(fmt.Errorf("ask server: it answered %s", resp.Status), "--server takes the private address as 127.0.0.1 or localhost, or needs its token in RIG_ADMIN_TOKEN")
	default:
		return t, cli.Hint(fmt.Errorf("ask server: it answered %s", resp.Status), "--server takes the private address, not the public one")
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&t); err != nil {
		return t, fmt.Errorf("ask server: %w", err)
	}
	return t, nil
}
