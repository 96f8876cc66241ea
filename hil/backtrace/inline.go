package backtrace

import (
	"debug/dwarf"
	"slices"
)

// scope is a function, or a call that was inlined, with the code it became.
type scope struct {
	spans              []span
	entry              dwarf.Offset // of its own entry, by which it is named
	callFile, callLine int          // where an inlined call stands; zero for a function
	inner              []*scope     // calls that were inlined into it
}

func (s *scope) contains(addr uint64) bool {
	return slices.ContainsFunc(s.spans, func(p span) bool { return p.contains(addr) })
}

// chain gives the scopes at an address, the function first.
func (u *unit) chain(addr uint64) []*scope {
	var chain []*scope
	level := u.functions
	for {
		i := slices.IndexFunc(level, func(s *scope) bool { return s.contains(addr) })
		if i < 0 {
			return chain
		}
		chain = append(chain, level[i])
		level = level[i].inner
	}
}

// readScopes walks the tree of a unit, whose own entry r has just read.
func (u *unit) readScopes(d *debugInfo, r *dwarf.Reader) error {
	// One element per entry with open children: what the children belong to.
	type level struct {
		scope  *scope // nearest function or inlined call
		prefix string // of the names declared here: "camera::Driver::"
	}
	open := []level{{}}
	for n := 0; len(open) > 0; n++ {
		if n == maxEntries {
			return ErrTooLarge
		}
		e, err := r.Next()
		if err != nil {
			return err
		}
		if e == nil {
			return nil
		}
		if e.Tag == 0 {
			open = open[:len(open)-1]
			continue
		}
		here := open[len(open)-1]
		below := here
		switch e.Tag {
		case dwarf.TagNamespace:
			below.prefix = qualify(here.prefix, e, "(anonymous namespace)")
		case dwarf.TagClassType, dwarf.TagStructType, dwarf.TagUnionType:
			below.prefix = qualify(here.prefix, e, "(unnamed)") // a lambda's class has no name
		case dwarf.TagSubprogram:
			u.names[e.Offset] = nameOf(e, here.prefix)
			s, err := d.newScope(e)
			if err != nil {
				return err
			}
			if s != nil {
				u.functions = append(u.functions, s)
			}
			below = level{scope: s, prefix: qualify(here.prefix, e, "(unnamed)")} // of local classes, as a lambda's
		case dwarf.TagInlinedSubroutine:
			u.names[e.Offset] = nameOf(e, "")
			s, err := d.newScope(e)
			if err != nil {
				return err
			}
			if s != nil && here.scope != nil {
				here.scope.inner = append(here.scope.inner, s)
				below.scope = s
			}
		}
		if e.Children {
			open = append(open, below)
		}
	}
	return nil
}

// newScope is nil for an entry without code: a declaration, or the abstract form
// that inlined calls refer to.
func (d *debugInfo) newScope(e *dwarf.Entry) (*scope, error) {
	spans, err := d.spans(e)
	if err != nil || len(spans) == 0 {
		return nil, err
	}
	return &scope{
		spans: spans, entry: e.Offset,
		callFile: number(e, dwarf.AttrCallFile), callLine: number(e, dwarf.AttrCallLine),
	}, nil
}

// number reads a small non-negative attribute; what is not one counts as absent.
func number(e *dwarf.Entry, a dwarf.Attr) int {
	n, ok := e.Val(a).(int64)
	if !ok || n < 0 || n > 1<<31-1 {
		return 0
	}
	return int(n)
}
