package monitor

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

// head is the beginning of a recording.
const head = magic + "\nstart 2026-11-24T12:00:00Z\nport \"usb:10C4:EA60\"\n"

func readAll(r io.Reader) (records []Record, err error) {
	p, err := NewPlayer(r)
	if err != nil {
		return nil, err
	}
	for {
		rec, err := p.Next()
		if err != nil {
			if _, again := p.Next(); !errors.Is(again, err) {
				return nil, fmt.Errorf("after %v comes %v", err, again)
			}
			return records, err
		}
		records = append(records, rec)
	}
}

func TestPlayer(t *testing.T) {
	text := head + "0 baud 115200\n1204775 < \"\\r\\n\\t\\\"\\\\\\x00\\xffa b\"\n1204775 > \"x\"\n" +
		"2000000 lines dtr=0 rts=1\n3000000 gone \"\"\n4000000 gone \"input/output error\"\n5000000 back\n6000000 lost 4096\n7000000 end\n"
	for _, r := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text)), iotest.DataErrReader(strings.NewReader(text))} {
		records, err := readAll(r)
		if !errors.Is(err, io.EOF) || len(records) != 8 {
			t.Fatalf("%d records, %v", len(records), err)
		}
		if got := string(records[1].Data); got != "\r\n\t\"\\\x00\xffa b" {
			t.Errorf("data %q", got)
		}
		if r := records[3]; r.DTR || !r.RTS || r.At != 2*time.Millisecond {
			t.Errorf("lines %+v", r)
		}
		out := []byte(head)
		for _, rec := range records {
			out = rec.append(out)
		}
		if out = append(out, "7000000 end\n"...); string(out) != text {
			t.Errorf("written again:\n%s, want\n%s", out, text)
		}
	}
}

func TestPlayerRefuses(t *testing.T) {
	for _, text := range []string{
		"", "x", magic, magic + "\n", "porthole recording 2\n" + strings.TrimPrefix(head, magic+"\n"),
		strings.Replace(head, "12:00:00Z", "12:00:00+00:00", 1), strings.Replace(head, "Z\n", ".000Z\n", 1), strings.Replace(head, "port", "Port", 1),
		strings.Replace(head, "\n", "\r\n", -1), head[:len(head)-1],
	} {
		if _, err := NewPlayer(strings.NewReader(text)); err == nil {
			t.Errorf("head %q passes", text)
		}
	}
	for _, line := range []string{
		"", " ", "1", "1 ", "1 <", "1 < ", `1 < ""`, `1 < x`, `1 < "x`, `1 < "x" `, `1  < "x"`, `-1 < "x"`, `+1 < "x"`, `01 < "x"`, `1 < "\x41"`, `1 < "\xFF"`,
		`1 < "\x0a"`, `1 < "\x+1"`, `1 < "\x0"`, `1 < "\"`, `1 < "\q"`, `1 < "a"b"`, "1 < \"a\tb\"", "1 < \"\xff\"", `1 ? "x"`, `1 baud`, `1 baud 0`, `1 baud -1`, `1 baud 99999999999`,
		`1 lines dtr=2 rts=0`, `1 lines rts=0 dtr=0`, `1 lines`, `1 back x`, `1 end x`, `1 lost 0`, `1 lost x`, `99999999999999999999 back`, `9223372036854775807 back`,
		`1 < "` + strings.Repeat("a", MaxData+1) + `"`, `1 < "` + strings.Repeat(`\x00`, MaxData+20) + `"`,
	} {
		if _, err := readAll(strings.NewReader(head + line + "\n9 end\n")); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("record %.80q passes", line)
		}
	}
	for _, c := range []struct{ text, want string }{
		{"5 back\n4 back\n", "backwards"}, {"5 end\n6 back\n", "follows the end"}, {"5 end\nx", "follows the end"},
	} {
		if _, err := readAll(strings.NewReader(head + c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v", c.text, err)
		}
	}
	for _, cut := range []string{"", "1 back\n", "1 back\n2 ba", "1 back\n2 end"} {
		if _, err := readAll(strings.NewReader(head + cut)); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut at %q: %v", cut, err)
		}
	}
	if records, err := readAll(strings.NewReader(head + `1 < "` + strings.Repeat(`\x00`, MaxData) + "\"\n2 end\n")); !errors.Is(err, io.EOF) || len(records[0].Data) != MaxData {
		t.Errorf("the largest record: %v", err)
	}
}

