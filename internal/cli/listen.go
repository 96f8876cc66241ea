package cli

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
)

// Listen opens a TCP listener. A taken port or an address that is not this
// machine's comes back with what to do; change names the way to choose another
// port, such as "--http or make sim HTTP_PORT=8081".
func Listen(address, change string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, Usage(Hint(fmt.Errorf("address %q: want host:port", address), "for example 127.0.0.1:8443"))
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return nil, Usage(Hint(fmt.Errorf("address %q: port %q is not a number from 0 to 65535", address, port), "for example 127.0.0.1:8443"))
	}
	ln, err := net.Listen("tcp", net.JoinHostPort(host, port))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, Hint(fmt.Errorf("port %s on %s is taken by another program", port, host), "choose another one with "+change)
	case errors.Is(err, syscall.EACCES):
		return nil, Hint(fmt.Errorf("port %s on %s: not permitted", port, host), "ports below 1024 need privileges; choose another one with "+change)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, Hint(fmt.Errorf("%s is not an address of this machine", host), "127.0.0.1 is this machine alone, 0.0.0.0 every network it is on")
	case err != nil:
		return nil, fmt.Errorf("listen: %w", err)
	}
	return ln, nil
}
