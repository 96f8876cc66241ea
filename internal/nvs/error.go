package nvs

import "fmt"

// Kind says what is wrong.
type Kind int

// Faults of use, and of partitions as a whole.
const (
	Full           Kind = iota + 1 // does not fit, with one page left empty
	BadKey                         // empty, too long, or with a NUL
	TooLong                        // string or blob above the limit of the format
	BadValue                       // a value the format cannot hold
	BadSize                        // partition size is not usable
	BadVersion                     // written by a newer version
	NoFreePage                     // no empty page: the firmware would refuse it
	NotFound                       // no such namespace or key
	WrongType                      // the key holds another type
	ManyNamespaces                 // more than 254

	// Faults of single entries, see Store.Faults.
	BadPage    // header CRC or state
	BadCRC     // entry or data CRC
	BadSpan    // entry says a length that cannot be
	Incomplete // data entries or blob chunks are missing
	Orphan     // entry of a namespace that has no name
	Duplicate  // an older value of the same key
)

// Error is why a call failed. Callers branch on Kind.
type Error struct {
	Kind      Kind
	Namespace string
	Key       string
	Want, Got int // limits and sizes, where there are two numbers
	WantType  Type
	GotType   Type
}

func (e *Error) Error() string {
	switch e.Kind {
	case Full:
		return fmt.Sprintf("write nvs: needs more than %d pages with one left empty", e.Want)
	case BadKey:
		return fmt.Sprintf("write nvs: name %q must have 1 to %d bytes and no NUL", e.Key, MaxKey)
	case TooLong:
		return fmt.Sprintf("write nvs: value of %q has %d bytes, at most %d", e.Key, e.Got, e.Want)
	case BadValue:
		return fmt.Sprintf("write nvs: value of %q cannot be stored", e.Key)
	case BadSize:
		return fmt.Sprintf("use nvs: %d bytes is not a number of %d-byte pages, at least %d", e.Got, PageSize, e.Want)
	case BadVersion:
		return "parse nvs: written by a newer version"
	case NoFreePage:
		return "parse nvs: no page is empty"
	case NotFound:
		return fmt.Sprintf("read nvs: no key %q in namespace %q", e.Key, e.Namespace)
	case WrongType:
		return fmt.Sprintf("read nvs: key %q is a %s, want %s", e.Key, e.GotType, e.WantType)
	case ManyNamespaces:
		return fmt.Sprintf("write nvs: more than %d namespaces", maxNamespaces)
	}
	return fmt.Sprintf("use nvs: fault %d", int(e.Kind))
}

// Is makes two errors of the same kind equal for errors.Is.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && *t == Error{Kind: e.Kind}
}

// Fault is something in a partition that the firmware would not read.
type Fault struct {
	Kind  Kind
	Page  int
	Entry int // -1 for the page as a whole
	Key   string
}

func (f Fault) String() string {
	what := map[Kind]string{
		BadPage: "page is corrupt", BadCRC: "wrong CRC", BadSpan: "wrong length",
		Incomplete: "data is missing", BadValue: "unknown type", Orphan: "namespace has no name", Duplicate: "older value",
	}[f.Kind]
	if f.Entry < 0 {
		return fmt.Sprintf("page %d: %s", f.Page, what)
	}
	return fmt.Sprintf("page %d entry %d (%q): %s", f.Page, f.Entry, f.Key, what)
}
