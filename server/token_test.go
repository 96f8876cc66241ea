package server

import (
	"os"
	"path/filepath"
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
			if made[i], err = AddToken(path, "cam"); err != nil {
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
	for _, tt := range []struct {
		name, file string
		n          int // tokens, -1 for an error
	}{
		{"empty", "", 0},
		{"comments", "# one\n\n  \ncam " + hash + "\n", 1},
		{"no newline at the end", "cam " + hash, 1},
		{"upper case", "cam " + strings.ToUpper(hash[:7]) + hash[7:], -1},
		{"two cameras", "a " + hash + "\nb " + hash + "\n", 2},
		{"no name", hash, -1},
		{"bare token", "cam abcdef", -1},
		{"short hash", "cam sha256:00", -1},
		{"not hex", "cam sha256:" + strings.Repeat("zz", 32), -1},
		{"name with a slash", "a/b " + hash, -1},
		{"too many", strings.Repeat("cam "+hash+"\n", maxTokens+1), -1},
		{"as many as allowed", strings.Repeat("cam "+hash+"\n", maxTokens), maxTokens},
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

func FuzzReadTokens(f *testing.F) {
	f.Add("cam sha256:" + strings.Repeat("0f", 32) + "\n# note\n")
	f.Add("cam sha256:\n")
	f.Add("\x00 \xff\n")
	f.Fuzz(func(t *testing.T, file string) {
		tokens, err := ReadTokens(strings.NewReader(file))
		if err == nil && tokens.Len() > maxTokens {
			t.Errorf("%d tokens", tokens.Len())
		}
	})
}
