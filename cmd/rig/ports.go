package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"

	"porthole/hil/serial"
	"porthole/internal/cli"
)

type portsCmd struct {
	JSON bool `name:"json" help:"One JSON array, for programs."`
}

// Help implements kong's interface.
func (portsCmd) Help() string {
	return `No port is opened: opening one can reset the board behind it.

The first column is a name that every command takes, and that stays when the board is plugged in again.`
}

// portStatus is a line of rig ports.
type portStatus struct {
	Name string `json:"name"`
	ID   string `json:"id"`
	serial.Info
	State  string         `json:"state"` // free, locked, in use, not permitted, missing
	Holder *serial.Holder `json:"holder,omitempty"`
	Users  []serial.User  `json:"users,omitempty"`
	Hint   string         `json:"hint,omitempty"`
}

func (c *portsCmd) Run(_ context.Context, std cli.IO) error {
	list := serial.List
	if f := finder(); f.List != nil {
		list = f.List
	}
	all, err := list()
	if err != nil {
		return err
	}
	status := []portStatus{} // an empty array, not null
	for _, i := range all {
		status = append(status, statusOf(i, all))
	}
	if c.JSON {
		enc := json.NewEncoder(std.Out)
		enc.SetIndent("", "  ")
		return enc.Encode(status)
	}
	if len(all) == 0 {
		fmt.Fprintln(std.Out, "no serial port is plugged in (rig board simulates one)")
		return nil
	}
	w := tabwriter.NewWriter(std.Out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tDEVICE\tADAPTER\tSTATE")
	for _, s := range status {
		adapter := strings.TrimSpace(s.Manufacturer + " " + s.Product)
		if adapter == "" {
			adapter = "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", cli.Printable(s.Name), cli.Printable(s.Path), cli.Printable(adapter), cli.Printable(s.text()))
	}
	return w.Flush()
}

func statusOf(i serial.Info, all []serial.Info) portStatus {
	s := portStatus{Name: i.Name(all), ID: i.ID(), Info: i, State: "free"}
	if h, ok := (serial.Leases{}).Status(i.ID()); ok {
		s.State, s.Holder = "locked", &h
		h.ID = "" // it lets its owner's commands in, and nobody else's
		return s
	}
	if s.Users = serial.Users(i.Path); len(s.Users) > 0 {
		s.State = "in use"
		return s
	}
	if _, err := os.Stat(i.Path); errors.Is(err, fs.ErrNotExist) && strings.HasPrefix(i.Path, "/") {
		s.State, s.Hint = "missing", "the device file is not there: in a container, pass it in"
		return s
	}
	if hint, ok := serial.Permission(i.Path); !ok {
		s.State, s.Hint = "not permitted", hint
	}
	return s
}

// text is the state as a sentence's part.
func (s portStatus) text() string {
	switch {
	case s.Holder != nil:
		return "locked by " + s.Holder.String()
	case len(s.Users) > 0:
		var names []string
		for _, u := range s.Users {
			names = append(names, fmt.Sprintf("%s (pid %d)", u.Name, u.PID))
		}
		return "in use by " + strings.Join(names, ", ")
	case s.Hint != "":
		return s.State + ": " + s.Hint
	}
	return s.State
}
