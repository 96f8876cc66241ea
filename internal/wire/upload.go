package wire

import "io"

// firstGrowth is the first allocation for a file: a usual frame of 20 to 30 kB
// fits at once (esp32-wire 4.4), and a form that claims more gets no more
// before it has sent it.
const firstGrowth = 32 << 10

// ReadUpload reads a whole form and returns the bytes of its one part named
// field. Other parts are skipped. The form has to be complete up to its
// close-delimiter; what is behind that is not waited for, so the caller
// compares with Content-Length if it wants to know. The error is an *Error, or
// wraps what r failed with.
//
// A returned file may be empty: whether its bytes are a picture is not decided
// here.
func ReadUpload(r io.Reader, contentType, field string, l ReadLimits) ([]byte, error) {
	mr, err := NewReader(r, contentType, l)
	if err != nil {
		return nil, err
	}
	var file []byte
	found := false
	for {
		p, err := mr.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if p.Name != field {
			continue
		}
		if found {
			return nil, fail(TwoFields, "more than one field %q", field)
		}
		found = true
		if file, err = p.readAll(); err != nil {
			return nil, err
		}
	}
	if !found {
		return nil, fail(NoField, "no field %q", field)
	}
	return file, nil
}

// readAll collects the part. Read keeps it within MaxFile.
func (p *Part) readAll() ([]byte, error) {
	file := make([]byte, 0, min(firstGrowth, p.r.limits.MaxFile))
	for {
		if len(file) == cap(file) {
			file = append(file, 0)[:len(file)]
		}
		n, err := p.Read(file[len(file):cap(file)])
		file = file[:len(file)+n]
		if err == io.EOF {
			return file, nil
		}
		if err != nil {
			return nil, err
		}
	}
}
