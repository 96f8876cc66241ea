package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"porthole/internal/cli"
	"porthole/internal/devca"
	"porthole/server"
)

type tokenCmd struct {
	New    tokenNewCmd    `cmd:"" help:"Make a token for a camera, store its hash, and print it once."`
	List   tokenListCmd   `cmd:"" help:"List the cameras and how many tokens each has."`
	Retire tokenRetireCmd `cmd:"" aliases:"remove" help:"Make the older of a camera's two tokens invalid, or all of them."`
}

type tokenNewCmd struct {
	Camera string `arg:"" default:"camera" help:"Name of the camera, or with --admin of a person (default: ${default})."`
	Admin  bool   `env:"PORTHOLE_TOKEN_ADMIN" help:"Make a token that opens the private side instead."`
	Tokens string `placeholder:"FILE" help:"Token file, made if it does not exist (default: tokens, or admin-tokens, in the state folder)."`
}

func (c *tokenNewCmd) Run(_ context.Context, std cli.IO) error {
	find := tokenFile
	if c.Admin {
		find = adminTokenFile
	}
	path, err := find(c.Tokens)
	if err != nil {
		return err
	}
	if c.Tokens == "" {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fmt.Errorf("make state folder: %w", err)
		}
	}
	token, err := server.AddToken(path, c.Camera)
	if errors.Is(err, server.ErrTooManyActive) {
		return cli.Hint(err, "make the older one invalid first: porthole token retire "+c.Camera)
	}
	if err != nil {
		return cli.Hint(err, "choose another file with --tokens FILE, or mend the file: one line a token, camera-name sha256:hash")
	}
	fmt.Fprintln(std.Out, token)
	fmt.Fprintf(std.Err, "stored the hash for %s %q in %s; the token itself is shown only now\n", whose(c.Admin), c.Camera, path)
	return nil
}

type tokenListCmd struct {
	Admin  bool   `env:"PORTHOLE_TOKEN_ADMIN" help:"List who has tokens of the private side instead."`
	Tokens string `placeholder:"FILE" help:"Token file (default: tokens, or admin-tokens, in the state folder)."`
}

func (c *tokenListCmd) Run(_ context.Context, std cli.IO) error {
	tokens, _, err := readTokens(c.Admin, c.Tokens)
	if err != nil {
		return err
	}
	for _, name := range tokens.Cameras() {
		fmt.Fprintf(std.Out, "%s\t%d\n", name, tokens.Active(name))
	}
	return nil
}

type tokenRetireCmd struct {
	Camera string `arg:"" help:"Name of the camera, or with --admin of a person."`
	All    bool   `help:"Make all its tokens invalid, so that it cannot upload any more."`
	Admin  bool   `env:"PORTHOLE_TOKEN_ADMIN" help:"Do so with tokens of the private side, under a person's name."`
	Tokens string `placeholder:"FILE" help:"Token file (default: tokens, or admin-tokens, in the state folder)."`
}

func (c *tokenRetireCmd) Run(_ context.Context, std cli.IO) error {
	_, path, err := readTokens(c.Admin, c.Tokens)
	if err != nil {
		return err
	}
	n, err := server.RetireTokens(path, c.Camera, c.All)
	switch {
	case errors.Is(err, server.ErrLastToken):
		return cli.Hint(err, "put another one on the board first: porthole token new "+c.Camera+"; or add --all")
	case errors.Is(err, server.ErrNoToken):
		return cli.Hint(err, "see porthole token list")
	case err != nil:
		return err
	}
	fmt.Fprintf(std.Err, "%d of %s %q in %s are invalid once the server has read the file anew (porthole reload)\n", n, whose(c.Admin), c.Camera, path)
	return nil
}

// readTokens reads a file that must exist, and returns its path.
func readTokens(admin bool, flag string) (*server.Tokens, string, error) {
	find := tokenFile
	if admin {
		find = adminTokenFile
	}
	path, err := find(flag)
	if err != nil {
		return nil, "", err
	}
	tokens, err := server.LoadTokens(path)
	if err != nil {
		return nil, "", cli.Hint(err, "make a token first: porthole token new --tokens "+path)
	}
	return tokens, path, nil
}

// whose says what a token's name is the name of.
func whose(admin bool) string {
	if admin {
		return "admin"
	}
	return "camera"
}

// tokenFile returns the file named by the flag, or the one in the state folder.
func tokenFile(flag string) (string, error) { return stateFile(flag, "tokens") }

// adminTokenFile is the same for the tokens of the private side.
func adminTokenFile(flag string) (string, error) { return stateFile(flag, "admin-tokens") }

func stateFile(flag, name string) (string, error) {
	if flag != "" {
		return flag, nil
	}
	dir, err := devca.Dir()
	if err != nil {
		return "", cli.Hint(err, "name the file by its flag")
	}
	return filepath.Join(dir, name), nil
}
