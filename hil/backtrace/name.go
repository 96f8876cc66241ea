package backtrace

import (
	"debug/dwarf"
	"slices"
	"strconv"
	"strings"
)

// named is what an entry says of a function's name. A definition often says
// nothing itself and refers to where it was declared.
type named struct {
	name   string // qualified; empty if declared elsewhere
	symbol string
	origin dwarf.Offset // 0 for none
}

// attrMIPSLinkageName is what the linkage name was before DWARF 4.
const attrMIPSLinkageName dwarf.Attr = 0x2007

func nameOf(e *dwarf.Entry, prefix string) named {
	var n named
	if s, ok := e.Val(dwarf.AttrName).(string); ok {
		n.name = clip(prefix + s)
	}
	for _, a := range []dwarf.Attr{attrMIPSLinkageName, dwarf.AttrLinkageName} {
		if s, ok := e.Val(a).(string); ok {
			n.symbol = clip(s)
		}
	}
	for _, a := range []dwarf.Attr{dwarf.AttrAbstractOrigin, dwarf.AttrSpecification} {
		if off, ok := e.Val(a).(dwarf.Offset); ok {
			n.origin = off
		}
	}
	return n
}

func qualify(prefix string, e *dwarf.Entry, unnamed string) string {
	name, ok := e.Val(dwarf.AttrName).(string)
	if !ok {
		name = unnamed
	}
	return clip(prefix + name + "::")
}

// maxOrigins is how far a name is looked for: instance, abstract form,
// declaration in the class.
const maxOrigins = 8

// name gives both names of the function that an entry of u stands for.
func (d *debugInfo) name(u *unit, entry dwarf.Offset) (name, symbol string) {
	for range maxOrigins {
		n, ok := u.names[entry]
		if !ok {
			// With link-time optimisation, in another unit.
			i, found := slices.BinarySearch(d.starts, entry)
			if !found {
				i--
			}
			if i < 0 {
				break
			}
			other, err := d.unit(d.starts[i])
			if err != nil || other == u {
				break
			}
			if n, ok = other.names[entry]; !ok {
				break
			}
			u = other
		}
		if name == "" {
			name = n.name
		}
		if symbol == "" {
			symbol = n.symbol
		}
		if n.origin == 0 || name != "" && symbol != "" {
			break
		}
		entry = n.origin
	}
	if name == "" {
		name = demangle(symbol)
	}
	return name, symbol
}

// demangle gives the qualified name inside a C++ symbol: _ZN6camera4grabEPv is
// camera::grab. It knows plain nested names, constructors and destructors, which
// is what a program without debug information is left with; anything richer stays
// as it is, which is correct if not pretty.
func demangle(symbol string) string {
	rest, ok := strings.CutPrefix(symbol, "_Z")
	if !ok {
		return symbol
	}
	nested := strings.HasPrefix(rest, "N")
	if nested {
		rest = strings.TrimLeft(rest[1:], "rVK") // qualifiers of a member function
	}
	var parts []string
	for {
		rest = strings.TrimPrefix(rest, "L") // internal linkage
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		n, err := strconv.Atoi(rest[:digits])
		if err != nil || n == 0 || n > len(rest)-digits {
			break
		}
		part := rest[digits : digits+n]
		if strings.HasPrefix(part, "_GLOBAL__N") {
			part = "(anonymous namespace)"
		}
		parts, rest = append(parts, part), rest[digits+n:]
		if !nested {
			break
		}
	}
	if len(parts) == 0 {
		return symbol
	}
	if nested && len(rest) >= 2 && (rest[0] == 'C' || rest[0] == 'D') && rest[1] >= '0' && rest[1] <= '5' {
		last := parts[len(parts)-1]
		if rest[0] == 'D' {
			last = "~" + last
		}
		parts, rest = append(parts, last), rest[2:]
	}
	if nested && !strings.HasPrefix(rest, "E") || strings.HasPrefix(rest, "I") || strings.HasPrefix(rest, "B") {
		return symbol // templates, operators, tags
	}
	return strings.Join(parts, "::")
}
