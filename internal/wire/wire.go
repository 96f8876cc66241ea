// Package wire is the upload protocol between a board and the server, in both
// directions: the writer a simulated board uses and the reader the server uses
// share the constants of this file and meet in its test vectors.
//
// One upload, as the boards in the field send it (profile "sketch"; for the
// profile of our own firmware see [Request.Firmware]):
//
//	board                                                    server
//	  | TCP connect, TLS 1.2 handshake, AES-GCM                 |
//	  |-- POST /upload HTTP/1.1 -- CRLF ----------------------->|  records 1, 2
//	  |-- Host: h -- CRLF ------------------------------------->|  3, 4
//	  |-- Authorization: Bearer t -- CRLF --------------------->|  5, 6
//	  |-- Content-Length: N+113 -- CRLF ----------------------->|  7, 8
//	  |-- Content-Type: multipart/form-data; boundary=LMR -- CRLF >|  9, 10
//	  |-- CRLF ------------------------------------------------>|  11
//	  |-- multipart head, 102 bytes --------------------------->|  12
//	  |-- 1024 bytes of image -- ... -- N mod 1024 bytes ------>|  13 ...
//	  |-- multipart tail, 11 bytes ---------------------------->|  last
//	  |<------------------------------------- any HTTP response |
//	  | TCP close without close_notify                          |
//
// Every item between dashes is one write of the board's program. The TLS
// library makes one record and one send of each (esp32-wire 1.2), so the write
// boundaries are visible on the wire and belong to the protocol here: a record
// on the wire is its plaintext plus GCMOverhead, after a RecordHeaderLen header.
//
// The body is multipart/form-data (RFC 7578, RFC 2046 5.1.1) with one part:
//
//	--LMR CRLF
//	Content-Disposition: form-data; name="img"; filename="latest.jpg" CRLF
//	Content-Type: image/jpeg CRLF
//	CRLF
//	N bytes of JPEG
//	CRLF --LMR-- CRLF
//
// The tail's own CRLF in front of --LMR-- belongs to the delimiter, not to the
// image. N is not written anywhere but in Content-Length.
//
// The board's loop has a defect that is part of the profile: when N is a
// multiple of 1024 and not zero, the last 1024 bytes of the image are not sent,
// while Content-Length counts them (esp32-wire 1.4). A server that waits for
// the whole Content-Length then stalls until the board gives up.
package wire

import "time"

// What the sketch puts into a request (esp32-wire 1.1, 1.3).
const (
	Boundary    = "LMR"
	FieldName   = "img"
	FileName    = "latest.jpg" // sent, and never used as a path by anybody
	ContentType = "multipart/form-data; boundary=" + Boundary
	UploadPath  = "/upload" // the default; boards are told theirs
)

// Lengths in bytes (esp32-wire 1.3).
const (
	ChunkLen   = 1024              // one image write; also what the defect loses
	HeadLen    = 102               // len(partHead)
	TailLen    = 11                // len(partTail)
	FramingLen = HeadLen + TailLen // Content-Length is the image plus this: N+113

	// HeaderRecords is the number of writes before the first image byte: five
	// header lines of two writes each, the empty line, the multipart head.
	HeaderRecords = 12
)

// What TLS 1.2 with an AES-GCM suite adds to one record (esp32-wire 1.3).
const (
	RecordHeaderLen = 5  // type, version, length
	GCMOverhead     = 24 // 8 bytes of explicit nonce and 16 of tag, inside the length
)

// Timing of the sketch (esp32-wire 1.1, 1.5).
const (
	// FrameInterval is the period, from start of upload to start of upload; an
	// upload that takes longer is followed by the next at once.
	FrameInterval = 2 * time.Second
	// ResponsePoll is how often the board looks for response bytes, so it
	// closes 0 to 100 ms after the response.
	ResponsePoll = 100 * time.Millisecond
	// ResponseSilence is how long the board waits after the last byte it sent
	// or received before it gives up.
	ResponseSilence = 10 * time.Second
)

const (
	crlf = "\r\n"

	// partHead is record 12, partTail the last record.
	partHead = "--" + Boundary + crlf +
		`Content-Disposition: form-data; name="` + FieldName + `"; filename="` + FileName + `"` + crlf +
		"Content-Type: image/jpeg" + crlf + crlf
	partTail = crlf + "--" + Boundary + "--" + crlf
)

// Request is one upload. JPEG is borrowed: writers read it and keep nothing.
type Request struct {
	Host  string // without a port, as the sketch sends it
	Path  string // starts with a slash
	Token string // bearer token, may be empty
	JPEG  []byte // any bytes; the sketch does not look at them
}

// ContentLength is the value of the header, true or not: with the defect fewer
// bytes follow.
func (r Request) ContentLength() int { return len(r.JPEG) + FramingLen }
