package serial

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"porthole/internal/cli"
)

// sysfs builds a machine: two CP2102 with the same serial number, a CH340
// without one, a chip with USB of its own, a PC's UART and what is not there.
func sysfs() fstest.MapFS {
	m := fstest.MapFS{}
	link := func(name, dir string) {
		m["class/tty/"+name] = &fstest.MapFile{Data: []byte("../../" + dir), Mode: fs.ModeSymlink}
		m[dir+"/dev"] = &fstest.MapFile{Data: []byte("188:0\n")}
	}
	usb := func(dir string, attrs ...string) {
		for i := 0; i < len(attrs); i += 2 {
			m[dir+"/"+attrs[i]] = &fstest.MapFile{Data: []byte(attrs[i+1] + "\n")}
		}
	}
	const bus = "devices/pci0000:00/0000:00:14.0/usb1"
	usb(bus, "idVendor", "1d6b", "idProduct", "0002", "serial", "0000:00:14.0")
	cp := []string{"idVendor", "10c4", "idProduct", "ea60", "serial", "0001", "manufacturer", "Silicon Labs", "product", "CP2102"}
	usb(bus+"/1-1/1-1.4", cp...)
	link("ttyUSB10", bus+"/1-1/1-1.4/1-1.4:1.0/ttyUSB10/tty/ttyUSB10")
	usb(bus+"/1-2", cp...)
	link("ttyUSB2", bus+"/1-2/1-2:1.0/ttyUSB2/tty/ttyUSB2")
	usb(bus+"/1-3", "idVendor", "1a86", "idProduct", "7523", "product", "USB Serial")
	link("ttyUSB1", bus+"/1-3/1-3:1.0/ttyUSB1/tty/ttyUSB1")
	usb(bus+"/1-5", "idVendor", "303a", "idProduct", "1001", "serial", "7C:DF:A1:00:11:22", "product", "USB JTAG\x1b[2J")
	link("ttyACM0", bus+"/1-5/1-5:1.0/tty/ttyACM0")
	link("ttyS0", "devices/pnp0/00:04/tty/ttyS0")
	usb("devices/pnp0/00:04/tty/ttyS0", "type", "4")
	link("ttyS1", "devices/platform/serial8250/tty/ttyS1")
	usb("devices/platform/serial8250/tty/ttyS1", "type", "0")
	link("ttyAMA0", "devices/platform/soc/fe201000.serial/tty/ttyAMA0")
	link("tty1", "devices/virtual/tty/tty1")
	m["class/tty/gone"] = &fstest.MapFile{Data: []byte("../../../../etc"), Mode: fs.ModeSymlink}
	m["class/tty/plain"] = &fstest.MapFile{}
	return m
}

func finder() Finder { return Finder{List: func() ([]Info, error) { return ListSysfs(sysfs()) }} }

