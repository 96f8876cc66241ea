package nvs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// raw builds pages entry by entry, the way firmware writes over time, which the
// writer of this package never does.
type raw struct {
	b []byte
	t *testing.T
}

func newRaw(t *testing.T, pages int) *raw {
	return &raw{bytes.Repeat([]byte{0xFF}, pages*PageSize), t}
}

func (r *raw) page(i int, state, seq uint32) *rawPage {
	p := r.b[i*PageSize:][:PageSize]
	binary.LittleEndian.PutUint32(p, state)
	binary.LittleEndian.PutUint32(p[4:], seq)
	p[8] = version2
	binary.LittleEndian.PutUint32(p[28:], crc(p[4:28]))
	return &rawPage{writer{out: p, pages: 1}}
}

type rawPage struct{ w writer }

func (p *rawPage) name(index uint8, name string) int {
	at := p.w.entry
	p.w.plain(0, U8, name, [8]byte{index})
	return at
}

func (p *rawPage) put(index uint8, key string, v Value) int {
	at := p.w.entry
	p.w.item(index, item{key, v})
	return at
}

func (p *rawPage) bytes(i int) []byte { return p.w.out[entriesOffset+i*entrySize:][:entrySize] }

// erase crosses out n entries.
func (p *rawPage) erase(i, n int) {
	for ; n > 0; i, n = i+1, n-1 {
		p.w.out[tableOffset+i/4] &^= 3 << (i % 4 * 2)
	}
}

func u8(t *testing.T, s *Store, key string) (uint64, bool) {
	t.Helper()
	v, err := s.Lookup("n", key)
	if err != nil {
		return 0, false
	}
	return v.Uint()
}

