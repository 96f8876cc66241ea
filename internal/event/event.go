// Package event is what the parts of Porthole tell each other: the server, the
// simulated camera and board, the harness and the load test publish [Event]
// values on a [Bus]; the command line prints them, the dashboard shows them, and
// a remote dashboard gets the very same values as JSON lines. In the other
// direction a [Command] asks one of the parts to do something and carries the
// reply back.
//
//	server ─┐                       ┌─ printer (rig sim)
//	camera ─┼─ Publish ─▶ Bus ─▶ Subscription ─ dashboard, in process
//	board  ─┤    ▲  │             └─ JSON lines ─ dashboard, attached
//	load   ─┘    │  └─ Snapshot: the state that all events so far add up to
//	             └───── Do(Command) ── dashboard, scenarios
//
// Publishing never blocks and never fails: a subscriber that does not keep up
// loses its oldest events and is told how many.
package event

import "time"

// Source names the part that publishes.
type Source string

// The parts of Porthole that publish events.
const (
	Server Source = "server"
	Camera Source = "camera" // the network side of a board, simulated or not
	Board  Source = "board"  // the serial side of a board, simulated or not
	Load   Source = "load"
	Bench  Source = "bench" // the harness and the process itself
)

// Kind says what happened and with it which detail of an [Event] is set.
type Kind string

const (
	// Uploaded: a camera sent a frame and has its reply. Frame is set.
	Uploaded Kind = "uploaded"
	// UploadFailed: a camera could not send a frame. Text says why.
	UploadFailed Kind = "upload-failed"
	// Accepted: the server took a frame in. Frame is set.
	Accepted Kind = "accepted"
	// Rejected: the server refused an upload. Status is the HTTP status, Text the reason.
	Rejected Kind = "rejected"
	// Ignored: the server took a good frame in and does not use it. Frame is
	// set, with the number of the frame it has instead; Text says why.
	Ignored Kind = "ignored"
	// Published: the public sees a new picture. Frame is set. Never part of a
	// public answer: Frame.Live tells live from replay.
	Published Kind = "published"
	// ModeChanged: what the public is shown changed. Mode is set.
	ModeChanged Kind = "mode"
	// Waved: a visitor waved. Waves is set.
	Waved Kind = "waved"
	// CoverChanged: recordings came or went. Cover is set, all of it.
	CoverChanged Kind = "cover"
	// Console: a line from a board's serial console, in Text.
	Console Kind = "console"
	// Note: something worth a line, in Text.
	Note Kind = "note"
	// LoadSample: one second of a load test. Load is set.
	LoadSample Kind = "load-sample"
	// PublicSide: one second of the server's public side. Public is set.
	PublicSide Kind = "public-side"
	// BoardChanged: what is known of a board changed. Board is set, all of it.
	BoardChanged Kind = "board"
	// Progressed: how far longer work on a board is. Progress is set.
	Progressed Kind = "progress"
	// FaultChanged: a named fault began, or is over. Fault is set.
	FaultChanged Kind = "fault"
)

// Event is one thing that happened. It is a plain value: sent over the wire as
// one JSON object, compared with ==, never changed after Publish. Details that
// do not belong to its Kind are zero.
type Event struct {
	// Seq counts the events of one bus from 1; a gap means lost events.
	Seq    uint64    `json:"seq"`
	Time   time.Time `json:"time"`
	Source Source    `json:"source"`
	Kind   Kind      `json:"kind"`
	// Name tells several boards or cameras apart; empty where there is one.
	Name   string       `json:"name,omitempty"`
	Text   string       `json:"text,omitempty"`
	Status int          `json:"status,omitempty"`
	Frame  FrameInfo    `json:"frame,omitzero"`
	Mode   Mode         `json:"mode,omitempty"`
	Waves  uint64       `json:"waves,omitempty"` // of all visitors so far
	Load   LoadFigure   `json:"load,omitzero"`
	Public PublicFigure `json:"public,omitzero"`
	Board  BoardState   `json:"board,omitzero"`

	Progress Progress `json:"progress,omitzero"`
	Fault    Fault    `json:"fault,omitzero"`
	Cover    Cover    `json:"cover,omitzero"`
}

// FrameInfo describes one frame without its pixels.
type FrameInfo struct {
	Seq    uint64 `json:"seq"`   // counted by whoever publishes the event
	Bytes  int    `json:"bytes"` // of the JPEG
	Width  int    `json:"width,omitempty"`
	Height int    `json:"height,omitempty"`
	// Took is the time from the first byte to the reply.
	Took time.Duration `json:"took,omitempty"`
	// Live is the truth about a published frame: the camera's, not the loop's.
	Live bool `json:"live,omitempty"`
}

