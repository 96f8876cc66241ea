package nvs

import (
	"bytes"
	"encoding/binary"
)

// Bytes writes a partition of size bytes: pages filled one after the other, all
// but the last used one marked full, and at least one page left erased.
func (s *Store) Bytes(size int) ([]byte, error) {
	if size < MinSize || size%PageSize != 0 {
		return nil, &Error{Kind: BadSize, Want: MinSize, Got: size}
	}
	w := writer{
		out:   bytes.Repeat([]byte{0xFF}, size),
		pages: size/PageSize - 1,
		page:  -1,
	}
	if len(s.spaces) == 0 {
		return w.out, nil
	}
	w.newPage()
	for _, sp := range s.spaces {
		name := [8]byte{sp.index, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}
		w.plain(0, U8, sp.name, name)
		for _, it := range sp.items {
			w.item(sp.index, it)
		}
	}
	if w.full {
		return nil, &Error{Kind: Full, Want: size / PageSize}
	}
	return w.out, nil
}

// writer appends entries; running out of pages is sticky.
type writer struct {
	out   []byte
	pages int // usable
	page  int
	entry int // next free in page
	full  bool
}

func (w *writer) newPage() {
	if w.page >= 0 {
		binary.LittleEndian.PutUint32(w.current(), pageFull)
	}
	if w.page+1 >= w.pages {
		w.full = true
		return
	}
	w.page++
	w.entry = 0
	p := w.current()
	binary.LittleEndian.PutUint32(p, pageActive)
	binary.LittleEndian.PutUint32(p[4:], uint32(w.page))
	p[8] = version2
	binary.LittleEndian.PutUint32(p[28:], crc(p[4:28]))
}

func (w *writer) current() []byte { return w.out[w.page*PageSize:][:PageSize] }

// room makes sure that n entries fit into the current page.
func (w *writer) room(n int) {
	if w.entry+n > pageEntries {
		w.newPage()
	}
}

// take gives the bytes of n fresh entries and marks them written.
func (w *writer) take(n int) []byte {
	p := w.current()
	b := p[entriesOffset+w.entry*entrySize:][:n*entrySize]
	for i := w.entry; i < w.entry+n; i++ {
		p[tableOffset+i/4] &^= 1 << (i % 4 * 2)
	}
	w.entry += n
	return b
}

func (w *writer) item(index uint8, it item) {
	switch v := it.value; v.typ {
	case String:
		data := append(bytes.Clone(v.data), 0)
		// The vendor's generator never fills a page to the last entry with a
		// string, unless nothing else would do.
		if n := spanOf(len(data)); w.entry > 0 && w.entry+n >= pageEntries {
			w.newPage()
		} else {
			w.room(n)
		}
		w.variable(index, String, it.key, noChunk, data)
	case Blob:
		w.blob(index, it.key, v.data)
	default:
		value := [8]byte{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}
		var num [8]byte
		binary.LittleEndian.PutUint64(num[:], v.num)
		copy(value[:], num[:v.typ&0x0F])
		w.plain(index, v.typ, it.key, value)
	}
}

// plain writes an entry that holds its value itself.
func (w *writer) plain(index uint8, t Type, key string, value [8]byte) {
	w.room(1)
	if w.full {
		return
	}
	w.header(index, t, 1, noChunk, key, value)
}

// variable writes a header entry and its data; there must be room.
func (w *writer) variable(index uint8, t Type, key string, chunk uint8, data []byte) {
	if w.full {
		return
	}
	var value [8]byte
	binary.LittleEndian.PutUint16(value[0:], uint16(len(data)))
	value[2], value[3] = 0xFF, 0xFF
	binary.LittleEndian.PutUint32(value[4:], crc(data))
	span := spanOf(len(data))
	w.header(index, t, span, chunk, key, value)
	copy(w.take(span-1), data)
}

func (w *writer) blob(index uint8, key string, data []byte) {
	chunks := 0
	for rest := data; chunks == 0 || len(rest) > 0; chunks++ {
		// A header alone at the end of a page would carry nothing.
		if w.entry >= pageEntries-1 && len(rest) > 0 {
			w.newPage()
		}
		w.room(1)
		if w.full {
			return
		}
		n := min(len(rest), (pageEntries-w.entry-1)*entrySize)
		w.variable(index, Blob, key, uint8(chunks), rest[:n])
		rest = rest[n:]
	}
	var value [8]byte
	binary.LittleEndian.PutUint32(value[0:], uint32(len(data)))
	value[4], value[5], value[6], value[7] = uint8(chunks), 0, 0xFF, 0xFF
	w.plain(index, blobIndex, key, value)
}

func (w *writer) header(index uint8, t Type, span int, chunk uint8, key string, value [8]byte) {
	e := entry(w.take(1))
	e[0], e[1], e[2], e[3] = index, byte(t), byte(span), chunk
	clear(e[8:24])
	copy(e[8:], key)
	copy(e[24:], value[:])
	binary.LittleEndian.PutUint32(e[4:], e.crc())
}
