// Rig is the bench around the frame server: it simulates the camera and the
// board, drives the real board, and loads the server with viewers.
package main

import (
	"os"

	"porthole/hil/serial"
	"porthole/internal/cli"
)

// grammar is the command line; its fields are the commands.
type grammar struct {
	Sim       simCmd       `cmd:"" help:"Run a simulated camera, with the server and the demo page or against another server."`
	Board     boardCmd     `cmd:"" help:"Run a simulated board that flashers and monitors can use over a serial port."`
	Ports     portsCmd     `cmd:"" help:"List the serial ports and who uses them, without touching any."`
	Lock      lockCmd      `cmd:"" help:"Keep a port for yourself, or for one command."`
	Unlock    unlockCmd    `cmd:"" help:"End a lock."`
	Flash     flashCmd     `cmd:"" help:"Write programs to a board: only what differs, compared afterwards."`
	Provision provisionCmd `cmd:"" help:"Tell a board its network, its server and its secrets."`
	Verify    verifyCmd    `cmd:"" help:"Compare files with the flash of a board."`
	Read      readCmd      `cmd:"" help:"Copy a part of the flash of a board to a file."`
	Erase     eraseCmd     `cmd:"" help:"Erase a part of the flash of a board."`
	Info      infoCmd      `cmd:"" help:"Say what a board is and what is in its flash."`
	Monitor   monitorCmd   `cmd:"" help:"Show what a board says, decode its crashes, record it."`
	Power     powerCmd     `cmd:"" help:"Switch the camera off and on by its shutoff pin."`
	HIL       hilCmd       `cmd:"" name:"hil" help:"Run scenarios on the simulator or on a real board."`
	Share     shareCmd     `cmd:"" help:"Serve a port to another machine."`
	Testset   testsetCmd   `cmd:"" help:"Make the pictures that codecs are measured on."`
	Load      loadCmd      `cmd:"" help:"Load a server with viewers and measure what they see."`
	TUI       tuiCmd       `cmd:"" name:"tui" help:"Show camera, server, viewers, board and console on one screen."`
	Version   cli.Version  `cmd:"" help:"Print the version."`
}

func app() cli.App {
	return cli.App{
		Name:        "rig",
		Description: "The bench of Porthole: work on a live camera feed without a camera, and know before you deploy.",
		Grammar:     new(grammar),
		EnvPrefix:   "RIG",
	}
}

func main() {
	serial.ReserveLow()
	os.Exit(app().Main())
}
