package serial

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"porthole/internal/cli"
)

// Finder finds ports by what they are.
type Finder struct {
	// List lists the machine's ports without opening any; [List] if nil.
	List func() ([]Info, error)
}

func (f Finder) list() ([]Info, error) {
	if f.List != nil {
		return f.List()
	}
	return List()
}

// Find returns the one port that a query selects.
func (f Finder) Find(q Query) (Info, error) {
	all, err := f.list()
	if err != nil {
		return Info{}, err
	}
	found := q.among(all)
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		hint := "nothing is plugged in, or its driver is missing"
		if names := namesOf(all, all); names != "" {
			hint = "plugged in: " + names
		}
		return Info{}, cli.Hint(fmt.Errorf("find port %q: %w", q, fs.ErrNotExist), hint)
	}
	return Info{}, cli.Hint(fmt.Errorf("find port %q: %d ports match", q, len(found)), "say which one: "+namesOf(found, all))
}

func namesOf(some, all []Info) string {
	var names []string
	for _, i := range some {
		names = append(names, i.Name(all))
	}
	return strings.Join(names, ", ")
}

// Identify returns what a device path leads to. A path that is not among the
// machine's ports, such as a pseudo terminal, is its own identity.
func (f Finder) Identify(path string) Info {
	real := path
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		real = resolved // /dev/serial/by-id/… and such
	}
	if all, err := f.list(); err == nil {
		for _, i := range all {
			if i.Path == real {
				return i
			}
		}
	}
	return Info{Path: real}
}
