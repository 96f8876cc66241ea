package web

import "slices"

// scope is a part of a module in which names can be declared: the module, a block,
// a function with its parameters, a loop with its variables.
type scope struct {
	parent   *scope
	declared map[string]*variable
}

// variable is a declared name, or one of the browser's.
type variable struct {
	declared *scope          // nil for one of the browser's
	live     map[*scope]bool // where it has a meaning that counts: from its uses up to its scope
	uses     []int           // tokens
	short    []int           // of them, those that stand for a property of the same name, too
}

// module is a list of tokens and what they mean.
type module struct {
	tokens    []token
	pair      []int // of a bracket: the other one
	objects   []bool
	classes   []bool   // of an opening brace: of an object or a pattern, of a class
	scopes    []*scope // innermost, of each token
	variables []*variable
}

// analyze finds out which words of a module are variables, and which of them are
// the same.
func analyze(tokens []token) *module {
	m := &module{
		tokens: tokens, pair: make([]int, len(tokens)), scopes: make([]*scope, len(tokens)),
		objects: make([]bool, len(tokens)), classes: make([]bool, len(tokens)),
	}
	var open []int
	for i, t := range tokens {
		if t.closes() {
			m.pair[i], m.pair[open[len(open)-1]] = open[len(open)-1], i
			open = open[:len(open)-1]
		}
		if t.opens() {
			open = append(open, i)
		}
	}
	m.nest()
	m.declare()
	m.resolve()
	return m
}

// text is that of a token, "" beyond the ends.
func (m *module) text(i int) string {
	if i < 0 || i >= len(m.tokens) {
		return ""
	}
	return m.tokens[i].text
}

// nest gives each token its scope.
func (m *module) nest() {
	begin, params := make([][]int, len(m.tokens)), make([]bool, len(m.tokens)) // ends of the scopes that begin there
	body := make([]bool, len(m.tokens))                                        // braces of bodies: their functions are their scopes
	class := false
	for i := range m.tokens {
		switch m.text(i) {
		case "class":
			class = true
		case "for":
			begin[i] = append(begin[i], m.statement(i))
		case "(":
			end := m.pair[i]
			before := m.text(i - 1)
			switch {
			case m.text(end+1) == "=>" && m.text(end+2) == "{":
				begin[i] = append(begin[i], m.pair[end+2])
				body[end+2] = true
			case m.text(end+1) == "=>":
				begin[i] = append(begin[i], m.expression(end+2))
			case m.text(end+1) == "{" && !slices.Contains([]string{"if", "for", "while"}, before):
				begin[i] = append(begin[i], m.pair[end+1])
				body[end+1] = true
			}
			params[i] = len(begin[i]) > 0
		case "{":
			m.classes[i] = class
			class = false
			m.objects[i] = slices.Contains([]string{"=", "(", ",", ":", "[", "?", "&", "|", "...", "return", "const", "let"}, m.text(i-1))
			if !body[i] {
				begin[i] = append(begin[i], m.pair[i])
			}
		}
	}

	top := &scope{declared: map[string]*variable{}}
	within, ends := []*scope{top}, []int{len(m.tokens)}
	for i := range m.tokens {
		for _, end := range begin[i] {
			within = append(within, &scope{parent: within[len(within)-1], declared: map[string]*variable{}})
			ends = append(ends, end)
		}
		m.scopes[i] = within[len(within)-1]
		if params[i] {
			m.bindings(i, m.scopes[i])
		}
		for ends[len(ends)-1] == i {
			within, ends = within[:len(within)-1], ends[:len(ends)-1]
		}
	}
}

