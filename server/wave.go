package server

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"porthole/internal/event"
)

// WaveConfig is about visitors who wave at the camera.
type WaveConfig struct {
	// File keeps the counts over a restart; "" keeps them in memory. The server
	// is its only writer.
	File string
	// Delay is the longest that a wave waits before the board gets to know of
	// it (default 30 s): so that what is seen, or not seen, after a wave does not
	// tell live from recorded.
	Delay time.Duration
	// Random draws the delays; nil for crypto/rand.
	Random rand.Source
}

// DefaultWaveDelay is the default of WaveConfig.Delay.
const DefaultWaveDelay = 30 * time.Second

// Budget of waves. A person waves a few times; a site has many of them.
const (
	waveBurst = 3
	waveEvery = 20 * time.Second
	waveTotal = 100
)

// maxDelayedWaves have a time of their own; more than that come at once, which
// hides each among all others.
const maxDelayedWaves = 1024

// waves counts the waves, and hands them to the board.
//
//	visitor ─▶ add ─▶ due, each at its time ─▶ hand ─▶ told ─▶ confirm
//	           written down                    reply    next upload, written down
//
// A wave is written down before it is answered, and is a thing of the past only
// when the board has sent its next frame. A process that is killed in between
// tells it again; it is never lost.
type waves struct {
	file   string
	delay  time.Duration
	budget *limiter

	mu      sync.Mutex
	random  *rand.Rand
	total   uint64
	due     []time.Time // of waves that wait, in order
	ready   uint64      // their time has come
	told    uint64      // in the newest reply
	edition uint64      // of all this

	bell bell // rung with the total that is written down

	saving sync.Mutex
	saved  uint64 // edition in the file
}

// counts is the wave file.
type counts struct {
	Total   uint64 `json:"total"`
	Pending uint64 `json:"pending"` // not yet told to the board, or not for certain
}

func newWaves(cfg WaveConfig, now time.Time) (*waves, error) {
	if cfg.Delay < 0 {
		return nil, fmt.Errorf("delay %v of waves", cfg.Delay)
	}
	if cfg.Delay == 0 {
		cfg.Delay = DefaultWaveDelay
	}
	if cfg.Random == nil {
		cfg.Random = systemRandom{}
	}
	w := &waves{
		file: cfg.File, delay: cfg.Delay, random: rand.New(cfg.Random),
		budget: newLimiter(waveBurst, waveEvery, waveTotal),
	}
	if cfg.File == "" {
		return w, nil
	}
	content, err := readSmall(cfg.File, maxWaveFile)
	if errors.Is(err, fs.ErrNotExist) {
		// A folder that cannot be written to is an error now, not with the first wave.
		w.edition++
		return w, w.save(w.edition)
	}
	if err != nil {
		return nil, fmt.Errorf("read waves: %w", err)
	}
	c, err := parseCounts(content)
	if err != nil {
		return nil, fmt.Errorf("read waves from %q: %w", cfg.File, err)
	}
	w.total, w.ready = c.Total, c.Pending
	w.bell.ring(c.Total)
	for range min(c.Pending, maxDelayedWaves) {
		w.ready--
		w.wait(now)
	}
	return w, nil
}

// maxWaveFile bounds the wave file: two numbers.
const maxWaveFile = 1 << 10

func readSmall(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most))
}

func parseCounts(content []byte) (c counts, err error) {
	if err := json.Unmarshal(content, &c); err != nil {
		return counts{}, errors.New("not a file of waves")
	}
	if c.Pending > c.Total {
		return counts{}, fmt.Errorf("%d waves are pending of %d", c.Pending, c.Total)
	}
	return c, nil
}

// systemRandom is crypto/rand as a source of numbers.
type systemRandom struct{}

func (systemRandom) Uint64() uint64 {
	var b [8]byte
	crand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return binary.NativeEndian.Uint64(b[:])
}

// wait draws when one more wave is due. The caller holds mu.
func (w *waves) wait(now time.Time) {
	if len(w.due) == maxDelayedWaves {
		w.ready++
		return
	}
	at := now.Add(time.Duration(w.random.Int64N(int64(w.delay)) + 1))
	i, _ := slices.BinarySearchFunc(w.due, at, time.Time.Compare)
	w.due = slices.Insert(w.due, i, at)
}

// add counts a wave and returns how many there were in all. When it returns
// without an error the wave survives whatever happens to the process.
func (w *waves) add(now time.Time) (total uint64, err error) {
	w.mu.Lock()
	w.total++
	w.wait(now)
	w.edition++
	total, edition := w.total, w.edition
	w.mu.Unlock()
	return total, w.save(edition)
}

