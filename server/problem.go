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