// statement returns the last token of the statement that begins at i.
func (m *module) statement(i int) int {
	switch m.text(i) {
	case "for", "if", "while":
		for m.text(i) != "(" {
			i++ // for await
		}
		end := m.statement(m.pair[i] + 1)
		if m.text(end+1) == "else" {
			return m.statement(end + 2)
		}
		return end
	case "try":
		end := m.pair[i+1]
		for m.text(end+1) == "catch" || m.text(end+1) == "finally" {
			for end += 2; m.text(end) != "{"; {
				end = m.pair[end] + 1
			}
			end = m.pair[end]
		}
		return end
	case "{":
		return m.pair[i]
	}
	return m.expression(i) + 1
}

// expression returns the last token of the expression that begins at i.
func (m *module) expression(i int) int {
	for ; i < len(m.tokens); i++ {
		switch t := m.tokens[i]; {
		case t.closes() || t.text == "," || t.text == ";":
			return i - 1
		case t.opens():
			i = m.pair[i]
			if m.tokens[i].opens() {
				i-- // one hole of a template after the other
			}
		}
	}
	return i - 1
}

// declare finds the declarations but those of parameters.
func (m *module) declare() {
	for i := range m.tokens {
		switch m.text(i) {
		case "class":
			m.bind(i+1, m.scopes[i])
		case "const", "let":
			for at := i + 1; ; at++ {
				at = m.bind(at, m.scopes[i])
				if m.text(at) == "=" {
					at = m.expression(at+1) + 1
				}
				if m.text(at) != "," {
					break
				}
			}
		}
	}
}

// bindings declares what the elements of a list or pattern bind, whose bracket is
// at i.
func (m *module) bindings(i int, s *scope) {
	for at := i + 1; at < m.pair[i]; at++ {
		if m.text(at) == "..." || m.text(at) == "," {
			continue
		}
		if m.text(i) == "{" && m.text(at+1) == ":" {
			at += 2
		}
		at = m.bind(at, s)
		if m.text(at) == "=" {
			at = m.expression(at+1) + 1
		}
	}
}

// bind declares the name or the names of the pattern at i, and returns what is
// behind.
func (m *module) bind(i int, s *scope) int {
	if m.tokens[i].opens() {
		m.bindings(i, s)
		return m.pair[i] + 1
	}
	if name := m.text(i); s.declared[name] == nil {
		s.declared[name] = &variable{declared: s, live: map[*scope]bool{s: true}}
	}
	return i + 1
}

// resolve finds the variable of each word that is one.
func (m *module) resolve() {
	browser := map[string]*variable{}
	var open []int
	for i, t := range m.tokens {
		if t.closes() {
			open = open[:len(open)-1]
		}
		inner := -1
		if len(open) > 0 {
			inner = open[len(open)-1]
		}
		if t.opens() {
			open = append(open, i)
		}
		if t.kind != word || t.text[0] >= '0' && t.text[0] <= '9' {
			continue
		}
		before, behind := m.text(i-1), m.text(i+1)
		if before == "." || before == "?." {
			continue
		}
		shorthand := false
		if inner >= 0 && m.objects[inner] && (before == "{" || before == ",") {
			if behind == ":" {
				continue
			}
			shorthand = behind == "," || behind == "}" || behind == "="
		}
		if inner >= 0 && m.classes[inner] && slices.Contains([]string{"{", ";", "}", "static", "get", "set", "async", "*"}, before) {
			continue // a member
		}
		s := m.scopes[i]
		for s.declared[t.text] == nil && s.parent != nil {
			s = s.parent
		}
		v := s.declared[t.text]
		if v == nil {
			if v = browser[t.text]; v == nil {
				v = &variable{live: map[*scope]bool{}}
				browser[t.text] = v
			}
		}
		if v.uses == nil {
			m.variables = append(m.variables, v)
		}
		v.uses = append(v.uses, i)
		if shorthand {
			v.short = append(v.short, i)
		}
		for at := m.scopes[i]; at != nil && at != v.declared; at = at.parent {
			v.live[at] = true
		}
	}
}

// meets reports whether two variables must not have one name.
func (v *variable) meets(o *variable) bool {
	for s := range v.live {
		if o.live[s] {
			return true
		}
	}
	return false
}
