package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// stallReader hands out b in the given pieces and fails the test when it is
// read again: a real connection would block there until somebody gave up.
type stallReader struct {
	t     *testing.T
	b     []byte
	piece int
}

func (s *stallReader) Read(p []byte) (int, error) {
	if len(s.b) == 0 {
		s.t.Error("read past the close-delimiter: a short body would stall here")
		return 0, errors.New("stalled")
	}
	n := copy(p[:min(len(p), s.piece)], s.b)
	s.b = s.b[n:]
	return n, nil
}

// TestReadVectors reads what the writer made of every vector, in pieces of
// several sizes, and never past the close-delimiter.
func TestReadVectors(t *testing.T) {
	for _, v := range loadVectors(t) {
		var w writeRecorder
		if err := v.write(&w); err != nil {
			t.Fatal(err)
		}
		req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(w.all.Bytes())))
		if err != nil {
			t.Fatalf("%s: %v", v.Name, err)
		}
		if int(req.ContentLength) != v.ContentLength {
			t.Errorf("%s: Content-Length %d, want %d", v.Name, req.ContentLength, v.ContentLength)
		}
		_, body, _ := bytes.Cut(w.all.Bytes(), []byte("\r\n\r\n"))
		if got := int(req.ContentLength) - len(body); got != v.ShortBy {
			t.Errorf("%s: body short by %d, want %d", v.Name, got, v.ShortBy)
		}
		// The last CRLF is behind the close-delimiter and must not be needed.
		body = body[:len(body)-2]
		for _, piece := range []int{1, 2, 3, 7, 1024, 4096, 1 << 20} {
			src := &stallReader{t, body, piece}
			got, err := ReadUpload(src, req.Header.Get("Content-Type"), FieldName, ReadLimits{})
			if err != nil {
				t.Errorf("%s in pieces of %d: %v", v.Name, piece, err)
			}
			if !bytes.Equal(got, v.req.JPEG[:v.ReadBytes]) {
				t.Errorf("%s in pieces of %d: %d bytes, want %d", v.Name, piece, len(got), v.ReadBytes)
			}
		}
	}
}

const ctLMR = "multipart/form-data; boundary=LMR"

// part is one part with its delimiter in front; form closes the list.
func part(header, body string) string { return "--LMR\r\n" + header + "\r\n\r\n" + body + "\r\n" }
func form(parts ...string) string     { return strings.Join(parts, "") + "--LMR--\r\n" }

const img = `Content-Disposition: form-data; name="img"`

