package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestAddToken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	first, err := AddToken(path, "porch")
	if err != nil {
		t.Fatal(err)
	}
	second, err := AddToken(path, "desk")
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(content), first) || strings.Contains(string(content), second) {
		t.Error("the file holds a token")
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	tokens, err := LoadTokens(path)
	if err != nil {
		t.Fatal(err)
	}
	for token, want := range map[string]string{first: "porch", second: "desk", "": "", first + "x": "", strings.ToUpper(first): ""} {
		if got, ok := tokens.Camera(token); got != want || ok != (want != "") {
			t.Errorf("camera of %q: %q %v, want %q", token, got, ok, want)
		}
	}
	if _, err := AddToken(path, "bad name"); err == nil {
		t.Error("a name with a space was taken")
	}
	if after, _ := os.ReadFile(path); string(after) != string(content) {
		t.Error("a refused token changed the file")
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestAddTokenAtOnce: tokens made at the same time are all kept.
func TestAddTokenAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(path, nil, 0o640); err != nil {
		t.Fatal(err)
	}
	made := make([]string, 20)
	var wg sync.WaitGroup
	for i := range made {
		wg.Go(func() {
			var err error
			if made[i], err = AddToken(path, fmt.Sprintf("cam%d", i/2)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	tokens, err := LoadTokens(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range made {
		if _, ok := tokens.Camera(token); !ok {
			t.Error("a token was lost")
		}
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o640 {
		t.Errorf("the file's mode became %v, %v", st.Mode(), err)
	}
}

func TestNewToken(t *testing.T) {
	for range 1000 {
		if token := NewToken(); len(token) != 32 || token[0] == '-' {
			t.Fatalf("token %q", token)
		}
	}
}

func TestReadTokens(t *testing.T) {
	hash := "sha256:" + strings.Repeat("0f", 32)
	lines := func(n int, name string) (file string) {
		for i := range n {
			file += fmt.Sprintf(name+" sha256:%064x\n", i/2, i)
		}
		return file
	}
	for _, tt := range []struct {
		name, file string
		n          int // tokens, -1 for an error
	}{
		{"empty", "", 0},
		{"comments", "# one\n\n  \ncam " + hash + "\n", 1},
		{"no newline at the end", "cam " + hash, 1},
		{"upper case", "cam " + strings.ToUpper(hash[:7]) + hash[7:], -1},
		{"two cameras", "a " + hash + "\nb sha256:" + strings.Repeat("f0", 32) + "\n", 2},
		{"one token for two cameras", "a " + hash + "\nb " + hash + "\n", -1},
		{"one token twice", "a " + hash + "\na " + hash + "\n", -1},
		{"two tokens of a camera", lines(2, "a%d"), 2},
		{"three tokens of a camera", lines(2, "a%d") + "a0 " + hash, -1},
		{"no name", hash, -1},
		{"bare token", "cam abcdef", -1},
		{"short hash", "cam sha256:00", -1},
		{"not hex", "cam sha256:" + strings.Repeat("zz", 32), -1},
		{"name with a slash", "a/b " + hash, -1},
		{"too many", lines(maxTokens+1, "cam%d"), -1},
		{"as many as allowed", lines(maxTokens, "cam%d"), maxTokens},
		{"too large", strings.Repeat("#", maxTokenFile+1), -1},
		{"large with short lines", strings.Repeat("#\n", maxTokenFile), -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tokens, err := ReadTokens(strings.NewReader(tt.file))
			if (err != nil) != (tt.n < 0) || err == nil && tokens.Len() != tt.n {
				t.Errorf("got %v, %v; want %d", tokens, err, tt.n)
			}
			if err != nil && strings.Contains(err.Error(), "abcdef") {
				t.Errorf("the error shows what may be a token: %v", err)
			}
		})
	}
}

// TestRotation: a camera gets its second token while the first still works, and
// then loses the first.
func TestRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(path, []byte("# my cameras\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	add := func(name string) string {
		t.Helper()
		token, err := AddToken(path, name)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	first, other, second := add("porch"), add("desk"), add("porch")
	if _, err := AddToken(path, "porch"); !errors.Is(err, ErrTooManyActive) {
		t.Errorf("a third token: %v", err)
	}
	known := func(want map[string]string) {
		t.Helper()
		tokens, err := LoadTokens(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, token := range []string{first, other, second} {
			if name, ok := tokens.Camera(token); name != want[token] || ok != (name != "") {
				t.Errorf("camera %q, want %q", name, want[token])
			}
		}
		if tokens.Len() != len(want) {
			t.Errorf("%d tokens, want %d", tokens.Len(), len(want))
		}
	}
	known(map[string]string{first: "porch", other: "desk", second: "porch"})
	if n, err := RetireTokens(path, "porch", false); n != 1 || err != nil {
		t.Errorf("retired %d, %v", n, err)
	}
	known(map[string]string{other: "desk", second: "porch"})
	if _, err := RetireTokens(path, "porch", false); !errors.Is(err, ErrLastToken) {
		t.Errorf("the last token: %v", err)
	}
	if _, err := RetireTokens(path, "garden", true); !errors.Is(err, ErrNoToken) {
		t.Errorf("a camera without tokens: %v", err)
	}
	if n, err := RetireTokens(path, "desk", true); n != 1 || err != nil {
		t.Errorf("retired %d, %v", n, err)
	}
	known(map[string]string{second: "porch"})
	if content, _ := os.ReadFile(path); !strings.HasPrefix(string(content), "# my cameras\n") {
		t.Errorf("the comment is gone: %q", content)
	}
}

// FuzzReadTokens: what is read is within the limits, is read again from what
// AddToken would write of it, and no error shows what may be a token.
func FuzzReadTokens(f *testing.F) {
	f.Add("cam sha256:" + strings.Repeat("0f", 32) + "\n# note\n")
	f.Fuzz(func(t *testing.T, file string) {
		tokens, err := ReadTokens(strings.NewReader(file))
		if err != nil {
			// A name is the one thing that is quoted, and at most 40 bytes of it.
			for line := range strings.Lines(file) {
				if _, digest, ok := strings.Cut(strings.TrimSpace(line), " "); ok && len(digest) > 40 && strings.Contains(err.Error(), digest) {
					t.Errorf("the error quotes %q", digest)
				}
			}
			return
		}
		var again strings.Builder
		for _, e := range tokens.entries {
			if e.name[0] == '.' || strings.ContainsAny(e.name, "/\\ \x00") {
				t.Errorf("camera %q", e.name)
			}
			fmt.Fprintf(&again, "%s sha256:%x\n", e.name, e.hash)
		}
		for _, name := range tokens.Cameras() {
			if n := tokens.Active(name); n < 1 || n > maxActive {
				t.Errorf("%d tokens of %q", n, name)
			}
		}
		if tokens.Len() > maxTokens {
			t.Errorf("%d tokens", tokens.Len())
		}
		if other, err := ReadTokens(strings.NewReader(again.String())); err != nil || !slices.Equal(other.entries, tokens.entries) {
			t.Errorf("written and read again: %v", err)
		}
	})
}
