package serial

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"porthole/hil"
	"porthole/internal/cli"
)

// Openers opens ports by name:
//
//	/dev/ttyUSB0, COM3              a device path
//	usb:VID:PID[:SERIAL][@PLACE]    a USB adapter, wherever it is plugged in
//	rfc2217://[TOKEN@]HOST[:PORT]   a port of another machine
//	SCHEME:…                        what Schemes adds, such as sim: and replay:
//
// A port of this machine comes with its lease, taken before it is opened and
// ended by Close.
type Openers struct {
	Schemes map[string]hil.Opener
	Finder  Finder
	Leases  Leases
	Request Request
	Config  Config
	Remote  RemoteConfig
}

// Open opens a port by its name.
func (o Openers) Open(ctx context.Context, name string) (hil.Port, error) {
	scheme, rest := o.split(name)
	switch scheme {
	case "":
		return o.local(ctx, o.Finder.Identify(rest), rest)
	case "usb":
		info, err := o.find(rest)
		if err != nil {
			return nil, err
		}
		return o.local(ctx, info, info.Path)
	case "rfc2217":
		p, err := DialRemote(ctx, name, o.Remote)
		if err != nil {
			return nil, err
		}
		return p, nil
	}
	open, ok := o.Schemes[scheme]
	if !ok {
		return nil, cli.Usage(cli.Hint(fmt.Errorf("open port %q: there is no %q", name, scheme+":"), "a port is "+o.Forms()))
	}
	return open(ctx, rest)
}

// Local returns what a name stands for if it is a port of this machine.
func (o Openers) Local(name string) (Info, error) {
	scheme, rest := o.split(name)
	switch scheme {
	case "":
		return o.Finder.Identify(rest), nil
	case "usb":
		return o.find(rest)
	}
	return Info{}, cli.Usage(cli.Hint(fmt.Errorf("port %q is none of this machine", name), "name a device path or usb:VID:PID"))
}

// Stable turns the name of a port into one that still is the same board after
// it was unplugged and came back as another device; see [Info.Stable]. A name
// that has no such form stays.
func (o Openers) Stable(name string) string {
	scheme, _ := o.split(name)
	if scheme != "" && scheme != "usb" {
		return name
	}
	info, err := o.Local(name)
	if err != nil || info.VID == "" {
		return name
	}
	all, err := o.Finder.list()
	if err != nil {
		return name
	}
	return info.Stable(all)
}

// Forms lists the forms that a name can have, for help and errors.
func (o Openers) Forms() string {
	forms := []string{"a device path", "usb:VID:PID[:SERIAL][@PLACE]", "rfc2217://[TOKEN@]HOST[:PORT]"}
	for _, s := range slices.Sorted(maps.Keys(o.Schemes)) {
		forms = append(forms, s+":…")
	}
	return strings.Join(forms[:len(forms)-1], ", ") + " or " + forms[len(forms)-1]
}

// split takes the scheme off a name, if it has one. A device path has a slash
// or a backslash before any colon, or no colon at all.
func (o Openers) split(name string) (scheme, rest string) {
	before, after, ok := strings.Cut(name, ":")
	if !ok || before == "" || strings.ContainsAny(before, `/\.`) {
		return "", name
	}
	return before, after
}

func (o Openers) find(rest string) (Info, error) {
	q, err := ParseQuery(rest)
	if err != nil {
		return Info{}, cli.Usage(cli.Hint(err, "rig ports lists what is plugged in"))
	}
	return o.Finder.Find(q)
}

// local opens a device of this machine under a lease.
func (o Openers) local(ctx context.Context, info Info, path string) (hil.Port, error) {
	if path == "" {
		return nil, cli.Usage(cli.Hint(errors.New("open port: no name given"), "a port is "+o.Forms()))
	}
	if err := inspect(path); err != nil { // no lease for what is not there
		return nil, openError(path, err)
	}
	lease, err := o.Leases.Acquire(ctx, info.ID(), o.Request)
	if err != nil {
		return nil, err
	}
	p, err := Open(path, o.Config)
	if err != nil {
		return nil, errors.Join(err, lease.Release())
	}
	return &leased{p, lease}, nil
}

// leased is a port together with its lease.
type leased struct {
	*Port
	lease *Lease
}

// Close implements [hil.Port].
func (p *leased) Close() error { return errors.Join(p.Port.Close(), p.lease.Release()) }
