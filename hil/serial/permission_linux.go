package serial

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// permissionHint says how to be allowed to open a device: on every distribution
// its group owns it, only the group's name differs.
func permissionHint(path string) string {
	group := "dialout"
	if info, err := os.Stat(path); err == nil {
		if s, ok := info.Sys().(*syscall.Stat_t); ok {
			if s.Gid == 0 {
				return "only root may open it: add a udev rule that gives serial adapters to a group of yours"
			}
			group = strconv.FormatUint(uint64(s.Gid), 10)
			if g, err := user.LookupGroupId(group); err == nil {
				group = g.Name
			}
		}
	}
	return fmt.Sprintf("join the group %s (sudo usermod -aG %s $USER) and log in again", group, group)
}

// Permission says why this user may not open a device, and what to do.
func Permission(path string) (hint string, ok bool) {
	if err := unix.Access(path, unix.R_OK|unix.W_OK); errors.Is(err, unix.EACCES) {
		return permissionHint(path), false
	}
	return "", true
}
