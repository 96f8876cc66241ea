package rfc2217

// negotiation is the state of every Telnet option on both sides, after the
// method of RFC 1143, which cannot loop: a verb that changes nothing is not
// answered. It is smaller than the RFC's because options are only ever switched
// on by us, and a refusal is given once.
type negotiation struct {
	us, him [256]optionState
	// accepts tells whether an option that the other side proposes is wanted.
	acceptUs, acceptHim func(Option) bool
}

type optionState uint8

const (
	optionOff     optionState = iota
	optionAsked               // we have asked, and wait
	optionOn                  // both agree
	optionRefused             // we have said no, and say it no more
)

// ask returns the verb that proposes an option, or 0 if it is asked or on.
func (n *negotiation) ask(verb byte, opt Option) byte {
	side := &n.us[opt]
	if verb == DO {
		side = &n.him[opt]
	}
	if *side == optionAsked || *side == optionOn {
		return 0
	}
	*side = optionAsked
	return verb
}

// incoming takes a verb of the other side and returns the answer, or 0 for
// none.
func (n *negotiation) incoming(verb byte, opt Option) byte {
	switch verb {
	case WILL:
		return propose(&n.him[opt], n.acceptHim(opt), DO, DONT)
	case WONT:
		return withdraw(&n.him[opt], DONT)
	case DO:
		return propose(&n.us[opt], n.acceptUs(opt), WILL, WONT)
	case DONT:
		return withdraw(&n.us[opt], WONT)
	}
	return 0
}

func propose(state *optionState, accept bool, yes, no byte) byte {
	switch {
	case *state == optionOn, *state == optionRefused:
		return 0
	case *state == optionAsked: // this is the answer
		*state = optionOn
		return 0
	case !accept:
		*state = optionRefused
		return no
	}
	*state = optionOn
	return yes
}

func withdraw(state *optionState, no byte) byte {
	was := *state
	if was != optionRefused {
		*state = optionOff
	}
	if was == optionOn {
		return no
	}
	return 0 // a refusal of what we asked, or nothing new
}
