package web

import (
	"regexp"
	"strings"
)

// squeeze makes a module of ours smaller without changing what it does: comments
// and white space go, private names and the given identifiers get short ones. It
// knows the part of JavaScript that the modules are written in: every statement
// ends with a semicolon or a brace, comments begin with two slashes, and an
// identifier in the list means the same wherever it stands and is no property of
// anything else. The tests of the feed run on its output.
func squeeze(source string, names string) string {
	q := squeezer{used: map[string]bool{}, short: map[string]string{}}
	for _, w := range word.FindAllString(source, -1) {
		q.used[strings.TrimPrefix(w, "#")] = true
	}
	for n := range strings.FieldsSeq(names) {
		q.short[n] = ""
	}
	q.code(source, 0)
	return q.out.String()
}

var word = regexp.MustCompile(`#?[A-Za-z_$][A-Za-z0-9_$]*`)

type squeezer struct {
	used  map[string]bool   // identifiers of the source and of the output
	short map[string]string // by identifier; "" until it is met
	given int
	out   strings.Builder
	last  byte // of the output's code
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '$' || c == '#'
}

// put writes a token, and a space before it where it would grow together with
// the one before.
func (q *squeezer) put(token string, spaced bool) {
	if c := token[0]; spaced && (isWord(q.last) && isWord(c) || q.last == c && (c == '+' || c == '-')) {
		q.out.WriteByte(' ')
	}
	q.out.WriteString(token)
	q.last = token[len(token)-1]
}

// code squeezes s from i on to its end, or to the brace that closes a template's
// hole, and returns where it stopped.
func (q *squeezer) code(s string, i int) int {
	depth, spaced := 0, false
	for i < len(s) {
		c := s[i]
		switch {
		case c == ' ' || c == '\n':
			spaced = true
			i++
			continue
		case strings.HasPrefix(s[i:], "//"):
			if n := strings.IndexByte(s[i:], '\n'); n >= 0 {
				i += n
			} else {
				i = len(s)
			}
			continue
		case c == '\'':
			n := i + 1
			for s[n] != c {
				n++
			}
			q.put(s[i:n+1], spaced)
			i = n + 1
		case c == '/' && strings.IndexByte("(,=", q.last) >= 0: // a regular expression
			n := i + 1
			for s[n] != '/' {
				if s[n] == '\\' {
					n++
				}
				n++
			}
			q.put(s[i:n+1], spaced)
			i = n + 1
		case c == '`':
			i = q.template(s, i+1)
		case c == '}' && depth == 0:
			return i
		case isWord(c):
			n := i
			for n < len(s) && isWord(s[n]) {
				n++
			}
			q.put(q.name(s[i:n]), spaced)
			i = n
		default:
			switch c {
			case '{':
				depth++
			case '}':
				depth--
			}
			q.put(s[i:i+1], spaced)
			i++
		}
		spaced = false
	}
	return i
}

// template copies a template literal from behind its opening quote. White space
// in it is that of style sheets.
func (q *squeezer) template(s string, i int) int {
	q.put("`", false)
	for s[i] != '`' {
		switch {
		case strings.HasPrefix(s[i:], "${"):
			q.put("${", false)
			i = q.code(s, i+2)
			q.put("}", false)
			i++
		case s[i] == '\n' || s[i] == ' ' && q.last == ' ':
			i++
		default:
			q.put(s[i:i+1], false)
			i++
		}
	}
	q.put("`", false)
	return i + 1
}

// name returns what an identifier is called in the output.
func (q *squeezer) name(n string) string {
	private := n[0] == '#'
	short, listed := q.short[n]
	if !private && !listed {
		return n
	}
	if short == "" {
		const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		for short == "" || q.used[short] {
			g := q.given
			q.given++
			short = letters[g%len(letters) : g%len(letters)+1]
			if g >= len(letters) {
				short += letters[g/len(letters)-1 : g/len(letters)]
			}
		}
		q.used[short] = true
		if private {
			short = "#" + short
		}
		q.short[n] = short
	}
	return short
}

// The identifiers of the modules that may have other names.
const (
	deltaNames = "zigzag cosines cosine basis place band SKIP INTRA MODE STILL VECTOR CODED FINE SET LAST MORE LEVEL ACTIVE " +
		"start sums clamp name64 beat answer reason came reader record view head coarse fine Body across down key " +
		"quick slow normalise bound one raw number signed macroblock more left above ctx near ahead pred high beside over " +
		"add block type steps before group pass row column half shift intra inter top mode deblock along edge flat most step " +
		"quantisers rows mbs bit count frame code sum rest"
	feedNames = "make sheet request current watchdog watch interval show changes picture answer reason asked ceiling front back"
)
