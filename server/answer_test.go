package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porthole/internal/event"
	"porthole/internal/netmem"
)

// answer is what came over the wire, with the header as it is: a client library
// would forget the order of its fields.
type answer struct {
	status string
	fields string // names of the header's fields in their order
	fixed  string // the fields that are the same for every picture, with values
	etag   string
	body   []byte
}

// askRaw sends a request over a connection and reads the answer byte by byte.
func askRaw(conn net.Conn, answers *bufio.Reader, what, header string) (a answer, err error) {
	if _, err := fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: feed.example\r\n%s\r\n", what, header); err != nil {
		return a, err
	}
	if a.status, err = answers.ReadString('\n'); err != nil {
		return a, err
	}
	var names []string
	length := 0
	for {
		line, err := answers.ReadString('\n')
		if err != nil {
			return a, err
		}
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			break
		}
		name, value, _ := strings.Cut(line, ": ")
		names = append(names, name)
		switch name {
		case "Etag":
			a.etag = value
		case "Content-Length":
			if !strings.HasPrefix(what, "HEAD") {
				fmt.Sscan(value, &length)
			}
		case "Date":
		default:
			a.fixed += line + "\n"
		}
	}
	a.fields = strings.Join(names, "\n")
	a.body = make([]byte, length)
	_, err = io.ReadFull(answers, a.body)
	return a, err
}

// TestSameAnswers: live, with a recording by the schedule, with the camera
// switched off and with its network lost, every answer has the same status, the
// same fields in the same order, and the same values but for tag, length and
// date.
func TestSameAnswers(t *testing.T) {
	requests := []struct{ what, header string }{
		{"GET /latest", ""}, {"GET /latest.jpg", ""}, {"HEAD /latest", ""}, {"GET /latest", "If-None-Match: *\r\n"},
		{"GET /latest", "Accept: image/webp,*/*\r\nOrigin: https://www.example.org\r\n"},
		{"GET /status", ""}, {"GET /healthz", ""}, {"GET /readyz", ""}, {"GET /latest?after=x&wait=1", ""},
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, worldConfig{seed: 3, clips: true, privacy: quickRuns, jitter: time.Second})
		ln := netmem.Listen()
		served := make(chan error, 1)
		go func() { served <- Serve(t.Context(), w.Server, nil, ln) }()
		defer func() { ln.Close(); <-served }()
		gather := func() (all []answer) {
			conn, err := ln.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			answers := bufio.NewReader(conn)
			for _, r := range requests {
				a, err := askRaw(conn, answers, r.what, r.header)
				if err != nil {
					t.Fatalf("%s: %v", r.what, err)
				}
				all = append(all, a)
			}
			return all
		}
		until := func(mode event.Mode) {
			for range 600 {
				if w.pass(w.cfg.Period); w.Truth().Mode == mode {
					return
				}
			}
			t.Fatalf("never %s", mode)
		}
		w.on.Store(true)
		w.SetOrder(Record)
		w.pass(20 * time.Minute)
		w.SetOrder(Auto)
		until(event.Live)
		want := gather()
		for i, a := range want {
			if !strings.Contains(a.status, " 200 ") && !strings.Contains(a.status, " 304 ") {
				t.Errorf("%s: %s", requests[i].what, a.status)
			}
		}
		for _, situation := range []struct {
			name  string
			begin func()
			end   func()
		}{
			{"a recording by the schedule", func() { until(event.Replay) }, func() {}},
			{"the camera switched off", func() { until(event.Live); w.cut(false); w.on.Store(false); w.pass(3 * time.Second) }, func() { w.cut(true); w.on.Store(true) }},
			{"its network lost", func() { until(event.Live); w.on.Store(false); w.pass(20 * time.Second) }, func() { w.on.Store(true) }},
			{"live again", func() { until(event.Live) }, func() {}},
		} {
			situation.begin()
			for i, got := range gather() {
				if got.status != want[i].status || got.fields != want[i].fields || got.fixed != want[i].fixed {
					t.Errorf("%s, %s %s: %q, fields\n%s\nlive it is %q, fields\n%s", situation.name, requests[i].what, requests[i].header,
						got.status, got.fields, want[i].status, want[i].fields)
				}
				if got.etag != "" && (got.etag == want[i].etag || len(got.etag) != len(want[i].etag)) {
					t.Errorf("%s: tag %s, live it was %s", situation.name, got.etag, want[i].etag)
				}
			}
			situation.end()
		}
	})
}
