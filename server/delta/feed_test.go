package delta

import (
	"errors"
	"fmt"
	"image"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
)

// viewer plays a line into a decoder.
type viewer struct {
	dec  Decoder
	line *Line
}

func (v *viewer) join(t testing.TB, f *Feed) {
	t.Helper()
	l, err := f.Join()
	if err != nil {
		t.Fatal(err)
	}
	v.line = l
	if err := v.dec.Decode(l.Key.Data); err != nil {
		t.Fatalf("key: %v", err)
	}
}

// catchUp takes what there is; a line that ended costs a key.
func (v *viewer) catchUp(t testing.TB, f *Feed) (keys int) {
	t.Helper()
	frames, _, ok := v.line.Next(v.dec.seq)
	if !ok {
		v.join(t, f)
		keys++
		if frames, _, ok = v.line.Next(v.dec.seq); !ok {
			t.Fatal("a line that was just joined does not go on")
		}
	}
	for _, fr := range frames {
		if err := v.dec.Decode(fr.Data); err != nil {
			t.Fatalf("frame %d: %v", fr.Seq, err)
		}
	}
	return keys
}

// TestSizes: pictures of every size arrive, and what a viewer sees is like what
// was shown.
func TestSizes(t *testing.T) {
	for _, size := range []image.Point{{1, 1}, {1, 40}, {40, 1}, {7, 9}, {15, 17}, {16, 16}, {33, 31}, {100, 70}, {160, 120}, {257, 19}} {
		t.Run(fmt.Sprintf("%dx%d", size.X, size.Y), func(t *testing.T) {
			f, film := NewFeed(Strict, 1<<32-3), newFilm(size.X, size.Y, 1)
			var v viewer
			for i := range 12 {
				g := film.next()
				if err := f.Show(g); err != nil {
					t.Fatal(err)
				}
				if i == 0 {
					v.join(t, f)
				}
				v.catchUp(t, f)
				if seq, _ := v.dec.Seq(); seq != f.seq || seq != uint32(1<<32-2+i) {
					t.Fatalf("viewer at %d, feed at %d", seq, f.seq)
				}
				got := v.dec.Picture()
				sum := 0
				for k, p := range got.Pix {
					d := int(p) - int(g.Pix[k])
					sum += d * d
				}
				if mse := float64(sum) / float64(len(got.Pix)); mse > 120 {
					t.Errorf("picture %d is %.0f squared levels off", i, mse)
				}
			}
			if s := f.Stats(); s.Mismatches != 0 || s.Frames != 12 || s.Keys != 1 {
				t.Errorf("%+v", s)
			}
		})
	}
	f := NewFeed(Strict, 0)
	for _, size := range []image.Point{{0, 0}, {0, 5}, {MaxSide + 1, 2}, {1600, 1201}} {
		if err := f.Show(&image.Gray{Rect: image.Rectangle{Max: size}}); err == nil {
			t.Errorf("%v was taken", size)
		}
	}
	if _, err := f.Join(); !errors.Is(err, ErrEmpty) {
		t.Errorf("join before the first picture: %v", err)
	}
}

// TestResize: pictures of another size begin anew, and viewers follow.
func TestResize(t *testing.T) {
	f := NewFeed(Global, 7)
	var v viewer
	a, b := newFilm(64, 48, 1), newFilm(50, 70, 2)
	for i := range 20 {
		film := a
		if i/5%2 == 1 {
			film = b
		}
		if err := f.Show(film.next()); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			v.join(t, f)
		}
		keys := v.catchUp(t, f)
		if want := i > 0 && i%5 == 0; want != (keys > 0) {
			t.Errorf("picture %d cost %d keys", i, keys)
		}
		if got := v.dec.Picture().Rect.Max; got != image.Pt(film.w, film.h) {
			t.Errorf("picture %d is %v", i, got)
		}
	}
}

