package main

import "porthole/server"

// deltaFlags say whether viewers may get changes instead of whole pictures.
type deltaFlags struct {
	Deltas string `default:"strict" enum:"strict,global,off" help:"Send changes to viewers that can use them: strict (what moves stays as good as in the camera's picture, the default), global (less than half the bytes, what moves is blurred) or off. About 50 ms of work a picture."`
}

func (f *deltaFlags) deltas() server.Deltas { return server.Deltas(f.Deltas) }
