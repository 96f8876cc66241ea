package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"

	"porthole/internal/cli"
	"porthole/server"
)

// privateFlags say who may see and switch what the public must not know.
type privateFlags struct {
	Admin       string `default:"127.0.0.1:9100" placeholder:"HOST:PORT" help:"Address of the private side: status page, truth, metrics, commands (default: ${default}); 'off' for none. Never make it public."`
	AdminTokens string `placeholder:"FILE" help:"Hashes of the tokens that open the private side (default: admin-tokens in the state folder, if there is one). 'porthole token new --admin NAME' makes one."`
	AdminToken  string `placeholder:"TOKEN" help:"One more such token, for containers that have no file. Better in the environment."`
}

// minAdminToken is how short a token made up by a person may be where other
// machines can try.
const minAdminToken = 16

// tokens loads the tokens of the private side, nil where there are none, and
// refuses a private side that anybody could open.
func (c *privateFlags) tokens(handedOver bool) (*server.Tokens, error) {
	tokens, err := c.load()
	if err != nil {
		return nil, err
	}
	if c.Admin == "off" || !handedOver && onLoopback(c.Admin) {
		return tokens, nil
	}
	switch {
	case c.AdminToken == "" && tokens == nil:
		return nil, cli.Usage(cli.Hint(fmt.Errorf("--admin %s can be reached from other machines and has no token", c.Admin),
			"make one with porthole token new --admin NAME, or set PORTHOLE_ADMIN_TOKEN, or use 127.0.0.1"))
	case c.AdminToken != "" && len(c.AdminToken) < minAdminToken:
		return nil, cli.Usage(cli.Hint(fmt.Errorf("the admin token has %d characters and --admin %s can be reached from other machines", len(c.AdminToken), c.Admin),
			fmt.Sprintf("use %d or more; porthole token new --admin NAME makes a good one", minAdminToken)))
	}
	return tokens, nil
}

// load reads the file of admin tokens; without the flag it may be missing.
func (c *privateFlags) load() (*server.Tokens, error) {
	path, err := adminTokenFile(c.AdminTokens)
	if err != nil {
		if c.AdminTokens == "" {
			return nil, nil
		}
		return nil, err
	}
	tokens, err := server.LoadTokens(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && c.AdminTokens == "":
		return nil, nil
	case err != nil:
		return nil, cli.Hint(err, "make one with: porthole token new --admin NAME --tokens "+path)
	case tokens.Len() == 0:
		// An emptied file must not open what it closed.
		return nil, cli.Hint(fmt.Errorf("file of admin tokens %q is empty", path), "delete it, or make one with: porthole token new --admin NAME --tokens "+path)
	}
	return tokens, nil
}

// onLoopback reports whether an address to listen on is this machine's only.
func onLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return true // refused later, with the reason
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
