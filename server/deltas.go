package server

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"image"
	"net/http"
	"time"

	"porthole/internal/metrics"
	"porthole/server/delta"
)

// Deltas says whether, and how, viewers may get what changes from picture to
// picture instead of whole pictures. The zero value turns it off.
type Deltas string

const (
	DeltasOff Deltas = "off"
	// DeltasStrict keeps what moves as good as the camera's own JPEG.
	DeltasStrict Deltas = "strict"
	// DeltasGlobal halves the bytes again, and blurs what moves.
	DeltasGlobal Deltas = "global"
)

// Paths of the changes.
const (
	pathStream = "/stream"
	pathHead   = "/head"
	pathKey    = "/k/"
	pathDelta  = "/d/"
)

// deltas is the delta rendition of the feed: every picture coded once, and the
// public names of its frames.
type deltas struct {
	feed  *delta.Feed
	names cipher.Block
	due   time.Duration // from one picture to the next, roughly
}

// newDeltas returns nil if they are off.
func newDeltas(d Deltas, period time.Duration) (*deltas, error) {
	set := delta.Strict
	switch d {
	case "", DeltasOff:
		return nil, nil
	case DeltasStrict:
	case DeltasGlobal:
		set = delta.Global
	default:
		return nil, fmt.Errorf("deltas %q: want strict, global or off", d)
	}
	// Pictures are numbered from anywhere: a number tells nobody how long the
	// server has been running.
	var random [20]byte
	rand.Read(random[:])
	names, err := aes.NewCipher(random[:16])
	if err != nil {
		return nil, err
	}
	return &deltas{feed: delta.NewFeed(set, binary.BigEndian.Uint32(random[16:])), names: names, due: period}, nil
}

// showDeltas codes a picture that has just been published. Viewers of whole pictures
// have it already: they do not wait for this. A picture that cannot be coded
// leaves them the other renditions.
func (s *Server) showDeltas(g *image.Gray) {
	if s.deltas == nil || g == nil {
		return
	}
	before := s.deltas.feed.Stats().Mismatches
	if err := s.deltas.feed.Show(g); err != nil {
		s.cfg.Log.Error("picture not coded as changes", "error", err)
	} else if s.deltas.feed.Stats().Mismatches != before {
		s.cfg.Log.Error("changes did not decode to the picture they were made of; viewers get a key")
	}
}

// writeDeltas writes what the changes cost. Without any there is nothing.
func (s *Server) writeDeltas(m *metrics.Writer) {
	if s.deltas == nil {
		return
	}
	st := s.deltas.feed.Stats()
	m.One(metrics.Counter, "porthole_delta_frames_total", "Pictures coded as changes.", float64(st.Frames))
	m.One(metrics.Counter, "porthole_delta_bytes_total", "Size of the changes, each counted once whoever got it.", float64(st.DeltaBytes))
	m.One(metrics.Counter, "porthole_delta_keys_total", "Keys made for viewers who joined.", float64(st.Keys))
	m.One(metrics.Counter, "porthole_delta_key_bytes_total", "Size of these keys, each counted once.", float64(st.KeyBytes))
	m.One(metrics.Counter, "porthole_delta_mismatches_total", "Frames that did not decode to what they were made of; each cost all viewers a key. Anything but 0 is a defect.", float64(st.Mismatches))
	m.One(metrics.Gauge, "porthole_delta_lines", "Groups of viewers who began with the same key.", float64(st.Lines))
}

// nameSize is the length of a name in bytes: one block of the cipher.
const nameSize = aes.BlockSize

// name returns the public name of a frame: its line and number under a key that
// nobody else has. Nobody can tell from it another frame's name, nor make one
// up, so what a cache holds cannot be listed.
func (d *deltas) name(line uint64, seq uint32) (n [nameSize]byte) {
	binary.BigEndian.PutUint64(n[:], line)
	binary.BigEndian.PutUint32(n[8:], seq)
	d.names.Encrypt(n[:], n[:])
	return n
}

// open is the reverse. ok is false for a name that this server did not give.
func (d *deltas) open(text string) (line *delta.Line, seq uint32, ok bool) {
	var n [nameSize]byte
	if b, err := base64.RawURLEncoding.Strict().DecodeString(text); err != nil || copy(n[:], b) != nameSize || len(b) != nameSize {
		return nil, 0, false
	}
	d.names.Decrypt(n[:], n[:])
	if binary.BigEndian.Uint32(n[12:]) != 0 {
		return nil, 0, false
	}
	line, ok = d.feed.Line(binary.BigEndian.Uint64(n[:]))
	return line, binary.BigEndian.Uint32(n[8:]), ok
}

var (
	typeFrames = []string{"application/octet-stream"}
	edgeFrame  = []string{"public, max-age=120, immutable"}
)

var noFrame = &problem{http.StatusNotFound, "no such frame", "ask /head for the newest key"}

var noDeltas = &problem{http.StatusNotFound, "no changes here", "ask for " + pathLatest + ", or start the server with --deltas strict"}

// withDeltas answers for a server that has none.
func (s *Server) withDeltas(handle http.HandlerFunc) http.HandlerFunc {
	if s.deltas != nil {
		return handle
	}
	return func(w http.ResponseWriter, r *http.Request) {
		s.policy.transient(w.Header(), r)
		if r.URL.Path == pathStream {
			// Every viewer asks here first: no error in their consoles.
			w.WriteHeader(http.StatusNoContent)
			return
		}
		noDeltas.serve(w)
	}
}

// handleFrame is GET /k/NAME and GET /d/NAME: the name of the frame that comes
// after it, then the frame. What a name stands for never changes.
func (s *Server) handleFrame(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	s.policy.transient(h, r)
	line, seq, ok := s.deltas.open(r.PathValue("name"))
	if !ok {
		noFrame.serve(w)
		return
	}
	f, ok := line.Frame(seq)
	if !ok || (f.Seq == line.Key.Seq) != (r.Pattern == "GET "+pathKey+"{name}") {
		noFrame.serve(w)
		return
	}
	if s.policy.edge {
		h["Cdn-Cache-Control"] = edgeFrame
	}
	h["Content-Type"] = typeFrames
	h["Content-Length"] = []string{fmt.Sprint(nameSize + len(f.Data))}
	if r.Method != http.MethodHead {
		next := s.deltas.name(line.Number, seq+1)
		w.Write(next[:])
		w.Write(f.Data)
	}
}
