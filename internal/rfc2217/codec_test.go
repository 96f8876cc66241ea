package rfc2217

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// unhex decodes a hex dump with spaces.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tokens parses pieces as one stream and describes the tokens, with adjacent
// runs of data joined, so that the description does not depend on the cuts.
func tokens(p *Parser, pieces ...[]byte) []string {
	var out []string
	var data []byte
	flush := func() {
		if len(data) > 0 {
			out = append(out, fmt.Sprintf("data %x", data))
			data = nil
		}
	}
	for _, piece := range pieces {
		for tok, rest, ok := p.Next(piece); ok; tok, rest, ok = p.Next(rest) {
			switch tok.Kind {
			case TokenData:
				data = append(data, tok.Data...)
				continue
			case TokenVerb:
				flush()
				out = append(out, fmt.Sprintf("verb %x %v", tok.Verb, tok.Option))
			case TokenSub:
				flush()
				out = append(out, fmt.Sprintf("sub %v %x", tok.Option, tok.Data))
			case TokenSimple:
				flush()
				out = append(out, fmt.Sprintf("simple %x", tok.Verb))
			}
		}
	}
	flush()
	return out
}

func TestParser(t *testing.T) {
	long := bytes.Repeat([]byte("ab"), MaxSub/2)
	for _, tt := range []struct {
		name string
		in   string // hex
		want []string
		err  error
	}{
		{"data only", "61 62 63", []string{"data 616263"}, nil},
		{"doubled FF", "61 FF FF 62", []string{"data 61ff62"}, nil},
		{"three data FF", "FF FF FF FF FF FF", []string{"data ffffff"}, nil},
		{"verb between data", "61 FF FB 2C 62", []string{"data 61", "verb fb COM-PORT", "data 62"}, nil},
		{"unknown option", "FF FD 18", []string{"verb fd option 24"}, nil},
		{"option FF", "FF FD FF 61", []string{"verb fd option 255", "data 61"}, nil},
		{"two-byte command", "FF F1 FF F6", []string{"simple f1", "simple f6"}, nil},
		{"stray SE", "FF F0 61", []string{"simple f0", "data 61"}, nil},
		{"set baud", "FF FA 2C 01 00 01 C2 00 FF F0", []string{"sub COM-PORT 010001c200"}, nil},
		{"FF inside a payload", "FF FA 2C 01 00 00 FF FF 00 FF F0", []string{"sub COM-PORT 010000ff00"}, nil},
		{"F0 inside a payload is data", "FF FA 2C 0B F0 FF F0", []string{"sub COM-PORT 0bf0"}, nil},
		{"empty payload", "FF FA 2C FF F0", []string{"sub COM-PORT "}, nil},
		{"other option", "FF FA 18 01 FF F0", []string{"sub option 24 01"}, nil},
		{"IAC as the option", "FF FA FF FF F0", []string{"sub option 255 "}, nil},
		{"two in a row", "FF FA 2C 05 0B FF F0 FF FA 2C 05 09 FF F0", []string{"sub COM-PORT 050b", "sub COM-PORT 0509"}, nil},
		{"open end", "61 FF FA 2C 05", []string{"data 61"}, nil},
		{"command in a payload", "FF FA 2C 05 FF F1 61", nil, ErrBadSub},
		{"begin in a payload", "FF FA 2C 05 FF FA 2C 61", nil, ErrBadSub},
		{"longest payload", "FF FA 2C" + hex.EncodeToString(long) + "FF F0", []string{"sub COM-PORT " + hex.EncodeToString(long)}, nil},
		{"one byte too long", "FF FA 2C" + hex.EncodeToString(long) + "63 FF F0 61", nil, ErrSubTooLong},
		{"doubled FF counts as one", "FF FA 2C" + strings.Repeat("FFFF", MaxSub) + "FF F0", []string{"sub COM-PORT " + strings.Repeat("ff", MaxSub)}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := unhex(t, tt.in)
			var p Parser
			if got := tokens(&p, in); !slices.Equal(got, tt.want) || !errors.Is(p.Err(), tt.err) {
				t.Errorf("tokens %q, error %v; want %q, %v", got, p.Err(), tt.want, tt.err)
			}
			var one Parser
			if got := tokens(&one, slices.Collect(slices.Chunk(in, 1))...); !slices.Equal(got, tt.want) || !errors.Is(one.Err(), tt.err) {
				t.Errorf("byte by byte: tokens %q, error %v; want %q, %v", got, one.Err(), tt.want, tt.err)
			}
			if tt.err != nil {
				if got := tokens(&p, []byte("abc\xff\xfb\x2c")); got != nil || !errors.Is(p.Err(), tt.err) {
					t.Errorf("after the error: tokens %q, error %v; want none and the same", got, p.Err())
				}
			}
		})
	}
}

