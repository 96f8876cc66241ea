package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"image"
	"io"
	"net/http"
	"sync"
	"time"

	"porthole/internal/event"
	"porthole/internal/wire"
)

// camera is what the server knows of one camera.
type camera struct {
	name string

	mu     sync.Mutex
	begun  uint64 // uploads so far, each with its number
	newest uint64 // number of the upload that the newest frame came with
	seq    uint64 // of the newest frame
	frame  *upload
	digest [sha256.Size]byte // of the newest frame as it arrived
	pixels image.Point       // of the newest frame
	off    bool              // it said so, and has sent nothing since
	noted  time.Time         // when it said so, or that it is on
}

// begin numbers an upload whose token was good. A camera that sends is on,
// whatever it said last: its word may have got lost.
func (c *camera) begin() (number uint64, back bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begun++
	back, c.off = c.off, false
	if back {
		c.noted = time.Now()
	}
	return c.begun, back
}

// Why a good frame is not used.
const (
	late      = "late: a newer frame is here already"
	duplicate = "duplicate: this frame is here already"
	switched  = "late: the camera said that it is off"
	dark      = "dark: nothing of the camera is taken"
)

// take makes u the newest frame unless keep refuses it, or says why it does not.
// The number is that of its upload; u has its sequence number when keep gets it.
//
// A board that got no answer may send a frame again: the same bytes within
// again, which no sensor sends twice, are not a second frame. A frame whose
// upload began before that of the newest one was overtaken on its way.
func (c *camera) take(u *upload, number uint64, again time.Duration, keep func() bool) (seq uint64, ignored string) {
	digest := sha256.Sum256(u.received)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.off: // it said so while this frame was on its way
		return c.seq, switched
	case number < c.newest:
		return c.seq, late
	case c.frame != nil && digest == c.digest && u.at.Sub(c.frame.at) < again:
		return c.seq, duplicate
	}
	if u.seq = c.seq + 1; !keep() {
		return c.seq, dark
	}
	c.seq, c.newest, c.digest, c.frame, c.pixels = u.seq, number, digest, u, u.admitted.Size()
	return c.seq, ""
}

// kept returns the newest frame, nil if there is none.
func (c *camera) kept() *upload {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.frame
}

// size returns that of the newest frame, zero before the first.
func (c *camera) size() image.Point {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pixels
}

// forget drops the frame that is kept for the private side.
func (c *camera) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frame = nil
}

// switched notes what the camera says of itself and reports whether it is news.
func (c *camera) switched(off bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	news := c.off != off
	c.off, c.noted = off, time.Now()
	return news
}

// CameraInfo is what the private side may know of a camera.
type CameraInfo struct {
	Name   string `json:"name"`
	Public bool   `json:"public"` // its frames feed the site
	Tokens int    `json:"tokens"` // active
	// Off: it said that it is being switched off, and has sent nothing since.
	Off      bool      `json:"off"`
	NotedAt  time.Time `json:"noted_at,omitzero"` // when it said so, or that it is on
	Sequence uint64    `json:"sequence"`          // frames taken since the start
	FrameAt  time.Time `json:"frame_at,omitzero"` // when the newest arrived
	Width    int       `json:"width,omitempty"`
	Height   int       `json:"height,omitempty"`
	Bytes    int       `json:"bytes,omitempty"`
}

// Cameras lists the cameras that have a token, in the order of the token file.
func (s *Server) Cameras() []CameraInfo {
	tokens := s.tokens.Load()
	public := s.publicCamera()
	infos := []CameraInfo{}
	for _, name := range tokens.Cameras() {
		i := CameraInfo{Name: name, Public: name == public, Tokens: tokens.Active(name)}
		c := s.camera(name)
		c.mu.Lock()
		i.Off, i.NotedAt, i.Sequence = c.off, c.noted, c.seq
		if u := c.frame; u != nil {
			i.FrameAt, i.Width, i.Height, i.Bytes = u.at, u.admitted.Size().X, u.admitted.Size().Y, u.bytes
		}
		c.mu.Unlock()
		infos = append(infos, i)
	}
	return infos
}

// camera returns the state of a camera that has, or had, a token.
func (s *Server) camera(name string) *camera {
	s.camerasMu.Lock()
	defer s.camerasMu.Unlock()
	c := s.cameras[name]
	if c == nil {
		c = &camera{name: name}
		s.cameras[name] = c
	}
	return c
}

// publicCamera is the name of the camera whose frames feed the site.
func (s *Server) publicCamera() string {
	if s.cfg.Ingest.Camera != "" {
		return s.cfg.Ingest.Camera
	}
	if names := s.tokens.Load().Cameras(); len(names) > 0 {
		return names[0]
	}
	return ""
}

// maxNotice bounds the body of a notice.
const maxNotice = 256

// noticeTime is how long a notice may take to arrive.
const noticeTime = 5 * time.Second

// handleCamera takes a notice of a camera: it is being switched off, or is on
// again. Nothing that the public has not seen of it yet will be shown then.
func (s *Server) handleCamera(w http.ResponseWriter, r *http.Request) {
	off, name, p := s.notice(w, r)
	dropTail(w)
	if p != nil {
		p.close(w)
		return
	}
	state := wire.CameraOn
	if off {
		state = wire.CameraOff
	}
	c := s.camera(name)
	if news := c.switched(off); news {
		s.cfg.Events.Publish(event.Event{Source: event.Server, Kind: event.Note, Name: name, Text: "camera says that it is " + state})
	}
	if name == s.publicCamera() {
		s.cut(!off)
	}
	w.Header()["Cache-Control"] = noStore
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) notice(w http.ResponseWriter, r *http.Request) (off bool, camera string, _ *problem) {
	camera, p := s.authenticate(r)
	switch {
	case p != nil:
		return false, "", s.refuse(r, p)
	case r.ContentLength > maxNotice:
		return false, "", badNotice(http.StatusRequestEntityTooLarge, "notice is larger than 256 bytes")
	case !isJSON(r.Header.Get("Content-Type")):
		return false, "", badNotice(http.StatusUnsupportedMediaType, "a notice is JSON")
	}
	http.NewResponseController(w).SetReadDeadline(time.Now().Add(noticeTime))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxNotice))
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return false, "", badNotice(http.StatusRequestEntityTooLarge, "notice is larger than 256 bytes")
		}
		return false, "", badNotice(http.StatusBadRequest, "notice is cut")
	}
	off, err = parseNotice(body)
	if err != nil {
		return false, "", badNotice(http.StatusBadRequest, err.Error())
	}
	return off, camera, nil
}

func badNotice(status int, text string) *problem {
	return &problem{status, text, `send Content-Type: application/json and the body {"state":"off"} or {"state":"on"}`}
}

var errNotice = errors.New("not a notice")

// parseNotice reads {"state":"off"} or {"state":"on"}, and nothing else: no other
// field, none of another case, none twice.
func parseNotice(body []byte) (off bool, err error) {
	d := json.NewDecoder(bytes.NewReader(body))
	for _, want := range []json.Token{json.Delim('{'), "state", nil, json.Delim('}')} {
		got, err := d.Token()
		switch {
		case err != nil || want != nil && got != want:
			return false, errNotice
		case want == nil && got == wire.CameraOff:
			off = true
		case want == nil && got != wire.CameraOn:
			return false, errNotice
		}
	}
	if _, err := d.Token(); err != io.EOF {
		return false, errNotice
	}
	return off, nil
}
