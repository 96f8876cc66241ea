package serial

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

// ListSysfs finds the serial ports in a sysfs, without opening any: to list
// ports by opening them is to reset the boards behind them.
//
//	class/tty/ttyUSB0 → ../../devices/…/1-1.4/1-1.4:1.0/ttyUSB0/tty/ttyUSB0
//	                                    │     └ interface        └ driver's port
//	                                    └ USB device: idVendor, idProduct, serial, …
//
// A native USB port (ttyACM0) lacks the driver's level. Consoles and pseudo
// terminals live below devices/virtual and are left out, as is a ttyS whose
// UART was not found (type 0).
func ListSysfs(sysfs fs.FS) ([]Info, error) {
	const class = "class/tty"
	entries, err := fs.ReadDir(sysfs, class)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // a container without sysfs, or a machine without ports
	}
	if err != nil {
		return nil, fmt.Errorf("list ports: %w", err)
	}
	var all []Info
	for _, e := range entries {
		link, err := fs.ReadLink(sysfs, path.Join(class, e.Name()))
		if err != nil {
			continue // unplugged since
		}
		dir := path.Join(class, link)
		if !fs.ValidPath(dir) || strings.HasPrefix(dir, "devices/virtual/") {
			continue
		}
		info := Info{Path: "/dev/" + e.Name()}
		switch {
		case describeUSB(sysfs, dir, &info):
		case attribute(sysfs, dir, "type") == "0":
			continue
		}
		all = append(all, info)
	}
	return sorted(all), nil
}

// describeUSB looks upwards from a port for the USB device that it is part of.
func describeUSB(sysfs fs.FS, dir string, info *Info) bool {
	below := "" // the folder that we come from: at the device, the interface
	for ; dir != "." && dir != "devices"; dir, below = path.Dir(dir), path.Base(dir) {
		vid := attribute(sysfs, dir, "idVendor")
		if vid == "" {
			continue
		}
		info.VID = strings.ToUpper(vid)
		info.PID = strings.ToUpper(attribute(sysfs, dir, "idProduct"))
		info.Serial = attribute(sysfs, dir, "serial")
		info.Manufacturer = attribute(sysfs, dir, "manufacturer")
		info.Product = attribute(sysfs, dir, "product")
		info.Place = path.Base(dir)
		if strings.HasPrefix(below, info.Place+":") {
			info.Place = below
		}
		return true
	}
	return false
}

// attribute is a file of sysfs with one line, "" if there is none. sysfs ends
// at one page.
func attribute(sysfs fs.FS, dir, name string) string {
	f, err := sysfs.Open(path.Join(dir, name))
	if err != nil {
		return ""
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 4<<10))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}
