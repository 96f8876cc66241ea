package rfc2217

import "errors"

// Errors of the [Parser]. After one the stream cannot be resynchronised.
var (
	ErrSubTooLong = errors.New("subnegotiation is too long")
	ErrBadSub     = errors.New("command inside a subnegotiation")
)

// TokenKind says what a [Token] is.
type TokenKind uint8

const (
	TokenData   TokenKind = iota // bytes of the serial line, Data
	TokenVerb                    // WILL, WONT, DO or DONT in Verb, about Option
	TokenSub                     // subnegotiation of Option, payload in Data
	TokenSimple                  // another Telnet command, in Verb
)

// Token is one item of the stream.
type Token struct {
	Kind   TokenKind
	Verb   byte
	Option Option
	Data   []byte // borrowed from the input or the parser: valid until the next call
}

// Parser cuts a Telnet stream into tokens. Bytes are pushed in pieces of any
// size; the pieces' borders do not show in the tokens, except that a run of
// data is handed on as far as it has come. It keeps at most MaxSub bytes. The
// zero value is ready for the start of a stream.
type Parser struct {
	state  parserState
	verb   byte
	option Option
	sub    []byte
	err    error
}

type parserState uint8

const (
	inData    parserState = iota
	inIAC                 // IAC seen
	inVerb                // IAC WILL|WONT|DO|DONT seen
	inSBStart             // IAC SB seen
	inSub                 // inside the payload
	inSubIAC              // IAC seen inside the payload
)

// Next takes the first token from b and returns it with the rest of b. It
// reports false when b ends before a token does; the beginning is kept. So:
//
//	for tok, rest, ok := p.Next(b); ok; tok, rest, ok = p.Next(rest) { … }
//	if err := p.Err(); err != nil { … }
//
// After an error it reports false for ever.
func (p *Parser) Next(b []byte) (tok Token, rest []byte, ok bool) {
	for i := 0; p.err == nil && i < len(b); i++ {
		c := b[i]
		switch p.state {
		case inData:
			if c != IAC {
				end := i + dataRun(b[i:])
				return Token{Kind: TokenData, Data: b[i:end:end]}, b[end:], true
			}
			p.state = inIAC
		case inIAC:
			p.state = inData
			switch c {
			case IAC: // doubled: a data byte that starts a run
				end := i + 1 + dataRun(b[i+1:])
				return Token{Kind: TokenData, Data: b[i:end:end]}, b[end:], true
			case WILL, WONT, DO, DONT:
				p.verb, p.state = c, inVerb
			case SB:
				p.state = inSBStart
			default:
				return Token{Kind: TokenSimple, Verb: c}, b[i+1:], true
			}
		case inVerb:
			p.state = inData
			return Token{Kind: TokenVerb, Verb: p.verb, Option: Option(c)}, b[i+1:], true
		case inSBStart:
			p.option, p.sub, p.state = Option(c), p.sub[:0], inSub
		case inSub:
			if c == IAC {
				p.state = inSubIAC
				break
			}
			p.addSub(c)
		case inSubIAC:
			switch c {
			case IAC:
				p.state = inSub
				p.addSub(c)
			case SE:
				p.state = inData
				return Token{Kind: TokenSub, Option: p.option, Data: p.sub}, b[i+1:], true
			default:
				p.err = ErrBadSub
			}
		}
	}
	return Token{}, nil, false
}

func (p *Parser) addSub(c byte) {
	if len(p.sub) >= MaxSub {
		p.err = ErrSubTooLong
		return
	}
	p.sub = append(p.sub, c)
}

// Err is the error that ended the stream, if any. It never goes away.
func (p *Parser) Err() error { return p.err }

// dataRun is the number of bytes of b before the first IAC.
func dataRun(b []byte) int {
	for i, c := range b {
		if c == IAC {
			return i
		}
	}
	return len(b)
}
