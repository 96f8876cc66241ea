package server

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"porthole/internal/wire"
)

// reply answers an upload that was taken: as JSON to a board that asks for it,
// with one word to all others (esp32-wire 1.5). Waves are for the camera that
// the public sees, and only where they can be told.
func (s *Server) reply(w http.ResponseWriter, r *http.Request, got receipt) {
	h := w.Header()
	h["Cache-Control"] = noStore
	if !acceptsJSON(r.Header.Values("Accept")) {
		h.Set("Content-Type", "text/plain")
		io.WriteString(w, "Success\n")
		return
	}
	answer := wire.Reply{Sequence: got.seq, IntervalMS: uint32(s.cfg.Ingest.Interval.Milliseconds())}
	if got.camera.name == s.publicCamera() {
		answer.Waves = s.waves.hand(time.Now())
	}
	body, err := json.Marshal(answer)
	if err != nil {
		(&problem{http.StatusInternalServerError, "internal error", "see the server's log"}).serve(w)
		return
	}
	h.Set("Content-Type", wire.ReplyType)
	h.Set("Content-Length", strconv.Itoa(len(body)+1))
	_, err = w.Write(append(body, '\n'))
	if answer.Waves == 0 {
		return
	}
	if err == nil {
		err = http.NewResponseController(w).Flush()
	}
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		s.waves.confirm(false)
	}
}

// acceptsJSON reports whether JSON is asked for by its name: a browser's */* is
// content with either and gets the older answer.
func acceptsJSON(lines []string) bool {
	for _, line := range lines {
		for item := range strings.SplitSeq(line, ",") {
			media, params, _ := strings.Cut(item, ";")
			if strings.EqualFold(strings.TrimSpace(media), wire.ReplyType) && strings.ReplaceAll(params, " ", "") != "q=0" {
				return true
			}
		}
	}
	return false
}

func isJSON(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && media == wire.ReplyType
}
