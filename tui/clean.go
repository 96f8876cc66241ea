package tui

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// maxText is how much of one text from outside is kept, in bytes.
const maxText = 512

// clean makes a text from a board, a camera or a network fit for a cell grid:
// escape sequences are taken out whole, what is left of control, format and
// direction characters becomes a dot, and broken UTF-8 a replacement character.
// The result is one line of at most maxText bytes.
func clean(s string) string {
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") + "…"
	}
	if plainASCII(s) {
		return s
	}
	s = strings.TrimRight(ansi.Strip(strings.ReplaceAll(s, "\t", "  ")), "\r\n")
	return strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError:
			return '\uFFFD'
		case r == ' ', unicode.IsGraphic(r) && !unicode.Is(unicode.M, r) && !unicode.Is(unicode.Zl, r) && !unicode.Is(unicode.Zp, r):
			return r
		default:
			return '·'
		}
	}, s)
}

func plainASCII(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}
