// Porthole is the frame server: a camera posts pictures to it, a website's
// visitors see the newest one. See package porthole/server.
package main

import (
	"os"

	"porthole/internal/cli"
)

// grammar is the command line; its fields are the commands.
type grammar struct {
	Serve      serveCmd      `cmd:"" help:"Run the server."`
	Token      tokenCmd      `cmd:"" help:"Make, list and retire tokens."`
	Reload     reloadCmd     `cmd:"" help:"Let the running server read its tokens and certificate anew."`
	Ask        askCmd        `cmd:"" help:"Let the running server do something: switch what the public sees."`
	Doctor     doctorCmd     `cmd:"" help:"Examine a deployed server from outside and say what to mend."`
	BenchCodec benchCodecCmd `cmd:"" help:"Measure what a folder of pictures costs as changes, and by other codecs."`
	Version    cli.Version   `cmd:"" help:"Print the version."`
}

func app() cli.App {
	return cli.App{
		Name:        "porthole",
		Description: "Show a live camera on a website: takes pictures from a camera, serves the newest one, and plays a recorded loop while the camera is off.",
		Grammar:     new(grammar),
		EnvPrefix:   "PORTHOLE",
	}
}

func main() { os.Exit(app().Main()) }
