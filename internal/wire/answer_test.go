package wire

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// answerVector is one block of testdata/responses/responses.txt.
type answerVector struct {
	name string
	feed []byte
	want string // the other keys, in order
}

func loadAnswers(t testing.TB) (all []answerVector) {
	t.Helper()
	text, err := os.ReadFile("testdata/responses/responses.txt")
	if err != nil {
		t.Fatal(err)
	}
	for block := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n\n") {
		lines := strings.SplitN(block, "\n", 3)
		name, ok1 := strings.CutPrefix(lines[0], "name: ")
		feed, ok2 := strings.CutPrefix(lines[1], "feed: ")
		raw, err := strconv.Unquote(`"` + strings.ReplaceAll(feed, `"`, `\"`) + `"`)
		if !ok1 || !ok2 || err != nil {
			t.Fatalf("block %q: %v", block, err)
		}
		all = append(all, answerVector{name, []byte(raw), lines[2]})
	}
	if len(all) < 20 {
		t.Fatalf("%d vectors", len(all))
	}
	return all
}

func describe(a *Answer, used int) string {
	reply := "-"
	if r, ok := a.Reply(); ok {
		reply = fmt.Sprintf("%d %d %d", r.Sequence, r.Waves, r.IntervalMS)
	}
	return fmt.Sprintf("used: %d\ndone: %v\nstatus: %d\nclose: %v\nmalformed: %v\nretry-ms: %d\nreply: %s",
		used, a.Done(), a.Status, a.Close, a.Malformed, a.RetryAfter.Milliseconds(), reply)
}

// feedSlowly feeds one byte at a time.
func feedSlowly(a *Answer, b []byte) (used int) {
	for i := range b {
		used += a.Feed(b[i : i+1])
	}
	return used
}

func TestAnswerVectors(t *testing.T) {
	for _, v := range loadAnswers(t) {
		t.Run(v.name, func(t *testing.T) {
			var whole, slow Answer
			if got := describe(&whole, whole.Feed(v.feed)); got != v.want {
				t.Errorf("got\n%s\nwant\n%s", got, v.want)
			}
			if got := describe(&slow, feedSlowly(&slow, v.feed)); got != v.want {
				t.Errorf("byte by byte: got\n%s\nwant\n%s", got, v.want)
			}
		})
	}
}

func FuzzAnswer(f *testing.F) {
	for _, v := range loadAnswers(f) {
		f.Add(v.feed)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var whole, slow Answer
		a, b := describe(&whole, whole.Feed(in)), describe(&slow, feedSlowly(&slow, in))
		if a != b {
			t.Fatalf("whole\n%s\nbyte by byte\n%s", a, b)
		}
		if len(whole.body) > maxAnswerBody || len(whole.line) > maxAnswerLine {
			t.Fatalf("keeps %d and %d bytes", len(whole.body), len(whole.line))
		}
		if whole.Malformed && (whole.Status != 0 || !whole.Close) {
			t.Fatal("malformed, with a status")
		}
	})
}

func TestNotice(t *testing.T) {
	var w writeRecorder
	r := Request{Host: "h:8443", Path: "/cam/upload", Token: "t"}
	if err := r.Notice(&w, CameraOff); err != nil {
		t.Fatal(err)
	}
	want := "POST /cam/camera HTTP/1.1\r\nHost: h:8443\r\nAuthorization: Bearer t\r\nAccept: application/json\r\n" +
		"Content-Length: 15\r\nContent-Type: application/json\r\n\r\n{\"state\":\"off\"}"
	if len(w.sizes) != 1 || !bytes.Equal(w.all.Bytes(), []byte(want)) {
		t.Errorf("%d writes\n%q, want\n%q", len(w.sizes), w.all.Bytes(), want)
	}
}
