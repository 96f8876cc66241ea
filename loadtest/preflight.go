package loadtest

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"syscall"

	"porthole/internal/cli"
)

const (
	// spareDescriptors are kept for everything that is not a viewer.
	spareDescriptors = 64
	// usualPicture is the size the expected bandwidth is computed with: a 25 kB
	// picture and its head.
	usualPicture = 25_500
	// usualChange is the same of a change: some 700 B of a room that is quiet, and
	// up to four times that of one that is not.
	usualChange = 2_800
	// defaultMbit is the limit for a target that is not on this machine.
	defaultMbit = 1000
)

// supply is what a run needs, or what the machine has. Zero where the machine's
// is unknown.
type supply struct {
	descriptors int
	ports       int
	mbit        int
}

// preflight refuses a run that this machine cannot bear, before it starts: such
// a run would end in errors that say nothing about the server.
func (c Config) preflight(target *url.URL) error {
	return c.refuse(c.needs(), c.has(target))
}

// needs returns what the run needs at its peak.
func (c Config) needs() supply {
	size := float64(usualPicture)
	if c.Protocol.Decodes() {
		size = usualChange
	}
	n := supply{
		descriptors: c.Viewers + spareDescriptors,
		ports:       c.Viewers,
		mbit:        int(float64(c.Viewers) * size * 8 / c.Period.Seconds() / 1e6),
	}
	if c.InProcess {
		n.descriptors += c.Viewers
	}
	if c.Dial != nil {
		n.descriptors, n.ports = 0, 0 // not known to be sockets
	}
	return n
}

func (c Config) has(target *url.URL) supply {
	var h supply
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		h.descriptors = int(min(limit.Cur, 1<<30)) - openDescriptors()
	}
	h.ports = localPorts()
	h.mbit = c.MaxMbit
	if h.mbit == 0 && c.Dial == nil && !isLoopback(target.Hostname()) {
		h.mbit = defaultMbit
	}
	return h
}

// refuse compares. The first shortage is the error.
func (c Config) refuse(need, have supply) error {
	short := func(what string, need, have int, hint string) error {
		return cli.WithCode(cli.Hint(fmt.Errorf("%d viewers need %d %s, %d are available", c.Viewers, need, what, have), hint), cli.ExitBench)
	}
	switch {
	case have.descriptors != 0 && need.descriptors > have.descriptors:
		return short("file descriptors", need.descriptors, max(have.descriptors, 0),
			fmt.Sprintf("raise the limit (ulimit -n %d), or use fewer viewers", need.descriptors*5/4))
	case have.ports != 0 && need.ports > have.ports:
		return short("local ports", need.ports, have.ports,
			"widen net.ipv4.ip_local_port_range, or split the viewers over two machines or two server ports")
	case have.mbit != 0 && need.mbit > have.mbit:
		return short("Mbit/s", need.mbit, have.mbit,
			"use fewer viewers or a longer period, or raise the limit if the link is faster")
	}
	return nil
}

func openDescriptors() int {
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(names)
}

// localPorts returns how many local ports one source address has for one
// destination, 0 if unknown.
func localPorts() int {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return 0
	}
	n, err := parsePortRange(string(text))
	if err != nil {
		return 0
	}
	return n
}

func parsePortRange(s string) (int, error) {
	var low, high int
	if _, err := fmt.Sscanf(s, "%d %d", &low, &high); err != nil {
		return 0, fmt.Errorf("parse port range: %w", err)
	}
	if low < 1 || high > 65535 || low > high {
		return 0, errors.New("parse port range: out of range")
	}
	return high - low + 1, nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
