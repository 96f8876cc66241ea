package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"

	"porthole/internal/event"
	"porthole/internal/frame"
	"porthole/internal/wire"
	"porthole/server/picture"
)

// envelope is how much an upload's body may be larger than its picture: the
// multipart delimiters, headers and small fields that browsers and curl add.
const envelope = 16 << 10

// IngestConfig says which uploads are taken and what boards are told.
type IngestConfig struct {
	// Camera is the name of the camera whose frames feed the site; "" for the
	// first of Tokens. The newest frame of others is kept for the private side.
	Camera string
	// Interval is the time from frame to frame that boards are asked to keep, in
	// whole milliseconds; 0 leaves theirs to them.
	Interval time.Duration
	// Decoders is how many frames may be decoded at the same time (default 1).
	Decoders int
}

// check fills in defaults.
func (c *IngestConfig) check(tokens *Tokens) error {
	switch {
	case c.Interval < 0 || c.Interval > maxInterval:
		return fmt.Errorf("interval %v of uploads is not between 0 and %v", c.Interval, maxInterval)
	case c.Decoders < 0:
		return fmt.Errorf("%d decoders", c.Decoders)
	case c.Camera != "" && tokens.Active(c.Camera) == 0:
		return fmt.Errorf("no token of the public camera %q", c.Camera)
	}
	c.Decoders = max(c.Decoders, 1)
	return nil
}

// maxInterval between two frames is what a board's timer is good for.
const maxInterval = time.Hour

// receipt is the outcome of an upload that was taken.
type receipt struct {
	camera *camera
	seq    uint64  // of the camera's newest frame
	frame  *upload // nil if it was not used
}

func (s *Server) handleUpload(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	// net/http looks at its own body to see that some of it was not read, and then
	// closes slowly enough for the answer to arrive. A bounded one hides that.
	whole := r.Body
	got, p := s.ingest(w, r)
	r.Body = whole
	dropTail(w)
	if p != nil {
		s.uploaded.answered(p.status, time.Since(start))
		p.close(w)
		return
	}
	s.uploaded.answered(http.StatusOK, time.Since(start))
	if u := got.frame; u != nil {
		s.cfg.Events.Publish(event.Event{Source: event.Server, Kind: event.Accepted, Name: got.camera.name, Frame: event.FrameInfo{
			Seq: u.seq, Bytes: u.bytes, Width: u.admitted.Size().X, Height: u.admitted.Size().Y, Took: time.Since(start)}})
	}
	s.reply(w, r, got)
}

// ingest takes one upload in: who, how much, what, in this order, so that the
// cheapest check refuses first and nothing is read for a stranger.
func (s *Server) ingest(w http.ResponseWriter, r *http.Request) (receipt, *problem) {
	name, p := s.authenticate(r)
	if p != nil {
		return receipt{}, s.refuse(r, p)
	}
	c := s.camera(name)
	number, back := c.begin()
	if name == s.publicCamera() {
		if back {
			s.cut(true)
		}
		if err := s.waves.confirm(true); err != nil {
			s.cfg.Log.Error("waves not written down", "error", err)
		}
	}
	era := s.control.now()
	u, p := s.read(w, r)
	if p != nil {
		s.loud(p)
		return receipt{}, p
	}
	u.camera, u.era = name, era
	public := name == s.publicCamera()
	admitted, p := s.decode(r, u.received, public)
	if p != nil {
		s.loud(p)
		return receipt{}, p
	}
	u.admitted = admitted
	seq, ignored := c.take(u, number, s.cfg.Period, func() bool {
		if !public {
			return true
		}
		if s.pipeline.Load().Masked() {
			u.received = nil // what is masked is kept nowhere
		}
		return s.take(u)
	})
	if ignored != "" {
		s.cfg.Events.Publish(event.Event{Source: event.Server, Kind: event.Ignored, Name: name, Text: ignored, Frame: event.FrameInfo{Seq: seq, Bytes: u.bytes}})
		return receipt{camera: c, seq: seq}, nil
	}
	return receipt{camera: c, seq: seq, frame: u}, nil
}

