package server

import (
	"encoding/binary"
	"net/http"
	"strconv"
	"time"

	"porthole/server/delta"
)

// A stream is a sequence of records: a length (32 bits, big endian) and so many
// bytes. A record of no length says that the stream lives; one that begins with
// an L has the name under which the stream can be taken up again; all others are
// frames.
const lineMark = 'L'

// beatRecord is a record of no length.
var beatRecord = []byte{0, 0, 0, 0}

// farBehind is how many frames a viewer may have missed before a key is less to
// send than what was missed.
const farBehind = 8

// handlePush is GET /stream: a key, or with ?from=NAME&seq=NUMBER only what a
// viewer missed since, and then every frame as soon as it is there. Whoever
// reads too slowly misses pictures, and gets a key again.
func (s *Server) handlePush(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	s.policy.transient(h, r)
	if !s.streams.enter() {
		tooManyStreams.serve(w)
		return
	}
	defer s.streams.leave()
	v := pushed{deltas: s.deltas, w: w, ctl: http.NewResponseController(w)}
	v.resume(r)
	if v.line == nil {
		if v.join() != nil {
			notYet.serve(w)
			return
		}
	}
	s.stats.streams.Add(1)
	defer s.stats.streams.Add(-1)
	s.streamHeader(h, s.policy.audience(r.Header.Get("Origin")), typeFrames)
	if r.Method == http.MethodHead {
		return
	}
	v.ctl.SetReadDeadline(time.Time{})
	beat := time.NewTimer(streamBeat)
	defer beat.Stop()
	for {
		wait, err := v.send()
		if err != nil {
			return
		}
		beat.Reset(streamBeat)
		select {
		case <-wait:
		case <-beat.C:
			v.buf = append(v.buf, beatRecord...)
		case <-r.Context().Done():
			return
		}
	}
}

// pushed is a viewer of a stream.
type pushed struct {
	deltas *deltas
	w      http.ResponseWriter
	ctl    *http.ResponseController
	line   *delta.Line
	seq    uint32
	buf    []byte // what is to be sent besides frames: lengths and beats
}

// resume takes a stream up where it ended, if that is still possible.
func (v *pushed) resume(r *http.Request) {
	if r.URL.RawQuery == "" {
		return
	}
	q := r.URL.Query()
	if line, seq, ok := v.deltas.resume(q.Get("from"), q.Get("seq")); ok {
		v.line, v.seq = line, seq
		// Something to send, so that the viewer sees that the stream is there.
		v.buf = append(v.buf, beatRecord...)
	}
}

// join makes the viewer a new one: name and key come next.
func (v *pushed) join() error {
	line, err := v.deltas.feed.Join()
	if err != nil {
		return err
	}
	v.line, v.seq = line, line.Key.Seq
	v.buf = v.deltas.greet(v.buf, line)
	return nil
}

// send writes everything there is, and returns a channel that is closed when
// there may be more.
func (v *pushed) send() (wait <-chan struct{}, err error) {
	frames, wait, ok := v.line.Next(v.seq)
	if !ok || len(frames) > farBehind {
		if err := v.join(); err != nil {
			return nil, err
		}
		if frames, wait, ok = v.line.Next(v.seq); !ok {
			return nil, delta.ErrEmpty
		}
	}
	if len(frames) == 0 && len(v.buf) == 0 {
		return wait, nil
	}
	v.ctl.SetWriteDeadline(time.Now().Add(writeGrace))
	// One write for each flush: a record of TLS costs 22 bytes.
	out := v.buf
	if len(out) == 0 && len(frames) == 1 {
		out = frames[0].Record
	} else {
		for _, f := range frames {
			out = append(out, f.Record...)
		}
	}
	v.buf = nil
	if _, err := v.w.Write(out); err != nil {
		return nil, err
	}
	if n := len(frames); n > 0 {
		v.seq = frames[n-1].Seq
	}
	return wait, v.ctl.Flush()
}

// resume finds the line of a viewer who has picture seq of it, unless that is
// too long ago.
func (d *deltas) resume(name, number string) (line *delta.Line, seq uint32, ok bool) {
	line, _, ok = d.open(name)
	n, err := strconv.ParseUint(number, 10, 32)
	if !ok || err != nil {
		return nil, 0, false
	}
	frames, _, ok := line.Next(uint32(n))
	return line, uint32(n), ok && len(frames) <= farBehind
}

// greet appends what a viewer of a line gets first: its name and its key.
func (d *deltas) greet(b []byte, line *delta.Line) []byte {
	name := d.name(line.Number, line.Key.Seq)
	b = appendRecord(b, append([]byte{lineMark}, name[:]...))
	return appendRecord(b, line.Key.Data)
}

func appendRecord(b, data []byte) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(data))), data...)
}
