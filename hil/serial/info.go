package serial

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Info says what is plugged in where. The texts of USB devices are what the
// device claims: untrusted.
type Info struct {
	// Path is the device's name now. After it was plugged out and in again it
	// may be another board's.
	Path string `json:"path"`

	// VID and PID are the USB vendor and product, four hexadecimal digits in
	// upper case; empty for a port that is not on USB.
	VID string `json:"vid,omitempty"`
	PID string `json:"pid,omitempty"`

	// Serial is the number of the adapter or, where the chip has USB itself, of
	// the board. Cheap adapters have none, or all the same.
	Serial string `json:"serial,omitempty"`

	// Place is where on the machine it is plugged in: bus, hub ports and
	// interface, such as 1-1.4:1.0. It stays when the device is replaced.
	Place string `json:"place,omitempty"`

	Manufacturer string `json:"manufacturer,omitempty"`
	Product      string `json:"product,omitempty"`
}

// ID is what the port is known by: VID:PID:serial:place on USB, else its path.
func (i Info) ID() string {
	if i.VID == "" {
		return i.Path
	}
	return strings.Join([]string{i.VID, i.PID, i.Serial, i.Place}, ":")
}

// Name is the shortest name that opens this port and no other of those given.
func (i Info) Name(all []Info) string {
	if i.VID == "" {
		return i.Path
	}
	for _, q := range []Query{
		{VID: i.VID, PID: i.PID},
		{VID: i.VID, PID: i.PID, Serial: i.Serial},
		{VID: i.VID, PID: i.PID, Place: i.Place},
	} {
		if len(q.among(all)) == 1 {
			return q.String()
		}
	}
	return Query{i.VID, i.PID, i.Serial, i.Place}.String()
}

// Stable is a name for this board, not for the next best one that is plugged in
// while it is away: with its serial number if no other has the same, else with
// its place.
func (i Info) Stable(all []Info) string {
	q := Query{i.VID, i.PID, i.Serial, i.Place}
	switch {
	case i.VID == "":
		return i.Path
	case i.Serial != "" && len(Query{VID: i.VID, PID: i.PID, Serial: i.Serial}.among(all)) == 1:
		q.Place = ""
	}
	return q.String()
}

// Query selects USB ports. Empty fields match everything.
type Query struct{ VID, PID, Serial, Place string }

// ParseQuery reads VID:PID[:SERIAL][@PLACE]. A serial number may have colons of
// its own: boards with USB of their own use their MAC address.
func ParseQuery(s string) (Query, error) {
	bad := func(why string) (Query, error) {
		return Query{}, fmt.Errorf("parse port %q: %s; want usb:VID:PID[:SERIAL][@PLACE], such as usb:10C4:EA60", "usb:"+s, why)
	}
	rest, place, placed := strings.Cut(s, "@")
	if placed && place == "" {
		return bad("nothing after @")
	}
	parts := strings.SplitN(rest, ":", 3)
	if len(parts) < 2 {
		return bad("no product")
	}
	q := Query{VID: strings.ToUpper(parts[0]), PID: strings.ToUpper(parts[1]), Place: place}
	for _, id := range []string{q.VID, q.PID} {
		if len(id) != 4 || strings.Trim(id, "0123456789ABCDEF") != "" {
			return bad(fmt.Sprintf("%q is not four hexadecimal digits", id))
		}
	}
	if len(parts) == 3 {
		if q.Serial = parts[2]; q.Serial == "" {
			return bad("empty serial number")
		}
	}
	return q, nil
}

// String is the query as the name of a port.
func (q Query) String() string {
	s := "usb:" + q.VID + ":" + q.PID
	if q.Serial != "" {
		s += ":" + q.Serial
	}
	if q.Place != "" {
		s += "@" + q.Place
	}
	return s
}

func (q Query) matches(i Info) bool {
	// A place without its interface means any interface of the device there.
	device, _, _ := strings.Cut(i.Place, ":")
	return i.VID == q.VID && i.PID == q.PID && (q.Serial == "" || q.Serial == i.Serial) &&
		(q.Place == "" || q.Place == i.Place || q.Place == device)
}

func (q Query) among(all []Info) []Info {
	var found []Info
	for _, i := range all {
		if q.matches(i) {
			found = append(found, i)
		}
	}
	return found
}

// byName orders ports as a person counts: ttyUSB2 before ttyUSB10.
func byName(a, b Info) int {
	split := func(s string) (string, int) {
		end := strings.TrimRight(s, "0123456789")
		n := 0
		for _, d := range s[len(end):] {
			n = min(n*10+int(d-'0'), 1<<20)
		}
		return end, n
	}
	an, ai := split(a.Path)
	bn, bi := split(b.Path)
	return cmp.Or(strings.Compare(an, bn), ai-bi)
}

func sorted(all []Info) []Info {
	slices.SortFunc(all, byName)
	return all
}