// refuse answers who has no valid token.
func (s *Server) refuse(r *http.Request, p *problem) *problem {
	p, loud := s.guard.refuse(r.Context(), s.clientAddr(r), p)
	if loud {
		s.loud(p)
	}
	return p
}

// loud tells the operator of a refused upload.
func (s *Server) loud(p *problem) {
	s.cfg.Events.Publish(event.Event{Source: event.Server, Kind: event.Rejected, Status: p.status, Text: p.Error})
	args := []any{"status", p.status, "error", p.Error}
	if n := s.guard.unheard.Swap(0); n > 0 {
		args = append(args, "more_before", n)
	}
	s.cfg.Log.Info("upload refused", args...)
}

// read takes the body of an upload in, within its limits.
func (s *Server) read(w http.ResponseWriter, r *http.Request) (*upload, *problem) {
	limit := s.cfg.Limits.WithDefaults()
	if r.ContentLength > int64(limit.MaxBytes+envelope) {
		return nil, tooLarge(limit)
	}
	select {
	case s.uploads <- struct{}{}:
		defer func() { <-s.uploads }()
	default:
		return nil, &problem{http.StatusTooManyRequests, fmt.Sprintf("%d uploads are being read already", cap(s.uploads)), "send one frame at a time and wait for the answer"}
	}
	// Whatever Content-Length says, or a chunked body does not say.
	r.Body = http.MaxBytesReader(w, r.Body, int64(limit.MaxBytes+envelope))
	b := newBody(w, r, s.cfg.Body)
	received, err := readBody(b, r.Header.Get("Content-Type"), limit)
	if err != nil {
		return nil, bodyProblem(err, limit)
	}
	// The sketch announces 1,024 bytes more than it sends when the picture is a
	// multiple of them (esp32-wire 1.4): the picture ended early, and waiting
	// for the rest would stall the camera. A final line break may be on its way.
	if missing := r.ContentLength - b.n; missing > int64(len("\r\n")) {
		return nil, &problem{http.StatusUnprocessableEntity, fmt.Sprintf("upload is cut: %d of the announced %d bytes are missing", missing, r.ContentLength), "send Content-Length bytes; the multipart body ended before"}
	}
	return &upload{received: received, bytes: len(received), at: time.Now()}, nil
}

// decodeWait is how long a frame waits for its turn to be decoded. All uploads
// together take a second or two.
const decodeWait = 5 * time.Second

// decode decides by its content whether a frame may be shown. Masks, and the
// size that they are made for, are those of the public camera.
func (s *Server) decode(r *http.Request, jpeg []byte, public bool) (*picture.Admitted, *problem) {
	patience, cancel := context.WithTimeout(r.Context(), decodeWait)
	defer cancel()
	select {
	case s.decoders <- struct{}{}:
		defer func() { <-s.decoders }()
	case <-patience.Done():
		return nil, &problem{http.StatusServiceUnavailable, "too many pictures to decode", "send it again later"}
	}
	limit := s.cfg.Limits.WithDefaults()
	jpeg, info, err := clean(jpeg, limit)
	if err != nil {
		return nil, frameProblem(err)
	}
	pipeline := s.other
	if public {
		pipeline = s.pipeline.Load()
	}
	admitted, err := pipeline.Admit(jpeg, info)
	if err != nil {
		return nil, frameProblem(err)
	}
	return admitted, nil
}

// clean is [frame.Clean] with the info of what it returns.
func clean(jpeg []byte, limit frame.Limits) ([]byte, frame.Info, error) {
	out, info, err := frame.Clean(jpeg, limit)
	info.Len, info.Trailing = len(out), 0
	return out, info, err
}

