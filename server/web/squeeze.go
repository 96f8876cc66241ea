package web

import (
	"cmp"
	"slices"
	"strings"
)

// squeeze makes a module of ours smaller without changing what it does: comments
// and white space go, variables and private names get short ones, declarations are
// joined. It knows the part of JavaScript that the modules are written in: every
// statement ends with a semicolon or a brace and none is empty, comments begin with two
// slashes, parameters are in parentheses, objects have no methods, functions are
// arrows. The tests of the feed run on its output.
func squeeze(source string) string {
	m := analyze(tokenize(source))
	m.rename()
	return m.print()
}

// rename gives variables and private names short names, the shortest ones to what
// is there most often. What is exported, or stands for a property more often than not,
// keeps its name.
func (m *module) rename() {
	taken := map[string][]*variable{}
	var list []*variable
	for _, v := range m.variables {
		name := m.text(v.uses[0])
		if v.declared == nil || m.exports(v) || 2*len(v.short) > len(v.uses) {
			taken[name] = append(taken[name], v)
		} else {
			list = append(list, v)
		}
	}
	slices.SortStableFunc(list, func(a, b *variable) int { return cmp.Compare(len(b.uses), len(a.uses)) })
	for _, v := range list {
		for g := 0; ; g++ {
			short := nth(g)
			if slices.ContainsFunc(taken[short], v.meets) {
				continue
			}
			taken[short] = append(taken[short], v)
			for _, i := range v.short {
				short := m.text(i) + ":" + short
				m.tokens[i].text = short
			}
			for _, i := range v.uses {
				if !slices.Contains(v.short, i) {
					m.tokens[i].text = short
				}
			}
			break
		}
	}

	names := map[string]string{}
	for i, t := range m.tokens {
		if t.kind != private {
			continue
		}
		if names[t.text] == "" {
			names[t.text] = "#" + nth(len(names))
		}
		m.tokens[i].text = names[t.text]
	}
}

// exports reports whether a variable's declaration begins with export.
func (m *module) exports(v *variable) bool {
	return slices.ContainsFunc(v.uses, func(i int) bool { return m.text(i-2) == "export" })
}

// nth is the n-th short name.
func nth(n int) string {
	const letters = "etaionsrlcudpmhgfybvwxkqjzEATSCRNPOILMDUHBFGVKWYXQJZ"
	if n < len(letters) {
		return letters[n : n+1]
	}
	n -= len(letters)
	return letters[n/len(letters):n/len(letters)+1] + letters[n%len(letters):n%len(letters)+1]
}

// print writes the tokens one behind the other.
func (m *module) print() string {
	var b strings.Builder
	var last byte
	depth := 0
	list := map[int]bool{} // depths at which the statement before is a declaration
	for i := 0; i < len(m.tokens); i++ {
		t := m.tokens[i]
		text := t.text
		if t.closes() {
			list[depth] = false
			depth--
		}
		if t.opens() {
			depth++
		}
		switch {
		case text == "const" || text == "let":
			text = "let" // the check was made on the source
			list[depth] = m.text(i-1) != "("
		case text == ";" && m.text(i+1) == "}":
			continue
		case text == ";" && list[depth] && (m.text(i+1) == "const" || m.text(i+1) == "let"):
			text = ","
			i++
		case text == ";":
			list[depth] = false
		case text == "(" && m.text(i+2) == ")" && m.text(i+3) == "=>" && m.tokens[i+1].kind == word:
			// A function of one parameter needs no parentheses.
			depth--
			m.tokens[i+2].text = ""
			m.tokens[i+2].kind = word
			continue
		case t.kind == literal && (text[0] == '`' || text[0] == '}'):
			text = style(text)
		}
		if text == "" {
			continue
		}
		if c := text[0]; isWord(last) && isWord(c) || last == c && (c == '+' || c == '-') {
			b.WriteByte(' ')
		}
		b.WriteString(text)
		last = text[len(text)-1]
	}
	return b.String()
}

// style takes the white space out of a style sheet that it does not need.
func style(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	for _, c := range []string{"{", "}", ";", "`"} {
		s = strings.ReplaceAll(s, " "+c, c)
	}
	for _, c := range []string{"{", "}", ";", ":", ",", "`"} {
		s = strings.ReplaceAll(s, c+" ", c)
	}
	return strings.ReplaceAll(s, ";}", "}")
}

// joined is the element with its decoder in one module: a page gets both by one
// request, and the one's words help to compress the other's.
func joined() string {
	decoder := strings.ReplaceAll(deltaJS, "export ", "")
	return squeeze(decoder + strings.Replace(feedJS, joint, "", 1))
}

// joint is the line that joined puts the decoder in the place of.
const joint = "import { changes } from './delta.js';"