func TestRecovery(t *testing.T) {
	for _, c := range []struct {
		name   string
		build  func(r *raw)
		want   uint64 // of key k; 0 = not there
		faults []Kind
	}{
		{"plain", func(r *raw) {
			p := r.page(0, pageActive, 0)
			p.name(1, "n")
			p.put(1, "k", Int(uint8(5)))
		}, 5, nil},
		{"erased value", func(r *raw) {
			p := r.page(0, pageActive, 0)
			p.name(1, "n")
			p.erase(p.put(1, "k", Int(uint8(5))), 1)
		}, 0, nil},
		{"changed value", func(r *raw) {
			p := r.page(0, pageActive, 0)
			p.name(1, "n")
			p.erase(p.put(1, "k", Int(uint8(5))), 1)
			p.put(1, "k", Int(uint8(6)))
		}, 6, nil},
		{"power cut between new and old", func(r *raw) {
			p := r.page(0, pageActive, 0)
			p.name(1, "n")
			p.put(1, "k", Int(uint8(5)))
			p.put(1, "k", Int(uint8(6)))
		}, 6, []Kind{Duplicate}},
		{"power cut between new and old, across pages", func(r *raw) {
			p := r.page(0, pageFull, 0)
			p.name(1, "n")
			p.put(1, "k", Int(uint8(5)))
			r.page(1, pageActive, 1).put(1, "k", Int(uint8(6)))
		}, 6, []Kind{Duplicate}},
		{"pages out of order", func(r *raw) {
			r.page(0, pageActive, 7).put(1, "k", Int(uint8(6)))
			p := r.page(1, pageFull, 6)
			p.name(1, "n")
			p.erase(p.put(1, "k", Int(uint8(5))), 1)
		}, 6, nil},
		{"two values in full pages", func(r *raw) {
			p := r.page(0, pageFull, 0)
			p.name(1, "n")
			p.put(1, "k", Int(uint8(5)))
			r.page(1, pageFull, 1).put(1, "k", Int(uint8(6)))
			r.page(2, pageActive, 2).put(1, "other", Int(uint8(7)))
		}, 5, []Kind{Duplicate}},
		{"half-written entry", func(r *raw) {
			p := r.page(0, pageActive, 0)
			p.name(1, "n")
			p.put(1, "k", Int(uint8(5)))
			copy(p.bytes(2), p.bytes(1)[:9])
		}, 5, nil},
		{"written behind an empty entry", func(r *raw) {
			p := r.page(0, pageActive, 0)
			p.name(1, "n")
			p.w.entry++
			p.put(1, "k", Int(uint8(5)))
		}, 0, nil},
		{"moving, copy not begun", func(r *raw) {
			p := r.page(0, pageFreeing, 0)
			p.name(1, "n")
			p.put(1, "k", Int(uint8(5)))
			r.page(1, pageFull, 1).put(1, "other", Int(uint8(1)))
		}, 5, nil},
		{"moving, copy half done", func(r *raw) {
			p := r.page(0, pageFreeing, 0)
			p.name(1, "n")
			p.put(1, "k", Int(uint8(5)))
			r.page(1, pageActive, 1).name(1, "n")
		}, 5, nil},
		{"moving, copy done but stale", func(r *raw) {
			p := r.page(0, pageFreeing, 0)
			p.name(1, "n")
			p.put(1, "k", Int(uint8(5)))
			q := r.page(1, pageActive, 1)
			q.name(1, "n")
			q.put(1, "k", Int(uint8(5)))
		}, 5, nil},
		{"wrong entry crc", func(r *raw) {
			p := r.page(0, pageActive, 0)
			p.name(1, "n")
			p.bytes(p.put(1, "k", Int(uint8(5))))[24] ^= 1
		}, 0, []Kind{BadCRC}},
		{"namespace entry damaged", func(r *raw) {
			p := r.page(0, pageActive, 0)
			p.bytes(p.name(1, "n"))[24] ^= 1
			p.put(1, "k", Int(uint8(5)))
		}, 0, []Kind{BadCRC, Orphan}},
		{"page header damaged", func(r *raw) {
			p := r.page(0, pageActive, 0)
			p.name(1, "n")
			p.put(1, "k", Int(uint8(5)))
			r.b[28] ^= 1
		}, 0, []Kind{BadPage}},
		{"page state nonsense", func(r *raw) {
			p := r.page(0, 0xFFFFFFF0, 0)
			p.name(1, "n")
			p.put(1, "k", Int(uint8(5)))
		}, 0, []Kind{BadPage}},
		{"empty page not empty", func(r *raw) {
			p := r.page(0, pageActive, 0)
			p.name(1, "n")
			p.put(1, "k", Int(uint8(5)))
			r.b[2*PageSize+99] = 0
		}, 5, []Kind{BadPage}},
		{"unknown type in between", func(r *raw) {
			p := r.page(0, pageActive, 0)
			p.name(1, "n")
			p.w.plain(1, 0x99, "x", [8]byte{})
			p.put(1, "k", Int(uint8(5)))
		}, 5, []Kind{BadValue}},
		{"name twice", func(r *raw) {
			p := r.page(0, pageFull, 0)
			p.name(1, "n")
			p.put(1, "k", Int(uint8(5)))
			q := r.page(1, pageFull, 1)
			q.name(2, "n")
			q.put(2, "k", Int(uint8(6)))
			r.page(2, pageActive, 2)
		}, 5, []Kind{Duplicate, Orphan}},
		{"namespace index 255", func(r *raw) {
			p := r.page(0, pageActive, 0)
			p.name(255, "n")
			p.put(255, "k", Int(uint8(5)))
		}, 0, []Kind{Duplicate, Orphan}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRaw(t, 4)
			c.build(r)
			s, err := Parse(r.b)
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := u8(t, s, "k"); got != c.want {
				t.Errorf("k is %d, want %d", got, c.want)
			}
			var kinds []Kind
			for _, f := range s.Faults() {
				kinds = append(kinds, f.Kind)
				if strings.Contains(f.String(), ": ") == false || strings.HasSuffix(f.String(), ": ") {
					t.Errorf("fault reads %q", f)
				}
			}
			if !slices.Equal(kinds, c.faults) {
				t.Errorf("faults %v", s.Faults())
			}
		})
	}
}

