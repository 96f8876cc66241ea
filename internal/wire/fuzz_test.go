package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"testing"
	"testing/iotest"
)

// fuzzLimits are small, so that the fuzzer reaches them.
var fuzzLimits = ReadLimits{MaxFile: 4096, MaxParts: 4, MaxHeaderLines: 4, MaxHeaderLine: 256, MaxPreamble: 256}

// stdUpload is what mime/multipart makes of the form: the one part named field.
func stdUpload(body []byte, contentType, field string) (file []byte, n int, err error) {
	boundary, err := formBoundary(contentType)
	if err != nil {
		return nil, 0, err
	}
	mr := multipart.NewReader(bytes.NewReader(body), boundary)
	for {
		p, err := mr.NextPart()
		if err != nil {
			return file, n, err
		}
		b, err := io.ReadAll(p)
		if err != nil {
			return file, n, err
		}
		if p.FormName() == field {
			file = b
			n++
		}
	}
}

// FuzzReader: whatever is accepted, mime/multipart reads the same way; the
// answer does not depend on how the bytes arrive.
//
// One difference is by design: mime/multipart looks at the line behind the
// close-delimiter and fails when it is not empty, ours has stopped reading by
// then. So an error of mime/multipart behind the file is no difference.
func FuzzReader(f *testing.F) {
	f.Add(ctLMR, []byte(form(part(img, "abc"))))
	f.Add(`multipart/form-data; boundary="a b"`, []byte("--a b\r\n"+img+"\r\n\r\nabc\r\n--a b--"))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		got, err := ReadUpload(bytes.NewReader(body), contentType, FieldName, fuzzLimits)
		slow, slowErr := ReadUpload(iotest.OneByteReader(bytes.NewReader(body)), contentType, FieldName, fuzzLimits)
		if !bytes.Equal(got, slow) || (err == nil) != (slowErr == nil) {
			t.Fatalf("whole: %q, %v; byte by byte: %q, %v", got, err, slow, slowErr)
		}
		if err != nil {
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Kind < NotMultipart || e.Kind > HeaderTooLong || got != nil {
				t.Fatalf("%q, untyped error %v", got, err)
			}
			s, _ := errors.AsType[*Error](slowErr)
			if s == nil || s.Kind != e.Kind {
				t.Fatalf("whole: %v; byte by byte: %v", err, slowErr)
			}
			return
		}
		if len(got) > fuzzLimits.MaxFile {
			t.Fatalf("%d bytes over the limit", len(got))
		}
		std, n, stdErr := stdUpload(body, contentType, FieldName)
		if n != 1 || !bytes.Equal(got, std) {
			t.Fatalf("ours %q; mime/multipart %d times, last %q, %v", got, n, std, stdErr)
		}
	})
}

