package backtracetest

import (
	"debug/dwarf"
	"debug/elf"
	"encoding/binary"
)

// Forms of DWARF 4 that are written here.
const (
	formAddr   = 0x01
	formData2  = 0x05
	formData4  = 0x06
	formString = 0x08
	formData1  = 0x0B
	formRef4   = 0x13 // offset in the unit
	formSecOff = 0x17 // offset in another section
	formFlag   = 0x19 // present, without a value
)

// die is a debugging information entry. attrs are written in order; one that
// refers to another entry names its label.
type die struct {
	label string
	tag   dwarf.Tag
	attrs []attr
	kids  []die
}

type attr struct {
	at    dwarf.Attr
	form  byte
	value any // uint32 or string, by form
}

func text(at dwarf.Attr, s string) attr    { return attr{at, formString, s} }
func ref(at dwarf.Attr, label string) attr { return attr{at, formRef4, label} }
func small(at dwarf.Attr, n uint32) attr   { return attr{at, formData1, n} }
func linePtr(offset int) attr              { return attr{dwarf.AttrStmtList, formSecOff, uint32(offset)} }
func rangePtr(offset uint32) attr          { return attr{dwarf.AttrRanges, formSecOff, offset} }
func low(addr uint32) attr                 { return attr{dwarf.AttrLowpc, formAddr, addr} }
func size(n uint32) attr                   { return attr{dwarf.AttrHighpc, formData4, n} }
func call(file, line uint32) []attr {
	return []attr{small(dwarf.AttrCallFile, file), {dwarf.AttrCallLine, formData2, line}}
}
func with(attrs []attr, more ...attr) []attr { return append(attrs, more...) }

// debugSections gives the debug sections of the crashing program.
func debugSections() []section {
	var w dwarfWriter
	first := w.lines("src", []string{"main.cpp", "driver.h"}, []lineRow{
		{0x400D0000, 1, 30}, {0x400D0002, 1, 32}, {0x400D0010, 2, 12}, {0x400D0014, 2, 5}, {0x400D0018, 1, 36},
		{0x400D0020, 2, 16}, {0x400D002C, 1, 40}, {0x400D0040, 1, 20}, {0x400D0044, 1, 21}, {0x400D0060, 0, 0},
	})
	second := w.lines("esp", []string{"panic.c"}, []lineRow{{0x40080040, 1, 468}, {0x40080044, 1, 470}, {0x40080060, 0, 0}})
	grab := w.rangeList(flashLow, span{0x400D0010, 0x400D0018}, span{0x400D0020, 0x400D002C})

	w.unit(die{tag: dwarf.TagCompileUnit, attrs: []attr{
		text(dwarf.AttrName, "src/main.cpp"), text(dwarf.AttrCompDir, "/build"), low(0x400D0000), size(0x60), linePtr(first),
	}, kids: []die{
		{tag: dwarf.TagNamespace, attrs: []attr{text(dwarf.AttrName, "camera")}, kids: []die{
			{tag: dwarf.TagClassType, attrs: []attr{text(dwarf.AttrName, "Driver")}, kids: []die{
				{label: "declared", tag: dwarf.TagSubprogram, attrs: []attr{
					text(dwarf.AttrName, "grab"), text(dwarf.AttrLinkageName, "_ZN6camera6Driver4grabEv"), {at: dwarf.AttrDeclaration, form: formFlag},
				}},
			}},
		}},
		{label: "grab", tag: dwarf.TagSubprogram, attrs: []attr{ref(dwarf.AttrSpecification, "declared"), small(dwarf.AttrInline, 3)}},
		{tag: dwarf.TagNamespace, kids: []die{
			{label: "check", tag: dwarf.TagSubprogram, attrs: []attr{
				text(dwarf.AttrName, "check"), text(dwarf.AttrLinkageName, "_ZN12_GLOBAL__N_15checkEv"), small(dwarf.AttrInline, 1),
			}},
		}},
		{tag: dwarf.TagSubprogram, attrs: []attr{
			text(dwarf.AttrName, "loop"), text(dwarf.AttrLinkageName, "_Z4loopv"), low(0x400D0000), size(0x40),
		}, kids: []die{
			{tag: dwarf.TagLexDwarfBlock, attrs: []attr{low(0x400D0010), size(0x20)}, kids: []die{
				{tag: dwarf.TagInlinedSubroutine, attrs: with(call(1, 34), ref(dwarf.AttrAbstractOrigin, "grab"), rangePtr(grab)), kids: []die{
					{tag: dwarf.TagInlinedSubroutine, attrs: with(call(2, 14), ref(dwarf.AttrAbstractOrigin, "check"), low(0x400D0014), size(4))},
				}},
			}},
		}},
		{tag: dwarf.TagSubprogram, attrs: []attr{
			text(dwarf.AttrName, "setup"), text(dwarf.AttrLinkageName, "_Z5setupv"), low(0x400D0040), size(0x20),
		}},
		// The linker threw this one away: its code is at 0.
		{tag: dwarf.TagSubprogram, attrs: []attr{text(dwarf.AttrName, "unused"), low(0), size(0x20)}},
	}})
	w.unit(die{tag: dwarf.TagCompileUnit, attrs: []attr{
		text(dwarf.AttrName, "esp/panic.c"), low(0x40080040), size(0x20), linePtr(second),
	}, kids: []die{
		{tag: dwarf.TagSubprogram, attrs: []attr{text(dwarf.AttrName, "panic_abort"), low(0x40080040), size(0x20)}},
	}})
	var sections []section
	for _, s := range []struct {
		name string
		data []byte
	}{{".debug_info", w.info}, {".debug_abbrev", append(w.abbrev, 0)}, {".debug_line", w.line}, {".debug_ranges", w.ranges}} {
		sections = append(sections, section{name: s.name, typ: elf.SHT_PROGBITS, data: s.data})
	}
	return sections
}

