package cli

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// Version is the command that prints which build a program is. `--version` alone
// runs it, too.
type Version struct{}

// Run prints the name, the module's version, the revision and Go's version.
func (Version) Run(a App, std IO) error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return errors.New("this program was built without version information")
	}
	revision := "unknown revision"
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			revision = s.Value
		}
	}
	_, err := fmt.Fprintf(std.Out, "%s %s (%s) %s\n", a.Name, info.Main.Version, revision, info.GoVersion)
	return err
}
