package nvs

import (
	"errors"
	"iter"
	"slices"
	"strings"
)

// Store is the content of a partition. The zero value is an empty store.
//
// Order is kept: namespaces in the order of their first use, keys in the order
// in which they were set. A Store is for one goroutine.
type Store struct {
	spaces []space
	faults []Fault
}

type space struct {
	name  string
	index uint8 // kept from the partition that was read
	items []item
}

type item struct {
	key   string
	value Value
}

// Entry is one key of one namespace.
type Entry struct {
	Namespace string
	Key       string
	Value     Value
}

// Lookup gives a value; the error is a NotFound *Error.
func (s *Store) Lookup(namespace, key string) (Value, error) {
	if sp := s.space(namespace); sp != nil {
		if i := sp.find(key); i >= 0 {
			return sp.items[i].value, nil
		}
	}
	return Value{}, &Error{Kind: NotFound, Namespace: namespace, Key: key}
}

// LookupType gives a value of one type, as the firmware's typed calls do; the
// error is a NotFound or WrongType *Error.
func (s *Store) LookupType(namespace, key string, t Type) (Value, error) {
	v, err := s.Lookup(namespace, key)
	if err == nil && v.typ != t {
		return Value{}, &Error{Kind: WrongType, Namespace: namespace, Key: key, WantType: t, GotType: v.typ}
	}
	return v, err
}

// Set stores a value, in the place of an older one of the same key.
func (s *Store) Set(namespace, key string, v Value) error {
	if err := checkName(key); err != nil {
		return err
	}
	if err := v.check(); err != nil {
		if e, ok := errors.AsType[*Error](err); ok {
			e.Namespace, e.Key = namespace, key
		}
		return err
	}
	sp, err := s.open(namespace)
	if err != nil {
		return err
	}
	if i := sp.find(key); i >= 0 {
		sp.items[i].value = v
		return nil
	}
	sp.items = append(sp.items, item{key, v})
	return nil
}

// Delete removes a key and says whether it was there.
func (s *Store) Delete(namespace, key string) bool {
	sp := s.space(namespace)
	if sp == nil {
		return false
	}
	i := sp.find(key)
	if i >= 0 {
		sp.items = slices.Delete(sp.items, i, i+1)
	}
	return i >= 0
}

// DeleteNamespace removes a namespace with all its keys.
func (s *Store) DeleteNamespace(namespace string) bool {
	n := len(s.spaces)
	s.spaces = slices.DeleteFunc(s.spaces, func(sp space) bool { return sp.name == namespace })
	return len(s.spaces) < n
}

// Namespaces gives the names in their order.
func (s *Store) Namespaces() []string {
	names := make([]string, len(s.spaces))
	for i, sp := range s.spaces {
		names[i] = sp.name
	}
	return names
}

// EntriesSeq yields everything in order.
func (s *Store) EntriesSeq() iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for _, sp := range s.spaces {
			for _, it := range sp.items {
				if !yield(Entry{sp.name, it.key, it.value}) {
					return
				}
			}
		}
	}
}

// Faults gives what Parse found and left out.
func (s *Store) Faults() []Fault { return s.faults }

// Equal says whether two stores hold the same, in the same order.
func (s *Store) Equal(t *Store) bool {
	return slices.EqualFunc(s.spaces, t.spaces, func(a, b space) bool {
		return a.name == b.name && a.index == b.index && slices.EqualFunc(a.items, b.items, func(x, y item) bool {
			return x.key == y.key && x.value.Equal(y.value)
		})
	})
}

func (s *Store) space(name string) *space {
	for i := range s.spaces {
		if s.spaces[i].name == name {
			return &s.spaces[i]
		}
	}
	return nil
}

func (s *Store) byIndex(index uint8) *space {
	for i := range s.spaces {
		if s.spaces[i].index == index {
			return &s.spaces[i]
		}
	}
	return nil
}

// open finds or makes a namespace, with the lowest index that is free.
func (s *Store) open(name string) (*space, error) {
	if sp := s.space(name); sp != nil {
		return sp, nil
	}
	if err := checkName(name); err != nil {
		return nil, err
	}
	if len(s.spaces) >= maxNamespaces {
		return nil, &Error{Kind: ManyNamespaces}
	}
	index := uint8(1)
	for s.byIndex(index) != nil {
		index++
	}
	s.spaces = append(s.spaces, space{name: name, index: index})
	return &s.spaces[len(s.spaces)-1], nil
}

func (sp *space) find(key string) int {
	return slices.IndexFunc(sp.items, func(it item) bool { return it.key == key })
}

func checkName(name string) error {
	if name == "" || len(name) > MaxKey || strings.IndexByte(name, 0) >= 0 {
		return &Error{Kind: BadKey, Key: name}
	}
	return nil
}
