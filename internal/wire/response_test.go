package wire

import (
	"strings"
	"testing"
)

func TestSketchResponse(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for _, tt := range []struct {
		name   string
		in     string
		doneAt int // bytes after which Feed first says done, 0 never
		line   string
		status int
		body   string
	}{
		{"nothing", "", 0, "", 0, ""},
		{"success", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 38, "HTTP/1.1 200 OK", 200, "\nok"},
		{"headers only so far", "HTTP/1.1 200 OK\r\nA: b\r\n", 0, "HTTP/1.1 200 OK", 200, ""},
		{"blank line half", "HTTP/1.1 200 OK\r\n\r", 0, "HTTP/1.1 200 OK", 200, ""},
		{"an error is a success to the sketch", "HTTP/1.1 401 Unauthorized\r\n\r\n", 29, "HTTP/1.1 401 Unauthorized", 401, "\n"},
		{"line feeds only", "HTTP/1.0 500 No\n\nbad", 17, "HTTP/1.0 500 No", 500, "\nbad"},
		{"carriage returns are no text", "HTTP/1.1 204 \r\r\r\n\r\r\r\nx", 21, "HTTP/1.1 204 ", 204, "\nx"},
		{"body keeps carriage returns and chunks", "HTTP/1.1 200 OK\r\n\r\n2\r\nok\r\n0\r\n\r\n", 19, "HTTP/1.1 200 OK", 200, "\n2\r\nok\r\n0\r\n\r\n"},
		{"starts with a blank line", "\r\nHTTP/1.1 200 OK\r\n", 2, "", 0, "\nHTTP/1.1 200 OK\r\n"},
		{"not http", "SSH-2.0-x y 200\n\n", 17, "SSH-2.0-x y 200", 0, "\n"},
		{"no reason", "HTTP/1.1 200\n", 0, "HTTP/1.1 200", 200, ""},
		{"code too long", "HTTP/1.1 2000 OK\n", 0, "HTTP/1.1 2000 OK", 0, ""},
		{"code signed", "HTTP/1.1 +20 OK\n", 0, "HTTP/1.1 +20 OK", 0, ""},
		{"code too small", "HTTP/1.1 099 OK\n", 0, "HTTP/1.1 099 OK", 0, ""},
		{"terminal commands", "HTTP/1.1 200 \x1b[2J\x00\x9b\xff\n", 0, "HTTP/1.1 200 ?[2J???", 200, ""},
		{"endless status line", long, 0, long[:maxStatusLine], 0, ""},
		{"endless body", "A\n\n" + long, 3, "A", 0, "\n" + long[:maxSketchBody-1]},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var s SketchResponse
			doneAt := 0
			for i := range len(tt.in) {
				if s.Feed(tt.in[i]) && doneAt == 0 {
					doneAt = i + 1
				}
			}
			if doneAt != tt.doneAt || s.Done() != (doneAt > 0) {
				t.Errorf("done at %d (%v), want %d", doneAt, s.Done(), tt.doneAt)
			}
			if s.StatusLine() != tt.line || s.Status() != tt.status || string(s.Body()) != tt.body {
				t.Errorf("%q, %d, %q; want %q, %d, %q", s.StatusLine(), s.Status(), s.Body(), tt.line, tt.status, tt.body)
			}
			if want := max(0, len(tt.in)-tt.doneAt+1); tt.doneAt > 0 && s.BodyLen() != want {
				t.Errorf("body of %d bytes, want %d", s.BodyLen(), want)
			}
		})
	}
}
