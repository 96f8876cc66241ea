package slip

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// step is one outcome of a Decoder: a body in hex, or a problem.
func decode(t *testing.T, d *Decoder, wire []byte) (steps []string) {
	t.Helper()
	for body, err := range d.Feed(wire) {
		if fe, ok := errors.AsType[*FrameError](err); ok {
			steps = append(steps, fe.Problem.String())
		} else if err != nil {
			t.Fatalf("unexpected error type %T", err)
		} else {
			steps = append(steps, hex.EncodeToString(body))
		}
	}
	return steps
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDecoder(t *testing.T) {
	for _, tt := range []struct {
		name, wire string
		want       []string
		outside    string
	}{
		{"plain", "c0 01 02 c0", []string{"0102"}, ""},
		{"both escapes", "c0 01 db dc db dd 02 c0", []string{"01c0db02"}, ""},
		{"back to back", "c0 01 c0 c0 02 c0", []string{"01", "02"}, ""},
		{"empty frames", "c0 c0 c0 c0 01 c0", []string{"01"}, ""},
		{"log before", "72 73 74 0d 0a c0 01 c0 2e", []string{"01"}, "7273740d0a2e"},
		{"tail of a cut frame resynchronises", "02 03 c0 c0 01 c0", []string{"01"}, "0203"},
		{"bad escape, next decodes", "c0 01 db 00 05 c0 c0 02 c0", []string{"bad escape", "02"}, ""},
		{"bad escape and shared delimiter", "c0 01 db 00 c0 02 c0", []string{"bad escape", "02"}, ""},
		{"escape then end", "c0 01 db c0 c0 02 c0", []string{"bad escape", "02"}, ""},
		{"limit exactly", "c0 01 02 03 04 c0", []string{"01020304"}, ""},
		{"limit plus one, next decodes", "c0 01 02 03 04 05 c0 c0 06 c0", []string{"frame too long", "06"}, ""},
		{"limit plus one by an escape", "c0 01 02 03 04 db dc c0 c0 06 c0", []string{"frame too long", "06"}, ""},
		{"unfinished", "c0 01 02", nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out []byte
			d := &Decoder{Limit: 4, Outside: func(b byte) { out = append(out, b) }}
			if got := decode(t, d, unhex(t, tt.wire)); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if got := hex.EncodeToString(out); got != tt.outside {
				t.Errorf("outside %q, want %q", got, tt.outside)
			}
		})
	}
}

func TestAppend(t *testing.T) {
	for _, n := range []int{1, 2, 255, 256, MaxBody - 1, MaxBody} {
		body := make([]byte, n)
		for i := range body {
			body[i] = byte(0xBF + i%31) // C0, DB, DC and DD among them
		}
		wire := Append([]byte("log"), body)
		if want := len("log") + Len(body); len(wire) != want {
			t.Errorf("%d bytes: wire length %d, Len says %d", n, len(wire), want)
		}
		if bytes.Count(wire, []byte{End}) != 2 {
			t.Errorf("%d bytes: a delimiter inside the frame", n)
		}
		var d Decoder
		got := decode(t, &d, wire)
		if len(got) != 1 || got[0] != hex.EncodeToString(body) {
			t.Errorf("%d bytes: does not round-trip", n)
		}
	}
	if got := Append(nil, nil); !bytes.Equal(got, []byte{End, End}) {
		t.Errorf("empty frame % x", got)
	}
	if got := decode(t, &Decoder{}, Append(nil, make([]byte, MaxBody+1))); !slices.Equal(got, []string{"frame too long"}) {
		t.Errorf("body above the default limit: %q", got)
	}
}