func TestReadUploadAccepts(t *testing.T) {
	curl := "multipart/form-data; boundary=------------------------d74496d66958873e"
	webkit := "multipart/form-data; boundary=----WebKitFormBoundaryx8jO2oVc6SWP3Sad"
	for _, tt := range []struct {
		name, ct, body, want string
	}{
		{"plain", ctLMR, form(part(img, "abc")), "abc"},
		{"empty file", ctLMR, form(part(img, "")), ""},
		{"empty file, header's line end shared", ctLMR, "--LMR\r\n" + img + "\r\n\r\n--LMR--", ""},
		{"no final line end", ctLMR, strings.TrimSuffix(form(part(img, "abc")), "\r\n"), "abc"},
		{"epilogue", ctLMR, form(part(img, "abc")) + "anything\r\n--LMR\r\n", "abc"},
		{"junk behind the close-delimiter", ctLMR, "--LMR\r\n" + img + "\r\n\r\nabc\r\n--LMR--junk", "abc"},
		{"preamble", ctLMR, "This is a form.\r\n\r\n" + form(part(img, "abc")), "abc"},
		{"preamble of a line end", ctLMR, "\r\n" + form(part(img, "abc")), "abc"},
		{"preamble that looks like a delimiter", ctLMR, "--LMRX\r\n" + form(part(img, "abc")), "abc"},
		{"transport padding", ctLMR, "--LMR \t \r\n" + img + "\r\n\r\nabc\r\n--LMR\t\r\n\r\nx\r\n--LMR-- ", "abc"},
		{"quoted boundary", `multipart/form-data; boundary="a b:c?d"`, "--a b:c?d\r\n" + img + "\r\n\r\nabc\r\n--a b:c?d--", "abc"},
		{"type in capitals", "Multipart/Form-Data; charset=utf-8; Boundary=LMR", form(part(img, "abc")), "abc"},
		{"boundary of 70", "multipart/form-data; boundary=" + strings.Repeat("b", 70),
			strings.ReplaceAll(form(part(img, "abc")), "LMR", strings.Repeat("b", 70)), "abc"},
		{"curl -F note -F img", curl, "--------------------------d74496d66958873e\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nh\"i\r\n" +
			"--------------------------d74496d66958873e\r\nContent-Disposition: form-data; name=\"img\"; filename=\"a.jpg\"\r\n" +
			"Content-Type: image/jpeg\r\n\r\nJPEG\r\n--x\r\n\r\n--------------------------d74496d66958873e--\r\n", "JPEG\r\n--x\r\n"},
		{"browser", webkit, "------WebKitFormBoundaryx8jO2oVc6SWP3Sad\r\nContent-Disposition: form-data; name=\"img\"; filename=\"Küche 1.jpg\"\r\n" +
			"Content-Type: image/jpeg\r\n\r\nabc\r\n------WebKitFormBoundaryx8jO2oVc6SWP3Sad--\r\n", "abc"},
		{"content begins like the delimiter", ctLMR, form(part(img, "--LMRx")), "--LMRx"},
		{"content holds near misses", ctLMR, form(part(img, "\r\n--LM\r\n--LMRx\r\n--LMR-x\r\r\n--LM")), "\r\n--LM\r\n--LMRx\r\n--LMR-x\r\r\n--LM"},
		{"content ends in line ends", ctLMR, form(part(img, "\r\n\r\n\r")), "\r\n\r\n\r"},
		{"line feed delimiter is content", ctLMR, form(part(img, "a\n--LMR--\n")), "a\n--LMR--\n"},
		{"other fields around", ctLMR, form(part(`Content-Disposition: form-data; name="a"`, "1"), part(img, "abc"), part("X: y", "2")), "abc"},
		{"part without headers", ctLMR, form("--LMR\r\n\r\n1\r\n", part(img, "abc")), "abc"},
		{"not form-data", ctLMR, form(part(`Content-Disposition: attachment; name="img"`, "1"), part(img, "abc")), "abc"},
		{"binary encoding", ctLMR, form(part(img+"\r\nContent-Transfer-Encoding: BINARY", "abc")), "abc"},
		{"header name in capitals", ctLMR, form(part("CONTENT-DISPOSITION:form-data;name=img", "abc")), "abc"},
		{"longest list", ctLMR, form(strings.Repeat(part("X: y", ""), DefaultMaxParts-1), part(img, "abc")), "abc"},
		{"longest header", ctLMR, form(part(img+manyHeaders(DefaultMaxHeaderLines-1), "abc")), "abc"},
		{"longest line", ctLMR, form(part(img+"\r\nX: "+strings.Repeat("y", DefaultMaxHeaderLine-3-2), "abc")), "abc"},
		{"longest preamble", ctLMR, strings.Repeat("x", DefaultMaxPreamble) + "\r\n" + form(part(img, "abc")), "abc"},
		{"largest file", ctLMR, form(part(img, strings.Repeat("\r", DefaultMaxFile))), strings.Repeat("\r", DefaultMaxFile)},
		{"two buffers and more", ctLMR, form(part(img, string(ruleImage(3*readBuffer+1)))), string(ruleImage(3*readBuffer + 1))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, src := range []io.Reader{
				strings.NewReader(tt.body),
				iotest.OneByteReader(strings.NewReader(tt.body)),
				iotest.HalfReader(strings.NewReader(tt.body)),
				iotest.DataErrReader(strings.NewReader(tt.body)),
			} {
				got, err := ReadUpload(src, tt.ct, FieldName, ReadLimits{})
				if err != nil || string(got) != tt.want {
					t.Errorf("%T: %.60q (%d), %v; want %.60q (%d)", src, got, len(got), err, tt.want, len(tt.want))
				}
			}
		})
	}
}

// manyHeaders are n header lines, each behind a line end.
func manyHeaders(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("\r\nX-" + string(rune('a'+i)) + ": y")
	}
	return b.String()
}

