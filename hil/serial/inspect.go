package serial

import (
	"errors"
	"io/fs"
	"os"
	"runtime"

	"porthole/internal/cli"
)

// inspect looks at the path without opening it, for opening the wrong thing has
// effects.
func inspect(path string) error {
	if runtime.GOOS == "windows" {
		return nil // COM3 is no file
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return cli.Hint(fs.ErrNotExist, "rig ports lists what is plugged in")
	case err != nil:
		return err
	case info.Mode()&fs.ModeCharDevice == 0:
		return cli.Hint(errors.New("not a serial device"), "rig ports lists what is plugged in")
	}
	if hint, ok := Permission(path); !ok {
		return cli.Hint(fs.ErrPermission, hint)
	}
	return nil
}
