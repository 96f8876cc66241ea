package serial

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"porthole/internal/cli"
)

// Leases is the folder that the leases of a user's processes are kept in. Two
// files belong to a port: one that is locked by whoever uses it and never
// removed, and one with who that is, replaced as a whole. Users are kept apart
// from each other by the lock on the device itself.
type Leases struct {
	// Dir is the folder; [DefaultDir] if empty.
	Dir string
}

// DefaultDir is a folder that only this user can read and that is gone after a
// restart: $RIG_RUNTIME_DIR, else one below $XDG_RUNTIME_DIR or the temporary
// folder.
func DefaultDir() string {
	if dir := os.Getenv("RIG_RUNTIME_DIR"); dir != "" {
		return dir
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "porthole")
	}
	return filepath.Join(os.TempDir(), "porthole-"+strconv.Itoa(os.Getuid()))
}

func (l Leases) dir() string { return cmp.Or(l.Dir, DefaultDir()) }

// prepare makes the folder and refuses one that others can write to: in a
// shared temporary folder somebody else may have made it first.
func (l Leases) prepare() error {
	dir := l.dir()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return cli.Hint(fmt.Errorf("make folder of leases: %w", err), "set RIG_RUNTIME_DIR to a folder of yours")
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("look at folder of leases: %w", err)
	}
	if !info.IsDir() || !private(info) {
		return cli.Hint(fmt.Errorf("folder of leases %q is not yours alone", dir), "set RIG_RUNTIME_DIR to a folder of yours with mode 0700")
	}
	return nil
}

// record is the files of one port for one purpose. Their names are short: the
// path of a socket must fit into about a hundred characters.
type record struct{ base string }

func (l Leases) record(key, purpose string) record {
	sum := sha256.Sum256([]byte(purpose + " " + key))
	return record{filepath.Join(l.dir(), fmt.Sprintf("%x", sum[:8]))}
}

func (r record) lock() string   { return r.base + ".lock" }
func (r record) socket() string { return r.base + ".sock" }
func (r record) text() string   { return r.base + ".json" }

// read returns the holder, whether or not it still counts.
func (r record) read() (Holder, error) {
	f, err := os.Open(r.text())
	if err != nil {
		return Holder{}, err
	}
	defer f.Close()
	var h Holder
	if err := json.NewDecoder(io.LimitReader(f, 4<<10)).Decode(&h); err != nil {
		return Holder{}, fmt.Errorf("read lease %q: %w", r.text(), err)
	}
	return h, nil
}

// write replaces the holder, so that a reader sees the old one or the new one.
func (r record) write(h Holder) error {
	data, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("write lease: %w", err)
	}
	tmp := r.base + "." + h.ID
	if err := os.WriteFile(tmp, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("write lease: %w", err)
	}
	if err := os.Rename(tmp, r.text()); err != nil {
		os.Remove(tmp)
		return fmt.Errorf("write lease: %w", err)
	}
	return nil
}

func (r record) remove() error {
	if err := os.Remove(r.text()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove lease: %w", err)
	}
	return nil
}
