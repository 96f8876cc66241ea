package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"

	"porthole/internal/cli"
	"porthole/internal/devca"
	"porthole/server"
)

type tokenCmd struct {
	New tokenNewCmd `cmd:"" help:"Make a token for a camera, store its hash, and print it once."`
}

type tokenNewCmd struct {
	Camera string `arg:"" default:"camera" help:"Name of the camera (default: ${default})."`
	Tokens string `placeholder:"FILE" help:"Token file, made if it does not exist (default: tokens in the state folder)."`
}

func (c *tokenNewCmd) Run(_ context.Context, std cli.IO) error {
	path, err := tokenFile(c.Tokens)
	if err != nil {
		return err
	}
	if c.Tokens == "" {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fmt.Errorf("make state folder: %w", err)
		}
	}
	token, err := server.AddToken(path, c.Camera)
	if err != nil {
		return cli.Hint(err, "choose another file with --tokens FILE, or mend the file: one line a token, camera-name sha256:hash")
	}
	fmt.Fprintln(std.Out, token)
	fmt.Fprintf(std.Err, "stored the hash for camera %q in %s; the token itself is shown only now\n", c.Camera, path)
	return nil
}

// tokenFile returns the file named by the flag, or the one in the state folder.
func tokenFile(flag string) (string, error) {
	if flag != "" {
		return flag, nil
	}
	dir, err := devca.Dir()
	if err != nil {
		return "", cli.Hint(err, "name the file with --tokens FILE")
	}
	return filepath.Join(dir, "tokens"), nil
}

type versionCmd struct{}

func (versionCmd) Run(_ context.Context, std cli.IO) error {
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
	fmt.Fprintf(std.Out, "porthole %s (%s) %s\n", info.Main.Version, revision, info.GoVersion)
	return nil
}