// FuzzPlayer: what is read as a recording is written the same way again.
func FuzzPlayer(f *testing.F) {
	f.Add([]byte(head + "0 baud 115200\n1204775 < \"a\\r\\n\"\n7000000 end\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := NewPlayer(bytes.NewReader(data))
		if err != nil {
			return
		}
		out := p.Header.append(nil)
		for {
			rec, err := p.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				if !bytes.HasPrefix(data, out) {
					t.Errorf("read %q, written %q", data, out)
				}
				return
			}
			out = rec.append(out)
		}
		last := data[bytes.LastIndexByte(data[:len(data)-1], '\n')+1:]
		if string(out)+string(last) != string(data) {
			t.Errorf("read %q, written %q", data, out)
		}
	})
}

// TestReplayExact: what was recorded comes again byte for byte and, in virtual
// time, at the very same instants.
func TestReplayExact(t *testing.T) {
	for _, redact := range []func([]byte){nil, Redact()} {
		synctest.Test(t, func(t *testing.T) {
			const seed = 7
			rng := rand.New(rand.NewPCG(seed, seed))
			type arrival struct {
				at   time.Duration
				data string
			}
			var session []arrival
			var file bytes.Buffer
			rec, err := NewRecorder(&file, "sim:", redact)
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			for range 300 {
				time.Sleep(time.Duration(1 + rng.Int64N(int64(time.Second))))
				b := make([]byte, 1+rng.IntN(200))
				for i := range b {
					b[i] = byte(rng.Uint32())
				}
				session = append(session, arrival{time.Since(start), string(b)})
				rec.Add(time.Now(), Record{Op: Received, Data: b})
				rec.Add(time.Now(), Record{Op: Sent, Data: []byte("typed\n")})
			}
			if err := rec.Close(); err != nil {
				t.Fatal(err)
			}
			p, err := NewPlayer(&file)
			if err != nil {
				t.Fatal(err)
			}
			port := NewReplay(p, nil, 1)
			defer port.Close()
			start = time.Now()
			buf := make([]byte, MaxData)
			for i, want := range session {
				n, err := port.Read(buf)
				if at := time.Since(start); err != nil || string(buf[:n]) != want.data || at != want.at {
					t.Fatalf("seed %d, read %d: %d bytes at %v, %v; want %d at %v", seed, i, n, at, err, len(want.data), want.at)
				}
			}
			if n, err := port.Read(buf); n != 0 || err != io.EOF {
				t.Errorf("at the end: %d, %v", n, err)
			}
		})
	}
}

func TestReplaySpeedAndClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := head + "1000000000 < \"a\"\n3000000000 > \"x\"\n4000000000 < \"b\"\n9000000000 end\n"
		open := func(speed float64) *Replay {
			p, err := NewPlayer(strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			return NewReplay(p, nil, speed)
		}
		for _, c := range []struct {
			speed float64
			want  time.Duration
		}{{1, 4 * time.Second}, {2, 2 * time.Second}, {0.5, 8 * time.Second}, {0, 0}} {
			port := open(c.speed)
			start := time.Now()
			data, err := io.ReadAll(port)
			if err != nil || string(data) != "ab" || time.Since(start) != c.want {
				t.Errorf("speed %v: %q after %v, %v", c.speed, data, time.Since(start), err)
			}
			port.Close()
		}
		port := open(1)
		port.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := port.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "timeout") {
			t.Errorf("deadline: %v", err)
		}
		port.SetReadDeadline(time.Time{})
		time.AfterFunc(10*time.Millisecond, func() { port.Close() })
		if _, err := port.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("closed: %v", err)
		}
		if n, err := port.Write([]byte("status\n")); n != 7 || err != nil {
			t.Errorf("write: %d, %v", n, err)
		}
	})
}

