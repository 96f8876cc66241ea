package delta

import (
	"encoding/binary"
	"errors"
	"image"
	"slices"
	"sync"
)

// Bounds of a Feed.
const (
	// Span is for how many frames a line takes viewers in: so many deltas a
	// viewer may have to fetch after the key.
	Span = 4
	// kept is how many of its newest frames a line keeps for viewers who lost
	// the connection and come back.
	kept = 32
	// lineMemory is how much memory the pictures of all lines may take.
	lineMemory          = 24 << 20
	minLines, mostLines = 4, 32
)

// Feed codes one feed for any number of viewers, who may come at any time. Every
// picture is coded once, whoever watches.
//
// Who joins gets a key, which is the picture in few bytes and therefore not to
// the last bit the picture of those who were there before: what differs, stays.
// So that every picture can be checked all the same, viewers belong to a [Line]:
// those who began with one key and have the same picture ever after. All lines
// get the same body; the header, with the checksum, is the line's own. A line is
// opened when somebody joins and no line is young enough, and ends when it is
// the oldest of too many: its viewers get another key.
//
// All methods may be called by any number of goroutines. Only [Feed.Show] and
// [Feed.Join] code, which takes a while and which one does at a time; no other
// method waits for them.
type Feed struct {
	set Settings

	coding  sync.Mutex // before mu
	enc     *encoder
	keys    *encoder // makes the keys of lines
	leader  *plane   // what a decoder makes of all frames
	spare   *plane
	free    *plane // for the next picture of a line
	changes changes
	opened  uint64
	tamper  func([]byte) // tests: damage a body before the check

	// Changed under both locks, so that either is enough to read it.
	mu    sync.Mutex
	seq   uint32
	began bool
	lines []*Line       // oldest first
	wake  chan struct{} // closed with the next picture
	stats Stats
}

// Stats counts what a feed did.
type Stats struct {
	// Frames shown, Keys made, and bytes of both bodies.
	Frames, Keys         uint64
	DeltaBytes, KeyBytes uint64
	// Mismatches are frames that a decoder would have made another picture of
	// than the encoder; every viewer got a key instead.
	Mismatches uint64
	// Lines that are alive.
	Lines int
}

// Frame is a frame as it is sent. It is never changed.
type Frame struct {
	Seq  uint32
	Data []byte
	// Record is the frame's length in 32 bits, big endian, and Data, which is
	// its end: what a stream sends. A key has none.
	Record []byte
}

// Line is what all viewers have in common who began with the same key.
type Line struct {
	feed *Feed
	// Number tells lines of a feed apart. The first has number 1.
	Number uint64
	// Key is the frame the line begins with.
	Key Frame

	now *plane // under feed.coding

	// Like the feed's own.
	frames []Frame // the newest, oldest first, without the key
	ended  bool
}

// NewFeed returns a feed whose first picture has the number after seq.
func NewFeed(set Settings, seq uint32) *Feed {
	return &Feed{set: set, seq: seq, wake: make(chan struct{})}
}

// Show makes the next picture the newest. It does not keep g. A picture that is
// too large, or has no pixels, is refused and changes nothing.
func (f *Feed) Show(g *image.Gray) error {
	w, h := g.Rect.Dx(), g.Rect.Dy()
	if err := checkSize(w, h); err != nil {
		return err
	}
	f.coding.Lock()
	defer f.coding.Unlock()
	first := !f.began
	if f.enc == nil || f.enc.source.w != w || f.enc.source.h != h {
		f.begin(w, h)
		first = true
	}
	f.enc.load(g, first)
	was := slices.Clone(f.enc.active)
	body := f.enc.frame(first)
	if f.tamper != nil {
		f.tamper(body)
	}
	head := f.header(f.seq+1, first)
	f.changes.parse(&head, body, f.enc.layout, was)
	f.changes.apply(f.leader, f.spare)
	var frames []Frame
	right := slices.Equal(f.spare.pix, f.enc.ref.pix)
	if !right {
		copy(f.spare.pix, f.enc.ref.pix)
	} else if !first {
		frames = f.extend(head, body)
	}
	f.leader, f.spare = f.spare, f.leader

	f.mu.Lock()
	defer f.mu.Unlock()
	f.seq++
	f.stats.Frames++
	f.began = true
	if !right {
		f.stats.Mismatches++
	}
	if first || !right {
		// Pictures of another size, or not what they were made of, which nobody
		// shall see: all begin anew.
		f.endAll()
	} else {
		f.stats.DeltaBytes += uint64(len(body))
		for i, l := range f.lines {
			if len(l.frames) == kept {
				l.frames = slices.Delete(l.frames, 0, 1)
			}
			l.frames = append(l.frames, frames[i])
		}
	}
	close(f.wake)
	f.wake = make(chan struct{})
	return nil
}

// begin starts anew with pictures of another size.
func (f *Feed) begin(w, h int) {
	f.enc, f.keys = newEncoder(f.set, w, h), newEncoder(f.set, w, h)
	f.leader, f.spare, f.free = newPlane(w, h), newPlane(w, h), newPlane(w, h)
}

