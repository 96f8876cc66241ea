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
	"slices"
	"strings"
)

// Limits of a token file.
const (
	maxTokens    = 64
	maxTokenName = 32
	maxTokenFile = 64 << 10
	// maxActive tokens of one camera: the one on the board, and its successor
	// until that is on the board too.
	maxActive = 2
)

// Tokens knows the hash of every upload token and which camera it belongs to.
// It never holds a token itself. Its file has one token a line,
//
//	camera-name sha256:64-hex-digits
//
// with empty lines and lines that start with # ignored. A camera may have two,
// the older one first, so that a token can be replaced without a gap. It is
// immutable and safe for concurrent use.
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
		if err := t.add(e); err != nil {
			return nil, fmt.Errorf("read tokens: line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read tokens: %w", err)
	}
	return t, nil
}

func (t *Tokens) add(e tokenEntry) error {
	if len(t.entries) == maxTokens {
		return fmt.Errorf("more than %d tokens", maxTokens)
	}
	active := 1
	for _, other := range t.entries {
		if other.hash == e.hash {
			return fmt.Errorf("the token of camera %q again: each has one camera", other.name)
		}
		if other.name == e.name {
			active++
		}
	}
	if active > maxActive {
		return fmt.Errorf("%w %q", ErrTooManyActive, e.name)
	}
	t.entries = append(t.entries, e)
	return nil
}

// ErrTooManyActive means that a camera has two tokens already.
var ErrTooManyActive = errors.New("more than 2 tokens of camera")

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
	// No leading dot: a name that somebody makes a path of stays where it is.
	ok := len(name) > 0 && len(name) <= maxTokenName && name[0] != '.'
	for _, c := range []byte(name) {
		ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.')
	}
	if !ok {
		return fmt.Errorf("camera name %.40q: want 1 to %d letters, digits, dots, dashes or underscores, no dot first", name, maxTokenName)
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

// Cameras returns the names of the cameras, each once, in the order of the file.
func (t *Tokens) Cameras() []string {
	var names []string
	for _, e := range t.entries {
		if !slices.Contains(names, e.name) {
			names = append(names, e.name)
		}
	}
	return names
}

// Active returns how many tokens a camera has.
func (t *Tokens) Active(camera string) (n int) {
	for _, e := range t.entries {
		if e.name == camera {
			n++
		}
	}
	return n
}

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
// path and returns the token. A camera that has two already wraps
// ErrTooManyActive. A new file is readable by its owner only.
func AddToken(path, name string) (token string, err error) {
	if err := checkTokenName(name); err != nil {
		return "", fmt.Errorf("add token: %w", err)
	}
	token = NewToken()
	sum := sha256.Sum256([]byte(token))
	err = changeTokens(path, func(old []byte) ([]byte, error) {
		if tokens, err := ReadTokens(bytes.NewReader(old)); err != nil {
			return nil, err
		} else if tokens.Active(name) >= maxActive {
			return nil, fmt.Errorf("%w %q", ErrTooManyActive, name)
		}
		// Behind the camera's other one, so that the order of cameras stays.
		added := fmt.Appendf(nil, "%s sha256:%x\n", name, sum)
		var content []byte
		for line := range bytes.Lines(old) {
			content = append(append(content, bytes.TrimRight(line, "\r\n")...), '\n')
			if e, err := parseTokenLine(strings.TrimSpace(string(line))); err == nil && e.name == name {
				content, added = append(content, added...), nil
			}
		}
		return append(content, added...), nil
	})
	if err != nil {
		return "", fmt.Errorf("add token: %w", err)
	}
	return token, nil
}

// RetireTokens takes tokens of a camera out of the file at path: the older one
// of two, or all of them. It returns how many it took; to leave a camera without
// any is an error unless all is set.
func RetireTokens(path, name string, all bool) (n int, err error) {
	err = changeTokens(path, func(old []byte) ([]byte, error) {
		tokens, err := ReadTokens(bytes.NewReader(old))
		if err != nil {
			return nil, err
		}
		switch active := tokens.Active(name); {
		case active == 0:
			return nil, fmt.Errorf("%w %q", ErrNoToken, name)
		case active == 1 && !all:
			return nil, fmt.Errorf("%w %q", ErrLastToken, name)
		}
		var content []byte
		for line := range bytes.Lines(old) {
			e, err := parseTokenLine(strings.TrimSpace(string(line)))
			if err == nil && e.name == name && (all || n == 0) {
				n++
				continue
			}
			content = append(content, line...)
		}
		return content, nil
	})
	if err != nil {
		return 0, fmt.Errorf("retire token: %w", err)
	}
	return n, nil
}

// Why RetireTokens takes nothing.
var (
	ErrLastToken = errors.New("this is the only token of camera")
	ErrNoToken   = errors.New("no token of camera")
)

// changeTokens replaces the token file as a whole, so that a crash leaves either
// the old or the new one; an old one keeps its mode. Several processes may
// change it at once. What does not read back is not written.
func changeTokens(path string, change func(old []byte) ([]byte, error)) error {
	unlock, err := lockFile(path + ".lock")
	if err != nil {
		return err
	}
	defer unlock()
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	content, err := change(old)
	if err != nil {
		return fmt.Errorf("token file %q: %w", path, err)
	}
	if _, err := ReadTokens(bytes.NewReader(content)); err != nil {
		return fmt.Errorf("token file %q: %w", path, err)
	}
	return replaceFile(path, content)
}
