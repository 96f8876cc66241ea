package server

import (
	"bytes"
	"time"
)

// maxFastHead is the longest request head that is answered without net/http.
const maxFastHead = 4 << 10

// fastHead is a request for a picture or a stream that needs nothing of
// net/http: exactly one complete head of a plain GET or HEAD, and nothing after
// it.
type fastHead struct {
	path                string
	headOnly            bool
	match, accept, from []byte // If-None-Match, Accept, Origin; nil where not sent
	name, seq           []byte // from and seq of a stream's query; nil where not sent
}

// Paths of the feed as they stand in a request line.
var fastPaths = [...]struct{ line, path string }{
	{pathLatest + " HTTP/1.1\r\n", pathLatest},
	{pathJPEG + " HTTP/1.1\r\n", pathJPEG},
	{pathWebP + " HTTP/1.1\r\n", pathWebP},
	{pathStream + " HTTP/1.1\r\n", pathStream},
	{pathEvents + " HTTP/1.1\r\n", pathEvents},
}

// cutResume cuts the request line of a stream that is taken up, written as our
// element writes it.
func cutResume(b []byte) (name, seq, rest []byte, ok bool) {
	if rest, ok = bytes.CutPrefix(b, []byte(pathStream+"?from=")); !ok {
		return nil, nil, nil, false
	}
	n := 0
	for n < len(rest) && nameByte[rest[n]] {
		n++
	}
	name = rest[:n]
	if rest, ok = bytes.CutPrefix(rest[n:], []byte("&seq=")); !ok {
		return nil, nil, nil, false
	}
	n = 0
	for n < len(rest) && rest[n] >= '0' && rest[n] <= '9' {
		n++
	}
	seq = rest[:n]
	rest, ok = bytes.CutPrefix(rest[n:], []byte(" HTTP/1.1\r\n"))
	return name, seq, rest, ok
}

// Classes of bytes in a head. What is in neither class is not an error here; it
// is for net/http to judge.
var nameByte, valueByte, hostByte = func() (name, value, host [256]bool) {
	for c := range 256 {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		name[c] = letter || c == '-' || c == '_'
		value[c] = c >= ' ' && c <= '~' || c == '\t'
		host[c] = letter || c == '-' || c == '.' || c == ':'
	}
	return
}()

// parseFast reads such a head. It is strict: at anything that could mean more
// than it knows, ok is false, and the bytes are for net/http.
func parseFast(b []byte) (h fastHead, ok bool) {
	if len(b) > maxFastHead {
		return h, false
	}
	rest, ok := bytes.CutPrefix(b, []byte("GET "))
	if !ok {
		if rest, ok = bytes.CutPrefix(b, []byte("HEAD ")); !ok {
			return h, false
		}
		h.headOnly = true
	}
	for _, p := range fastPaths {
		if bytes.HasPrefix(rest, []byte(p.line)) {
			h.path, rest = p.path, rest[len(p.line):]
			break
		}
	}
	if h.path == "" {
		if h.name, h.seq, rest, ok = cutResume(rest); !ok {
			return h, false
		}
		h.path = pathStream
	}
	hosts := 0
	for len(rest) > 2 {
		end := bytes.IndexByte(rest, '\n')
		if end < 1 || rest[end-1] != '\r' {
			return h, false
		}
		line := rest[:end-1]
		rest = rest[end+1:]
		colon := 0
		for colon < len(line) && nameByte[line[colon]] {
			colon++
		}
		if colon == 0 || colon == len(line) || line[colon] != ':' {
			return h, false
		}
		value := line[colon+1:]
		for _, c := range value {
			if !valueByte[c] {
				return h, false
			}
		}
		switch colon {
		case len("te"):
			if is(line[:colon], "te") {
				return h, false
			}
		case len("host"):
			if is(line[:colon], "host") {
				value = trim(value)
				for _, c := range value {
					if !hostByte[c] {
						return h, false
					}
				}
				if hosts++; hosts > 1 || len(value) == 0 {
					return h, false
				}
			}
		case len("accept"): // and origin, expect
			switch {
			case is(line[:colon], "accept"):
				if h.accept != nil {
					return h, false
				}
				h.accept = trim(value)
			case is(line[:colon], "origin"):
				if h.from != nil {
					return h, false
				}
				h.from = trim(value)
			case is(line[:colon], "expect"):
				return h, false
			}
		case len("upgrade"): // and trailer
			if is(line[:colon], "upgrade") || is(line[:colon], "trailer") {
				return h, false
			}
		case len("connection"):
			if is(line[:colon], "connection") && !is(trim(value), "keep-alive") {
				return h, false
			}
		case len("if-none-match"):
			if is(line[:colon], "if-none-match") {
				if h.match != nil {
					return h, false
				}
				h.match = trim(value)
			}
		case len("content-length"): // and http2-settings
			if is(line[:colon], "content-length") || is(line[:colon], "http2-settings") {
				return h, false
			}
		case len("transfer-encoding"):
			if is(line[:colon], "transfer-encoding") {
				return h, false
			}
		}
	}
	return h, hosts == 1 && string(rest) == "\r\n"
}

// is reports whether b is the lower-case word s, whatever its case.
func is(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != s[i] {
			return false
		}
	}
	return true
}

// trim drops the white space around a value. It returns no nil for an empty one.
func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// fastAnswer returns the bytes that net/http would answer h with, where they are
// there. They are shared and must not be changed.
func (s *Server) fastAnswer(h *fastHead, now time.Time) (answer []byte, unchanged, ok bool) {
	p := s.current.Load()
	if p == nil || h.path == pathStream || h.path == pathEvents {
		return nil, false, false
	}
	d, byAccept := p.jpeg, false
	if p.webp != nil || h.path == pathWebP {
		if d, byAccept = p.offer(h.path, []string{string(h.accept)}); d == nil {
			return nil, false, false
		}
	}
	a := d.answer(h.audience(s.policy), byAccept, now)
	switch {
	case h.match != nil && (string(h.match) == d.etag || matchesETag([]string{string(h.match)}, d.etag)):
		return a.unchanged, true, true
	case h.headOnly:
		return a.head, false, true
	}
	return a.full, false, true
}

func (h *fastHead) audience(p *policy) int {
	if p.any || h.from == nil {
		return 0
	}
	return p.audience(string(h.from))
}

// wholeHead reports whether b is exactly one complete request head without a
// body. It decides no more than whether net/http can hold back anything of b
// after the answer, and is strict for that reason.
func wholeHead(b []byte) bool {
	if !bytes.HasSuffix(b, []byte("\r\n\r\n")) || bytes.Index(b, []byte("\n\r\n")) != len(b)-3 || bytes.Contains(b, []byte("\n\n")) {
		return false
	}
	if !bytes.HasPrefix(b, []byte("GET ")) && !bytes.HasPrefix(b, []byte("HEAD ")) {
		return false
	}
	line, rest, _ := bytes.Cut(b, []byte("\n"))
	if !bytes.HasSuffix(line, []byte(" HTTP/1.1\r")) {
		return false
	}
	for line := range bytes.Lines(rest) {
		name, _, _ := bytes.Cut(line, []byte(":"))
		name = bytes.TrimSpace(name)
		for _, body := range []string{"content-length", "transfer-encoding", "expect", "upgrade", "trailer"} {
			if is(name, body) {
				return false
			}
		}
	}
	return true
}
