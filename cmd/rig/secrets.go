package main

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strings"

	"porthole/internal/cli"
)

// secretKeys are what a file of secrets may hold.
var secretKeys = []string{"wifi-password", "token"}

const secretsHint = "a file of secrets has lines 'wifi-password = …' and 'token = …', belongs to you, and has mode 0600"

// readSecrets reads a file that nobody but its owner can read. The check is on
// the open file, so that none can be put in its place. An empty path is no file.
// Errors name lines, never what stands in them.
func readSecrets(path string) (map[string]string, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, cli.Hint(fmt.Errorf("read secrets: %w", err), secretsHint)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read secrets: %w", err)
	}
	switch mode := info.Mode(); {
	case !mode.IsRegular():
		return nil, cli.Hint(fmt.Errorf("read secrets: %q is not a file", path), secretsHint)
	case mode.Perm()&0o077 != 0:
		return nil, cli.Hint(fmt.Errorf("read secrets: %q has mode %04o: others can read or change it", path, mode.Perm()), "chmod 600 it; if others had access, change the secrets as well")
	}
	out := map[string]string{}
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		key, value, ok := strings.Cut(text, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		_, twice := out[key]
		if !ok || value == "" || twice || !slices.Contains(secretKeys, key) {
			return nil, cli.Hint(fmt.Errorf("read secrets: line %d of %q is not one more key = value", n, path), secretsHint)
		}
		out[key] = value
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read secrets: %w", err)
	}
	return out, nil
}
