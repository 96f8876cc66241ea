package backtrace

import (
	"debug/dwarf"
	"errors"
	"io"
	"slices"
)

// Limits of the work that debug information may cause.
const (
	maxRanges  = 1 << 21 // ranges kept, of all units
	maxRows    = 1 << 22 // rows of one line table
	maxEntries = 1 << 22 // entries of one unit
	maxUnits   = 1 << 16
	maxCached  = 64 // units kept after use; one panic rarely needs more
)

// debugInfo is the DWARF of a program. Units are read when an address of theirs
// is first asked for, because a program has hundreds and a panic touches a few.
type debugInfo struct {
	data   *dwarf.Data
	code   []span
	ranges []unitRange
	starts []dwarf.Offset // of all units, ascending
	units  map[dwarf.Offset]*unit
	budget int // ranges that may still be kept
}

// unitRange is code that a unit describes.
type unitRange struct {
	span
	unit dwarf.Offset
}

// unit is one translation unit.
type unit struct {
	sequences []sequence
	files     []*dwarf.LineFile
	functions []*scope
	names     map[dwarf.Offset]named // of all its functions, for origins
}

// sequence is a run of the line table; the last row only says where it ends.
type sequence struct {
	span
	rows []row
}

type row struct {
	addr uint64
	file *dwarf.LineFile
	line int
}

func newDebugInfo(data *dwarf.Data, code []span) (*debugInfo, error) {
	d := &debugInfo{data: data, code: code, units: make(map[dwarf.Offset]*unit), budget: maxRanges}
	r := data.Reader()
	for last := dwarf.Offset(0); ; {
		e, err := r.Next()
		if err != nil {
			return nil, err
		}
		if e == nil {
			return d, nil
		}
		// A broken reference to a sibling may lead back.
		if e.Offset <= last {
			return nil, errors.New("units out of order")
		}
		last = e.Offset
		// Type units and imported partial units have no code; partial units hold
		// what others refer to.
		if e.Tag == dwarf.TagCompileUnit || e.Tag == dwarf.TagPartialUnit {
			if len(d.starts) == maxUnits {
				return nil, ErrTooLarge
			}
			d.starts = append(d.starts, e.Offset)
		}
		if e.Tag == dwarf.TagCompileUnit {
			spans, err := d.spans(e)
			if err != nil {
				return nil, err
			}
			for _, s := range spans {
				d.ranges = append(d.ranges, unitRange{s, e.Offset})
			}
		}
		r.SkipChildren()
	}
}

// spans gives the code of an entry. Functions that the linker threw away keep
// their entries, at address 0: what lies outside the code is left out.
func (d *debugInfo) spans(e *dwarf.Entry) ([]span, error) {
	if e.AttrField(dwarf.AttrRanges) == nil && e.AttrField(dwarf.AttrLowpc) == nil {
		return nil, nil
	}
	pairs, err := d.data.Ranges(e)
	if err != nil {
		return nil, err
	}
	var spans []span
	for _, r := range pairs {
		if r[0] >= r[1] || !slices.ContainsFunc(d.code, func(c span) bool { return c.contains(r[0]) }) {
			continue
		}
		if d.budget--; d.budget < 0 {
			return nil, ErrTooLarge
		}
		spans = append(spans, span{r[0], r[1]})
	}
	return spans, nil
}

// frames says what is at an address, innermost first; nothing where the debug
// information is silent or broken.
func (d *debugInfo) frames(addr uint64) []Frame {
	var frames []Frame
	// A broken unit costs its names only.
	_ = guard("read unit", func() error {
		for _, r := range d.ranges {
			if !r.contains(addr) {
				continue
			}
			u, err := d.unit(r.unit)
			if err != nil {
				return err
			}
			if frames = d.framesIn(u, addr); len(frames) > 0 {
				return nil
			}
		}
		return nil
	})
	return frames
}

func (d *debugInfo) framesIn(u *unit, addr uint64) []Frame {
	at := u.position(addr)
	chain := u.chain(addr) // outermost first
	if len(chain) == 0 {
		if at == (Frame{}) {
			return nil
		}
		return []Frame{at}
	}
	var frames []Frame
	for i := len(chain) - 1; i >= 0; i-- {
		at.Func, at.Symbol = d.name(u, chain[i].entry)
		frames = append(frames, at)
		at = Frame{File: u.fileName(chain[i].callFile), Line: chain[i].callLine}
	}
	return frames
}

// position gives file and line of an address.
func (u *unit) position(addr uint64) Frame {
	for _, s := range u.sequences {
		if !s.contains(addr) {
			continue
		}
		// The last row at or before the address.
		i, _ := slices.BinarySearchFunc(s.rows, addr, func(r row, addr uint64) int {
			if r.addr <= addr {
				return -1
			}
			return 1
		})
		if i == 0 {
			continue
		}
		r := s.rows[i-1]
		f := Frame{Line: r.line}
		if r.file != nil {
			f.File = clip(r.file.Name)
		}
		return f
	}
	return Frame{}
}

func (u *unit) fileName(index int) string {
	if index < 0 || index >= len(u.files) || u.files[index] == nil {
		return ""
	}
	return clip(u.files[index].Name)
}

func clip(s string) string { return s[:min(len(s), maxString)] }

// unit reads a unit or returns it as it was read before.
func (d *debugInfo) unit(off dwarf.Offset) (*unit, error) {
	if u := d.units[off]; u != nil {
		return u, nil
	}
	r := d.data.Reader()
	r.Seek(off)
	e, err := r.Next()
	if err != nil {
		return nil, err
	}
	if e == nil {
		return nil, errors.New("no unit at this offset")
	}
	if len(d.units) >= maxCached {
		clear(d.units)
		d.budget = maxRanges - len(d.ranges)
	}
	u := &unit{names: make(map[dwarf.Offset]named)}
	d.units[off] = u
	if err := u.readLines(d, e); err != nil {
		return nil, err
	}
	if e.Children {
		if err := u.readScopes(d, r); err != nil {
			return nil, err
		}
	}
	return u, nil
}

func (u *unit) readLines(d *debugInfo, e *dwarf.Entry) error {
	lines, err := d.data.LineReader(e)
	if err != nil || lines == nil {
		return err
	}
	var s sequence
	var entry dwarf.LineEntry
	for n := 0; ; n++ {
		err := lines.Next(&entry)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if n == maxRows {
			return ErrTooLarge
		}
		// A damaged line program can count below the first line.
		s.rows = append(s.rows, row{entry.Address, entry.File, max(0, entry.Line)})
		if !entry.EndSequence {
			continue
		}
		s.low, s.high = s.rows[0].addr, entry.Address
		if slices.ContainsFunc(d.code, func(c span) bool { return c.contains(s.low) }) {
			u.sequences = append(u.sequences, s)
		}
		s = sequence{}
	}
	u.files = lines.Files()
	return nil
}
