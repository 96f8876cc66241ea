package server

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"porthole/server/delta"
)

// streamKind is what a stream tells of.
type streamKind int

const (
	frameStream streamKind = iota // GET /stream: changes
	eventStream                   // GET /events: that there is another picture, or a wave
	streamKinds
)

// viewer is what a parked link needs to be a viewer of a stream: where it is.
// The bytes of the frames are those of all.
type viewer struct {
	kind streamKind
	line *delta.Line // nil while a key is made for it
	seq  uint32      // of the newest picture it has
	sent int64       // Unix nanoseconds of the last bytes

	pub   *publication // of events: the newest it was told of, nil before the first
	waves uint64       // of events: what it was told

	at int // its place among the loop's viewers

	ask    []byte // the request as long as there is no answer, in case net/http has to give it
	origin int    // of the request, as an audience
	failed uint64 // keys that could not be made before it began to wait for one

	heard   int  // bytes it said where nothing is to be said
	waits   bool // for a key
	resumed bool // it goes on where it was: it gets a beat first
	queued  bool // its turn comes
	left    bool // it is to end once it has its answer
}

// deaf reports whether a viewer has said so much that no more of it is read.
// A little is read, and dropped, since the end of the connection is behind it.
func (v *viewer) deaf() bool { return v.heard > maxFastHead }

// chunkKey says what a viewer lacks.
type chunkKey struct {
	line  *delta.Line
	seq   uint32
	first byte // what comes before the frames
}

const (
	firstNothing byte = iota
	firstBeat         // for one that takes the stream up
	firstKey          // for one that joins
)

// chunk is what a viewer lacks, as HTTP/1.1 sends it.
type chunk struct {
	bytes []byte // nil for nothing
	seq   uint32 // where the viewer is then
	ok    bool   // false: it has to join
}

// chunk returns what a viewer lacks. Like everything of a frame it is made once
// for all viewers at the same place.
func (d *deltas) chunk(k chunkKey) chunk {
	frames, _, ok := k.line.Next(k.seq)
	if !ok || len(frames) > farBehind {
		return chunk{}
	}
	c := chunk{seq: k.seq, ok: true}
	var data []byte
	switch k.first {
	case firstBeat:
		data = append(data, beatRecord...)
	case firstKey:
		data = d.greet(nil, k.line)
	}
	for _, f := range frames {
		c.seq = f.Seq
		data = append(data, f.Record...)
	}
	if len(data) > 0 {
		c.bytes = frameChunk(data)
	}
	return c
}

// frameChunk puts data into a chunk of HTTP/1.1, which is what net/http makes of
// a write with a flush behind it.
func frameChunk(data []byte) []byte {
	b := make([]byte, 0, len(data)+12)
	b = append(strconv.AppendInt(b, int64(len(data)), 16), "\r\n"...)
	return append(append(b, data...), "\r\n"...)
}

var (
	beatChunk      = frameChunk(beatRecord)
	eventBeatChunk = frameChunk(beatMessage)
	lastChunk      = []byte("0\r\n\r\n")
)

// appendStreamHead appends the head of a stream's answer as net/http writes it:
// the handler's fields sorted, then its own.
func (s *Server) appendStreamHead(b []byte, audience int, contentType []string, now time.Time) []byte {
	h := make(http.Header, 12)
	h["X-Content-Type-Options"] = noSniff
	s.streamHeader(h, audience, contentType)
	var fields strings.Builder
	_ = h.Write(&fields) // a strings.Builder takes every write
	b = append(b, "HTTP/1.1 200 OK\r\n"...)
	b = append(b, fields.String()...)
	b = now.UTC().AppendFormat(append(b, "Date: "...), http.TimeFormat)
	return append(b, "\r\nTransfer-Encoding: chunked\r\n\r\n"...)
}

// streamHeader sets what the head of a stream has besides the fields of all
// answers.
func (s *Server) streamHeader(h http.Header, audience int, contentType []string) {
	s.policy.transientTo(h, audience)
	h["Content-Type"] = contentType
	h["X-Accel-Buffering"] = noBuffering
}

// announce tells the loops of every publication, picture that is coded, and
// wave, and makes the keys that they ask for, until the front ends: making one
// takes so long that they must not do it themselves.
func (f *front) announce(loops []*loop) {
	s := f.server
	ring := func(kind streamKind) {
		for _, lp := range loops {
			lp.ring(kind)
		}
	}
	var coded, shown <-chan struct{}
	if s.deltas != nil {
		_, coded = s.deltas.feed.Seq()
	}
	sight := func() {
		if p := s.current.Load(); p != nil {
			shown = p.replaced
			f.sighted.Store(true)
		}
		ring(eventStream)
	}
	sight()
	_, waved := s.waves.listen()
	ring(frameStream)
	for {
		select {
		case <-coded:
			_, coded = s.deltas.feed.Seq()
			ring(frameStream)
		case <-shown:
			sight()
		case <-f.pokes:
			sight()
		case <-waved:
			_, waved = s.waves.listen()
			ring(eventStream)
		case <-f.keys:
			if _, err := s.deltas.feed.Join(); err != nil {
				f.log.Error("no key for a new viewer", "error", err)
				f.failedKeys.Add(1)
			}
			ring(frameStream)
		case <-f.done:
			return
		}
	}
}

// poke is for f.keys and f.pokes: it does not wait, and once is enough.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