// dwarfWriter collects the debug sections of a program with 32-bit addresses.
type dwarfWriter struct {
	info, abbrev, line, ranges []byte
	abbrevs                    map[string]uint64 // by their encoded form
}

type span struct{ low, high uint32 }

// rangeList appends a list of ranges of the unit that starts at base, and returns
// where the list starts.
func (w *dwarfWriter) rangeList(base uint32, spans ...span) uint32 {
	at := len(w.ranges)
	for _, s := range spans {
		w.ranges = le32(w.ranges, s.low-base, s.high-base)
	}
	w.ranges = le32(w.ranges, 0, 0)
	return uint32(at)
}

// unit appends a unit with its tree.
func (w *dwarfWriter) unit(root die) {
	start := len(w.info)
	w.info = le32(w.info, 0)
	w.info = binary.LittleEndian.AppendUint16(w.info, 4) // version
	w.info = le32(w.info, 0)                             // offset of the abbreviations
	w.info = append(w.info, 4)                           // size of an address
	labels, refs := map[string]int{}, map[int]string{}
	w.entry(root, start, labels, refs)
	binary.LittleEndian.PutUint32(w.info[start:], uint32(len(w.info)-start-4))
	for at, label := range refs {
		binary.LittleEndian.PutUint32(w.info[at:], uint32(labels[label]))
	}
}

func (w *dwarfWriter) entry(d die, unit int, labels map[string]int, refs map[int]string) {
	labels[d.label] = len(w.info) - unit
	w.info = binary.AppendUvarint(w.info, w.abbreviate(d))
	for _, a := range d.attrs {
		switch a.form {
		case formString:
			w.info = append(append(w.info, a.value.(string)...), 0)
		case formRef4:
			refs[len(w.info)] = a.value.(string)
			w.info = le32(w.info, 0)
		case formAddr, formData4, formSecOff:
			w.info = le32(w.info, a.value.(uint32))
		case formData2:
			w.info = binary.LittleEndian.AppendUint16(w.info, uint16(a.value.(uint32)))
		case formData1:
			w.info = append(w.info, byte(a.value.(uint32)))
		}
	}
	if len(d.kids) == 0 {
		return
	}
	for _, k := range d.kids {
		w.entry(k, unit, labels, refs)
	}
	w.info = append(w.info, 0)
}

// abbreviate gives the number of the shape of an entry, and writes it when it is
// new.
func (w *dwarfWriter) abbreviate(d die) uint64 {
	shape := binary.AppendUvarint(nil, uint64(d.tag))
	if len(d.kids) > 0 {
		shape = append(shape, 1)
	} else {
		shape = append(shape, 0)
	}
	for _, a := range d.attrs {
		shape = append(binary.AppendUvarint(shape, uint64(a.at)), a.form)
	}
	shape = append(shape, 0, 0)
	if w.abbrevs == nil {
		w.abbrevs = make(map[string]uint64)
	}
	n, ok := w.abbrevs[string(shape)]
	if !ok {
		n = uint64(len(w.abbrevs) + 1)
		w.abbrevs[string(shape)] = n
		w.abbrev = append(binary.AppendUvarint(w.abbrev, n), shape...)
	}
	return n
}

func le32(b []byte, values ...uint32) []byte {
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}
