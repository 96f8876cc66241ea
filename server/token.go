package server

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Limits of a token file.
const (
	maxTokens    = 64
	maxTokenName = 32
	maxTokenFile = 64 << 10
)

// Tokens knows the hash of every upload token and which camera it belongs to.
// It never holds a token itself. Its file has one token a line,
//
//	camera-name sha256:64-hex-digits
//
// with empty lines and lines that start with # ignored. It is immutable and
// safe for concurrent use.
type Tokens struct {
	entries []tokenEntry
}

type tokenEntry struct {
	name string
	hash [sha256.Size]byte
}

// NewToken returns a fresh token of 192 random bits. It is shown once and kept
// nowhere.
func NewToken() string {
	for {
		var b [24]byte
		rand.Read(b[:]) // never fails: crypto/rand ends the process instead
		// A leading dash would be taken for a flag on a command line.
		if token := base64.RawURLEncoding.EncodeToString(b[:]); token[0] != '-' {
			return token
		}
	}
}

// TokensOf returns Tokens for one camera, for programs that make up a token at
// start.
func TokensOf(name, token string) (*Tokens, error) {
	if err := checkTokenName(name); err != nil {
		return nil, err
	}
	return &Tokens{[]tokenEntry{{name, sha256.Sum256([]byte(token))}}}, nil
}

// ReadTokens parses a token file.
func ReadTokens(r io.Reader) (*Tokens, error) {
	t := new(Tokens)
	lines := bufio.NewScanner(io.LimitReader(r, maxTokenFile+1))
	var size, n int
	for lines.Scan() {
		n++
		if size += len(lines.Bytes()) + 1; size > maxTokenFile {
			return nil, fmt.Errorf("read tokens: more than %d bytes", maxTokenFile)
		}
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		e, err := parseTokenLine(line)
		if err != nil {
			// The line is not quoted: it may hold a token pasted by mistake.
			return nil, fmt.Errorf("read tokens: line %d: %w", n, err)
		}
		if len(t.entries) == maxTokens {
			return nil, fmt.Errorf("read tokens: line %d: more than %d tokens", n, maxTokens)
		}
		t.entries = append(t.entries, e)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read tokens: %w", err)
	}
	return t, nil
}

func parseTokenLine(line string) (e tokenEntry, err error) {
	name, digest, ok := strings.Cut(line, " ")
	if !ok {
		return e, errors.New("want a camera name, a space and sha256:hash")
	}
	if err := checkTokenName(name); err != nil {
		return e, err
	}
	digits, ok := strings.CutPrefix(strings.TrimSpace(digest), "sha256:")
	if !ok || len(digits) != 2*sha256.Size {
		return e, errors.New("want sha256: and 64 hex digits after the camera name")
	}
	if _, err := hex.Decode(e.hash[:], []byte(digits)); err != nil {
		return e, errors.New("the hash is not hexadecimal")
	}
	e.name = name
	return e, nil
}

func checkTokenName(name string) error {
	ok := len(name) > 0 && len(name) <= maxTokenName
	for _, c := range []byte(name) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.')
	}
	if !ok {
		return fmt.Errorf("camera name %.40q: want 1 to %d letters, digits, dots, dashes or underscores", name, maxTokenName)
	}
	return nil
}

// Camera returns the name of the camera that token belongs to. It takes the same
// time for every token of one length.
func (t *Tokens) Camera(token string) (name string, ok bool) {
	sum := sha256.Sum256([]byte(token))
	found := -1
	for i := range t.entries {
		match := subtle.ConstantTimeCompare(sum[:], t.entries[i].hash[:])
		found = subtle.ConstantTimeSelect(match, i, found)
	}
	if found < 0 {
		return "", false
	}
	return t.entries[found].name, true
}

// Len returns how many tokens are known.
func (t *Tokens) Len() int { return len(t.entries) }

// LoadTokens reads the token file.
func LoadTokens(path string) (*Tokens, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("load tokens: %w", err)
	}
	defer f.Close()
	t, err := ReadTokens(f)
	if err != nil {
		return nil, fmt.Errorf("load tokens from %q: %w", path, err)
	}
	return t, nil
}

// AddToken makes a token for the camera name, appends its hash to the file at
// path and returns the token. The file is replaced as a whole, so that a crash
// leaves either the old or the new one; a new file is readable by its owner only,
// an old one keeps its mode. Several processes may add tokens at once.
func AddToken(path, name string) (token string, err error) {
	if err := checkTokenName(name); err != nil {
		return "", fmt.Errorf("add token: %w", err)
	}
	unlock, err := lockFile(path + ".lock")
	if err != nil {
		return "", fmt.Errorf("add token: %w", err)
	}
	defer unlock()
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("add token: %w", err)
	}
	token = NewToken()
	sum := sha256.Sum256([]byte(token))
	content := bytes.TrimRight(old, "\n")
	if len(content) > 0 {
		content = append(content, '\n')
	}
	content = fmt.Appendf(content, "%s sha256:%x\n", name, sum)
	if _, err := ReadTokens(bytes.NewReader(content)); err != nil {
		return "", fmt.Errorf("add token to %q: %w", path, err)
	}
	if err := replaceFile(path, content); err != nil {
		return "", fmt.Errorf("add token: %w", err)
	}
	return token, nil
}

// replaceFile writes a private file by writing another one beside it and
// renaming it.
func replaceFile(path string, content []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(content); err != nil {
		return err
	}
	if st, statErr := os.Stat(path); statErr == nil {
		if err = f.Chmod(st.Mode().Perm()); err != nil {
			return err
		}
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