func TestReadUploadRefuses(t *testing.T) {
	good := form(part(img, "abc"))
	for _, tt := range []struct {
		name, ct, body string
		kind           Kind
		text           string
	}{
		{"no content type", "", good, NotMultipart, `""`},
		{"image", "image/jpeg", good, NotMultipart, "image/jpeg"},
		{"urlencoded", "application/x-www-form-urlencoded", good, NotMultipart, "urlencoded"},
		{"other multipart", "multipart/mixed; boundary=LMR", good, NotMultipart, "mixed"},
		{"endless content type", ctLMR + "; x=" + strings.Repeat("y", 512), good, NotMultipart, "at most 512"},
		{"no boundary", "multipart/form-data", good, BadBoundary, "no boundary"},
		{"empty boundary", `multipart/form-data; boundary=""`, good, BadBoundary, "no boundary"},
		{"two boundaries", "multipart/form-data; boundary=LMR; boundary=X", good, BadBoundary, "content type"},
		{"broken parameter", "multipart/form-data; boundary", good, BadBoundary, "content type"},
		{"boundary of 71", "multipart/form-data; boundary=" + strings.Repeat("b", 71), good, BadBoundary, "71 characters"},
		{"boundary character", "multipart/form-data; boundary=a*b", good, BadBoundary, `'*'`},
		{"boundary ends in a blank", `multipart/form-data; boundary="LMR "`, good, BadBoundary, `' '`},
		{"boundary with a line end", "multipart/form-data; boundary=\"L\\\r\"", good, BadBoundary, ""},

		{"nothing", ctLMR, "", Cut, "close-delimiter"},
		{"no delimiter", ctLMR, "hello", Cut, "close-delimiter"},
		{"delimiter only", ctLMR, "--LMR", Cut, "close-delimiter"},
		{"half a close-delimiter", ctLMR, "--LMR\r\n" + img + "\r\n\r\nabc\r\n--LMR-", Cut, "close-delimiter"},
		{"no close-delimiter", ctLMR, part(img, "abc"), Cut, "close-delimiter"},
		{"in the header", ctLMR, "--LMR\r\n" + img, Cut, "close-delimiter"},
		{"other boundary", ctLMR, strings.ReplaceAll(good, "LMR", "RML"), Cut, "close-delimiter"},
		{"line feeds only", ctLMR, strings.ReplaceAll(good, "\r\n", "\n"), Malformed, "0x0A"},

		{"no parts", ctLMR, form(), NoField, `"img"`},
		{"other fields", ctLMR, form(part(`Content-Disposition: form-data; name="image"`, "abc")), NoField, `"img"`},
		{"no name", ctLMR, form(part("Content-Disposition: form-data", "abc")), NoField, `"img"`},
		{"name in capitals", ctLMR, form(part(`Content-Disposition: form-data; name="IMG"`, "abc")), NoField, `"img"`},
		{"two files", ctLMR, form(part(img, "abc"), part(img, "abc")), TwoFields, `"img"`},

		{"text behind a delimiter", ctLMR, "--LMR x\r\n" + good, Malformed, "behind a delimiter"},
		{"return behind a delimiter", ctLMR, "--LMR\rx\r\n" + good, Malformed, "0x0D"},
		{"line feed behind a delimiter", ctLMR, form(part(img, "abc\r\n--LMR\n")), Malformed, "0x0A"},
		{"line feed in the preamble", ctLMR, "x\n" + good, Malformed, "before the first"},
		{"hidden part in the preamble", ctLMR, "x\n--LMR\r\n" + img + "\r\n\r\nevil\r\n" + good, Malformed, "before the first"},
		{"return in the preamble", ctLMR, "x\ry\r\n" + good, Malformed, "before the first"},
		{"return before the first delimiter", ctLMR, "x\r\r\n" + good, Malformed, "before the first"},
		{"preamble too long", ctLMR, strings.Repeat("x", DefaultMaxPreamble+1) + "\r\n" + good, Malformed, "1024 bytes before"},
		{"header without colon", ctLMR, form(part("Content-Disposition", "abc")), Malformed, "part header line"},
		{"header without name", ctLMR, form(part(": x", "abc")), Malformed, "part header line"},
		{"blank before the colon", ctLMR, form(part("Content-Disposition : form-data", "abc")), Malformed, "part header line"},
		{"folded header", ctLMR, form(part(img+";\r\n filename=x", "abc")), Malformed, "part header line"},
		{"header twice", ctLMR, form(part(img+"\r\n"+strings.ToLower(img), "abc")), Malformed, "twice"},
		{"zero in a header", ctLMR, form(part("X: \x00", "abc")), Malformed, "0x00"},
		{"delete in a header", ctLMR, form(part("X: \x7f", "abc")), Malformed, "0x7F"},
		{"disposition broken", ctLMR, form(part(`Content-Disposition: form-data; name="img`, "abc")), Malformed, "disposition"},
		{"name twice", ctLMR, form(part(`Content-Disposition: form-data; name=a; name=img`, "abc")), Malformed, "disposition"},
		{"base64", ctLMR, form(part(img+"\r\nContent-Transfer-Encoding: base64", "YWJj")), Malformed, "base64"},
		{"quoted-printable", ctLMR, form(part(img+"\r\nContent-Transfer-Encoding: quoted-printable", "=41")), Malformed, "quoted-printable"},

		{"file over by one", ctLMR, form(part(img, strings.Repeat("\r", DefaultMaxFile+1))), TooLarge, "1000000"},
		{"skipped part too large", ctLMR, form(part("X: y", strings.Repeat("x", DefaultMaxFile+1)), part(img, "abc")), TooLarge, "1000000"},
		{"parts over by one", ctLMR, form(strings.Repeat(part("X: y", ""), DefaultMaxParts), part(img, "abc")), TooManyParts, "8"},
		{"lines over by one", ctLMR, form(part(img+manyHeaders(DefaultMaxHeaderLines), "abc")), HeaderTooLong, "8 lines"},
		{"line over by one", ctLMR, form(part(img+"\r\nX: "+strings.Repeat("y", DefaultMaxHeaderLine-3-1), "abc")), HeaderTooLong, "1024 bytes"},
		{"endless line", ctLMR, "--LMR\r\n" + strings.Repeat("y", 1<<20), HeaderTooLong, "1024 bytes"},
		{"endless padding", ctLMR, "--LMR" + strings.Repeat(" ", 1<<20), HeaderTooLong, "1024 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, src := range []io.Reader{
				strings.NewReader(tt.body),
				iotest.OneByteReader(strings.NewReader(tt.body)),
				iotest.DataErrReader(strings.NewReader(tt.body)),
			} {
				got, err := ReadUpload(src, tt.ct, FieldName, ReadLimits{})
				e, ok := errors.AsType[*Error](err)
				if !ok || got != nil {
					t.Fatalf("%T: %q, %v, want an *Error", src, got, err)
				}
				if e.Kind != tt.kind || !strings.Contains(e.Detail, tt.text) {
					t.Errorf("%T: %v, want %v: …%s…", src, err, tt.kind, tt.text)
				}
				if cut := errors.Is(err, io.ErrUnexpectedEOF); cut != (e.Kind == Cut) {
					t.Errorf("%T: %v is io.ErrUnexpectedEOF: %v", src, err, cut)
				}
			}
		})
	}
}