func TestReader(t *testing.T) {
	wire := unhex(t, "6f6b c001c0 c0db00c0 c00203c0")
	for _, tt := range []struct {
		name string
		r    io.Reader
		last error
	}{
		{"whole", bytes.NewReader(wire), io.EOF},
		{"one byte at a time", iotest.OneByteReader(bytes.NewReader(wire)), io.EOF},
		{"data with EOF", iotest.DataErrReader(bytes.NewReader(wire)), io.EOF},
		{"cut in a frame", bytes.NewReader(append(slices.Clone(wire), End, 1)), io.ErrUnexpectedEOF},
		{"cut in an escape", bytes.NewReader(append(slices.Clone(wire), End, Esc)), io.ErrUnexpectedEOF},
		{"line breaks", io.MultiReader(bytes.NewReader(wire), iotest.ErrReader(iotest.ErrTimeout)), iotest.ErrTimeout},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log []byte
			r := NewReader(tt.r, 0, func(b byte) { log = append(log, b) })
			if body, err := r.ReadFrame(); err != nil || !bytes.Equal(body, []byte{1}) {
				t.Fatalf("first frame % x, %v", body, err)
			}
			if _, err := r.ReadFrame(); err == nil {
				t.Fatal("bad escape not reported")
			} else if _, ok := errors.AsType[*FrameError](err); !ok {
				t.Fatalf("bad escape reported as %v", err)
			}
			if body, err := r.ReadFrame(); err != nil || !bytes.Equal(body, []byte{2, 3}) {
				t.Fatalf("frame after the bad one % x, %v", body, err)
			}
			for range 3 {
				if _, err := r.ReadFrame(); !errors.Is(err, tt.last) {
					t.Fatalf("end: %v, want %v", err, tt.last)
				}
			}
			if string(log) != "ok" {
				t.Errorf("outside %q", log)
			}
		})
	}
	// A reader that returns nothing for ever must not hang its caller.
	if _, err := NewReader(iotest.ErrReader(nil), 0, nil).ReadFrame(); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("idle reader: %v", err)
	}
}

func TestReset(t *testing.T) {
	var d Decoder
	decode(t, &d, []byte{End, 1, 2, Esc})
	if !d.Mid() {
		t.Error("not in a frame")
	}
	d.Reset()
	if d.Mid() {
		t.Error("still in a frame")
	}
	if got := decode(t, &d, []byte{EscEnd, End, 7, End}); !slices.Equal(got, []string{"07"}) {
		t.Errorf("after Reset: %q", got)
	}
}

func FuzzDecoder(f *testing.F) {
	f.Add([]byte{End, 1, End}, uint16(0))
	f.Add([]byte{End, Esc, EscEnd, Esc, EscEsc, End, End, Esc, End, 5, End}, uint16(3))
	f.Add([]byte("ets Jul 29 2019\r\n\xc0\xdb\xdb\xc0\xc0\x08\xc0"), uint16(8))
	f.Fuzz(func(t *testing.T, wire []byte, limit uint16) {
		most := cmp.Or(int(limit), MaxBody)
		var out int
		d := Decoder{Limit: int(limit), Outside: func(byte) { out++ }}
		var bodies [][]byte
		total := 0
		for body, err := range d.Feed(wire) {
			if err != nil {
				continue
			}
			if len(body) == 0 || len(body) > most {
				t.Fatalf("body of %d bytes, limit %d", len(body), most)
			}
			total += len(body)
			bodies = append(bodies, bytes.Clone(body))
		}
		if total+out > len(wire) {
			t.Fatalf("%d bytes came out of %d", total+out, len(wire))
		}
		// What was decoded encodes to something that decodes to the same.
		var again []byte
		for _, b := range bodies {
			again = Append(again, b)
		}
		// Cut anywhere, the stream decodes alike: the reader sees the same frames.
		r := NewReader(iotest.OneByteReader(bytes.NewReader(again)), most, nil)
		for i, b := range bodies {
			got, err := r.ReadFrame()
			if err != nil || !bytes.Equal(got, b) {
				t.Fatalf("frame %d: % x, %v; want % x", i, got, err, b)
			}
		}
		if _, err := r.ReadFrame(); !errors.Is(err, io.EOF) {
			t.Fatalf("end: %v", err)
		}
	})
}

func BenchmarkDecoder(b *testing.B) {
	body := bytes.Repeat([]byte{0, 1, 2, 3, End, 4, 5, Esc}, 2048)
	wire := Append(nil, body)
	var d Decoder
	b.SetBytes(int64(len(wire)))
	for b.Loop() {
		for range d.Feed(wire) {
		}
	}
}
