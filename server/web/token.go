package web

import "strings"

// token is a piece of a module, as small as a change of names needs.
type token struct {
	text string
	kind kind
}

type kind byte

const (
	sign    kind = iota // one character, or => ... ?. ++ --
	word                // a name, a keyword or a number
	private             // a name that begins with #
	literal             // a string, a regular expression, or a part of a template between its holes
)

// tokenize cuts a module into tokens; comments and white space are between them.
func tokenize(s string) []token {
	var list []token
	add := func(n int, k kind) {
		list = append(list, token{s[:n], k})
		s = s[n:]
	}
	var holes []int // braces open in each hole of a template
	for s != "" {
		c := s[0]
		switch {
		case c == ' ' || c == '\n':
			s = s[1:]
		case strings.HasPrefix(s, "//"):
			_, s, _ = strings.Cut(s, "\n")
		case c == '\'':
			add(2+strings.IndexByte(s[1:], c), literal)
		case c == '/' && len(list) > 0 && strings.Contains("(,=", list[len(list)-1].text):
			n := 1
			for ; s[n] != '/'; n++ {
				if s[n] == '\\' {
					n++
				}
			}
			add(n+1, literal)
		case c == '`' || c == '}' && len(holes) > 0 && holes[len(holes)-1] == 0:
			if c == '}' {
				holes = holes[:len(holes)-1]
			}
			n := 1
			for s[n] != '`' && !strings.HasPrefix(s[n:], "${") {
				n++
			}
			if s[n] == '$' {
				holes = append(holes, 0)
				n++
			}
			add(n+1, literal)
		case isWord(c):
			n, k := 1, word
			for n < len(s) && isWord(s[n]) {
				n++
			}
			if c == '#' {
				k = private
			}
			add(n, k)
		default:
			n := 1
			for _, long := range []string{"...", "=>", "?.", "++", "--"} {
				if strings.HasPrefix(s, long) {
					n = len(long)
				}
			}
			if len(holes) > 0 {
				switch c {
				case '{':
					holes[len(holes)-1]++
				case '}':
					holes[len(holes)-1]--
				}
			}
			add(n, sign)
		}
	}
	return list
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '$' || c == '#'
}

// opens and closes report whether a token begins or ends a pair of brackets; the
// holes of templates are pairs, too.
func (t token) opens() bool {
	return t.kind == sign && strings.Contains("([{", t.text) || t.kind == literal && strings.HasSuffix(t.text, "${")
}

func (t token) closes() bool {
	return t.kind == sign && strings.Contains(")]}", t.text) || t.kind == literal && t.text[0] == '}'
}