func TestAppend(t *testing.T) {
	for _, tt := range []struct {
		name string
		got  []byte
		want string
	}{
		{"verb", AppendVerb(nil, WILL, OptComPort), "FF FB 2C"},
		{"data", AppendData([]byte{0x61}, []byte{0xFF, 0x62, 0xFF}), "61 FF FF 62 FF FF"},
		{"control", AppendCommand(nil, CmdControl, byte(RTSOn)), "FF FA 2C 05 0B FF F0"},
		{"answer", AppendCommand(nil, FromServer+CmdControl, byte(RTSOn)), "FF FA 2C 69 0B FF F0"},
		{"baud", AppendBaud(nil, CmdBaud, 115200), "FF FA 2C 01 00 01 C2 00 FF F0"},
		{"baud with FF", AppendBaud(nil, CmdBaud, 0xFF00FFFF), "FF FA 2C 01 FF FF 00 FF FF FF FF FF F0"},
		{"mask FF", AppendCommand(nil, CmdModemMask, 0xFF), "FF FA 2C 0B FF FF FF F0"},
	} {
		if want := unhex(t, tt.want); !bytes.Equal(tt.got, want) {
			t.Errorf("%s: % x, want % x", tt.name, tt.got, want)
		}
	}
	long := AppendCommand(nil, CmdSignature, make([]byte, 2*MaxSub)...)
	var p Parser
	if got := tokens(&p, long); len(got) != 1 || p.Err() != nil {
		t.Errorf("an over-long payload: %d tokens, %v; want one that is cut to fit", len(got), p.Err())
	}
}

func TestNegotiationIsAnsweredOnceAndCannotLoop(t *testing.T) {
	all := func(Option) bool { return true }
	none := func(Option) bool { return false }
	t.Run("two sides that ask for everything settle", func(t *testing.T) {
		a := &negotiation{acceptUs: all, acceptHim: all}
		b := &negotiation{acceptUs: all, acceptHim: none}
		type msg struct {
			to   *negotiation
			verb byte
			opt  Option
		}
		var wire []msg
		send := func(to *negotiation, verb byte, opt Option) {
			if verb != 0 {
				wire = append(wire, msg{to, verb, opt})
			}
		}
		for _, opt := range []Option{OptBinary, OptEcho, OptSGA, OptComPort, 24} {
			send(b, a.ask(WILL, opt), opt)
			send(b, a.ask(DO, opt), opt)
			send(a, b.ask(WILL, opt), opt)
			send(a, b.ask(DO, opt), opt)
		}
		for steps := 0; len(wire) > 0; steps++ {
			if steps > 100 {
				t.Fatal("the two sides never stop talking")
			}
			m := wire[0]
			wire = wire[1:]
			other := a
			if m.to == a {
				other = b
			}
			send(other, m.to.incoming(m.verb, m.opt), m.opt)
		}
		if a.us[OptComPort] != optionOn || b.him[OptComPort] != optionOn {
			t.Error("COM-PORT was asked for by both sides and is not on")
		}
	})
	t.Run("repeats are not answered", func(t *testing.T) {
		n := &negotiation{acceptUs: all, acceptHim: none}
		for _, tt := range []struct {
			verb, want byte
		}{
			{DO, WILL}, {DO, 0}, {DO, 0}, {DONT, WONT}, {DONT, 0}, {DO, WILL},
			{WILL, DONT}, {WILL, 0}, {WILL, 0}, {WONT, 0},
		} {
			if got := n.incoming(tt.verb, OptSGA); got != tt.want {
				t.Errorf("verb %x answered with %x, want %x", tt.verb, got, tt.want)
			}
		}
	})
}

// FuzzParser checks that no stream panics, that cuts between pieces do not
// show, and that what was parsed can be encoded and parsed again.
func FuzzParser(f *testing.F) {
	f.Add([]byte("boot\xff\xff log\xff\xfa\x2c\x05\x0b\xff\xf0"), uint8(3))
	f.Fuzz(func(t *testing.T, in []byte, cut uint8) {
		var whole, cutUp Parser
		want := tokens(&whole, in)
		pieces := slices.Collect(slices.Chunk(in, int(cut)+1))
		if got := tokens(&cutUp, pieces...); !slices.Equal(got, want) || cutUp.Err() != whole.Err() {
			t.Fatalf("in pieces of %d: %q, %v; whole: %q, %v", int(cut)+1, got, cutUp.Err(), want, whole.Err())
		}
		if n := cap(whole.sub); n > 2*MaxSub {
			t.Fatalf("the parser holds %d bytes", n)
		}

		var again []byte
		var p Parser
		for tok, rest, ok := p.Next(in); ok; tok, rest, ok = p.Next(rest) {
			switch tok.Kind {
			case TokenData:
				again = AppendData(again, tok.Data)
			case TokenVerb:
				again = AppendVerb(again, tok.Verb, tok.Option)
			case TokenSimple:
				again = append(again, IAC, tok.Verb)
			case TokenSub:
				again = append(again, IAC, SB, byte(tok.Option))
				again = AppendData(again, tok.Data)
				again = append(again, IAC, SE)
			}
		}
		if got := tokens(new(Parser), again); !slices.Equal(got, want) {
			t.Fatalf("encoded again: %q, want %q", got, want)
		}
	})
}
