package sim

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Faults happen to a simulated board at random, each once in so many times; 0 is
// never. They are drawn from the board's seed.
type Faults struct {
	// Of a capture.
	Null     int // no picture comes
	Cut      int // a picture lacks its end
	Overflow int // a picture is too large for its buffer and lost
	// Of a connection.
	DNS    int // the name does not resolve
	Refuse int // nobody listens
	Reset  int // the connection breaks during the handshake
	Cert   int // the certificate is somebody else's
	// Of an upload.
	WiFi int // the network is lost afterwards
}

// fields are the faults by their names.
func (f *Faults) fields() map[string]*int {
	return map[string]*int{
		"null": &f.Null, "cut": &f.Cut, "overflow": &f.Overflow,
		"dns": &f.DNS, "refuse": &f.Refuse, "reset": &f.Reset, "cert": &f.Cert, "wifi": &f.WiFi,
	}
}

// ParseFaults reads a list such as "cut=50,dns=20": one cut picture in 50, one
// failed lookup in 20.
func ParseFaults(s string) (f Faults, _ error) {
	if s == "" {
		return f, nil
	}
	fields := f.fields()
	for item := range strings.SplitSeq(s, ",") {
		name, value, _ := strings.Cut(item, "=")
		n, err := strconv.Atoi(value)
		if fields[name] == nil || err != nil || n < 1 {
			var names []string
			for name := range fields {
				names = append(names, name)
			}
			slices.Sort(names)
			return Faults{}, fmt.Errorf("fault %.40q: want NAME=N for once in N times, NAME one of %s", item, strings.Join(names, ", "))
		}
		*fields[name] = n
	}
	return f, nil
}

// dial is dial with the faults of connections.
func (f Faults) dial(r *rng, host string, dial func(context.Context) (net.Conn, error)) func(context.Context) (net.Conn, error) {
	if f.DNS == 0 && f.Refuse == 0 && f.Reset == 0 {
		return dial
	}
	return func(ctx context.Context) (net.Conn, error) {
		switch {
		case r.chance(f.DNS):
			return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		case r.chance(f.Refuse):
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
		}
		conn, err := dial(ctx)
		if err == nil && r.chance(f.Reset) {
			return &resetConn{conn}, nil
		}
		return conn, err
	}
}

// resetConn breaks at its first answer.
type resetConn struct{ net.Conn }

func (c *resetConn) Read([]byte) (int, error) {
	c.Close()
	return 0, &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
}

// cert is the error of a certificate that is somebody else's, when its turn came.
func (f Faults) cert(r *rng) error {
	if r.chance(f.Cert) {
		return x509.UnknownAuthorityError{}
	}
	return nil
}
