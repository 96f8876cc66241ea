package web

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

// squeeze makes a module of ours smaller without changing what it does: comments
// and white space go, private names and the given identifiers get short ones. It
// knows the part of JavaScript that the modules are written in: every statement
// ends with a semicolon or a brace and none is empty, comments begin with two slashes, and an
// identifier in the list means the same wherever it stands and is no property of
// anything else. The tests of the feed run on its output.
func squeeze(source string, names string) string {
	q := squeezer{taken: map[string][]home{}, short: map[string]string{}}
	count, homes := map[string]int{}, map[string]home{}
	at := home{}
	for line := range strings.Lines(source) {
		at = at.next(line)
		for _, w := range word.FindAllString(line, -1) {
			if count[w]++; count[w] == 1 {
				homes[w] = at
			}
			homes[w] = homes[w].with(at)
		}
	}
	var list []string
	given := strings.Fields(names)
	for w, h := range homes {
		if w[0] == '#' || slices.Contains(given, w) {
			list = append(list, w)
		} else {
			q.taken[w] = append(q.taken[w], h)
		}
	}
	// The shortest names for what is there most often.
	slices.SortFunc(list, func(a, b string) int { return cmp.Or(count[b]-count[a], strings.Compare(a, b)) })
	for _, n := range list {
		q.short[n] = q.shorten(n[0] == '#', homes[n])
	}
	q.code(source, 0)
	if q.held {
		q.out.WriteByte(';')
	}
	return arrow.ReplaceAllString(q.out.String(), "$1$2=>")
}

var word = regexp.MustCompile(`#?[A-Za-z_$][A-Za-z0-9_$]*`)

// arrow is a function of one parameter, which needs no parentheses.
var arrow = regexp.MustCompile(`([(,=])\(([A-Za-z_$]+)\)=>`)

// home is the smallest part of a module with all places of an identifier: the
// statement of the module, counted from 1, and the one within it, or method; 0 for
// all. Identifiers whose homes have nothing in common may have one name. Statements
// are told by their lines, which begin in the first column, or in the third.
type home struct{ outer, inner int }

// next is the home of a line behind one of h.
func (h home) next(line string) home {
	text := strings.TrimLeft(line, " ")
	if strings.IndexByte("})]`\n", text[0]) >= 0 {
		return h // goes on
	}
	switch len(line) - len(text) {
	case 0:
		return home{h.outer + 1, 1}
	case 2:
		return home{h.outer, h.inner + 1}
	}
	return h
}

// with is the smallest home of both.
func (h home) with(o home) home {
	switch {
	case h.outer != o.outer:
		return home{}
	case h.inner != o.inner:
		return home{h.outer, 0}
	}
	return h
}

// meets reports whether the homes have a place in common.
func (h home) meets(o home) bool {
	return h.outer == 0 || o.outer == 0 || h.outer == o.outer && (h.inner == 0 || o.inner == 0 || h.inner == o.inner)
}

type squeezer struct {
	taken map[string][]home // names of the output, and where
	short map[string]string // by identifier
	out   strings.Builder
	last  byte // of the output's code
	held  bool // a semicolon, until it is known whether a brace follows
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '$' || c == '#'
}

// put writes a token, and a space before it where it would grow together with
// the one before.
func (q *squeezer) put(token string, spaced bool) {
	if q.held {
		if q.held = false; token != "}" {
			q.out.WriteByte(';')
		}
	}
	if token == ";" {
		q.held, q.last = true, ';'
		return
	}
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
// in it is that of style sheets, where none is needed behind a colon or around a brace.
func (q *squeezer) template(s string, i int) int {
	q.put("`", false)
	for s[i] != '`' {
		switch {
		case strings.HasPrefix(s[i:], "${"):
			q.put("${", false)
			i = q.code(s, i+2)
			q.put("}", false)
			i++
		case s[i] == '\n' || s[i] == ' ' && (strings.IndexByte(" {};:,`", q.last) >= 0 || s[i+1] == '{' || s[i+1] == '}'):
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
	if short, ok := q.short[n]; ok {
		return short
	}
	if n == "const" {
		return "let" // the check was made on the source
	}
	return n
}

// shorten returns the next name that nothing else has there. Private names are
// apart from all others.
func (q *squeezer) shorten(private bool, at home) string {
	mark := ""
	if private {
		mark = "#"
	}
	for g := 0; ; g++ {
		short := mark + letters[g%len(letters):g%len(letters)+1]
		if g >= len(letters) {
			short += letters[g/len(letters)-1 : g/len(letters)]
		}
		if !slices.ContainsFunc(q.taken[short], at.meets) {
			q.taken[short] = append(q.taken[short], at)
			return short
		}
	}
}

// letters are names in the order they are given.
const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// joined is the element with its decoder in one module: a page gets both by one
// request, and the one's words help to compress the other's. The decoder's scope
// is a function, so that both may use the same short names.
func joined() string {
	decoder := strings.ReplaceAll(squeeze(deltaJS, deltaNames), "export ", "")
	element := squeeze(feedJS, feedNames)
	return strings.Replace(element, joint, "let Changes=(()=>{"+decoder+"return Changes})();", 1)
}

// joint is the squeezed line that joined puts the decoder in the place of.
const joint = "import{Changes}from'./delta.js';"

// The identifiers of the modules that may have other names.
const (
	deltaNames = "zigzag cosines cosine basis place band SKIP INTRA MODE STILL VECTOR CODED FINE SET LAST MORE LEVEL ACTIVE " +
		"start sums clamp name64 beat answer reason came reader record scan rough view head coarse fine across down key " +
		"quick slow normalise next bound one raw number signed macroblock more left above ctx near ahead pred high beside over " +
		"add block type steps before group pass row column half shift intra inter top mode deblock along edge flat most step " +
		"rows mbs bit count frame code sum rest MISSED input output old now size end out low all path get base at bytes dx dy px py mb p0 p1 q0 q1 bx by"
	feedNames = "make sheet request current watchdog watch interval show changes picture answer reason asked ceiling front back " +
		"LATEST root label span fade alt props bitmap otherwise seen shot"
)