func TestDamagedStrings(t *testing.T) {
	long := Text(strings.Repeat("x", 100))
	for _, c := range []struct {
		name   string
		damage func(p *rawPage, at int)
		fault  Kind
	}{
		{"data flipped", func(p *rawPage, at int) { p.bytes(at + 2)[3] ^= 1 }, BadCRC},
		{"data entry erased", func(p *rawPage, at int) { p.erase(at+3, 1) }, Incomplete},
		{"span too small", func(p *rawPage, at int) { reseal(p, at, 2, 4) }, BadSpan},
		{"span zero", func(p *rawPage, at int) { reseal(p, at, 2, 0) }, BadSpan},
		{"span beyond the page", func(p *rawPage, at int) {
			p.bytes(at)[24], p.bytes(at)[25] = 0xA0, 0x0F // 4000 bytes
			reseal(p, at, 2, 126)
		}, BadSpan},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRaw(t, 3)
			p := r.page(0, pageActive, 0)
			p.name(1, "n")
			at := p.put(1, "text", long)
			p.put(1, "after", Int(uint8(1)))
			c.damage(p, at)
			s := parse(t, r.b)
			if _, err := s.Lookup("n", "text"); !errors.Is(err, &Error{Kind: NotFound}) {
				t.Errorf("damaged text: %v", err)
			}
			if _, ok := u8(t, s, "after"); !ok {
				t.Errorf("the value behind it is lost, faults %v", s.Faults())
			}
			if len(s.Faults()) == 0 || s.Faults()[0].Kind != c.fault {
				t.Errorf("faults %v, want kind %d first", s.Faults(), c.fault)
			}
		})
	}
}

// reseal changes a byte of an entry and corrects its CRC.
func reseal(p *rawPage, at, i int, v byte) {
	e := entry(p.bytes(at))
	e[i] = v
	binary.LittleEndian.PutUint32(e[4:], e.crc())
}

func TestDamagedBlobs(t *testing.T) {
	s := new(Store)
	set(t, s, "n", "blob", Bytes(bytes.Repeat([]byte{3}, 6000)))
	good := write(t, s, 4*PageSize)
	index := func(b []byte) entry {
		for i := range pageEntries {
			if e := entry(b[PageSize+entriesOffset+i*entrySize:][:entrySize]); e.typ() == blobIndex {
				return e
			}
		}
		t.Fatal("no index on the second page")
		return nil
	}
	for _, c := range []struct {
		name   string
		damage func(e entry)
		kind   Kind
	}{
		{"one chunk more", func(e entry) { e[28]++ }, Incomplete},
		{"one chunk less", func(e entry) { e[28]-- }, Incomplete},
		{"255 chunks from 200", func(e entry) { e[28], e[29] = 255, 200 }, BadSpan},
		{"size too small", func(e entry) { e[24]-- }, BadSpan},
		{"size huge", func(e entry) { copy(e[24:], "\xff\xff\xff\xff") }, Incomplete},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := bytes.Clone(good)
			e := index(b)
			c.damage(e)
			binary.LittleEndian.PutUint32(e[4:], e.crc())
			s := parse(t, b)
			if _, err := s.Lookup("n", "blob"); !errors.Is(err, &Error{Kind: NotFound}) {
				t.Errorf("damaged blob: %v", err)
			}
			if f := s.Faults(); len(f) != 1 || f[0].Kind != c.kind {
				t.Errorf("faults %v, want kind %d", f, c.kind)
			}
		})
	}
}

func TestOldBlob(t *testing.T) {
	r := newRaw(t, 3)
	p := r.page(0, pageActive, 0)
	p.name(1, "n")
	p.w.variable(1, blobV1, "old", noChunk, []byte("abc"))
	s := parse(t, r.b)
	v, err := s.LookupType("n", "old", Blob)
	if b, _ := v.Blob(); err != nil || string(b) != "abc" {
		t.Errorf("blob of version 1: %q, %v", b, err)
	}
	if !parse(t, write(t, s, MinSize)).Equal(s) {
		t.Error("it does not survive being written as version 2")
	}
}

