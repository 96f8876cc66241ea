package serial

import (
	"errors"
	"fmt"
	"io/fs"

	bugst "go.bug.st/serial"
)

// plain turns an error of go.bug.st/serial into one that says what is wrong.
func plain(err error) error {
	e, ok := errors.AsType[*bugst.PortError](err)
	if !ok {
		return err
	}
	switch e.Code() {
	case bugst.PortBusy:
		return ErrBusy
	case bugst.PermissionDenied:
		return fs.ErrPermission
	case bugst.PortNotFound:
		return fs.ErrNotExist
	case bugst.InvalidSerialPort:
		return fmt.Errorf("not a serial device: %w", err)
	}
	return err
}
