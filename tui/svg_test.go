package tui

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"porthole/internal/event"
)

// testFilm holds the film of a session: it is XML that loads nothing, shows what
// was on the screen, and every step has its pieces at their time.
func testFilm(t *testing.T, s *Session) {
	t.Helper()
	var film bytes.Buffer
	if err := s.WriteSVG(&film, "</title><script>evil"); err != nil {
		t.Fatal(err)
	}
	out := film.String()
	var text strings.Builder
	for d := xml.NewDecoder(&film); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("the film is no XML: %v", err)
		}
		switch token := token.(type) {
		case xml.CharData:
			text.Write(token)
			text.WriteByte('\n')
		case xml.StartElement:
			if token.Name.Local == "script" {
				t.Error("a script has come in")
			}
		}
	}
	for _, want := range []string{"public: LIVE", "public: LOOP", "shown to the public", "the public sees the recorded loop", "crash, 10 lines"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the film never shows %q", want)
		}
	}
	for _, want := range []string{"data:image/png;base64,iVBOR", "prefers-reduced-motion", "step-end infinite"} {
		if !strings.Contains(out, want) {
			t.Errorf("the film lacks %q", want)
		}
	}
	if link := regexp.MustCompile(`(href|src)="[^#d]`).FindString(out); link != "" {
		t.Errorf("the film loads something: %s", link)
	}
	if len(out) > 400_000 {
		t.Errorf("%d bytes", len(out))
	}
}

func TestFilmOfOneEvent(t *testing.T) {
	s := &Session{Events: []event.Event{{Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Source: event.Board, Kind: event.Console, Text: "<&\"'> hello"}}}
	var film bytes.Buffer
	if err := s.WriteSVG(&film, "one"); err != nil || !strings.Contains(film.String(), "hello") {
		t.Errorf("%v, %d bytes", err, film.Len())
	}
}

func TestKeyframes(t *testing.T) {
	for _, tt := range []struct{ pattern, want string }{
		{"1", "0%{visibility:visible}"},
		{"0110", "0%{visibility:hidden}25%{visibility:visible}75%{visibility:hidden}"},
		{"10", "0%{visibility:visible}50%{visibility:hidden}"},
	} {
		if got := keyframes(tt.pattern); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.pattern, got, tt.want)
		}
	}
}