// authenticate checks the token. The answer is the same for every wrong token.
func (s *Server) authenticate(r *http.Request) (camera string, _ *problem) {
	header := r.Header.Get("Authorization")
	scheme, token, _ := strings.Cut(header, " ")
	switch {
	case header == "":
		return "", &problem{http.StatusUnauthorized, "no token", "send the header Authorization: Bearer TOKEN"}
	case !strings.EqualFold(scheme, "Bearer"):
		return "", &problem{http.StatusUnauthorized, "no bearer token", "write the word Bearer and a space before the token: Authorization: Bearer TOKEN"}
	}
	camera, ok := s.tokens.Load().Camera(strings.TrimSpace(token))
	if !ok {
		return "", &problem{http.StatusUnauthorized, "wrong token", "make one with: porthole token new"}
	}
	return camera, nil
}

// errMediaType means that the body is neither a form nor a picture.
var errMediaType = errors.New("unsupported content type")

// readBody returns the picture of a multipart form or of a plain JPEG body.
func readBody(b *body, contentType string, limit frame.Limits) ([]byte, error) {
	media, _, err := mime.ParseMediaType(contentType)
	switch {
	case err == nil && media == "image/jpeg":
		data, err := io.ReadAll(io.LimitReader(b, int64(limit.MaxBytes)+1))
		if err == nil && len(data) > limit.MaxBytes {
			err = &wire.Error{Kind: wire.TooLarge}
		}
		return data, err
	case media == "multipart/form-data":
		return wire.ReadUpload(b, contentType, wire.FieldName, wire.ReadLimits{MaxFile: limit.MaxBytes})
	default:
		return nil, fmt.Errorf("%w %.60q", errMediaType, contentType)
	}
}

func tooLarge(limit frame.Limits) *problem {
	return &problem{http.StatusRequestEntityTooLarge, fmt.Sprintf("picture is larger than %d bytes", limit.MaxBytes), "lower the camera's resolution or quality, or raise --max-bytes"}
}

func bodyProblem(err error, limit frame.Limits) *problem {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &problem{http.StatusRequestTimeout, "upload is too slow", "the connection is weaker than the server's minimum rate; send smaller pictures"}
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge(limit)
	}
	if errors.Is(err, errMediaType) {
		return &problem{http.StatusUnsupportedMediaType, err.Error(), "send multipart/form-data with the field img, or image/jpeg"}
	}
	if e, ok := errors.AsType[*wire.Error](err); ok {
		switch e.Kind {
		case wire.TooLarge:
			return tooLarge(limit)
		case wire.NoField:
			return &problem{http.StatusBadRequest, `form has no file field "img"`, "name the field img: curl -F img=@photo.jpg"}
		case wire.Cut:
			return &problem{http.StatusBadRequest, "upload is cut: the form does not end", "the connection broke, or Content-Length is too small"}
		}
		return &problem{http.StatusBadRequest, err.Error(), "send one multipart/form-data form with the file field img"}
	}
	return &problem{http.StatusBadRequest, "upload is cut: " + err.Error(), "the connection broke before the body ended"}
}

func frameProblem(err error) *problem {
	p := &problem{http.StatusUnprocessableEntity, err.Error(), "send a complete baseline JPEG"}
	if e, ok := errors.AsType[*frame.Error](err); ok {
		switch e.Kind {
		case frame.NotJPEG:
			p.status, p.Hint = http.StatusUnsupportedMediaType, "the field img must hold a JPEG picture"
		case frame.TooLarge:
			p.status, p.Hint = http.StatusRequestEntityTooLarge, "lower the camera's resolution or quality, or raise --max-bytes"
		case frame.TooBig:
			p.Hint = "lower the camera's resolution, or raise --max-width and --max-height"
		case frame.Cut:
			p.Hint = "the picture's end is missing; the camera sent it before it was complete"
		case frame.Progressive:
			p.Hint = "save the picture as a baseline JPEG"
		}
	}
	if e, ok := errors.AsType[*picture.Error](err); ok {
		switch e.Kind {
		case picture.Truncated:
			p.Hint = "the picture's lower part is missing; the camera or a program behind it sent it before it was complete"
		case picture.Size:
			p.Hint = "set the camera to the resolution that the server's --camera-size, masks and crop are made for"
		}
	}
	return p
}