// TestViewers: any interleaving of joins, losses, pauses, damage and restarts
// shows right pictures only, and whoever lost something is well again with one
// key. Every picture a viewer has was checked by its checksum; here it is also
// compared with its line's own.
func TestViewers(t *testing.T) {
	seeds := uint64(2)
	if os.Getenv("PORTHOLE_LONG") != "" {
		seeds = 400
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 2))
		f, film := NewFeed(Strict, uint32(r.Uint64())), newFilm(70, 50, seed)
		if err := f.Show(film.next()); err != nil {
			t.Fatal(err)
		}
		viewers := make([]viewer, 6)
		for range 60 {
			if r.IntN(60) == 0 { // the server restarts: other numbers, no lines
				f = NewFeed(Strict, uint32(r.Uint64()))
			}
			if r.IntN(100) == 0 {
				film = newFilm(10+r.IntN(90), 10+r.IntN(70), r.Uint64())
			}
			if err := f.Show(film.next()); err != nil {
				t.Fatal(err)
			}
			for i := range viewers {
				v := &viewers[i]
				switch what := r.IntN(12); {
				case v.line == nil || v.line.feed != f || what == 0:
					v.join(t, f)
				case what == 1: // sleeps
				case what == 2: // loses a frame: the next one does not fit
					frames, _, ok := v.line.Next(v.dec.seq)
					if !ok || len(frames) < 2 {
						break
					}
					before := slices.Clone(v.dec.now.pix)
					if err := v.dec.Decode(frames[1].Data); !errors.Is(err, ErrBase) {
						t.Fatalf("seed %d: a frame behind a lost one: %v", seed, err)
					}
					if !slices.Equal(before, v.dec.now.pix) {
						t.Fatalf("seed %d: a frame that was refused changed the picture", seed)
					}
					v.join(t, f)
				case what == 3: // damage
					frames, _, ok := v.line.Next(v.dec.seq)
					if !ok || len(frames) == 0 {
						break
					}
					bad := slices.Clone(frames[0].Data)
					bad[r.IntN(len(bad))] ^= byte(1 + r.IntN(255))
					sum := v.dec.now.sum()
					if err := v.dec.Decode(bad); err != nil && v.dec.now.sum() != sum {
						t.Fatalf("seed %d: a damaged frame changed the picture", seed)
					} else if err == nil {
						// The damage was where nothing depends on it: another quantiser
						// that no block uses, say. The picture is right, and that counts.
						if got := v.dec.now.sum(); got != be32(frames[0].Data[deltaHeader-6:]) {
							t.Fatalf("seed %d: a damaged frame made another picture", seed)
						}
						v.join(t, f)
					}
				default:
					v.catchUp(t, f)
					if !slices.Equal(v.dec.now.pix, v.line.now.pix) {
						t.Fatalf("seed %d: a viewer has another picture than its line", seed)
					}
				}
			}
		}
		if s := f.Stats(); s.Mismatches != 0 || s.Lines > mostLines {
			t.Errorf("seed %d: %+v", seed, s)
		}
	}
}

