package shutoff

import (
	"context"
	"fmt"
	"strings"

	"porthole/hil"
	"porthole/internal/cli"
)

// Name says which pin is meant, taken apart.
type Name struct {
	Driver string // "gpiochip", "rts", "periph" or "none"
	Chip   string // of gpiochip: "gpiochip0"
	Line   string // of gpiochip: offset, or the line's name
	Port   string // of rts
	Pin    string // of periph
}

const nameHint = "--pin takes gpiochip:CHIP:LINE, rts:PORT, periph:NAME or none"

// maxName bounds the name of a pin, in bytes.
const maxName = 200

// ParseName reads a name.
func ParseName(s string) (Name, error) {
	driver, rest, _ := strings.Cut(s, ":")
	n := Name{Driver: driver}
	ok := len(s) <= maxName
	switch driver {
	case "gpiochip":
		n.Chip, n.Line, _ = strings.Cut(rest, ":")
		ok = ok && n.Chip != "" && n.Line != "" && !strings.Contains(n.Line, ":")
	case "rts":
		n.Port = rest
		ok = ok && rest != ""
	case "periph":
		n.Pin = rest
		ok = ok && rest != ""
	case "none":
		ok = ok && rest == "" && s == "none"
	default:
		ok = false
	}
	if !ok {
		return Name{}, cli.Hint(fmt.Errorf("%.200q is no name of a pin", s), nameHint)
	}
	return n, nil
}

// String is the name as it is written.
func (n Name) String() string {
	switch n.Driver {
	case "gpiochip":
		return n.Driver + ":" + n.Chip + ":" + n.Line
	case "rts":
		return n.Driver + ":" + n.Port
	case "periph":
		return n.Driver + ":" + n.Pin
	}
	return n.Driver
}

// Open returns the pin of that name, not driven yet. open opens serial ports,
// for rts.
func Open(ctx context.Context, n Name, open hil.Opener) (Pin, error) {
	switch n.Driver {
	case "gpiochip":
		return Chip(KernelLine(n.Chip, n.Line), n.String(), -1), nil
	case "rts":
		port, err := open(ctx, n.Port)
		if err != nil {
			return nil, fmt.Errorf("open pin %s: %w", n, err)
		}
		return RTS(port, n.String())
	case "periph":
		return Periph(n.Pin)
	}
	return None{}, nil
}