func (f *Feed) header(seq uint32, key bool) Header {
	return Header{Key: key, Seq: seq, Base: seq - 1, Coarse: f.set.Coarse, Fine: f.set.Fine, Width: f.enc.source.w, Height: f.enc.source.h}
}

// extend makes the frame of every line, in their order.
func (f *Feed) extend(head Header, body []byte) []Frame {
	frames := make([]Frame, 0, len(f.lines))
	for _, l := range f.lines {
		f.changes.apply(l.now, f.free)
		l.now, f.free = f.free, l.now
		head.Sum = l.now.sum()
		n := deltaHeader + len(body)
		record := binary.BigEndian.AppendUint32(make([]byte, 0, 4+n), uint32(n))
		record = append(head.append(record), body...)
		frames = append(frames, Frame{head.Seq, record[4:], record})
	}
	return frames
}

func (f *Feed) endAll() {
	for _, l := range f.lines {
		l.end()
	}
	f.lines = nil
}

func (l *Line) end() { l.ended, l.now, l.frames = true, nil, nil }

// maxLines is how many lines there may be of pictures of w x h pixels.
func maxLines(w, h int) int {
	l := layoutOf(w, h)
	return min(max(lineMemory/(l.count()*mbSize*mbSize), minLines), mostLines)
}

// LineLife is for how many pictures of w x h pixels a line lasts at least, its
// key among them, whoever comes: a key that a viewer gets in place of the next
// delta after so many is nobody's fault.
func LineLife(w, h int) uint32 { return uint32(maxLines(w, h) * Span) }

// ErrEmpty is for viewers who come before the first picture.
var ErrEmpty = errors.New("join feed: no picture yet")

// Join returns the line for somebody who comes now. It may have to make a key.
func (f *Feed) Join() (*Line, error) {
	if l, err := f.Young(); l != nil || err != nil {
		return l, err
	}
	f.coding.Lock()
	defer f.coding.Unlock()
	if l, err := f.Young(); l != nil || err != nil { // made meanwhile
		return l, err
	}
	return f.open()
}

// Young returns the line for somebody who comes now if there is one already,
// else nil. It never waits for pictures that are being coded.
func (f *Feed) Young() (*Line, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.began {
		return nil, ErrEmpty
	}
	if n := len(f.lines); n > 0 && f.seq-f.lines[n-1].Key.Seq < Span {
		return f.lines[n-1], nil
	}
	return nil, nil
}

// open begins a line with a key of the newest picture. Only mu is free.
func (f *Feed) open() (*Line, error) {
	k := f.keys
	// Of the source, not of the leader's picture: coded twice is half as good.
	copy(k.source.pix, f.enc.source.pix)
	copy(k.still, f.enc.still)
	copy(k.active, f.enc.active)
	body := k.frame(true)
	head := f.header(f.seq, true)
	head.Sum = k.ref.sum()
	f.opened++
	l := &Line{feed: f, Number: f.opened, Key: Frame{Seq: f.seq, Data: append(head.append(nil), body...)}}
	var check Decoder
	err := check.Decode(l.Key.Data)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.stats.Mismatches++
		return nil, err
	}
	l.now = check.now
	if len(f.lines) == maxLines(k.source.w, k.source.h) {
		f.lines[0].end()
		f.lines = slices.Delete(f.lines, 0, 1)
	}
	f.lines = append(f.lines, l)
	f.stats.Keys++
	f.stats.KeyBytes += uint64(len(l.Key.Data))
	return l, nil
}

// Next returns the frames of the line behind number seq, oldest first. ok is
// false if the line has ended or does not reach back to seq: then only another
// [Feed.Join] helps. wait is closed when there may be more.
func (l *Line) Next(seq uint32) (frames []Frame, wait <-chan struct{}, ok bool) {
	f := l.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if l.ended {
		return nil, f.wake, false
	}
	behind := f.seq - seq
	if behind > uint32(len(l.frames)) {
		return nil, f.wake, false
	}
	return slices.Clone(l.frames[len(l.frames)-int(behind):]), f.wake, true
}

// Stats returns the counts so far.
func (f *Feed) Stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.stats
	s.Lines = len(f.lines)
	return s
}

// Seq is the number of the newest picture; wait is closed with the next.
func (f *Feed) Seq() (seq uint32, wait <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seq, f.wake
}

// Line returns a line by its number, if it is alive.
func (f *Feed) Line(number uint64) (*Line, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range f.lines {
		if l.Number == number {
			return l, true
		}
	}
	return nil, false
}

// Frame returns one frame of the line, or its key, while it is kept.
func (l *Line) Frame(seq uint32) (Frame, bool) {
	l.feed.mu.Lock()
	defer l.feed.mu.Unlock()
	if l.ended {
		return Frame{}, false
	}
	if seq == l.Key.Seq {
		return l.Key, true
	}
	behind := l.feed.seq - seq
	if behind >= uint32(len(l.frames)) {
		return Frame{}, false
	}
	return l.frames[len(l.frames)-1-int(behind)], true
}