func be32(b []byte) uint32 {
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

// TestLines: there are never more than allowed; the oldest ends first; a young
// one is shared.
func TestLines(t *testing.T) {
	f, film := NewFeed(Strict, 0), newFilm(40, 30, 3)
	var lines []*Line
	for range 3 * mostLines * Span {
		f.Show(film.next())
		a, err := f.Join()
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := f.Join(); a != b {
			t.Fatal("two who join at once do not share a line")
		}
		if len(lines) == 0 || lines[len(lines)-1] != a {
			lines = append(lines, a)
		}
	}
	if len(lines) != 3*mostLines {
		t.Fatalf("%d lines were opened, want %d", len(lines), 3*mostLines)
	}
	for i, l := range lines {
		_, _, ok := l.Next(f.seq)
		if want := i >= 2*mostLines; ok != want {
			t.Errorf("line %d alive: %v", i, ok)
		}
	}
	if s := f.Stats(); s.Lines != mostLines || s.Keys != 3*mostLines {
		t.Errorf("%+v", s)
	}
	// Who began a line's life ago gets another key, and nobody before.
	if oldest, died := lines[2*mostLines], lines[2*mostLines-1]; f.seq-oldest.Key.Seq >= LineLife(40, 30) || lines[len(lines)-1].Key.Seq-died.Key.Seq != LineLife(40, 30) {
		t.Errorf("at picture %d lines from %d on are alive, a life is %d", f.seq, oldest.Key.Seq, LineLife(40, 30))
	}
	// A line does not reach back for ever.
	last := lines[len(lines)-1]
	for range kept + 1 {
		f.Show(film.next())
	}
	if _, _, ok := last.Next(f.seq - kept - 1); ok {
		t.Error("more frames are kept than promised")
	}
	if got, _, ok := last.Next(f.seq - kept); !ok || len(got) != kept {
		t.Errorf("%d of %d kept frames", len(got), kept)
	}
	if _, _, ok := last.Next(f.seq + 1); ok {
		t.Error("a viewer from the future was served")
	}
}

// TestMismatch: a frame that does not decode to the encoder's picture reaches
// nobody, is counted, and costs everybody a key.
func TestMismatch(t *testing.T) {
	f, film := NewFeed(Strict, 0), newFilm(80, 60, 4)
	var v viewer
	f.Show(film.next())
	v.join(t, f)
	keys := 0
	for i := range 30 {
		f.tamper = nil
		if i%10 == 5 {
			f.tamper = func(b []byte) { b[0] ^= 0x55 }
		}
		f.Show(film.next())
		keys += v.catchUp(t, f)
		if !slices.Equal(v.dec.now.pix, v.line.now.pix) {
			t.Fatalf("picture %d is not that of the line", i)
		}
	}
	if s := f.Stats(); s.Mismatches != 3 || keys != 3 {
		t.Errorf("%d mismatches and %d keys, want 3 of each", s.Mismatches, keys)
	}
}

// TestClone: two who go on from one picture do not disturb each other, and a
// clone of nothing waits for a key.
func TestClone(t *testing.T) {
	f, film := NewFeed(Strict, 0), newFilm(80, 60, 4)
	var v viewer
	f.Show(film.next())
	v.join(t, f)
	f.Show(film.next())
	v.catchUp(t, f)
	before, began := v.dec.Picture(), v.dec.seq
	c := v.dec.Clone()
	f.Show(film.next())
	f.Show(film.next())
	frames, _, _ := v.line.Next(began)
	for range 2 { // the one, and after it the other
		for _, fr := range frames {
			if err := c.Decode(fr.Data); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(v.dec.Picture().Pix, before.Pix) {
			t.Fatal("what a clone decodes shows in what it was cloned from")
		}
		if !slices.Equal(c.now.pix, v.line.now.pix) {
			t.Fatal("a clone has another picture than the line")
		}
		c = v.dec.Clone()
	}
	v.catchUp(t, f)
	if !slices.Equal(c.Picture().Pix, before.Pix) {
		t.Error("what is decoded shows in a clone")
	}
	none := new(Decoder).Clone()
	if _, ok := none.Seq(); ok || none.Picture() != nil || !errors.Is(none.Decode(frames[0].Data), ErrBase) {
		t.Error("a clone of nothing has something")
	}
	if err := none.Decode(v.line.Key.Data); err != nil {
		t.Errorf("a key for it: %v", err)
	}
}

// TestSame: a picture that does not change costs next to nothing.
func TestSame(t *testing.T) {
	f := NewFeed(Strict, 0)
	g := newFilm(320, 240, 5).next()
	var v viewer
	for i := range 12 {
		f.Show(g)
		if i == 0 {
			v.join(t, f)
			continue
		}
		frames, _, _ := v.line.Next(v.dec.seq)
		v.catchUp(t, f)
		if n := len(frames[0].Data); i > 5 && n > 20 {
			t.Errorf("frame %d of nothing new has %d bytes", i, n)
		}
	}
}
