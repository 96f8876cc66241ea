//go:build !linux && (!darwin || cgo)

package serial

import (
	"fmt"

	"go.bug.st/serial/enumerator"
)

// List lists the serial ports of this machine. USB devices are not probed.
func List() ([]Info, error) {
	ports, err := enumerator.GetDetailedPortsList()
	if err != nil {
		return nil, fmt.Errorf("list ports: %w", err)
	}
	var all []Info
	for _, p := range ports {
		if p.Name == "" {
			continue
		}
		info := Info{Path: p.Name}
		if p.IsUSB {
			info.VID, info.PID, info.Serial = p.VID, p.PID, p.SerialNumber
			info.Manufacturer, info.Product = p.Manufacturer, p.Product
			info.Place = p.Name // the system does not say where it is plugged in
		}
		all = append(all, info)
	}
	return sorted(all), nil
}
