package monitor

import (
	"bytes"
	"regexp"
)

// secretValue finds what follows the name of a secret: token="…", password=…,
// Authorization: Bearer …. The firmware prints none of them; foreign programs and
// people who type on the console do.
var secretValue = regexp.MustCompile(`(?i)(?:password|passwd|passphrase|psk|token|secret|authorization|api_?key)["']?\s*[=:]\s*` +
	`(?:"((?:[^"\\]|\\.)*)|'([^']*)|(?:(?:bearer|basic)\s+)?([^\s"',;&]+))`)

// secretWord finds the value behind "Bearer", wherever it stands, and the
// user in a URL, token or name and password.
var secretWord = regexp.MustCompile(`(?i)bearer\s+([^\s"',;]+)|[a-z]://([^\s/@]+)@`)

// Redact returns a function for NewRecorder that masks, with as many asterisks,
// the values of what is named like a secret, and the given secrets wherever they
// turn up. Secrets of less than four characters are not masked: they would blank
// out half of everything and hide nothing.
func Redact(secrets ...string) func(line []byte) {
	var words [][]byte
	for _, s := range secrets {
		if len(s) >= 4 {
			words = append(words, []byte(s))
		}
	}
	return func(line []byte) {
		for _, w := range words {
			for rest := line; ; {
				i := bytes.Index(rest, w)
				if i < 0 {
					break
				}
				mask(rest[i : i+len(w)])
				rest = rest[i+len(w):]
			}
		}
		for _, re := range []*regexp.Regexp{secretValue, secretWord} {
			for _, m := range re.FindAllSubmatchIndex(line, -1) {
				for i := 2; i < len(m); i += 2 {
					if m[i] >= 0 {
						mask(line[m[i]:m[i+1]])
					}
				}
			}
		}
	}
}

func mask(b []byte) {
	for i := range b {
		b[i] = '*'
	}
}