// TestReadUploadEveryCut cuts a form at every byte up to the close-delimiter.
func TestReadUploadEveryCut(t *testing.T) {
	body := "x\r\n" + form(part(`Content-Disposition: form-data; name="a"`, "1"), part(img, "a\r\n--LMb"))
	for n := range strings.LastIndex(body, "--LMR--") + len("--LMR--") {
		for _, end := range []error{io.EOF, io.ErrUnexpectedEOF} { // net/http ends a short body with the second
			got, err := ReadUpload(io.MultiReader(strings.NewReader(body[:n]), iotest.ErrReader(end)), ctLMR, FieldName, ReadLimits{})
			if e, ok := errors.AsType[*Error](err); !ok || e.Kind != Cut || got != nil {
				t.Errorf("cut to %d bytes, %v: %q, %v", n, end, got, err)
			}
		}
	}
}

func TestReaderSourceErrors(t *testing.T) {
	boom := errors.New("i/o timeout")
	body := form(part(img, "abc"))
	for n := range strings.LastIndex(body, "--LMR--") + len("--LMR--") {
		src := io.MultiReader(strings.NewReader(body[:n]), iotest.ErrReader(boom))
		_, err := ReadUpload(src, ctLMR, FieldName, ReadLimits{})
		if _, typed := errors.AsType[*Error](err); !errors.Is(err, boom) || typed {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
	tooBig := http.MaxBytesReader(nil, io.NopCloser(strings.NewReader(body)), 20)
	if _, err := ReadUpload(tooBig, ctLMR, FieldName, ReadLimits{}); err == nil {
		t.Error("read past http.MaxBytesReader")
	} else if e, ok := errors.AsType[*http.MaxBytesError](err); !ok || e.Limit != 20 {
		t.Errorf("http.MaxBytesError is lost in %v", err)
	}
	if _, err := ReadUpload(stuck{}, ctLMR, FieldName, ReadLimits{}); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a reader without progress: %v", err)
	}
}

// stuck never delivers and never fails.
type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

func TestReaderParts(t *testing.T) {
	body := form(
		part(`Content-Disposition: form-data; name="a"; filename="../x"`+"\r\nContent-Type: text/plain ", strings.Repeat("1", 5000)),
		part(img, "abcdef"), part("X: y", "3"))
	r, err := NewReader(strings.NewReader(body), ctLMR, ReadLimits{})
	if err != nil {
		t.Fatal(err)
	}
	first, err := r.NextPart()
	if err != nil || first.Name != "a" || first.FileName != "../x" || first.ContentType != "text/plain" {
		t.Fatalf("first part %+v, %v", first, err)
	}
	if n, err := first.Read(make([]byte, 10)); n != 10 || err != nil {
		t.Fatalf("read %d, %v", n, err)
	}
	second, err := r.NextPart() // skips the rest of the first
	if err != nil || second.Name != "img" {
		t.Fatalf("second part %+v, %v", second, err)
	}
	if _, err := first.Read(make([]byte, 1)); err != errStalePart {
		t.Errorf("read of the first part: %v", err)
	}
	if n, err := second.Read(nil); n != 0 || err != nil {
		t.Errorf("empty read: %d, %v", n, err)
	}
	if err := iotest.TestReader(second, []byte("abcdef")); err != nil {
		t.Error(err)
	}
	third, err := r.NextPart()
	if err != nil || third.Name != "" {
		t.Fatalf("third part %+v, %v", third, err)
	}
	for range 2 {
		if p, err := r.NextPart(); p != nil || err != io.EOF {
			t.Errorf("after the last: %v, %v", p, err)
		}
	}
	if n, err := third.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("read after the form: %d, %v", n, err)
	}
}

