//go:build !unix

package reservoir

import "os"

// lock does nothing where the system has no advisory locks: a folder is then to
// be given to one process only.
func lock(*os.File) error { return nil }

// syncFolder does nothing where a folder cannot be synced; the system keeps the
// order of renames and removals itself.
func syncFolder(*os.File) error { return nil }
