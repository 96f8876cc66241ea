//go:build !unix

package server

// lockFile does nothing where the system has no advisory locks: tokens are then
// to be added one after the other.
func lockFile(string) (unlock func(), err error) { return func() {}, nil }

// syncDir does nothing where folders cannot be opened.
func syncDir(string) error { return nil }

// descriptorLimit is a guess where the system names none.
func descriptorLimit() uint64 { return 8192 }
