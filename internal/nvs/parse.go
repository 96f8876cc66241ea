package nvs

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
)

// Parse reads a partition. Damaged entries and pages are left out and listed in
// Store.Faults, as the firmware's library would skip them; it fails only where
// that library refuses the whole partition. With a NoFreePage error the store
// is there nevertheless, since its content can be saved into a new one.
func Parse(b []byte) (*Store, error) {
	if len(b) == 0 || len(b)%PageSize != 0 {
		return nil, &Error{Kind: BadSize, Want: PageSize, Got: len(b)}
	}
	r := reader{store: new(Store)}
	for i := range len(b) / PageSize {
		if err := r.load(i, b[i*PageSize:][:PageSize]); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(r.pages, func(p, q *page) int {
		switch {
		case p.seq < q.seq:
			return -1
		case p.seq > q.seq:
			return 1
		}
		return 0
	})
	r.supersede()
	r.finishFreeing()
	r.names()
	r.values()
	if len(r.pages) > 0 && r.free == 0 {
		return r.store, &Error{Kind: NoFreePage}
	}
	return r.store, nil
}

type reader struct {
	store  *Store
	pages  []*page // in use, by sequence number
	free   int
	chunks map[place]chunk // of blobs; the first of a key counts
}

// place is what the library searches entries by.
type place struct {
	namespace, chunk uint8
	key              string
}

type chunk struct {
	page  *page
	entry int
}

// page is a page in use and what is valid in it.
type page struct {
	index int // in the partition
	state uint32
	seq   uint32
	b     []byte
	live  []int // entries that start a valid item, in order
}

func (p *page) at(i int) entry {
	return entry(p.b[entriesOffset+i*entrySize:][:entrySize])
}

func (p *page) entryState(i int) int {
	return int(p.b[tableOffset+i/4]>>(i%4*2)) & 3
}

// data gives the bytes that follow the header entry i, if their CRC is right.
func (p *page) data(i int) ([]byte, bool) {
	e := p.at(i)
	b := p.b[entriesOffset+(i+1)*entrySize:][:e.size()]
	return b, crc(b) == e.dataCRC()
}

func (r *reader) fault(kind Kind, p, i int, key string) {
	r.store.faults = append(r.store.faults, Fault{Kind: kind, Page: p, Entry: i, Key: key})
}

// load looks at one page: in use, free, or corrupt, which is free as well,
// because the library erases such a page when it needs one.
func (r *reader) load(index int, b []byte) error {
	p := &page{index: index, b: b, state: binary.LittleEndian.Uint32(b), seq: binary.LittleEndian.Uint32(b[4:])}
	if p.state == pageEmpty {
		if !erased(b) {
			r.fault(BadPage, index, -1, "")
		}
		r.free++
		return nil
	}
	if crc(b[4:28]) != binary.LittleEndian.Uint32(b[28:]) {
		r.fault(BadPage, index, -1, "")
		r.free++
		return nil
	}
	if b[8] < version2 { // versions count downwards
		return &Error{Kind: BadVersion}
	}
	if p.state != pageActive && p.state != pageFull && p.state != pageFreeing {
		r.fault(BadPage, index, -1, "")
		r.free++
		return nil
	}
	r.scan(p)
	r.pages = append(r.pages, p)
	return nil
}

// scan finds the valid items of a page.
func (r *reader) scan(p *page) {
	end := pageEntries
	if p.state == pageActive {
		// Behind the first empty entry nothing counts, whatever is there.
		for i := range pageEntries {
			if p.entryState(i) == stateEmpty {
				end = i
				break
			}
		}
	}
	for i := 0; i < end; {
		if p.entryState(i) != stateWritten {
			i++
			continue
		}
		e := p.at(i)
		if !e.sound() {
			r.fault(BadCRC, p.index, i, "")
			i++
			continue
		}
		span, kind := p.check(i)
		if kind != 0 {
			r.fault(kind, p.index, i, e.key())
			i += span
			continue
		}
		if p.state == pageActive {
			r.dropOlder(p, e)
		}
		p.live = append(p.live, i)
		i += span
	}
}

// check looks at the item at entry i and gives the entries to move on by.
func (p *page) check(i int) (span int, fault Kind) {
	e := p.at(i)
	switch {
	case !e.typ().variable():
		if e.span() != 1 {
			return 1, BadSpan
		}
		return 1, 0
	case e.size() > chunkMax || e.span() != spanOf(e.size()) || i+e.span() > pageEntries:
		return 1, BadSpan
	}
	for j := i + 1; j < i+e.span(); j++ {
		if p.entryState(j) != stateWritten {
			return e.span(), Incomplete
		}
	}
	return e.span(), 0
}

// dropOlder removes an earlier item of the same key from an active page: it is
// what remains when the power went between writing the new and erasing the old.
func (r *reader) dropOlder(p *page, e entry) {
	for k, i := range p.live {
		if d := p.at(i); d.namespace() == e.namespace() && d.chunk() == e.chunk() && d.key() == e.key() {
			r.fault(Duplicate, p.index, i, d.key())
			p.live = slices.Delete(p.live, k, k+1)
			return
		}
	}
}

// supersede does the same across pages: the very last item wins over one of
// the same key and type in the pages before.
func (r *reader) supersede() {
	if len(r.pages) == 0 {
		return
	}
	last := r.pages[len(r.pages)-1]
	if len(last.live) == 0 {
		return
	}
	e := last.at(last.live[len(last.live)-1])
	for _, p := range r.pages[:len(r.pages)-1] {
		if p.state == pageFreeing {
			continue
		}
		for k, i := range p.live {
			d := p.at(i)
			if d.namespace() == e.namespace() && d.typ() == e.typ() && d.chunk() == e.chunk() && d.key() == e.key() {
				r.fault(Duplicate, p.index, i, d.key())
				p.live = slices.Delete(p.live, k, k+1)
				return
			}
		}
	}
}

// finishFreeing completes a move of one page to another that the power cut
// short: the half-made copy is dropped and the old page read instead.
func (r *reader) finishFreeing() {
	k := slices.IndexFunc(r.pages, func(p *page) bool { return p.state == pageFreeing })
	if k < 0 {
		return
	}
	moving := r.pages[k]
	if last := len(r.pages) - 1; r.pages[last].state == pageActive {
		r.pages = slices.Delete(r.pages, last, last+1)
		r.free++
	}
	// It is copied to a fresh page at the end and then becomes free itself.
	r.pages = append(slices.Delete(r.pages, k, k+1), moving)
}

// names reads the namespaces; a name or an index that is taken stays with its
// first owner.
func (r *reader) names() {
	for _, p := range r.pages {
		for _, i := range p.live {
			e := p.at(i)
			if e.namespace() != 0 || e.typ() != U8 {
				continue
			}
			name, index := e.key(), e.value()[0]
			if name == "" || index == 0 || index == 0xFF || r.store.space(name) != nil || r.store.byIndex(index) != nil {
				r.fault(Duplicate, p.index, i, name)
				continue
			}
			r.store.spaces = append(r.store.spaces, space{name: name, index: index})
		}
	}
}

// values reads everything else; of one key the first item in page order wins,
// which is how the library searches.
func (r *reader) values() {
	r.chunks = make(map[place]chunk)
	for _, p := range r.pages {
		for _, i := range p.live {
			e := p.at(i)
			at := place{e.namespace(), e.chunk(), e.key()}
			if _, ok := r.chunks[at]; !ok && e.typ() == Blob {
				r.chunks[at] = chunk{p, i}
			}
		}
	}
	// Partitions may be large and hostile: no search here may be linear.
	spaces := make(map[uint8]*space)
	for i := range r.store.spaces {
		spaces[r.store.spaces[i].index] = &r.store.spaces[i]
	}
	seen := make(map[place]bool)
	for _, p := range r.pages {
		for _, i := range p.live {
			e := p.at(i)
			if e.namespace() == 0 || e.typ() == Blob {
				continue // chunks are read through their index
			}
			sp := spaces[e.namespace()]
			if sp == nil {
				r.fault(Orphan, p.index, i, e.key())
				continue
			}
			at := place{namespace: e.namespace(), key: e.key()}
			if at.key == "" || seen[at] {
				r.fault(Duplicate, p.index, i, at.key)
				continue
			}
			seen[at] = true // also if it is damaged, so that chunks are read once
			if v, kind := r.value(p, i); kind != 0 {
				r.fault(kind, p.index, i, at.key)
			} else {
				sp.items = append(sp.items, item{at.key, v})
			}
		}
	}
}

func (r *reader) value(p *page, i int) (Value, Kind) {
	e := p.at(i)
	switch t := e.typ(); {
	case t.integer():
		return readInt(t, e.value()), 0
	case t == String:
		b, ok := p.data(i)
		if !ok {
			return Value{}, BadCRC
		}
		text, _, _ := strings.Cut(string(b), "\x00")
		if len(text) >= MaxString {
			return Value{}, BadSpan // no room for the NUL it lacks
		}
		return Text(text), 0
	case t == blobV1:
		b, ok := p.data(i)
		if !ok {
			return Value{}, BadCRC
		}
		return Bytes(b), 0
	case t == blobIndex:
		return r.blob(e)
	}
	return Value{}, BadValue
}

// blob gathers the chunks of an index entry.
func (r *reader) blob(index entry) (Value, Kind) {
	size := int64(binary.LittleEndian.Uint32(index.value()))
	chunks, first := int(index.value()[4]), int(index.value()[5])
	if first+chunks > 0x100 {
		return Value{}, BadSpan
	}
	data := []byte{}
	for c := first; c < first+chunks; c++ {
		b, kind := r.chunk(index, uint8(c))
		if kind != 0 {
			return Value{}, kind
		}
		if data = append(data, b...); int64(len(data)) > size {
			return Value{}, BadSpan
		}
	}
	if int64(len(data)) != size || size > MaxBlob {
		return Value{}, Incomplete
	}
	return Value{typ: Blob, data: data}, 0
}

func (r *reader) chunk(index entry, c uint8) ([]byte, Kind) {
	at, ok := r.chunks[place{index.namespace(), c, index.key()}]
	if !ok {
		return nil, Incomplete
	}
	b, ok := at.page.data(at.entry)
	if !ok {
		return nil, BadCRC
	}
	return b, 0
}

func erased(b []byte) bool {
	return bytes.Count(b, []byte{0xFF}) == len(b)
}