// Mode is what the public is shown.
type Mode string

const (
	Waiting Mode = "waiting" // nothing yet
	Live    Mode = "live"    // the camera's newest frame
	Loop    Mode = "loop"    // the recorded loop
	Replay  Mode = "replay"  // a recording of the camera that was never shown before
)

// LoadFigure is one second of a load test.
type LoadFigure struct {
	At      time.Duration `json:"at"` // since the start of the run
	Viewers int           `json:"viewers"`
	Polls   uint64        `json:"polls"`
	Errors  uint64        `json:"errors"`
	Skipped uint64        `json:"skipped"`
	Bytes   uint64        `json:"bytes"`
	AgeP50  time.Duration `json:"age_p50"`
	AgeP99  time.Duration `json:"age_p99"`
	DoneP99 time.Duration `json:"done_p99"` // planned to done
	// Of viewers who decode changes: keys they got, those of them that repair
	// something, gaps, and wrong checksums.
	Keys       uint64 `json:"keys,omitempty"`
	Refetches  uint64 `json:"refetches,omitempty"`
	Gaps       uint64 `json:"gaps,omitempty"`
	Mismatches uint64 `json:"mismatches,omitempty"`
	Finished   bool   `json:"finished,omitempty"`
}

// PublicFigure is a second of the server's public side, published while anybody
// listens. Counts are of the span.
type PublicFigure struct {
	Span        time.Duration `json:"span"`        // since the figure before
	Viewers     int64         `json:"viewers"`     // at its end
	Connections int64         `json:"connections"` // at its end
	Streams     int64         `json:"streams"`     // event streams and waiting polls, at its end
	Requests    uint64        `json:"requests"`
	Pictures    uint64        `json:"pictures"`  // requests for a picture
	Unchanged   uint64        `json:"unchanged"` // answered with 304
	Bytes       uint64        `json:"bytes"`
	Refused     uint64        `json:"refused"` // connections beyond a limit
	Slow        uint64        `json:"slow"`    // connections ended because they were too slow
	P50         time.Duration `json:"p50"`     // of pictures, request to answer
	P99         time.Duration `json:"p99"`
}

// BoardState is what is known of a board from its serial side. Empty and zero
// mean not known.
type BoardState struct {
	Port     string `json:"port,omitempty"`     // that it is reached by
	Holder   string `json:"holder,omitempty"`   // who has the port, where it is not us
	Pin      string `json:"pin,omitempty"`      // of the shutoff, and what it is driven to
	State    string `json:"state,omitempty"`    // a word: "booting", "running", "crashed", "gone"…
	Reset    string `json:"reset,omitempty"`    // why it started last
	Firmware string `json:"firmware,omitempty"` // project and version
	WiFi     string `json:"wifi,omitempty"`     // name of the network it is in
	Camera   string `json:"camera,omitempty"`   // "on", "off"
	Heap     int    `json:"heap,omitempty"`     // bytes free
	PSRAM    int    `json:"psram,omitempty"`    // bytes free
	RSSI     int    `json:"rssi,omitempty"`     // dBm
	Starts   int    `json:"starts,omitempty"`   // seen so far
	Panics   int    `json:"panics,omitempty"`   // seen so far
}

// Progress is how far longer work on a board is, such as flashing it.
type Progress struct {
	Work    string `json:"work"`            // in words: "flash app.bin"
	Phase   string `json:"phase,omitempty"` // "comparing", "writing", …
	Done    int64  `json:"done,omitempty"`  // bytes of this phase
	Total   int64  `json:"total,omitempty"` // 0: not known
	Ended   bool   `json:"ended,omitempty"`
	Failure string `json:"failure,omitempty"` // why it ended without success
}

// Fault is a trouble that somebody asked for, by its name. It ends by itself.
type Fault struct {
	Name  string    `json:"name"`
	Text  string    `json:"text,omitempty"` // what it does
	Until time.Time `json:"until,omitzero"` // when it is undone at the latest
	Over  bool      `json:"over,omitempty"` // it was undone
}

// Cover says how much there is of recordings of the camera that nobody has seen.
type Cover struct {
	Clips  int           `json:"clips"`
	Bytes  int64         `json:"bytes"`
	Length time.Duration `json:"length"` // of all clips
	// Days that they last without a pause, at the worst time of the day.
	Days float64 `json:"days"`
	// Bare counts the hours of the day for which there is nothing.
	Bare int `json:"bare_hours"`
}