// hand returns how many waves the board is to be told of now. They count as
// told by the reply that it goes into.
func (w *waves) hand(now time.Time) uint32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, _ := slices.BinarySearchFunc(w.due, now, func(at, now time.Time) int {
		if at.After(now) {
			return 1
		}
		return -1
	})
	w.due = slices.Delete(w.due, 0, n)
	w.ready += uint64(n)
	told := min(w.ready, 1<<32-1)
	w.ready -= told
	w.told += told
	return uint32(told)
}

// confirm is called when the board sends its next frame, which it does after it
// has read the reply to the one before, or when that reply could not be sent.
func (w *waves) confirm(arrived bool) error {
	w.mu.Lock()
	told := w.told
	w.told = 0
	if !arrived {
		w.ready += told
	}
	if told == 0 || !arrived {
		w.mu.Unlock()
		return nil
	}
	w.edition++
	edition := w.edition
	w.mu.Unlock()
	return w.save(edition)
}

// save writes down what there was in that edition, or more: those who come
// together share one write.
func (w *waves) save(edition uint64) error {
	w.saving.Lock()
	defer w.saving.Unlock()
	if w.saved >= edition {
		return nil
	}
	w.mu.Lock()
	edition = max(edition, w.edition)
	c := counts{Total: w.total, Pending: w.ready + w.told + uint64(len(w.due))}
	w.mu.Unlock()
	if w.file != "" {
		content, err := json.Marshal(c)
		if err != nil {
			return err
		}
		if err := replaceFile(w.file, append(content, '\n')); err != nil {
			return fmt.Errorf("write waves: %w", err)
		}
	}
	w.saved = edition
	if shown, _ := w.bell.listen(); shown != c.Total {
		w.bell.ring(c.Total)
	}
	return nil
}

// listen returns how many people have waved, as the public may know, and a
// channel that is closed when there are more.
func (w *waves) listen() (total uint64, more <-chan struct{}) { return w.bell.listen() }

// pending is how many waves the board was not told of for certain.
func (w *waves) pending() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ready + w.told + uint64(len(w.due))
}

// wave counts one and tells of it.
func (s *Server) wave() (total uint64, err error) {
	if total, err = s.waves.add(time.Now()); err != nil {
		s.cfg.Log.Error("wave not taken", "error", err)
		return 0, err
	}
	s.cfg.Events.Publish(event.Event{Source: event.Server, Kind: event.Waved, Waves: total})
	return total, nil
}

// waveCommand is the command server.wave: wave as a visitor does.
func (s *Server) waveCommand(context.Context, event.Command) (event.Reply, error) {
	total, err := s.wave()
	if err != nil {
		return event.Reply{}, err
	}
	return event.Reply{Text: fmt.Sprintf("waved; %d so far", total)}, nil
}

// waved is the answer of POST /wave.
type waved struct {
	Waves uint64 `json:"waves"` // of all visitors so far
}

// handleWave takes a wave. It has no body, so that any page that shows the feed
// can send it without asking first.
func (s *Server) handleWave(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	s.policy.transient(h, r)
	if !s.policy.mayAct(r) {
		(&problem{http.StatusForbidden, "this page may not show the feed", "name its origin with --cors"}).close(w)
		return
	}
	if r.ContentLength != 0 {
		(&problem{http.StatusRequestEntityTooLarge, "a wave has no body", "send POST /wave with Content-Length: 0"}).close(w)
		return
	}
	if wait := s.waves.budget.allow(s.clientAddr(r), time.Now()); wait > 0 {
		(&problem{http.StatusTooManyRequests, "too many waves", "wave again in " + strconv.Itoa(int(wait.Seconds())+1) + " s"}).serve(w)
		return
	}
	total, err := s.wave()
	if err != nil {
		(&problem{http.StatusServiceUnavailable, "the wave could not be written down", "wave again later"}).serve(w)
		return
	}
	body, err := json.Marshal(waved{total})
	if err != nil {
		(&problem{http.StatusInternalServerError, "internal error", "see the server's log"}).serve(w)
		return
	}
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)+1))
	w.Write(append(body, '\n'))
}

// mayAct reports whether the page that sends a request may do what visitors do:
// our own, one that may show the feed, or none.
func (p *policy) mayAct(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	_, host, _ := strings.Cut(origin, "://")
	return origin == "" || p.any || strings.EqualFold(host, r.Host) || p.audience(origin) > 0
}

// Waves returns how many people have waved so far, and how many of those the
// board does not know of for certain.
func (s *Server) Waves() (total, pending uint64) {
	total, _ = s.waves.listen()
	return total, s.waves.pending()
}
