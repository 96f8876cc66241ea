package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"strings"
)

// Part is one field of a form. It is read before the next NextPart.
type Part struct {
	// Name is the form field, empty when the part names none.
	Name string
	// FileName is what the client called the file: an untrusted text, never a
	// path and never printed raw.
	FileName string
	// ContentType is what the client says the bytes are; nothing relies on it.
	ContentType string

	r *Reader
}

// errStalePart is for a bug of the caller, not for anything a client can send.
var errStalePart = errors.New("read part: used after NextPart")

// Read reads content; io.EOF is the end of the part, in front of a delimiter.
func (p *Part) Read(b []byte) (int, error) {
	r := p.r
	if r.part != p {
		return 0, errStalePart
	}
	if r.err != nil && r.err != io.EOF {
		return 0, r.err
	}
	if !r.inBody {
		return 0, io.EOF
	}
	if len(b) == 0 {
		return 0, nil
	}
	c, err := r.content(len(b))
	if err != nil {
		return 0, r.stop(err)
	}
	if !r.inBody {
		return 0, io.EOF
	}
	return copy(b, c), nil
}

// header reads the header lines of a part.
func (r *Reader) header() (*Part, error) {
	p := &Part{r: r}
	seen := map[string]bool{}
	for lines := 0; ; lines++ {
		line, err := r.line()
		if err != nil {
			return nil, err
		}
		if len(line) == 0 {
			return p, nil
		}
		if lines == r.limits.MaxHeaderLines {
			return nil, fail(HeaderTooLong, "more than %d lines", r.limits.MaxHeaderLines)
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || !token(name) {
			return nil, fail(Malformed, "part header line %q", line)
		}
		key := strings.ToLower(string(name))
		if seen[key] {
			return nil, fail(Malformed, "part header %q twice", key)
		}
		seen[key] = true
		if err := p.field(key, strings.Trim(string(value), " \t")); err != nil {
			return nil, err
		}
	}
}

// field takes what matters out of one header field.
func (p *Part) field(key, value string) error {
	switch key {
	case "content-disposition":
		disposition, params, err := mime.ParseMediaType(value)
		if err != nil {
			return &Error{Kind: Malformed, Detail: fmt.Sprintf("content disposition %q", value), Err: err}
		}
		if disposition == "form-data" {
			p.Name, p.FileName = params["name"], params["filename"]
		}
	case "content-type":
		p.ContentType = value
	case "content-transfer-encoding":
		// RFC 7578 4.7 retires the others. They would make two readers of the
		// same bytes see two files.
		switch strings.ToLower(value) {
		case "7bit", "8bit", "binary":
		default:
			return fail(Malformed, "content transfer encoding %q", value)
		}
	}
	return nil
}

// token reports RFC 9110's token, the form of a header name.
func token(b []byte) bool {
	for _, c := range b {
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' ||
			strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return len(b) > 0
}
