package backtrace

import (
	"encoding/hex"
	"fmt"
	"strings"

	"porthole/internal/espimage"
)

// A DigestError says that a file is not the program that runs on the board:
// whatever is decoded with it is wrong.
type DigestError struct {
	Board string // what the board says, hex digits, often only the first ones
	File  string // of the file, all 64
}

func (e *DigestError) Error() string {
	return fmt.Sprintf("the board runs another program: its ELF has SHA-256 %s, the file %s", e.Board, e.File[:max(16, min(len(e.Board), len(e.File)))])
}

// Digest is the SHA-256 of the file, by which a board names its program.
func (p *Program) Digest() [32]byte { return p.digest }

// Check holds what a board prints behind "ELF file SHA256:" against the file. It
// returns nil or a *DigestError. Boards print 9 to 64 digits; an empty prefix
// says nothing and is an error too.
func (p *Program) Check(prefix string) error {
	file := hex.EncodeToString(p.digest[:])
	prefix = strings.ToLower(prefix)
	if prefix != "" && strings.HasPrefix(file, prefix) {
		return nil
	}
	return &DigestError{Board: prefix, File: file}
}

// CheckApp holds the application descriptor of an image, or of what was read from
// a board, against the file.
func (p *Program) CheckApp(d espimage.AppDescriptor) error {
	return p.Check(hex.EncodeToString(d.ELF[:]))
}