// FuzzReadWritten: whatever mime/multipart writes, ours reads back.
func FuzzReadWritten(f *testing.F) {
	f.Add("LMR", "latest.jpg", []byte("abc"), []byte("note"), true)
	f.Add("a b", "a\"b\\c\r\nd", []byte("\r\n--a b"), []byte{}, false)
	f.Fuzz(func(t *testing.T, boundary, fileName string, file, note []byte, noteFirst bool) {
		var buf bytes.Buffer
		w := multipart.NewWriter(&buf)
		if w.SetBoundary(boundary) != nil {
			return
		}
		if len(file) > fuzzLimits.MaxFile || len(note) > fuzzLimits.MaxFile {
			return
		}
		// Content that holds a delimiter is a different form by definition.
		mark := []byte("--" + boundary)
		if bytes.Contains(file, mark) || bytes.Contains(note, mark) {
			return
		}
		writeNote := func() {
			p, err := w.CreateFormField("note")
			if err != nil {
				t.Fatal(err)
			}
			p.Write(note)
		}
		if noteFirst {
			writeNote()
		}
		h := textproto.MIMEHeader{}
		h.Set("Content-Disposition", multipart.FileContentDisposition(FieldName, fileName))
		h.Set("Content-Type", "image/jpeg")
		p, err := w.CreatePart(h)
		if err != nil {
			t.Fatal(err)
		}
		p.Write(file)
		if !noteFirst {
			writeNote()
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := ReadUpload(&buf, w.FormDataContentType(), FieldName, fuzzLimits)
		if e, ok := errors.AsType[*Error](err); ok && (e.Kind == HeaderTooLong || e.Kind == Malformed && control(fileName)) {
			return // names that fill a line, and control characters in a header
		}
		if err != nil || !bytes.Equal(got, file) {
			t.Fatalf("%q, %v, want %q", got, err, file)
		}
	})
}

// control reports characters that a header line cannot hold.
func control(s string) bool {
	for _, c := range []byte(s) {
		if c < ' ' || c == 0x7F {
			return true
		}
	}
	return false
}

// FuzzSketchRoundTrip: what the sketch writes, net/http and the reader
// understand; the image comes back, less what the defect loses.
func FuzzSketchRoundTrip(f *testing.F) {
	f.Add("camera.example.org", "/upload", "token", []byte("abc"), uint16(0), false)
	f.Add("h", "/", "", []byte{0xFF, 0xD8}, uint16(1024), true)
	f.Fuzz(func(t *testing.T, host, path, token string, seed []byte, size uint16, fix bool) {
		// size makes lengths around multiples of 1024 easy to reach.
		image := make([]byte, int(size)%5000)
		for i := range image {
			image[i] = byte(i)
			if len(seed) > 0 {
				image[i] = seed[i%len(seed)]
			}
		}
		r := Request{Host: host, Path: path, Token: token, JPEG: image}
		var w writeRecorder
		if err := r.Sketch(&w, SketchOptions{FixLastKB: fix}); err != nil {
			if r.validate() == nil || len(w.sizes) > 0 {
				t.Fatalf("%v after %d writes", err, len(w.sizes))
			}
			return
		}
		sent := len(image)
		if !fix && sent > 0 && sent%ChunkLen == 0 {
			sent -= ChunkLen
		}
		if want := HeaderRecords + (sent+ChunkLen-1)/ChunkLen + 1; len(w.sizes) != want {
			t.Fatalf("%d writes for %d bytes, want %d", len(w.sizes), sent, want)
		}
		if _, err := url.ParseRequestURI(path); err != nil {
			return // net/http refuses the path, the board does not care
		}
		req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(w.all.Bytes())))
		if err != nil {
			t.Fatal(err)
		}
		if req.ContentLength != int64(len(image)+113) || req.RequestURI != path || req.Header.Get("Authorization") != trimmedBearer(token) {
			t.Fatalf("request %+v", req)
		}
		if bytes.Contains(image, []byte("--"+Boundary)) {
			return // the form ends inside the image
		}
		got, err := ReadUpload(req.Body, req.Header.Get("Content-Type"), FieldName, ReadLimits{})
		if err != nil || !bytes.Equal(got, image[:sent]) {
			t.Fatalf("%d bytes, %v, want %d", len(got), err, sent)
		}
	})
}

// trimmedBearer is the header value as net/http hands it on: without the blank
// that an empty token leaves at the end.
func trimmedBearer(token string) string {
	return string(bytes.TrimSpace([]byte("Bearer " + token)))
}

// FuzzSketchResponse holds the parser to the sketch's own loop with its
// unbounded strings.
func FuzzSketchResponse(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
	f.Add([]byte("\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var s SketchResponse
		var line, body []byte
		state := false
		for i, c := range in {
			if c == '\n' {
				if len(line) == 0 {
					state = true
				}
				line = line[:0]
			} else if c != '\r' {
				line = append(line, c)
			}
			if state {
				body = append(body, c)
			}
			if done := s.Feed(c); done != (len(body) > 0) || s.Done() != done {
				t.Fatalf("byte %d: done %v, the sketch has %d bytes", i, done, len(body))
			}
		}
		if s.BodyLen() != len(body) || !bytes.Equal(s.Body(), body[:min(len(body), maxSketchBody)]) {
			t.Fatalf("body %q (%d), the sketch has %q", s.Body(), s.BodyLen(), body)
		}
		if l := s.StatusLine(); len(l) > maxStatusLine || control(l) {
			t.Fatalf("status line %q", l)
		}
		if c := s.Status(); c != 0 && (c < 100 || c > 999) {
			t.Fatalf("status %d", c)
		}
	})
}
