package delta

import (
	"errors"
	"testing"
)

func TestHeader(t *testing.T) {
	for _, h := range []Header{
		{Key: true, Seq: 1, Base: 1, Sum: 2, Coarse: 3, Fine: 4, Width: 5, Height: 6},
		{Seq: 1<<32 - 1, Base: 1<<32 - 2, Sum: 1<<32 - 1, Coarse: 255, Fine: 255},
		{Seq: 3, Base: 1<<32 - 4, Sum: 9, Coarse: 1, Fine: 1},
	} {
		b := append(h.append(nil), "body"...)
		got, body, err := ReadHeader(b)
		if err != nil || got != h || string(body) != "body" {
			t.Errorf("%+v came back as %+v, %q, %v", h, got, body, err)
		}
	}
	good := (&Header{Key: true, Seq: 1, Sum: 2, Coarse: 3, Fine: 4, Width: 5, Height: 6}).append(nil)
	with := func(at int, v byte) []byte {
		b := append([]byte(nil), good...)
		b[at] = v
		return b
	}
	for _, test := range []struct {
		name string
		in   []byte
		want error
	}{
		{"nothing", nil, ErrFormat},
		{"cut header", good[:keyHeader-1], ErrFormat},
		{"newer version", with(0, 0x21), ErrVersion},
		{"unknown kind", with(0, 0x12), ErrFormat},
		{"no width", with(6, 0), ErrFormat},
		{"huge width", with(5, 255), ErrFormat},
		{"no coarse step", with(13, 0), ErrFormat},
		{"no fine step", with(14, 0), ErrFormat},
		{"too long", append(good, make([]byte, MaxFrame)...), ErrFormat},
	} {
		if _, _, err := ReadHeader(test.in); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
	var d Decoder
	if err := d.Decode((&Header{Seq: 2, Base: 1, Coarse: 1, Fine: 1}).append(nil)); !errors.Is(err, ErrBase) {
		t.Errorf("a delta without a key: %v", err)
	}
	if _, ok := d.Seq(); ok || d.Picture() != nil {
		t.Error("an empty decoder has a picture")
	}
}

// FuzzDecode: no frame makes the decoder panic, allocate by what it claims or
// show a picture whose checksum is wrong. The checksum is put right, so that
// what is behind it is reached.
func FuzzDecode(f *testing.F) {
	feed, film := NewFeed(Strict, 0), newFilm(48, 40, 6)
	feed.Show(film.next())
	l, err := feed.Join()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(l.Key.Data, []byte{})
	for range 6 {
		feed.Show(film.next())
	}
	frames, _, _ := l.Next(l.Key.Seq)
	for _, fr := range frames {
		f.Add(fr.Data, l.Key.Data)
	}
	f.Fuzz(func(t *testing.T, frame, key []byte) {
		var d Decoder
		for _, b := range [][]byte{key, l.Key.Data, frame, frame} {
			h, body, err := ReadHeader(b)
			if err != nil {
				if d.Decode(b) == nil {
					t.Fatal("a frame without a header was taken")
				}
				continue
			}
			if h.Width*h.Height > 300*200 {
				continue // slow, and nothing new
			}
			if !h.Key {
				h.Seq, h.Base = d.seq+1, d.seq
			}
			h.Sum = d.sumOf(&h, body)
			if err := d.Decode(append(h.append(nil), body...)); err != nil && (h.Key || d.now != nil) {
				t.Fatalf("%+v: %v", h, err)
			}
			h.Sum++
			h.Base, h.Seq = d.seq, d.seq+1
			if d.Decode(append(h.append(nil), body...)) == nil {
				t.Fatal("a frame with a wrong checksum was taken")
			}
		}
	})
}

// sumOf is the checksum that a frame's picture has.
func (d *Decoder) sumOf(h *Header, body []byte) uint32 {
	w, ht := h.Width, h.Height
	var from *plane
	if !h.Key {
		if d.now == nil {
			return 0
		}
		w, ht, from = d.now.w, d.now.h, d.now
	}
	to := newPlane(w, ht)
	var c changes
	c.parse(h, body, layoutOf(w, ht), d.active)
	c.apply(from, to)
	return to.sum()
}