func TestParsePartitions(t *testing.T) {
	if s := parse(t, bytes.Repeat([]byte{0xFF}, MinSize)); len(s.Namespaces()) != 0 {
		t.Error("an erased partition is not empty")
	}
	for _, n := range []int{0, 1, PageSize - 1, PageSize + 1} {
		if _, err := Parse(make([]byte, n)); !errors.Is(err, &Error{Kind: BadSize}) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	r := newRaw(t, 3)
	r.page(0, pageActive, 0)
	r.b[8] = version2 - 1
	binary.LittleEndian.PutUint32(r.b[28:], crc(r.b[4:28]))
	if _, err := Parse(r.b); !errors.Is(err, &Error{Kind: BadVersion}) {
		t.Errorf("newer version: %v", err)
	}
	r = newRaw(t, 2)
	p := r.page(0, pageFull, 0)
	p.name(1, "n")
	p.put(1, "k", Int(uint8(5)))
	r.page(1, pageActive, 1)
	s, err := Parse(r.b)
	if !errors.Is(err, &Error{Kind: NoFreePage}) {
		t.Errorf("no free page: %v", err)
	}
	if got, _ := u8(t, s, "k"); got != 5 {
		t.Error("its content cannot be saved")
	}
}

// A partition made to be slow: 4 MB of index entries that all ask for 255 chunks
// of which 254 are there, and as many keys as fit.
func TestHostilePartition(t *testing.T) {
	const pages = 1024
	r := newRaw(t, pages)
	p := r.page(0, pageFull, 0)
	p.name(1, "n")
	for c := range pageEntries - 1 {
		p.w.variable(1, Blob, "b", uint8(c), nil)
	}
	for i := 1; i < pages-1; i++ {
		p := r.page(i, pageFull, uint32(i))
		for k := range pageEntries {
			if k%2 == 0 {
				p.w.plain(1, blobIndex, "b", [8]byte{0, 0, 0, 0, 255, 0, 0xFF, 0xFF})
			} else {
				p.w.plain(1, U8, fmt.Sprint(i, k), [8]byte{1})
			}
		}
	}
	began := time.Now()
	s := parse(t, r.b)
	if n := len(s.spaces[0].items); n != (pages-2)*pageEntries/2 {
		t.Errorf("%d keys", n)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("4 MB take %v", took)
	}
}

func FuzzNVS(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte, sealed bool) {
		// Whole pages, so that the mutator need not find that out.
		if n := len(b) % PageSize; n != 0 {
			b = append(bytes.Clone(b), bytes.Repeat([]byte{0xFF}, PageSize-n)...)
		}
		if len(b) > 8*PageSize {
			return
		}
		if sealed {
			b = seal(bytes.Clone(b))
		}
		s, err := Parse(b)
		if s == nil {
			if err == nil {
				t.Fatal("neither store nor error")
			}
			return
		}
		out, err := s.Bytes(2*len(b) + MinSize)
		if err != nil {
			t.Fatalf("write of a parsed store: %v", err)
		}
		back, err := Parse(out)
		if err != nil || len(back.Faults()) != 0 {
			t.Fatalf("parse of a written store: %v, faults %v", err, back.Faults())
		}
		if !back.Equal(s) {
			t.Fatal("store changed")
		}
	})
}

// seal corrects every CRC, so that the mutator reaches what lies behind them.
func seal(all []byte) []byte {
	for b := all; len(b) >= PageSize; b = b[PageSize:] {
		p := &page{b: b[:PageSize]}
		binary.LittleEndian.PutUint32(b[28:], crc(b[4:28]))
		for i := 0; i < pageEntries; {
			e, n := p.at(i), 1
			if e.typ().variable() && e.size() <= chunkMax && i+spanOf(e.size()) <= pageEntries {
				n = spanOf(e.size())
				data := b[entriesOffset+(i+1)*entrySize:][:e.size()]
				binary.LittleEndian.PutUint32(e[28:], crc(data))
			}
			binary.LittleEndian.PutUint32(e[4:], e.crc())
			i += n
		}
	}
	return all
}
