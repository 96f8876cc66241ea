package server

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// problem is an answer other than success. Its text is for the person who set
// the camera up; it tells nothing that the sender does not know already.
type problem struct {
	status int
	Error  string `json:"error"`
	Hint   string `json:"hint"`
}

// close serves p to a client that may still be sending. What is left of its body
// is not worth reading, and without this the answer would wait for it
// (esp32-wire 1.4).
func (p *problem) close(w http.ResponseWriter) {
	w.Header().Set("Connection", "close")
	p.serve(w)
}

func (p *problem) serve(w http.ResponseWriter) {
	body, err := json.Marshal(p)
	if err != nil {
		body = []byte(`{"error":"internal error","hint":"see the server's log"}`)
	}
	body = append(body, '\n')
	h := w.Header()
	switch p.status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", "Bearer")
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		h.Set("Retry-After", "2")
	}
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h["Cache-Control"] = noStore
	w.WriteHeader(p.status)
	w.Write(body)
}

// nowhere makes problems of what a mux answers by itself: no such method, and no
// such path, or the way to one that does not exist either.
type nowhere struct {
	http.ResponseWriter
	done bool
}

func (n *nowhere) WriteHeader(status int) {
	if n.done {
		return
	}
	n.done = true
	n.Header().Del("Location")
	p := &problem{http.StatusNotFound, "there is nothing here", "the paths are /latest, /status, /events, /upload and /"}
	if status == http.StatusMethodNotAllowed {
		p.status, p.Error, p.Hint = status, "not with this method", "use "+n.Header().Get("Allow")
	}
	p.serve(n.ResponseWriter)
}

func (n *nowhere) Write(text []byte) (int, error) {
	if !n.done {
		n.WriteHeader(http.StatusNotFound)
	}
	return len(text), nil
}