// TestRedact: secrets are masked however they are cut, and nothing moves.
func TestRedact(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{`I (1) app: password="hunter2" ssid="Harbour"`, `I (1) app: password="*******" ssid="Harbour"`},
		{`token=abc123, next`, `token=******, next`},
		{`{"token": "a\"b", "x": 1}`, `{"token": "****", "x": 1}`},
		{`Authorization: Bearer eyJhbGci.x`, `Authorization: Bearer **********`},
		{`GET https://me:pass@host/x`, `GET https://*******@host/x`},
		{`psk='secret word' z`, `psk='***********' z`},
		{`E (320) porthole: config missing key="token"`, `E (320) porthole: config missing key="token"`},
		{`I (4000) porthole: upload ok seq=7 bytes=24518 ms=1803 status=200`, `I (4000) porthole: upload ok seq=7 bytes=24518 ms=1803 status=200`},
		{`joining with correct-horse-9`, `joining with ***************`},
		{`correct-horse-9correct-horse-9`, `******************************`},
	} {
		line := []byte(c.line)
		Redact("correct-horse-9", "abc")(line)
		if string(line) != c.want {
			t.Errorf("%s, want %s", line, c.want)
		}
		for _, size := range []int{1, 2, 7, 100} {
			var file bytes.Buffer
			rec, err := NewRecorder(&file, "x", Redact("correct-horse-9"))
			if err != nil {
				t.Fatal(err)
			}
			text := []byte("before\r\n" + c.line + "\r\nafter")
			for len(text) > 0 {
				n := min(size, len(text))
				rec.Add(time.Now(), Record{Op: Received, Data: text[:n]})
				text = text[n:]
				if err := rec.Flush(); err != nil {
					t.Fatal(err)
				}
			}
			if err := rec.Close(); err != nil {
				t.Fatal(err)
			}
			records, err := readAll(&file)
			if !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			var got []byte
			for _, r := range records {
				got = append(got, r.Data...)
			}
			if want := "before\r\n" + c.want + "\r\nafter"; string(got) != want {
				t.Errorf("in pieces of %d:\n%q, want\n%q", size, got, want)
			}
		}
	}
}

// TestRecorderBounds: a line without an end does not hold the recording back for
// ever, and both directions keep their order.
func TestRecorderBounds(t *testing.T) {
	var file bytes.Buffer
	rec, err := NewRecorder(&file, "x", Redact())
	if err != nil {
		t.Fatal(err)
	}
	noise := bytes.Repeat([]byte("x"), 1000)
	for range 1200 {
		rec.Add(time.Now(), Record{Op: Received, Data: noise})
		rec.Add(time.Now(), Record{Op: Sent, Data: []byte("y")})
		if rec.bytes > maxHeld+4096 {
			t.Fatalf("%d bytes held", rec.bytes)
		}
	}
	rec.Add(time.Now(), Record{Op: Received, Data: bytes.Repeat([]byte("z"), 3*MaxData)})
	if err := rec.Close(); err != nil {
		t.Fatal(err)
	}
	if rec.Close() == nil {
		t.Error("closed twice")
	}
	records, err := readAll(&file)
	if !errors.Is(err, io.EOF) || len(records) != 2403 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	for i, r := range records[:2400] {
		if want := []Op{Received, Sent}[i%2]; r.Op != want {
			t.Fatalf("record %d is %q", i, r.Op)
		}
	}
}

func TestRecorderReportsTheDisk(t *testing.T) {
	full := errors.New("disk full")
	if _, err := NewRecorder(writerFunc(func([]byte) (int, error) { return 0, full }), "x", nil); !errors.Is(err, full) {
		t.Errorf("at the start: %v", err)
	}
	n := 0
	rec, err := NewRecorder(writerFunc(func(p []byte) (int, error) {
		if n++; n > 1 {
			return 0, full
		}
		return len(p), nil
	}), "x", nil)
	if err != nil {
		t.Fatal(err)
	}
	rec.Add(time.Now(), Record{Op: Received, Data: []byte("x")})
	if err := rec.Flush(); !errors.Is(err, full) {
		t.Errorf("flush: %v", err)
	}
	if err := rec.Close(); !errors.Is(err, full) {
		t.Errorf("close: %v", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
