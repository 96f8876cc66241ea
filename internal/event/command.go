package event

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Command asks a part of Porthole to do something. Like an Event it is plain
// data, so that it can cross a process boundary as JSON.
type Command struct {
	Name string            `json:"name"` // "camera.off", "server.mode", …: part, dot, verb
	Args map[string]string `json:"args,omitempty"`
}

// Reply is the answer to a Command that was carried out.
type Reply struct {
	Text string `json:"text,omitempty"`
}

// Handler carries out a command. It may block; it ends when ctx does.
type Handler func(ctx context.Context, c Command) (Reply, error)

// ErrNoHandler means that nothing that runs here knows the command.
var ErrNoHandler = errors.New("nothing here handles this command")

// Handle registers the handler of a command and returns a function that takes
// it back. A second handler for one name replaces the first.
func (b *Bus) Handle(name string, h Handler) (remove func()) {
	if b == nil {
		return func() {}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.handlers == nil {
		b.handlers = make(map[string]*Handler)
	}
	own := &h
	b.handlers[name] = own
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.handlers[name] == own { // it may have been replaced
			delete(b.handlers, name)
		}
	}
}

// Commands lists the names that have a handler, sorted.
func (b *Bus) Commands() []string {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(maps.Keys(b.handlers))
}

// Do carries out c and returns its reply, or an error that wraps ErrNoHandler,
// the context's, or the handler's own. The command runs on the caller's
// goroutine.
func (b *Bus) Do(ctx context.Context, c Command) (Reply, error) {
	var h *Handler
	if b != nil {
		b.mu.Lock()
		h = b.handlers[c.Name]
		b.mu.Unlock()
	}
	if h == nil {
		return Reply{}, fmt.Errorf("command %q: %w", c.Name, ErrNoHandler)
	}
	if err := ctx.Err(); err != nil {
		return Reply{}, fmt.Errorf("command %q: %w", c.Name, err)
	}
	r, err := (*h)(ctx, c)
	if err != nil {
		return r, fmt.Errorf("command %q: %w", c.Name, err)
	}
	return r, nil
}

// ParseCommand reads "part.verb key=value …", as a person types it. A value with
// spaces stands in quotes.
func ParseCommand(s string) (c Command, ok bool) {
	words, ok := splitWords(s)
	if !ok || len(words) == 0 || !strings.Contains(words[0], ".") {
		return Command{}, false
	}
	c.Name = words[0]
	for _, w := range words[1:] {
		k, v, ok := strings.Cut(w, "=")
		if !ok || k == "" {
			return Command{}, false
		}
		if c.Args == nil {
			c.Args = make(map[string]string)
		}
		c.Args[k] = v
	}
	return c, true
}

// splitWords splits at spaces outside of quotes; it fails on a quote left open.
func splitWords(s string) (out []string, ok bool) {
	var word strings.Builder
	quoted, any := false, false
	for _, r := range s {
		switch {
		case r == '"':
			quoted, any = !quoted, true
		case r == ' ' && !quoted:
			if any {
				out = append(out, word.String())
				word.Reset()
				any = false
			}
		default:
			word.WriteRune(r)
			any = true
		}
	}
	if any {
		out = append(out, word.String())
	}
	return out, !quoted
}
