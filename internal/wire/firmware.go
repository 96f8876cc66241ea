package wire

import (
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
)

// SliceLen is the longest image record of the firmware profile. Core 3.3.x
// would split longer writes at this size (esp32-wire 1.2), and a record of it
// fits into lwIP's send buffer of 5744 bytes (esp32-wire 3.1).
const SliceLen = 4096

// Firmware writes the request as our own firmware does (profile "firmware"):
// one record with everything in front of the image, the image in slices of
// SliceLen, one record with the tail. The connection stays open and the answer
// is wanted as JSON.
//
//	board                                                    server
//	  |-- request line, headers, multipart head ------------->|  record 1
//	  |-- 4096 bytes of image -- ... -- what remains -------->|  2 ...
//	  |-- multipart tail, 11 bytes -------------------------->|  last
//	  |<----------------------- 200, application/json: Reply -|
//	  | the next frame on the same connection                 |
//
// It stops at the first error; what was written by then stays written.
func (r Request) Firmware(w io.Writer) error {
	if err := r.validate(); err != nil {
		return fmt.Errorf("write upload: %w", err)
	}
	i := 0
	for record := range r.FirmwareRecords() {
		i++
		if err := writeRecord(w, record); err != nil {
			return fmt.Errorf("write record %d of upload: %w", i, err)
		}
	}
	return nil
}

// FirmwareRecords yields the plaintext of each record in order. A record is
// valid until the next one is asked for; image records are views into r.JPEG.
// Host, Path and Token are taken as they are; the firmware's Host carries the
// port where it is not the scheme's own.
func (r Request) FirmwareRecords() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		head := r.appendHead(make([]byte, 0, 512), r.Path, ContentType, r.ContentLength())
		if !yield(append(head, partHead...)) {
			return
		}
		// What remains is counted down, so no length is special.
		for rest := r.JPEG; len(rest) > 0; {
			n := min(len(rest), SliceLen)
			if !yield(rest[:n]) {
				return
			}
			rest = rest[n:]
		}
		yield([]byte(partTail))
	}
}

// appendHead appends the request up to its empty line.
func (r Request) appendHead(b []byte, path, contentType string, length int) []byte {
	for _, s := range []string{
		"POST ", path, " HTTP/1.1" + crlf + "Host: ", r.Host,
		crlf + "Authorization: Bearer ", r.Token,
		crlf + "Accept: " + ReplyType + crlf + "Content-Length: ",
	} {
		b = append(b, s...)
	}
	b = strconv.AppendInt(b, int64(length), 10)
	b = append(b, crlf+"Content-Type: "...)
	b = append(b, contentType...)
	return append(b, crlf+crlf...)
}

// States of the camera, for [Request.Notice].
const (
	CameraOff = "off"
	CameraOn  = "on"
)

// Notice writes the message that the camera was switched off or on: one record,
// on the connection of the uploads. JPEG is not used.
func (r Request) Notice(w io.Writer, state string) error {
	if err := r.validate(); err != nil {
		return fmt.Errorf("write notice: %w", err)
	}
	if err := writeRecord(w, r.NoticeRecord(state)); err != nil {
		return fmt.Errorf("write notice: %w", err)
	}
	return nil
}

// NoticeRecord is the plaintext of a notice.
func (r Request) NoticeRecord(state string) []byte {
	body := `{"state":"` + state + `"}`
	return append(r.appendHead(make([]byte, 0, 512), NoticePath(r.Path), ReplyType, len(body)), body...)
}

// NoticePath is where notices go: "camera" beside the upload path.
func NoticePath(uploadPath string) string {
	return uploadPath[:strings.LastIndexByte(uploadPath, '/')+1] + "camera"
}

func writeRecord(w io.Writer, record []byte) error {
	n, err := w.Write(record)
	if err == nil && n < len(record) {
		err = io.ErrShortWrite
	}
	return err
}