func TestReaderStickyError(t *testing.T) {
	r, err := NewReader(strings.NewReader(part(img, strings.Repeat("x", 50))), ctLMR, ReadLimits{MaxFile: 49})
	if err != nil {
		t.Fatal(err)
	}
	p, err := r.NextPart()
	if err != nil {
		t.Fatal(err)
	}
	b, first := io.ReadAll(p)
	if e, ok := errors.AsType[*Error](first); !ok || e.Kind != TooLarge || len(b) > 49 {
		t.Fatalf("%d bytes, %v", len(b), first)
	}
	_, again := p.Read(make([]byte, 8))
	_, next := r.NextPart()
	if again != first || next != first {
		t.Errorf("later errors %v and %v, want %v", again, next, first)
	}
}

func TestReadLimits(t *testing.T) {
	body := form(part("A: b", "x"), part(img, "abc"))
	for _, tt := range []struct {
		name string
		l    ReadLimits
		kind Kind // 0: accepted
	}{
		{"met", ReadLimits{MaxFile: 3, MaxParts: 2, MaxHeaderLines: 1, MaxHeaderLine: len(img) + 2, MaxPreamble: 1}, 0},
		{"not positive", ReadLimits{-1, -1, -1, -1, -1}, 0},
		{"huge", ReadLimits{math.MaxInt, math.MaxInt, math.MaxInt, 1 << 16, math.MaxInt}, 0},
		{"file", ReadLimits{MaxFile: 2}, TooLarge},
		{"parts", ReadLimits{MaxParts: 1}, TooManyParts},
		{"line", ReadLimits{MaxHeaderLine: len(img) + 1}, HeaderTooLong},
	} {
		got, err := ReadUpload(strings.NewReader(body), ctLMR, FieldName, tt.l)
		e, _ := errors.AsType[*Error](err)
		switch {
		case tt.kind == 0 && (err != nil || !slices.Equal(got, []byte("abc"))):
			t.Errorf("%s: %q, %v", tt.name, got, err)
		case tt.kind != 0 && (e == nil || e.Kind != tt.kind):
			t.Errorf("%s: %v, want %v", tt.name, err, tt.kind)
		}
	}
}

func TestKindString(t *testing.T) {
	for k := NotMultipart; k <= HeaderTooLong; k++ {
		if s := k.String(); s == "" || strings.Contains(s, "Kind(") {
			t.Errorf("Kind %d has no name", k)
		}
	}
	if got := Kind(0).String(); got != "Kind(0)" {
		t.Errorf("zero Kind = %q", got)
	}
}
