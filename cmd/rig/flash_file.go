package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"porthole/hil/serial"
	"porthole/internal/cli"
	"porthole/sim/board"
)

// flashFile is the file that a simulated board keeps its flash in. One board
// has it at a time: two would each save over what the other was flashed with.
type flashFile struct {
	path  string
	lease *serial.Lease
}

// takeFlashFile keeps a file for the board of this process, by whatever name
// others call it. It need not exist yet. The hold ends with the process at the
// latest.
func takeFlashFile(ctx context.Context, path, purpose string) (*flashFile, error) {
	// The file may be missing; its folder, which links can lead to, is not.
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err == nil {
		dir, err = filepath.Abs(dir)
	}
	if err != nil {
		return nil, cli.Hint(fmt.Errorf("flash file %q: %w", path, unwrapPath(err)), "name a file in a folder that exists")
	}
	whole := filepath.Join(dir, filepath.Base(path))
	if real, err := filepath.EvalSymlinks(whole); err == nil {
		whole = real
	}
	lease, err := (serial.Leases{}).Acquire(ctx, "flash file "+whole, serial.Request{Purpose: purpose})
	if locked, ok := errors.AsType[*serial.LockedError](err); ok {
		return nil, cli.Hint(fmt.Errorf("flash file %q is in use by %v", path, locked.Holder), "a flash belongs to one board: end that one, or give another file")
	}
	if err != nil {
		return nil, fmt.Errorf("flash file %q: %w", path, err)
	}
	return &flashFile{path, lease}, nil
}

// unwrapPath leaves the path out of an error that names another than was given.
func unwrapPath(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// load reads the flash; a missing file is an erased one.
func (f *flashFile) load(size int) (*board.Flash, error) { return board.LoadFlash(f.path, size) }

// release lets others have the file. nil has none.
func (f *flashFile) release() error {
	if f == nil {
		return nil
	}
	return f.lease.Release()
}