func TestListSysfs(t *testing.T) {
	all, err := ListSysfs(sysfs())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, i := range all {
		got = append(got, i.Path+" "+i.ID()+" "+i.Name(all))
	}
	want := []string{
		"/dev/ttyACM0 303A:1001:7C:DF:A1:00:11:22:1-5:1.0 usb:303A:1001",
		"/dev/ttyAMA0 /dev/ttyAMA0 /dev/ttyAMA0",
		"/dev/ttyS0 /dev/ttyS0 /dev/ttyS0",
		"/dev/ttyUSB1 1A86:7523::1-3:1.0 usb:1A86:7523",
		"/dev/ttyUSB2 10C4:EA60:0001:1-2:1.0 usb:10C4:EA60@1-2:1.0",
		"/dev/ttyUSB10 10C4:EA60:0001:1-1.4:1.0 usb:10C4:EA60@1-1.4:1.0",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if all[0].Product != "USB JTAG\x1b[2J" || all[4].Manufacturer != "Silicon Labs" {
		t.Errorf("texts: %+v", all)
	}
	if all, err := ListSysfs(fstest.MapFS{}); err != nil || len(all) != 0 {
		t.Errorf("without sysfs: %v, %v", all, err)
	}
}

func TestFind(t *testing.T) {
	for _, tt := range []struct{ name, want, fails, hint string }{
		{"303a:1001", "/dev/ttyACM0", "", ""},
		{"303A:1001:7C:DF:A1:00:11:22", "/dev/ttyACM0", "", ""},
		{"10c4:ea60@1-1.4", "/dev/ttyUSB10", "", ""},
		{"10c4:ea60@1-1.4:1.0", "/dev/ttyUSB10", "", ""},
		{"10C4:EA60:0001@1-2", "/dev/ttyUSB2", "", ""},
		{"10c4:ea60", "", "2 ports match", "usb:10C4:EA60@1-2:1.0, usb:10C4:EA60@1-1.4:1.0"},
		{"10c4:ea60:0001", "", "2 ports match", "@1-2"},
		{"10c4:ea60@1-1", "", "file does not exist", "plugged in: usb:303A:1001, "},
		{"303a:1001:7C:DF", "", "file does not exist", ""},
		{"1d6b:0002", "", "file does not exist", ""}, // a hub has no port of its own
		{"10c4", "", "no product", ""},
		{"", "", "no product", ""},
		{"10c4:ea6", "", `"EA6" is not four hexadecimal digits`, ""},
		{"10c4:ea6g", "", `"EA6G" is not four hexadecimal digits`, ""},
		{"10c4:ea60:", "", "empty serial number", ""},
		{"10c4:ea60@", "", "nothing after @", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got Info
			q, err := ParseQuery(tt.name)
			if err == nil {
				got, err = finder().Find(q)
			}
			if tt.fails == "" && (err != nil || got.Path != tt.want) {
				t.Errorf("got %q, %v", got.Path, err)
			}
			if tt.fails != "" && (err == nil || !strings.Contains(err.Error(), tt.fails)) {
				t.Errorf("got %v, want %q", err, tt.fails)
			}
			if !strings.Contains(cli.HintOf(err), tt.hint) {
				t.Errorf("hint %q, want %q", cli.HintOf(err), tt.hint)
			}
		})
	}
	none := Finder{List: func() ([]Info, error) { return nil, nil }}
	if _, err := none.Find(Query{VID: "303A", PID: "1001"}); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(cli.HintOf(err), "nothing is plugged in") {
		t.Errorf("nothing plugged in: %v, hint %q", err, cli.HintOf(err))
	}
}

// TestStable: the name of a board, not of whatever is plugged in.
func TestStable(t *testing.T) {
	o := Openers{Finder: finder()}
	for name, want := range map[string]string{
		"/dev/ttyACM0":   "usb:303A:1001:7C:DF:A1:00:11:22",
		"usb:303a:1001":  "usb:303A:1001:7C:DF:A1:00:11:22",
		"/dev/ttyUSB1":   "usb:1A86:7523@1-3:1.0",      // no number
		"/dev/ttyUSB2":   "usb:10C4:EA60:0001@1-2:1.0", // two with the same
		"/dev/ttyS0":     "/dev/ttyS0",
		"/dev/ttyUSB9":   "/dev/ttyUSB9",
		"usb:1234:5678":  "usb:1234:5678",
		"rfc2217://host": "rfc2217://host",
		"sim:flash.bin":  "sim:flash.bin",
	} {
		if got := o.Stable(name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

// TestIdentify: one board has one identity, by whatever path it is reached.
func TestIdentify(t *testing.T) {
	dir := t.TempDir()
	device, link := filepath.Join(dir, "ttyUSB7"), filepath.Join(dir, "by-id")
	if err := os.WriteFile(device, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(device, link); err != nil {
		t.Fatal(err)
	}
	real, err := filepath.EvalSymlinks(device)
	if err != nil {
		t.Fatal(err)
	}
	f := Finder{List: func() ([]Info, error) {
		return []Info{{Path: real, VID: "10C4", PID: "EA60", Place: "1-1:1.0"}}, nil
	}}
	for _, path := range []string{device, link} {
		if got := f.Identify(path).ID(); got != "10C4:EA60::1-1:1.0" {
			t.Errorf("%s is %s", path, got)
		}
	}
	if got := f.Identify(filepath.Join(dir, "none")); got.ID() != filepath.Join(dir, "none") {
		t.Errorf("unknown path is %s", got.ID())
	}
}
