package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Private says where the private side is, for those who may ask it.
type Private struct {
	URL   string // http://host:port
	Token string // may be empty
	// Client reaches it; nil for a usual one.
	Client *http.Client
}

// state is the part of the private side's answer that matters here.
type state struct {
	Now   time.Time
	Truth struct {
		Mode, Order string
		Since       time.Time
		CameraOff   bool `json:"camera_off"`
	}
	Cameras []struct {
		Name    string
		Public  bool
		Off     bool
		FrameAt time.Time `json:"frame_at"`
	}
	Uploads struct {
		Rejected uint64
		Problem  string
		At       time.Time
	}
}

// silent is how old the newest frame of a camera that is on may be.
const silent = 30 * time.Second

// ExaminePrivate reports whether the camera reaches the server and what the
// public is really shown.
func ExaminePrivate(ctx context.Context, p Private, report func(Finding)) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(p.URL, "/")+"/admin/state", nil)
	if err != nil {
		return fmt.Errorf("ask the private side: %w", err)
	}
	if p.Token != "" {
		req.Header.Set("Authorization", "Bearer "+p.Token)
	}
	client := p.Client
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("ask the private side: %w", plainError(err))
	}
	defer resp.Body.Close()
	var s state
	switch {
	case resp.StatusCode == http.StatusUnauthorized:
		return fmt.Errorf("ask the private side: wrong or no token")
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("ask the private side: %s", resp.Status)
	}
	if err := json.NewDecoder(http.MaxBytesReader(nil, resp.Body, maxAnswer)).Decode(&s); err != nil {
		return fmt.Errorf("ask the private side: %w", err)
	}
	e := &examination{report: report}
	e.camera(s)
	if s.Truth.Order != "auto" {
		e.warn("mode", "porthole ask server.mode mode=auto lets the rules decide again", "the operator's order is %q since a person gave it; the public sees: %s", s.Truth.Order, s.Truth.Mode)
	} else {
		e.ok("mode", "the public sees: %s, since %s", s.Truth.Mode, s.Truth.Since.UTC().Format(time.DateTime))
	}
	return nil
}

func (e *examination) camera(s state) {
	if s.Uploads.Problem == "no token" {
		s.Uploads.Problem, s.Uploads.At = "", time.Time{} // a stranger, or this examination the last time
	}
	for _, c := range s.Cameras {
		if !c.Public {
			continue
		}
		age := s.Now.Sub(c.FrameAt).Round(time.Second)
		switch {
		case c.Off:
			e.ok("camera", "%s said that it is switched off", c.Name)
		case c.FrameAt.IsZero() && s.Uploads.Problem != "":
			e.fail("camera", "the board's console says the same; mend what it names", "nothing of %s was taken; the last refusal: %s", c.Name, s.Uploads.Problem)
		case c.FrameAt.IsZero():
			e.fail("camera", "look at the board's console (rig monitor): Wi-Fi, address of the server, certificate, token", "%s has sent nothing since the server started", c.Name)
		case age > silent && s.Uploads.At.After(c.FrameAt):
			e.fail("camera", "the board's console says the same; mend what it names", "the last frame of %s came %v ago; since then: %s", c.Name, age, s.Uploads.Problem)
		case age > silent:
			e.fail("camera", "look at the board's console (rig monitor): Wi-Fi, power, address of the server", "the last frame of %s came %v ago", c.Name, age)
		default:
			e.ok("camera", "%s sent a frame %v ago", c.Name, age)
		}
		return
	}
	e.fail("camera", "make a token and put it on the board: porthole token new", "no camera has a token")
}
